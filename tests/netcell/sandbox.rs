//! The sandbox: a namespace that is pinned, that other programs can enter, and what is in it from the start.

use crate::harness::*;
use crate::tests;
use std::fs;
use std::time::Duration;

pub const TESTS: &[runner::Test] = tests![
    the_pin_is_a_namespace_that_other_programs_can_enter,
    lo_is_up_with_both_loopback_addresses,
    eth0_has_address_mac_and_default_route,
    its_files_are_its_own,
    a_bare_sandbox_lives_without_any_process,
    pins_propagate_as_iproute2_makes_them,
    pins_live_beside_those_of_ip_netns,
    what_is_in_the_way_or_broken_is_said_with_what_helps,
    ipv6_addresses_are_usable_at_once,
    a_sandbox_keeps_its_address_while_another_comes_and_goes,
];

fn the_pin_is_a_namespace_that_other_programs_can_enter() {
    cell("run -d --name web alpine sleep 1000").ok();
    let inside = cell("exec web readlink /proc/self/ns/net").quiet();
    assert_eq!(
        must(
            "ip",
            &["netns", "exec", "web", "readlink", "/proc/self/ns/net"]
        ),
        inside
    );
    assert_eq!(
        must(
            "nsenter",
            &["--net=/run/netns/web", "readlink", "/proc/self/ns/net"]
        ),
        inside
    );
    assert_eq!(must("stat", &["-f", "-c", "%T", "/run/netns/web"]), "nsfs");
    cell("rm -f web").ok();
    assert!(!fs::exists("/run/netns/web").unwrap());
}

fn lo_is_up_with_both_loopback_addresses() {
    for network in ["bridge", "none"] {
        cell(&format!("create --name web --network {network}")).ok();
        let lo = ip_json_in("web", &["address", "show", "dev", "lo"])[0].clone();
        assert!(lo["flags"].to_string().contains("\"UP\""), "{lo}");
        let addresses: Vec<String> = lo["addr_info"]
            .as_array()
            .unwrap()
            .iter()
            .map(|a| format!("{}/{}", a["local"].as_str().unwrap(), a["prefixlen"]))
            .collect();
        assert_eq!(addresses, ["127.0.0.1/8", "::1/128"]);
        cell("rm web").ok();
    }
}

fn eth0_has_address_mac_and_default_route() {
    cell("create --name web").ok();
    let (address, prefix) = address_in("web", "eth0");
    assert_eq!(
        (address.octets()[0], address.octets()[1], prefix),
        (172, 17, 16)
    );
    let link = ip_json_in("web", &["link", "show", "eth0"])[0].clone();
    assert_eq!(link["operstate"], "UP");
    let routes = ip_json_in("web", &["route"]);
    let text: Vec<String> = routes
        .as_array()
        .unwrap()
        .iter()
        .map(|r| {
            format!(
                "{} {} {}",
                r["dst"].as_str().unwrap(),
                r["gateway"].as_str().unwrap_or("-"),
                r["dev"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(text, ["default 172.17.0.1 eth0", "172.17.0.0/16 - eth0"]);
    cell("rm web").ok();
}

fn its_files_are_its_own() {
    let id = cell("run -d --name web alpine sleep 1000").ok();
    let (address, _) = address_in("web", "eth0");
    let hosts = cell("exec web cat /etc/hosts").quiet();
    for line in [
        "127.0.0.1\tlocalhost",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        "ff02::1\tip6-allnodes",
        // What its siblings find it by, too.
        &format!("{address}\tweb {}", &id[..12]),
    ] {
        assert!(
            hosts.lines().any(|l| l == line),
            "{line} is not in:\n{hosts}"
        );
    }
    assert_eq!(cell("exec web cat /etc/hostname").quiet(), &id[..12]);
    assert_eq!(cell("exec web hostname").quiet(), &id[..12]);
    assert!(
        cell("exec web cat /etc/resolv.conf")
            .quiet()
            .contains("nameserver ")
    );
    cell("exec web ping -c 1 -W 2 localhost").ok();
    cell(&format!("exec web ping -c 1 -W 2 {}", &id[..12])).ok();
    cell("rm -f web").ok();
}

fn a_bare_sandbox_lives_without_any_process() {
    cell("create --name bare -p 8080:80").ok();
    let inode = oracle::namespace_id(&pin("bare"));
    let members = oracle::processes().into_iter().filter(|&(pid, _)| {
        fs::exists(format!("/proc/{pid}/ns/net")).unwrap_or(false)
            && fs::metadata(format!("/proc/{pid}/ns/net"))
                .is_ok_and(|found| std::os::unix::fs::MetadataExt::ino(&found) == inode)
    });
    assert_eq!(members.count(), 0);
    serve_in(&pin("bare"), 80, "bare");
    answered(ask([127, 0, 0, 1], 8080), "bare");
    cell("rm bare").ok();
}

fn pins_propagate_as_iproute2_makes_them() {
    cell("create --name one").ok();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    // The last: the machine may have one of its own, below the box's /run.
    let line = mounts
        .lines()
        .rfind(|line| line.contains(" /run/netns "))
        .unwrap_or_else(|| panic!("no mount: {mounts}"));
    assert!(line.contains(" shared:"), "{line}");
    // Another mount namespace sees what is made and removed later.
    let other = Background::spawn(std::process::Command::new("unshare").args([
        "-m",
        "--propagation",
        "slave",
        "sleep",
        "1000",
    ]));
    std::thread::sleep(Duration::from_millis(200));
    cell("create --name two").ok();
    let seen =
        || fs::read_to_string(format!("/proc/{}/mountinfo", other.pid())).unwrap_or_default();
    wait_until("the pin is seen", || seen().contains("/run/netns/two"));
    cell("rm one two").ok();
    wait_until("the pin is gone", || !seen().contains("/run/netns/two"));
}

fn pins_live_beside_those_of_ip_netns() {
    must("ip", &["netns", "add", "theirs"]);
    cell("create --name ours").ok();
    let list = must("ip", &["netns", "list"]);
    assert!(list.contains("theirs") && list.contains("ours"), "{list}");
    cell("rm ours").ok();
    must("ip", &["netns", "exec", "theirs", "true"]);
    must("ip", &["netns", "add", "later"]);
    must("ip", &["netns", "delete", "later"]);
    must("ip", &["netns", "delete", "theirs"]);
}

fn what_is_in_the_way_or_broken_is_said_with_what_helps() {
    let helps = |sentence: &str| {
        let command = sentence.split('`').nth(1).expect("a command");
        must("sh", &["-ec", &command.replace("netcell", boxes::BINARY)])
    };
    // Its records are lost, its pin is not: it may as well be somebody else's.
    cell("create --name web --network none").ok();
    let state = "/run/netcell";
    must("cp", &["-a", state, "/tmp/kept"]);
    must("rm", &["-r", state]);
    let said = cell("create --name web --network none").refused(
        1,
        &[
            "no record names what is at /run/netns/web",
            "another state directory",
        ],
    );
    helps(&said);
    cell("create --name web --network none alpine true").ok();
    must("rm", &["-r", "/tmp/kept"]);

    for broken in [
        "busybox umount /run/netns/web",
        "busybox umount /run/netns/web; rm /run/netns/web",
    ] {
        must("sh", &["-ec", broken]);
        let said = cell("start web").refused(1, &["web is broken", "/run/netns/web"]);
        assert_eq!(helps(&said).trim(), "sandbox web");
        cell("start web").ok();
        cell("wait web").ok();
    }
    cell("rm web").ok();
}

fn ipv6_addresses_are_usable_at_once() {
    cell("create --name web").ok();
    let bound = in_netns(pin("web"), || {
        std::net::TcpListener::bind("[::1]:80").is_ok()
    });
    assert!(bound);
    let shown = must("ip", &["-n", "web", "-6", "address"]);
    assert!(!shown.contains("tentative"), "{shown}");
    cell("rm web").ok();
}

fn a_sandbox_keeps_its_address_while_another_comes_and_goes() {
    cell("create --name stays").ok();
    let before = address_in("stays", "eth0");
    for _ in 0..5 {
        cell("create --name goes").ok();
        assert_ne!(address_in("goes", "eth0").0, before.0);
        cell("rm goes").ok();
    }
    assert_eq!(address_in("stays", "eth0"), before);
    cell("rm stays").ok();
}
