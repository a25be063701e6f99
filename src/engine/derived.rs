//! A sandbox's /etc/hosts, /etc/hostname and /etc/resolv.conf: derived from its record and the host, never state.

use crate::engine::record::SandboxRecord;
use crate::engine::store::Store;
use crate::error::Result;
use std::fmt::Write;
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

/// Writes the three files of a sandbox.
pub fn write(store: &Store, sandbox: &SandboxRecord) -> Result<()> {
    store.write_derived(&sandbox.name, "hosts", &hosts(sandbox))?;
    store.write_derived(
        &sandbox.name,
        "hostname",
        &format!("{}\n", sandbox.hostname),
    )?;
    store.write_derived(&sandbox.name, "resolv.conf", &resolvers())
}

/// Docker's /etc/hosts: loopback names, then the sandbox's own.
fn hosts(sandbox: &SandboxRecord) -> String {
    let mut text = String::from(
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\nff00::\tip6-mcastprefix\n\
         ff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n",
    );
    let hostname = &sandbox.hostname;
    for (_, own) in sandbox.leased() {
        let _ = writeln!(text, "{own}\t{hostname}");
    }
    if sandbox.endpoint.is_none() {
        // Without a network its own name still has to lead somewhere.
        let _ = writeln!(text, "127.0.0.1\t{hostname}");
    }
    text
}

fn resolvers() -> String {
    let read = |path: &&str| std::fs::read(path).ok();
    let texts = RESOLVERS
        .iter()
        .filter_map(read)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    without_loopback(texts)
}

/// The first text that has a resolver beyond loopback, without its loopback ones; else the first one's other lines and
/// the fall-back.
fn without_loopback(texts: impl Iterator<Item = String>) -> String {
    let mut rest = None;
    for text in texts {
        let (servers, others): (Vec<_>, Vec<_>) = text
            .lines()
            .partition(|line| line.starts_with("nameserver"));
        let reachable: Vec<_> = servers
            .into_iter()
            .filter(|line| !is_loopback(line))
            .collect();
        let mut others: String = others.into_iter().flat_map(|line| [line, "\n"]).collect();
        if !reachable.is_empty() {
            others.extend(reachable.into_iter().flat_map(|line| [line, "\n"]));
            return others;
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
