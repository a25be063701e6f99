//! A sandbox's /etc/hosts, /etc/hostname and /etc/resolv.conf: derived from its record and the host, never state.

use crate::engine::record::{Names, SandboxRecord};
use crate::engine::store::Store;
use crate::engine::{find, hosts};
use crate::error::Result;
use crate::sys::file;
use std::net::IpAddr;

/// Where the host's resolvers stand, in the order they are asked for: the usual place, then where systemd-resolved and
/// OpenWrt keep the real ones while the usual place names only their own stub on loopback.
const RESOLVERS: [&str; 4] = [
    "/etc/resolv.conf",
    "/run/systemd/resolve/resolv.conf",
    "/tmp/resolv.conf.d/resolv.conf.auto",
    "/tmp/resolv.conf.auto",
];

/// What Docker falls back on where the host has only loopback resolvers.
const FALLBACK: &str = "nameserver 8.8.8.8\nnameserver 8.8.4.4\n";

/// Writes the three files of a sandbox that gets a reader; its directory is there.
pub fn write(store: &Store, sandbox: &SandboxRecord) -> Result<()> {
    let locked = store.lock()?;
    let name = &sandbox.name;
    if !store.root.exists(&format!("sandboxes/{name}"))? {
        // Removed since it was found: nothing of it is to be made again.
        return Err(find::no_such(name.as_str()));
    }
    hosts::provide(store, &locked, sandbox)?;
    store.write_derived(name, "hostname", &format!("{}\n", sandbox.hostname))?;
    store.write_derived(name, "resolv.conf", &resolv_conf(&sandbox.names))
}

/// Writes those of the three files that are not what they would be now, and leases that are gone: whether there were any.
/// Without a reader there is none of the three yet.
pub fn mend(store: &Store, sandbox: &SandboxRecord) -> Result<bool> {
    let locked = store.lock()?;
    let name = &sandbox.name;
    // Removed since it was found: another one may have the name, and files of its own. Or its ports are others by now.
    let now = store.read::<SandboxRecord>(name)?;
    let Some(sandbox) = &now.filter(|now| now.id == sandbox.id) else {
        return Ok(false);
    };
    let path = |file: &str| format!("sandboxes/{name}/{file}");
    let has_hosts = store.root.exists(&path("hosts"))?;
    let mut changed = store.lease_again(&locked, sandbox)?;
    if !has_hosts && !store.root.exists(&path("hostname"))? {
        return Ok(changed);
    }
    changed |= !has_hosts;
    hosts::provide(store, &locked, sandbox)?;
    for (file, text) in [
        ("hostname", format!("{}\n", sandbox.hostname)),
        ("resolv.conf", resolv_conf(&sandbox.names)),
    ] {
        if store.root.read(&path(file))?.as_deref() != Some(text.as_bytes()) {
            store.write_derived(name, file, &text)?;
            changed = true;
        }
    }
    Ok(hosts::mend(store, &locked, sandbox)? || changed)
}

/// The host's /etc/resolv.conf, or what was asked for instead of its servers, domains and options.
fn resolv_conf(names: &Names) -> String {
    let host = if names.has("dns") {
        file::text(RESOLVERS[0]).unwrap_or_default()
    } else {
        resolvers()
    };
    instead(&host, names)
}

/// A text of resolv.conf(5) with what was asked for in the place of what it says.
fn instead(host: &str, names: &Names) -> String {
    let mut text = String::with_capacity(host.len());
    for line in host.lines() {
        let option = match line.split_whitespace().next() {
            Some("nameserver") => "dns",
            Some("search" | "domain") => "dns-search",
            Some("options") => "dns-option",
            _ => "",
        };
        if !names.has(option) {
            text += line;
            text.push('\n');
        }
    }
    for server in names.of("dns") {
        text += "nameserver ";
        text += server;
        text.push('\n');
    }
    for (keyword, option) in [("search", "dns-search"), ("options", "dns-option")] {
        let mut begun = false;
        // A search of `.` alone is none.
        for word in names.of(option).filter(|word| *word != ".") {
            text += if begun { "" } else { keyword };
            text.push(' ');
            text += word;
            begun = true;
        }
        if begun {
            text.push('\n');
        }
    }
    text
}

fn resolvers() -> String {
    without_loopback(RESOLVERS.iter().filter_map(|path| {
        let bytes = file::bytes(path).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }))
}

/// The first text that has a resolver beyond loopback, without its loopback ones; else the first one's other lines and
/// the fall-back.
fn without_loopback(texts: impl Iterator<Item = String>) -> String {
    let mut rest = None;
    for text in texts {
        let (mut others, mut reachable) = (String::new(), String::new());
        for line in text.lines() {
            let part = match line.starts_with("nameserver") {
                false => &mut others,
                true if is_loopback(line) => continue,
                true => &mut reachable,
            };
            *part += line;
            part.push('\n');
        }
        if !reachable.is_empty() {
            return others + &reachable;
        }
        rest.get_or_insert(others);
    }
    rest.unwrap_or_default() + FALLBACK
}

fn is_loopback(line: &str) -> bool {
    let server = line.split_whitespace().nth(1).unwrap_or_default();
    // A zone ("fe80::1%eth0") names a link that the sandbox does not have: as useless there as loopback.
    server.parse().map_or(true, |addr: IpAddr| {
        addr.is_loopback() || addr.is_unspecified()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(texts: &[&str]) -> String {
        without_loopback(texts.iter().map(|text| (*text).to_owned()))
    }

    #[test]
    fn loopback_resolvers_are_left_out() {
        let text = "search lan\nnameserver 127.0.0.53\nnameserver 198.51.100.53\noptions edns0\n";
        assert_eq!(
            made(&[text]),
            "search lan\noptions edns0\nnameserver 198.51.100.53\n"
        );
    }

    #[test]
    fn what_is_asked_for_takes_the_place_of_what_the_host_says() {
        let host = "domain lan\nsearch lan example.com\noptions edns0\nsortlist 10.0.0.0\nnameserver 10.0.0.1\n";
        assert_eq!(instead(host, &Names::default()), host);
        let asked = [
            "dns 198.51.100.1",
            "dns fd00::1",
            "dns-search .",
            "dns-option ndots:2",
            "dns-option rotate",
        ];
        let names = Names(asked.map(str::to_owned).to_vec());
        assert_eq!(
            instead(host, &names),
            "sortlist 10.0.0.0\nnameserver 198.51.100.1\nnameserver fd00::1\noptions ndots:2 rotate\n"
        );
    }

    #[test]
    fn a_stub_alone_leads_on_to_the_real_ones_and_then_to_the_fall_back() {
        let stub = "search lan\nnameserver 127.0.0.53\nnameserver ::1\n";
        assert_eq!(
            made(&[stub, "nameserver 10.0.0.1\n"]),
            "nameserver 10.0.0.1\n"
        );
        assert_eq!(made(&[stub]), format!("search lan\n{FALLBACK}"));
        assert_eq!(made(&[]), FALLBACK);
    }
}
