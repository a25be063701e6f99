//! The text of a network's /etc/hosts: lines of a head and of a body, and how a body changes. Touches nothing.

use crate::engine::record::SandboxRecord;
use crate::types::Id;
use std::fmt::Write;
use std::net::IpAddr;
use std::ops::Range;

/// Docker's first lines.
pub const LOOPBACK: &str = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\nff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n";

/// musl reads lines of at most 511 bytes (name_from_hosts in src/network/lookup_name.c): more names are more lines.
const LINE: usize = 500;

/// What is done to the body of each of a network's files.
#[derive(Debug, PartialEq, Eq)]
pub enum Edit {
    /// It stays as it is.
    Nothing,
    /// This comes at its end.
    Append(String),
    /// These become comments.
    Blank(Vec<Range<usize>>),
    /// It ends here.
    Cut(usize),
    /// This is the whole of it.
    Whole(Vec<u8>),
}

/// The lines before the body.
pub fn head(sandbox: &SandboxRecord) -> String {
    let mut text = LOOPBACK.to_owned();
    for entry in sandbox.names.of("add-host") {
        let Some((name, value)) = entry.split_once(':') else {
            continue;
        };
        match value.parse() {
            Ok(address) => line(&mut text, address, &[name]),
            Err(_) => {
                // The host's own addresses on the sandbox's network.
                for gateway in sandbox.endpoint.iter().flat_map(|own| &own.gateways) {
                    line(&mut text, *gateway, &[name]);
                }
            }
        }
    }
    text
}

/// What the others call a sandbox; a host name that was asked for comes first: what it calls itself (hostname(1), -f).
fn names<'a>(sandbox: &'a SandboxRecord, short: &'a str) -> Vec<&'a str> {
    let mut names = sandbox.called(short);
    // Nobody else is localhost.
    names.retain(|name| *name != "localhost");
    let first = names.iter().position(|name| *name == sandbox.hostname);
    if let Some(at) = first.filter(|_| asks_for_a_host_name(sandbox)) {
        names[..=at].rotate_right(1);
    }
    names
}

/// Whether its host name is neither its name nor an id.
pub fn asks_for_a_host_name(sandbox: &SandboxRecord) -> bool {
    let hostname = sandbox.hostname.as_str();
    let is_id = hostname.len() == 12 && hostname.bytes().all(|b| b.is_ascii_hexdigit());
    !is_id && hostname != sandbox.name.as_str()
}

/// A sandbox's lines for the others; `id` is its first container's, or its own.
pub fn lines(sandbox: &SandboxRecord, id: Option<Id>) -> String {
    let short = id.map(|id| id.short()).unwrap_or_default();
    let names = names(sandbox, &short);
    let mut text = String::with_capacity(64);
    for address in sandbox.addresses() {
        line(&mut text, address.addr, &names);
    }
    text
}

/// One line, or as many as the names need.
pub fn line(text: &mut String, address: IpAddr, names: &[&str]) {
    let mut start = text.len();
    for (at, name) in names.iter().enumerate() {
        if at == 0 || text.len() - start + name.len() > LINE {
            if at > 0 {
                text.push('\n');
            }
            start = text.len();
            let _ = write!(text, "{address}\t{name}");
        } else {
            let _ = write!(text, " {name}");
        }
    }
    text.push('\n');
}

/// Whether an earlier sandbox has the host name that this one asked for: it would be found first.
pub fn is_claimed_by_another(body: &str, sandbox: &SandboxRecord) -> bool {
    let words = |line: &str| line.split([' ', '\t']).any(|word| word == sandbox.hostname);
    body.contains(&sandbox.hostname)
        && body
            .lines()
            .any(|line| !is_of(line, sandbox) && words(line))
}

/// A sandbox's host name is its own, whoever else has it.
pub fn own_line(head: &mut String, sandbox: &SandboxRecord) {
    for address in sandbox.addresses() {
        line(head, address.addr, &[&sandbox.hostname]);
    }
}

/// Whether a line of a body is a sandbox's.
fn is_of(line: &str, sandbox: &SandboxRecord) -> bool {
    let address = line.split('\t').next().unwrap_or_default();
    let mut addresses = sandbox.addresses().iter();
    addresses.any(|own| address.parse() == Ok(own.addr))
}

/// What takes a sandbox's lines out of a body.
pub fn without(body: &[u8], sandbox: &SandboxRecord) -> Edit {
    let addresses = sandbox.addresses().iter();
    let own: Vec<_> = addresses.map(|own| format!("{}\t", own.addr)).collect();
    let is_own = |line: &[u8]| {
        own.iter()
            .any(|address| line.starts_with(address.as_bytes()))
    };
    let mut ranges: Vec<Range<usize>> = Vec::with_capacity(2);
    let (mut at, mut blank) = (0, 0);
    while at < body.len() {
        let (line, end) = (&body[at..], line_end(body, at));
        let mine = is_own(line);
        if mine || line.starts_with(b"#") {
            blank += end - at;
        }
        if mine {
            ranges.push(at..end);
        }
        at = end;
    }
    let (Some(first), Some(last)) = (ranges.first(), ranges.last()) else {
        return Edit::Nothing;
    };
    if blank * 2 > body.len() {
        return Edit::Whole(lines_but(body, &is_own));
    }
    let length: usize = ranges.iter().map(Range::len).sum();
    if last.end == body.len() && first.start + length == last.end {
        return Edit::Cut(first.start);
    }
    Edit::Blank(ranges)
}

/// A body without comments and without some lines.
fn lines_but(body: &[u8], goes: &dyn Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut rest = Vec::with_capacity(body.len());
    let mut at = 0;
    while at < body.len() {
        let end = line_end(body, at);
        let line = &body[at..end];
        if !line.starts_with(b"#") && !goes(line) {
            rest.extend_from_slice(line);
        }
        at = end;
    }
    rest
}

/// The end of the line that begins here, its newline included, looked for in eight bytes at once: std's own search is
/// compiled for size, and made a removal beside 1,000 sandboxes a third slower.
fn line_end(body: &[u8], from: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let mut at = from;
    while let Some(Ok(word)) = body.get(at..at + 8).map(<[u8; 8]>::try_from) {
        // A newline becomes zero; the lowest byte whose top bit is left then is the first zero.
        let word = u64::from_le_bytes(word) ^ (ONES * u64::from(b'\n'));
        let zero = word.wrapping_sub(ONES) & !word & (ONES << 7);
        if zero != 0 {
            return at + zero.trailing_zeros() as usize / 8 + 1;
        }
        at += 8;
    }
    let rest = body.iter().skip(at).position(|byte| *byte == b'\n');
    rest.map_or(body.len(), |offset| at + offset + 1)
}

/// A line that says nothing, of this many bytes.
pub fn comment(length: usize) -> String {
    format!("#{:length$}\n", "", length = length.saturating_sub(2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::record::Names;

    fn sandbox(name: &str, hostname: &str, address: &str) -> SandboxRecord {
        let id = "0".repeat(64);
        let text = format!(
            r#"{{"version":1,"boot":"b","id":"{id}","name":"{name}","bare":true,"hostname":"{hostname}","created":1,
            "endpoint":{{"id":"{id}","network":"lan","network_id":"{id}","ifname":"eth0","link":"nc0","mac":"02:6e:0a:32:00:02",
            "addresses":["{address}/24"],"gateways":["10.50.0.1"],"mtu":1500,"unguarded":false,
            "allow_spoof":false}},"ports":[],"members":[]}}"#
        );
        crate::types::json::from_slice(text.as_bytes()).expect("a sandbox's record")
    }

    fn asked(option: &str, words: &[&str]) -> Names {
        Names(
            words
                .iter()
                .map(|word| format!("{option} {word}"))
                .collect(),
        )
    }

    fn id() -> Option<Id> {
        "abcdef012345".repeat(6)[..64].parse().ok()
    }

    #[test]
    fn a_sandbox_is_called_by_name_alias_short_id_and_host_name() {
        let mut web = sandbox("web", "abcdef012345", "10.50.0.2");
        assert_eq!(lines(&web, id()), "10.50.0.2\tweb abcdef012345\n");
        web.names = asked("network-alias", &["www", "web", "localhost"]);
        assert_eq!(lines(&web, id()), "10.50.0.2\tweb www abcdef012345\n");
        web.hostname = "web.lan".into();
        assert_eq!(
            lines(&web, id()),
            "10.50.0.2\tweb.lan web www abcdef012345\n"
        );
    }

    #[test]
    fn more_names_than_musl_reads_at_once_are_more_lines() {
        let mut web = sandbox("web", "web", "10.50.0.2");
        let aliases: Vec<_> = (0..100).map(|n| format!("alias-{n}")).collect();
        let aliases: Vec<_> = aliases.iter().map(String::as_str).collect();
        web.names = asked("network-alias", &aliases);
        let text = lines(&web, None);
        assert!(text.lines().count() > 1);
        for line in text.lines() {
            assert!(
                line.len() < 511 && line.starts_with("10.50.0.2\t"),
                "{line}"
            );
        }
        assert_eq!(
            text.split_whitespace()
                .filter(|w| w.starts_with("alias"))
                .count(),
            100
        );
        assert_eq!(without(text.as_bytes(), &web), Edit::Whole(Vec::new()));
    }

    #[test]
    fn what_goes_leaves_a_comment_until_half_of_all_is_comments() {
        let line = |n: u8| lines(&sandbox("box", "box", &format!("10.50.0.{n}")), None);
        let gone = |n: u8| sandbox("box", "box", &format!("10.50.0.{n}"));
        let body: String = (2..6).map(line).collect();
        let length = line(2).len();
        assert_eq!(without(body.as_bytes(), &gone(9)), Edit::Nothing);
        assert_eq!(without(body.as_bytes(), &gone(5)), Edit::Cut(3 * length));
        let first = 0..length;
        assert_eq!(without(body.as_bytes(), &gone(2)), Edit::Blank(vec![first]));
        let blank = comment(length);
        assert_eq!(
            (blank.len(), &blank[..1], &blank[length - 1..]),
            (length, "#", "\n")
        );
        let half = [blank.as_str(), &line(3), &comment(length), &line(5)].concat();
        assert_eq!(
            without(half.as_bytes(), &gone(3)),
            Edit::Whole(line(5).into_bytes())
        );
    }

    #[test]
    fn of_both_ip_versions_each_address_has_a_line_and_both_go() {
        let mut web = sandbox("web", "web", "10.50.0.2");
        let other = lines(&sandbox("box", "box", "10.50.0.3"), None);
        let six = "fd00::2/64".parse().expect("an address");
        let endpoint = web.endpoint.as_mut().expect("an endpoint");
        endpoint.addresses.push(six);
        endpoint
            .gateways
            .push(IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, 1]));
        assert_eq!(lines(&web, None), "10.50.0.2\tweb\nfd00::2\tweb\n");
        let body = lines(&web, None) + &other.repeat(4);
        assert_eq!(
            without(body.as_bytes(), &web),
            Edit::Blank(vec![0..14, 14..26])
        );
        let body = other.repeat(4) + &lines(&web, None);
        assert_eq!(without(body.as_bytes(), &web), Edit::Cut(4 * other.len()));
        web.names = asked("add-host", &["me:host-gateway"]);
        assert_eq!(
            head(&web),
            format!("{LOOPBACK}10.50.0.1\tme\nfd00::1\tme\n")
        );
    }

    #[test]
    fn lines_end_at_their_newlines_wherever_those_are() {
        for length in 0..20 {
            for from in 0..9 {
                let body = [
                    vec![b'\n'; from],
                    vec![b'x'; length],
                    b"\n\x0b\xff\nrest".to_vec(),
                ]
                .concat();
                assert_eq!(line_end(&body, from), from + length + 1);
                assert_eq!(line_end(&body, from + length + 1), from + length + 4);
                assert_eq!(line_end(&body, from + length + 4), body.len());
            }
        }
    }

    #[test]
    fn an_address_that_another_one_begins_with_is_another() {
        let body = lines(&sandbox("box", "box", "10.50.0.22"), None);
        assert_eq!(
            without(body.as_bytes(), &sandbox("box", "box", "10.50.0.2")),
            Edit::Nothing
        );
    }

    #[test]
    fn extra_hosts_are_in_the_head_with_the_gateway_for_the_host() {
        let mut web = sandbox("web", "web", "10.50.0.2");
        assert_eq!(head(&web), LOOPBACK);
        web.names = asked("add-host", &["db:fd00::7", "me:host-gateway"]);
        let wanted = format!("{LOOPBACK}fd00::7\tdb\n10.50.0.1\tme\n");
        assert_eq!(head(&web), wanted);
    }

    #[test]
    fn a_host_name_that_somebody_has_is_ones_own_first() {
        let body = lines(&sandbox("old", "router", "10.50.0.2"), None);
        assert!(is_claimed_by_another(
            &body,
            &sandbox("new", "router", "10.50.0.3")
        ));
        assert!(!is_claimed_by_another(
            &body,
            &sandbox("new", "route", "10.50.0.3")
        ));
        assert!(!is_claimed_by_another(
            &body,
            &sandbox("old", "router", "10.50.0.2")
        ));
    }
}
