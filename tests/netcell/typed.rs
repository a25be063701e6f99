//! What people type who know Docker: streams of `run -a`, the long form of `--network`, how many words, and the like.

use crate::harness::*;
use crate::tests;
use serde_json::json;

pub const TESTS: &[runner::Test] = tests![
    run_attaches_the_streams_that_are_named,
    the_long_form_of_network_is_its_parts,
    an_address_that_was_asked_for_is_inspected,
    too_few_words_and_too_many_are_dockers_sentences,
    the_same_volume_twice_is_once,
    container_before_a_command_is_understood,
    both_versions_are_told,
];

const BOTH: [&str; 4] = ["alpine", "sh", "-c", "echo out; echo err >&2"];

fn run_attaches_the_streams_that_are_named() {
    for (options, out, err) in [
        (&["-a", "stdout"][..], "out\n", ""),
        (&["-a", "stderr"], "", "err\n"),
        (&["--attach=STDOUT", "--attach=STDERR"], "out\n", "err\n"),
        (&["-a", "stdin"], "", ""),
    ] {
        let words = [
            &["run", "--name", "web", "--network", "none"],
            options,
            &BOTH,
        ]
        .concat();
        let answer = netcell(&words).exits(0);
        assert_eq!((&*answer.stdout, &*answer.stderr), (out, err), "{answer:?}");
        // Whoever stays, the log has it all.
        let log = cell("logs web");
        assert_eq!((&*log.stdout, &*log.stderr), ("out\n", "err\n"));
        cell("rm web").ok();
    }
    let fed = netcell_with(
        &[
            "run",
            "--rm",
            "-i",
            "-a",
            "stdin",
            "-a",
            "stdout",
            "--network",
            "none",
            "alpine",
            "cat",
        ],
        "typed\n",
    );
    assert_eq!(fed.quiet(), "typed");
    cell("run -a nosuch alpine true").refused(125, &["valid streams are STDIN, STDOUT and STDERR"]);
    cell("run -d -a stdout alpine true").refused(1, &["cannot specify both --attach and --detach"]);
}

fn the_long_form_of_network_is_its_parts() {
    cell("network create --subnet 10.50.0.0/24 lan").ok();
    let long = "name=lan,alias=db,alias=store,ip=10.50.0.77,mac-address=02:00:00:00:00:09,\
                driver-opt=com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.log_martians=1";
    netcell(&[
        "run",
        "-d",
        "--name",
        "web",
        "--network",
        long,
        "alpine",
        "sleep",
        "1000",
    ])
    .ok();
    let end = cell("inspect web").json()[0]["NetworkSettings"]["Networks"]["lan"].clone();
    assert_eq!(end["IPAddress"], "10.50.0.77");
    assert_eq!(end["MacAddress"], "02:00:00:00:00:09");
    for alias in ["db", "store"] {
        assert!(
            end["DNSNames"]
                .as_array()
                .expect("names")
                .contains(&alias.into()),
            "{end}"
        );
    }
    let martians = "cat /proc/sys/net/ipv4/conf/eth0/log_martians";
    assert_eq!(cell(&format!("exec web {martians}")).quiet(), "1");
    cell("rm -f web").ok();
    for (options, said) in [
        (
            "--network name=lan,ip=10.50.0.7 --ip 10.50.0.8",
            "cannot specify both --ip and per-network IPv4 address",
        ),
        ("--network alias=x", "no name set for network"),
        ("--network name=", "no name set for network"),
        ("--network name=lan,nosuch=1", "invalid field key nosuch"),
        ("--network name=lan,gw-priority=1", "netcell has not"),
        (
            "--network lan --network lan",
            "network \"lan\" is specified multiple times",
        ),
        (
            "--network lan --network bridge",
            "a sandbox has one network",
        ),
    ] {
        cell(&format!("run --rm {options} alpine true")).refused(125, &[said]);
    }
    cell("network rm lan").ok();
}

fn an_address_that_was_asked_for_is_inspected() {
    cell("network create --subnet 10.50.0.0/24 --subnet fd00:50::/64 lan").ok();
    cell("create --name web --network lan --ip 10.50.0.8 --ip6 fd00:50::8").ok();
    cell("create --name other --network lan").ok();
    let asked = |name: &str| {
        let inspected = cell(&format!("inspect {name}")).json();
        inspected[0]["NetworkSettings"]["Networks"]["lan"]["IPAMConfig"].clone()
    };
    assert_eq!(
        asked("web"),
        json!({"IPv4Address": "10.50.0.8", "IPv6Address": "fd00:50::8"})
    );
    assert_eq!(asked("other"), json!(null));
    cell("rm web other").ok();
    cell("network rm lan").ok();
}

fn too_few_words_and_too_many_are_dockers_sentences() {
    for (line, said) in [
        ("run", "'netcell run' requires at least 1 argument "),
        ("exec web", "'netcell exec' requires at least 2 arguments "),
        (
            "rename web",
            "'netcell rename' requires exactly 2 arguments ",
        ),
        ("logs", "'netcell logs' requires exactly 1 argument "),
        (
            "attach a b",
            "'netcell attach' requires exactly 1 argument ",
        ),
        (
            "port a 80 81",
            "'netcell port' requires at least 1 and at most 2 arguments ",
        ),
        ("show a b", "'netcell show' requires at most 1 argument "),
        ("ps web", "'netcell ps' accepts no arguments "),
        (
            "network ls web",
            "'netcell network ls' accepts no arguments ",
        ),
        (
            "network create",
            "'netcell network create' requires exactly 1 argument ",
        ),
        (
            "publish web",
            "'netcell publish' requires at least 2 arguments ",
        ),
        ("stop", "'netcell stop' requires at least 1 argument "),
    ] {
        cell(line).refused(1, &[said]);
    }
}

fn container_before_a_command_is_understood() {
    cell("container run -d --name web --network none alpine sleep 1000").ok();
    assert_eq!(cell("container ls -q").quiet(), cell("ps -q").quiet());
    assert_eq!(cell("container exec web echo x").quiet(), "x");
    cell("container rm -f web").ok();
    cell("container prune -f").refused(1, &["'container' is not a netcell command"]);
    cell("container").refused(1, &["Docker has it"]);
    // A failure has the command's own exit code.
    cell("container run --nonsense alpine true").refused(125, &["--nonsense"]);
}

fn both_versions_are_told() {
    let version = env!("CARGO_PKG_VERSION");
    for template in ["{{.Client.Version}}", "{{.Server.Version}}", "{{.Version}}"] {
        assert_eq!(netcell(&["version", "--format", template]).quiet(), version);
    }
    assert_eq!(cell("-v").quiet(), format!("netcell {version}"));
}

fn the_same_volume_twice_is_once() {
    cell("run --rm --network none -v /var:/a -v /var:/a alpine ls /a").ok();
    cell("run --rm --network none -v /var:/a -v /run:/a alpine true")
        .refused(125, &["Duplicate mount point: /a"]);
}
