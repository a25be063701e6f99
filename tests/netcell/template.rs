//! `inspect --format`: the templates that scripts use, on real containers, judged by the kernel and by `inspect` itself.
//! What Go makes of some 250 templates is compared in src/face/cli/template/tests.rs.

use crate::harness::*;
use crate::tests;
use serde_json::Value;

pub const TESTS: &[runner::Test] = tests![
    the_guides_line_and_those_that_scripts_use,
    variables_blocks_and_trim_markers_do_what_gos_do,
    the_ports_of_a_container_are_found_by_index_and_range,
    the_legacy_address_is_the_default_networks,
    what_fails_on_the_struct_is_tried_on_the_json,
    an_error_of_one_object_keeps_what_others_printed,
    texts_of_errors_and_exit_codes_are_dockers,
    network_inspect_has_templates_too,
];

fn format(name: &str, template: &str) -> String {
    netcell(&["inspect", "--format", template, name]).quiet()
}

fn web() -> Value {
    cell("run -d --name web -p 8080:80 -p 8081:81/udp -e A=1 alpine sleep 1000").ok();
    cell("inspect web").json()[0].clone()
}

fn the_guides_line_and_those_that_scripts_use() {
    let value = web();
    let (address, prefix) = address_in("web", "eth0");
    let pid = value["State"]["Pid"].to_string();
    let id = value["Id"].as_str().unwrap();
    for (template, wanted) in [
        ("{{.NetworkSettings.SandboxKey}}", "/run/netns/web"),
        ("{{.State.Pid}}", &*pid),
        ("{{.Id}}", id),
        ("{{.ID}}", id),
        ("{{slice .ID 0 12}}", &id[..12]),
        ("{{truncate .ID 12}}", &id[..12]),
        (
            "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}",
            &address.to_string(),
        ),
        (
            "{{range $k, $v := .NetworkSettings.Networks}}{{$k}}={{$v.IPAddress}}/{{$v.IPPrefixLen}} {{end}}",
            &format!("bridge={address}/{prefix} "),
        ),
        (
            "{{.NetworkSettings.Networks.bridge.IPAddress}}",
            &address.to_string(),
        ),
        (
            "{{(index .NetworkSettings.Networks \"bridge\").IPAddress}}",
            &address.to_string(),
        ),
        (
            "{{with .NetworkSettings.Networks.bridge}}{{.IPAddress}}{{end}}",
            &address.to_string(),
        ),
        ("{{if .State.Running}}up{{else}}down{{end}}", "up"),
        ("{{.Config.Cmd}}", "[sleep 1000]"),
        ("{{join .Config.Cmd \",\"}}", "sleep,1000"),
        (
            "{{printf \"%s:%d\" .Name .State.Pid}}",
            &format!("/web:{pid}"),
        ),
        ("{{.HostConfig.NetworkMode | upper}}", "BRIDGE"),
        ("{{index (split .Name \"/\") 1}}", "web"),
        ("{{eq .State.Status \"running\"}}", "true"),
        ("{{len .NetworkSettings.Ports}}", "2"),
        ("{{index .Config.Labels \"none\"}}", ""),
        ("{{.NetworkSettings.Networks.none.IPAddress}}", "<no value>"),
        ("{{json .Args}}", "[\"1000\"]"),
        ("{{range .Config.Env}}{{println .}}{{end}}", &env(&value)),
    ] {
        let got = netcell(&["inspect", "--format", template, "web"]);
        assert_eq!((got.code, &*got.stderr), (0, ""), "{got:?}");
        assert_eq!(got.stdout, format!("{wanted}\n"), "{template}");
    }
    cell("rm -f web").ok();
}

fn env(value: &Value) -> String {
    let entries = value["Config"]["Env"].as_array().unwrap().iter();
    entries
        .map(|entry| format!("{}\n", entry.as_str().unwrap()))
        .collect()
}

fn variables_blocks_and_trim_markers_do_what_gos_do() {
    web();
    for (template, wanted) in [
        (
            "{{$n := .Name}}{{range .Args}}{{$n}} {{.}}{{end}}",
            "/web 1000",
        ),
        (
            "{{range $i, $e := .Config.Cmd}}{{if $i}},{{end}}{{$e}}{{end}}",
            "sleep,1000",
        ),
        ("a {{- /* no */ -}} b", "ab"),
        (
            "{{if and .State.Running (gt .State.Pid 1)}}yes{{end}}",
            "yes",
        ),
        (
            "{{if not .State.Running}}down{{else if .State.Pid}}up{{end}}",
            "up",
        ),
        ("{{range .Config.Cmd}}{{.}}{{break}}{{end}}", "sleep"),
        ("{{range .Mounts}}x{{else}}no mounts{{end}}", "no mounts"),
        ("a\\tb", "a\\tb"),
        ("{{\"q\"}}{{print \"x\" 1 2 \"y\"}}", "qx1 2y"),
    ] {
        assert_eq!(format("web", template), wanted, "{template}");
    }
    cell("rm -f web").ok();
}

fn the_ports_of_a_container_are_found_by_index_and_range() {
    web();
    for (template, wanted) in [
        (
            "{{(index (index .NetworkSettings.Ports \"80/tcp\") 0).HostPort}}",
            "8080",
        ),
        (
            "{{range $p, $c := .NetworkSettings.Ports}}{{$p}}={{(index $c 0).HostPort}} {{end}}",
            "80/tcp=8080 81/udp=8081 ",
        ),
        (
            "{{with index .NetworkSettings.Ports \"82/tcp\"}}x{{else}}none{{end}}",
            "none",
        ),
        (
            "{{println (index .NetworkSettings.Ports \"80/tcp\")}}",
            "[{0.0.0.0 8080}]",
        ),
    ] {
        let got = format("web", template);
        // A host with IPv6 may publish on :: as well.
        let got = got.replace(" {:: 8080}", "");
        assert_eq!(got.trim_end(), wanted.trim_end(), "{template}");
    }
    cell("rm -f web").ok();
}

fn the_legacy_address_is_the_default_networks() {
    web();
    let address = address_in("web", "eth0").0.to_string();
    assert_eq!(format("web", "{{.NetworkSettings.IPAddress}}"), address);
    let link = &ip_json_in("web", &["link", "show", "eth0"])[0];
    assert_eq!(
        format("web", "{{.NetworkSettings.MacAddress}}"),
        link["address"].as_str().unwrap()
    );
    let route = &ip_json_in("web", &["route", "show", "default"])[0];
    assert_eq!(
        format("web", "{{.NetworkSettings.Gateway}}"),
        route["gateway"].as_str().unwrap()
    );
    assert_eq!(format("web", "{{.NetworkSettings.IPPrefixLen}}"), "16");
    cell("rm -f web").ok();
    cell("network create --subnet 10.50.0.0/24 lan").ok();
    cell("run -d --name web --network lan alpine sleep 1000").ok();
    assert_eq!(
        format(
            "web",
            "{{.NetworkSettings.IPAddress}}{{.NetworkSettings.IPPrefixLen}}"
        ),
        "0"
    );
    cell("rm -f web").ok();
    cell("network rm lan").ok();
}

fn what_fails_on_the_struct_is_tried_on_the_json() {
    web();
    assert_eq!(format("web", "{{index .State \"Status\"}}"), "running");
    assert_eq!(
        format(
            "web",
            "{{range $k, $v := .State}}{{if eq $k \"Status\"}}{{$v}}{{end}}{{end}}"
        ),
        "running"
    );
    cell("rm -f web").ok();
}

fn an_error_of_one_object_keeps_what_others_printed() {
    cell("create --name one --network none").ok();
    web();
    let answer = netcell(&["inspect", "-f", "{{index .Config.Cmd 0}}", "web", "one"]).exits(1);
    assert_eq!(answer.stdout, "sleep\n");
    assert!(answer.stderr.contains("error calling index"), "{answer:?}");
    cell("rm -f web one").ok();
}

fn texts_of_errors_and_exit_codes_are_dockers() {
    cell("create --name bare --network none").ok();
    for (template, code, said) in [
        (
            "{{.Nope}}",
            1,
            "template: :1:2: executing \"\" at <.Nope>: map has no entry for key \"Nope\"",
        ),
        ("{{.Name", 64, "template: :1: unclosed action"),
        (
            "{{nosuch .}}",
            64,
            "template: :1: function \"nosuch\" not defined",
        ),
        ("{{if .Name}}", 64, "template: :1: unexpected EOF"),
        (
            "{{(index .NetworkSettings.Networks \"nope\").IPAddress}}",
            1,
            "template: :1:35: executing \"\" at <\"nope\">: nil data; no entry for key \"IPAddress\"",
        ),
    ] {
        let answer = netcell(&["inspect", "--format", template, "bare"]);
        assert_eq!(answer.stdout, "", "{answer:?}");
        let sentence = answer.refused(code, &[]);
        assert_eq!(sentence, format!("netcell: template parsing error: {said}"));
    }
    cell("rm bare").ok();
}

fn network_inspect_has_templates_too() {
    cell("network create --subnet 10.50.0.0/24 lan").ok();
    cell("create --name bare --network lan").ok();
    let format = |template| netcell(&["network", "inspect", "-f", template, "lan"]).quiet();
    assert_eq!(
        format("{{(index .IPAM.Config 0).Subnet}} {{.Driver}}"),
        "10.50.0.0/24 bridge"
    );
    let address = address_in("bare", "eth0").0;
    assert_eq!(
        format("{{range .Containers}}{{.Name}} {{.IPv4Address}}{{end}}"),
        format!("bare {address}/24")
    );
    assert_eq!(
        format("{{index .Options \"com.docker.network.driver.mtu\"}}"),
        "1500"
    );
    // As Docker's, inspect finds networks, too; a container of the same name comes first.
    let driver = netcell(&["inspect", "-f", "{{.Driver}}", "lan"]);
    assert_eq!(driver.quiet(), "bridge");
    cell("create --name lan --network none").ok();
    let name = netcell(&["inspect", "-f", "{{.Name}}", "lan"]);
    assert_eq!(name.quiet(), "/lan");
    let typed = |of| netcell(&["inspect", "--type", of, "-f", "{{.Name}}", "lan"]);
    assert_eq!(typed("network").quiet(), "lan");
    assert_eq!(typed("container").quiet(), "/lan");
    typed("image").refused(1, &["image", "container and network"]);
    cell("inspect --type container bridge").refused(1, &["No such container: bridge"]);
    cell("rm lan").ok();
    cell("rm bare").ok();
    cell("network rm lan").ok();
}
