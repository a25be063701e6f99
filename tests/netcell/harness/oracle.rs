//! Those who judge netcell: ip, nft, /proc, and sockets inside the namespaces themselves.

use super::command::{must, step, wait_within};
use super::sys;
use serde_json::Value;
use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

/// `ip -j -d ARGUMENTS` on the box's host.
#[track_caller]
pub fn ip_json(arguments: &[&str]) -> Value {
    parse("ip", &[&["-j", "-d"], arguments].concat())
}

/// `ip -n NAME -j -d ARGUMENTS`: only a namespace that `ip netns` knows can be asked so.
#[track_caller]
pub fn ip_json_in(sandbox: &str, arguments: &[&str]) -> Value {
    parse("ip", &[&["-n", sandbox, "-j", "-d"], arguments].concat())
}

/// `nft -j ARGUMENTS`: the array of objects without the metainfo.
#[track_caller]
pub fn nft_json(arguments: &[&str]) -> Vec<Value> {
    let value = parse("nft", &[&["-j"], arguments].concat());
    let objects = value["nftables"].as_array().cloned().unwrap_or_default();
    objects
        .into_iter()
        .filter(|o| o.get("metainfo").is_none())
        .collect()
}

#[track_caller]
fn parse(program: &str, arguments: &[&str]) -> Value {
    let text = must(program, arguments);
    if text.is_empty() {
        return Value::Array(Vec::new());
    }
    let value = serde_json::from_str(&text);
    value
        .unwrap_or_else(|error| panic!("{program} {arguments:?} printed no JSON ({error}): {text}"))
}

/// The elements of a map or set of netcell's table, as nft prints them.
#[track_caller]
pub fn elements(kind: &str, name: &str) -> Vec<Value> {
    let objects = nft_json(&["list", kind, "inet", "netcell", name]);
    let object = objects.iter().find_map(|object| object.get(kind));
    let elements = object.and_then(|object| object["elem"].as_array());
    elements.cloned().unwrap_or_default()
}

/// The names of the links of the box's host.
pub fn links() -> Vec<String> {
    let mut names: Vec<String> = entries("/sys/class/net");
    names.sort();
    names
}

/// The names in a directory; none when it does not exist.
pub fn entries(directory: &str) -> Vec<String> {
    let Ok(list) = fs::read_dir(directory) else {
        return Vec::new();
    };
    list.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .collect()
}

/// The first IPv4 address of an interface in a sandbox, and its prefix length.
#[track_caller]
pub fn address_in(sandbox: &str, interface: &str) -> (std::net::Ipv4Addr, u64) {
    let value = ip_json_in(sandbox, &["-4", "address", "show", "dev", interface]);
    let info = &value[0]["addr_info"][0];
    let address = info["local"].as_str().and_then(|text| text.parse().ok());
    let prefix = info["prefixlen"].as_u64();
    match (address, prefix) {
        (Some(address), Some(prefix)) => (address, prefix),
        _ => panic!("no IPv4 address on {interface} in {sandbox}: {value}"),
    }
}

/// The IPv6 address of an interface in a sandbox that is not its link's own, and its prefix length.
#[track_caller]
pub fn address6_in(sandbox: &str, interface: &str) -> (std::net::Ipv6Addr, u64) {
    let value = ip_json_in(
        sandbox,
        &["-6", "address", "show", "dev", interface, "scope", "global"],
    );
    let info = &value[0]["addr_info"][0];
    let address = info["local"].as_str().and_then(|text| text.parse().ok());
    match (address, info["prefixlen"].as_u64()) {
        (Some(address), Some(prefix)) => (address, prefix),
        _ => panic!("no IPv6 address on {interface} in {sandbox}: {value}"),
    }
}

/// The file that stands for a sandbox's network namespace.
pub fn pin(sandbox: &str) -> String {
    format!("/run/netns/{sandbox}")
}

/// Runs `body` in a thread of its own inside a network namespace; sockets it returns stay bound to it.
#[track_caller]
pub fn in_netns<T: Send>(namespace: impl AsRef<Path>, body: impl FnOnce() -> T + Send) -> T {
    let file = step("open a network namespace", File::open(namespace.as_ref()));
    let done = std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            step(
                "enter a network namespace",
                sys::setns(&file, libc::CLONE_NEWNET),
            );
            body()
        });
        thread.join()
    });
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// The number that identifies a namespace file, `net:[…]`'s inode.
pub fn namespace_id(path: &str) -> u64 {
    use std::os::unix::fs::MetadataExt;
    step(&format!("look at {path}"), fs::metadata(path)).ino()
}

/// A field of /proc/PID/status.
pub fn status(pid: sys::Pid, field: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    Some(line?.trim().to_owned())
}

fn pids() -> Vec<sys::Pid> {
    let names = entries("/proc").into_iter();
    names.filter_map(|name| name.parse().ok()).collect()
}

/// The processes of the box: (pid, name).
pub fn processes() -> Vec<(sys::Pid, String)> {
    // Field 2 is the name in parentheses, field 3 the state (proc(5)).
    let stat = |pid| fs::read(format!("/proc/{pid}/stat")).ok();
    let named = pids().into_iter().filter_map(|pid| {
        // A name is any bytes.
        let text = stat(pid)?;
        let text = String::from_utf8_lossy(&text);
        let (name, rest) = text.split_once('(')?.1.rsplit_once(") ")?;
        // A zombie that nobody has waited for yet is no longer running.
        (!rest.starts_with('Z')).then(|| (pid, name.to_owned()))
    });
    named.collect()
}

/// The processes whose command line begins with `text`.
pub fn processes_with(text: &str) -> Vec<sys::Pid> {
    let all = processes().into_iter().map(|(pid, _)| pid);
    all.filter(|&pid| command_line(pid).starts_with(text))
        .collect()
}

fn command_line(pid: sys::Pid) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes)
        .replace('\0', " ")
        .trim_end()
        .to_owned()
}

/// A line for each process below `ancestor`, zombies too: what it is, who traces it, and what it waits for.
pub fn descendants(ancestor: sys::Pid) -> Vec<String> {
    let all = pids();
    let parent = |pid| status(pid, "PPid").and_then(|text| text.parse::<sys::Pid>().ok());
    let mut family = vec![ancestor];
    for _ in 0..8 {
        for &pid in &all {
            if !family.contains(&pid) && parent(pid).is_some_and(|parent| family.contains(&parent))
            {
                family.push(pid);
            }
        }
    }
    let read =
        |pid, file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    family
        .into_iter()
        .map(|pid| {
            let (line, wchan, call) = (command_line(pid), read(pid, "wchan"), read(pid, "syscall"));
            let field = |name| status(pid, name).unwrap_or_default();
            let (state, tracer) = (field("State"), field("TracerPid"));
            format!(
                "{pid} {line} ({state}, traced by {tracer}, waits in {wchan}, system call {})",
                call.trim_end()
            )
        })
        .collect()
}

/// On kernels that can, an element is not deleted but given a millisecond to live, which a tick may round up to ten.
pub fn no_port_is_published() {
    wait_within(Duration::from_millis(50), "the elements are gone", || {
        elements("map", "publish4").is_empty()
    });
}
