//! `inspect`: Docker's shape, true to what the kernel says; `--format` with field paths and `json`.

use crate::harness::*;
use crate::tests;
use serde_json::{Value, json};

pub const TESTS: &[runner::Test] = tests![
    the_keys_are_dockers,
    what_it_says_is_what_the_kernel_says,
    ports_and_bindings_are_dockers,
    a_joined_container_says_the_owners_sandbox,
    a_bare_sandbox_is_inspected_too,
    states_and_times_follow_the_container,
    several_names_give_an_array_and_none_an_empty_one,
    format_prints_fields_text_and_json,
    a_format_that_is_not_supported_is_refused_with_64,
    a_format_field_that_does_not_exist_is_named,
    networks_none_and_host_are_named,
];

fn inspect(name: &str) -> Value {
    let value = cell(&format!("inspect {name}")).json();
    assert_eq!(value.as_array().map(Vec::len), Some(1));
    value[0].clone()
}

fn format(name: &str, format: &str) -> Output {
    netcell(&["inspect", name, "--format", format])
}

fn the_keys_are_dockers() {
    cell("run -d --name web -p 8080:80 -e A=1 -w /tmp alpine sleep 1000").ok();
    let value = inspect("web");
    for key in [
        "Id",
        "Created",
        "Path",
        "Args",
        "State",
        "Image",
        "ResolvConfPath",
        "HostnamePath",
        "HostsPath",
        "LogPath",
        "Name",
        "HostConfig",
        "Config",
        "NetworkSettings",
    ] {
        assert!(value.get(key).is_some(), "{key} is missing");
    }
    let at = |pointer: &str| {
        value
            .pointer(pointer)
            .unwrap_or_else(|| panic!("{pointer} is missing: {value:#}"))
    };
    for (pointer, wanted) in [
        ("/Name", json!("/web")),
        ("/Path", json!("sleep")),
        ("/Args", json!(["1000"])),
        ("/State/Status", json!("running")),
        ("/State/Running", json!(true)),
        ("/State/Paused", json!(false)),
        ("/State/Restarting", json!(false)),
        ("/State/OOMKilled", json!(false)),
        ("/State/Dead", json!(false)),
        ("/State/ExitCode", json!(0)),
        ("/State/Error", json!("")),
        ("/State/FinishedAt", json!("0001-01-01T00:00:00Z")),
        ("/HostConfig/NetworkMode", json!("bridge")),
        ("/HostConfig/AutoRemove", json!(false)),
        (
            "/HostConfig/PortBindings",
            json!({"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}),
        ),
        ("/Config/Image", json!("alpine")),
        ("/Config/Cmd", json!(["sleep", "1000"])),
        ("/Config/WorkingDir", json!("/tmp")),
        ("/Config/Tty", json!(false)),
        ("/Config/OpenStdin", json!(false)),
        ("/NetworkSettings/SandboxKey", json!("/run/netns/web")),
    ] {
        assert_eq!(*at(pointer), wanted, "{pointer}");
    }
    assert!(
        at("/Config/Env")
            .as_array()
            .unwrap()
            .contains(&json!("A=1"))
    );
    let id = at("/Id").as_str().unwrap();
    assert_eq!(at("/Config/Hostname").as_str().unwrap(), &id[..12]);
    let sandbox = at("/NetworkSettings/SandboxID").as_str().unwrap();
    assert!(sandbox.len() == 64 && sandbox != id);
    let network = at("/NetworkSettings/Networks/bridge");
    for key in [
        "IPAMConfig",
        "Links",
        "Aliases",
        "DriverOpts",
        "NetworkID",
        "EndpointID",
        "Gateway",
        "IPAddress",
        "MacAddress",
        "IPPrefixLen",
        "IPv6Gateway",
        "GlobalIPv6Address",
        "GlobalIPv6PrefixLen",
    ] {
        assert!(
            network.get(key).is_some(),
            "Networks.bridge.{key} is missing: {network:#}"
        );
    }
    cell("rm -f web").ok();
}

fn what_it_says_is_what_the_kernel_says() {
    cell("run -d --name web alpine sleep 1000").ok();
    let value = inspect("web");
    let (address, prefix) = address_in("web", "eth0");
    let network = &value["NetworkSettings"]["Networks"]["bridge"];
    assert_eq!(network["IPAddress"], address.to_string());
    assert_eq!(network["IPPrefixLen"], prefix);
    let link = ip_json_in("web", &["link", "show", "eth0"]);
    assert_eq!(network["MacAddress"], link[0]["address"]);
    let octets = address
        .octets()
        .map(|octet| format!("{octet:02x}"))
        .join(":");
    assert_eq!(link[0]["address"], format!("02:6e:{octets}"));
    let routes = ip_json_in("web", &["route", "show", "default"]);
    assert_eq!(network["Gateway"], routes[0]["gateway"]);
    let bridge = ip_json(&["-4", "address", "show", "dev", "netcell0"]);
    assert_eq!(network["Gateway"], bridge[0]["addr_info"][0]["local"]);
    // The default bridge's own legacy fields.
    for key in ["IPAddress", "Gateway", "MacAddress", "IPPrefixLen"] {
        let legacy = &value["NetworkSettings"][key];
        assert!(
            legacy.is_null() || *legacy == network[key],
            "{key}: {legacy}"
        );
    }
    let pid = value["State"]["Pid"].as_i64().unwrap();
    let namespace = oracle::namespace_id(&format!("/proc/{pid}/ns/net"));
    assert_eq!(namespace, oracle::namespace_id(&pin("web")));
    for (key, file) in [
        ("HostsPath", "hosts"),
        ("ResolvConfPath", "resolv.conf"),
        ("HostnamePath", "hostname"),
    ] {
        let path = value[key].as_str().unwrap();
        let outside = std::fs::read_to_string(path).unwrap();
        assert_eq!(
            cell(&format!("exec web cat /etc/{file}")).stdout,
            outside,
            "{path}"
        );
    }
    cell("rm -f web").ok();
}

fn ports_and_bindings_are_dockers() {
    cell("run -d --name web -p 8080:80 -p 8081:81/udp alpine sleep 1000").ok();
    let value = inspect("web");
    let ports = &value["NetworkSettings"]["Ports"];
    assert_eq!(
        *ports,
        json!({"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "81/udp": [{"HostIp": "0.0.0.0", "HostPort": "8081"}]})
    );
    assert!(value["Config"]["ExposedPorts"].get("80/tcp").is_some());
    // A reader of JSON would not tell that a key is there twice.
    cell("run -d --name two -p 8082:80 -p 8083:80 alpine sleep 1000").ok();
    let text = cell("inspect two").ok();
    assert_eq!(text.matches("\"80/tcp\": {}").count(), 1, "{text}");
    cell("rm -f web two").ok();
}

fn a_joined_container_says_the_owners_sandbox() {
    let id = cell("run -d --name main alpine sleep 1000").ok();
    cell("run -d --network container:main --name side alpine sleep 1000").ok();
    let (main, side) = (inspect("main"), inspect("side"));
    assert_eq!(side["NetworkSettings"]["SandboxKey"], "/run/netns/main");
    assert_eq!(
        side["NetworkSettings"]["SandboxID"],
        main["NetworkSettings"]["SandboxID"]
    );
    assert_eq!(side["HostConfig"]["NetworkMode"], format!("container:{id}"));
    assert_eq!(side["HostsPath"], main["HostsPath"]);
    cell("rm -f main side").ok();
}

fn a_bare_sandbox_is_inspected_too() {
    let id = cell("create --name bare -p 8080:80").ok();
    let value = inspect("bare");
    assert_eq!(value["Name"], "/bare");
    assert_eq!(value["NetworkSettings"]["SandboxKey"], "/run/netns/bare");
    assert_eq!(
        value["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"],
        "8080"
    );
    assert_eq!(format("bare", "{{.Id}}").quiet(), id);
    let address = address_in("bare", "eth0").0.to_string();
    assert_eq!(
        format("bare", "{{.NetworkSettings.Networks.bridge.IPAddress}}").quiet(),
        address
    );
    cell("rm bare").ok();
}

fn states_and_times_follow_the_container() {
    cell("create --name web alpine sleep 1000").ok();
    let never = "0001-01-01T00:00:00Z";
    let state = inspect("web")["State"].clone();
    assert_eq!(
        (&state["Status"], &state["Pid"], &state["StartedAt"]),
        (&json!("created"), &json!(0), &json!(never))
    );
    cell("start web").ok();
    let value = inspect("web");
    let (created, started) = (
        value["Created"].as_str().unwrap(),
        value["State"]["StartedAt"].as_str().unwrap(),
    );
    let today = must("date", &["-u", "+%Y-%m-%dT"]);
    for time in [created, started] {
        assert!(time.starts_with(&today) && time.ends_with('Z'), "{time}");
    }
    assert!(created < started, "{created} {started}");
    cell("stop -t 0 web").ok();
    let state = inspect("web")["State"].clone();
    assert_eq!(
        (&state["Status"], &state["Pid"], &state["ExitCode"]),
        (&json!("exited"), &json!(0), &json!(137))
    );
    assert!(state["FinishedAt"].as_str().unwrap() > started);
    cell("rm web").ok();
}

fn several_names_give_an_array_and_none_an_empty_one() {
    cell("create --name one --network none").ok();
    cell("create --name two --network none").ok();
    let value = cell("inspect one two").json();
    assert_eq!(
        (&value[0]["Name"], &value[1]["Name"]),
        (&json!("/one"), &json!("/two"))
    );
    let answer = cell("inspect nosuch");
    assert_eq!(answer.stdout.trim(), "[]");
    answer.refused(1, &["nosuch"]);
    let answer = cell("inspect one nosuch two").exits(1);
    let value: Value = serde_json::from_str(&answer.stdout).unwrap();
    assert_eq!(value.as_array().map(Vec::len), Some(2));
    assert!(answer.stderr.contains("nosuch"), "{answer:?}");
    cell("inspect").exits(1);
    cell("rm one two").ok();
}

fn format_prints_fields_text_and_json() {
    cell("run -d --name web -p 8080:80 alpine sleep 1000").ok();
    assert_eq!(format("web", "{{.Name}}").stdout, "/web\n");
    assert_eq!(
        format(
            "web",
            "a {{ .State.Status }}={{.State.Running}}, {{.State.ExitCode}}"
        )
        .quiet(),
        "a running=true, 0"
    );
    let ports: Value =
        serde_json::from_str(&format("web", "{{json .NetworkSettings.Ports}}").quiet()).unwrap();
    assert_eq!(
        ports,
        json!({"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]})
    );
    assert_eq!(format("web", "{{json .Name}}").quiet(), "\"/web\"");
    let all: Value = serde_json::from_str(&format("web", "{{json .}}").quiet()).unwrap();
    assert_eq!(all, inspect("web"));
    assert_eq!(
        netcell(&["inspect", "-f", "{{.Config.Image}}", "web", "web"]).quiet(),
        "alpine\nalpine"
    );
    assert_eq!(
        netcell(&["inspect", "--format={{.HostConfig.NetworkMode}}", "web"]).quiet(),
        "bridge"
    );
    cell("rm -f web").ok();
}

fn a_format_that_is_not_supported_is_refused_with_64() {
    cell("create --name bare --network none").ok();
    for (text, word) in [
        ("{{.Name", "unclosed"),
        ("{{define \"x\"}}{{end}}", "define"),
        ("{{range .Args}}", "unexpected EOF"),
        ("{{}}", "{{}}"),
        ("{{nosuch .Name}}", "nosuch"),
    ] {
        let answer = format("bare", text);
        assert_eq!(answer.stdout, "", "{answer:?}");
        let word = if word == "{{}}" { "" } else { word };
        answer.refused(64, &[word]);
    }
    cell("rm bare").ok();
}

fn a_format_field_that_does_not_exist_is_named() {
    cell("create --name bare --network none").ok();
    let answer = format("bare", "{{.Nope}}");
    assert!([1, 64].contains(&answer.code), "{answer:?}");
    let code = answer.code;
    answer.refused(code, &["Nope"]);
    let answer = format("bare", "{{.State.Nope.More}}");
    let code = answer.code;
    assert!([1, 64].contains(&code));
    answer.refused(code, &["Nope"]);
    cell("rm bare").ok();
}

fn networks_none_and_host_are_named() {
    cell("run -d --name web --network none alpine sleep 1000").ok();
    assert_eq!(
        format(
            "web",
            "{{.HostConfig.NetworkMode}} {{.NetworkSettings.SandboxKey}}"
        )
        .quiet(),
        "none /run/netns/web"
    );
    cell("rm -f web").ok();
    cell("run -d --name web --network host alpine sleep 1000").ok();
    assert_eq!(format("web", "{{.HostConfig.NetworkMode}}").quiet(), "host");
    cell("rm -f web").ok();
}
