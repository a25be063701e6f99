//! `--network-alias`, `--add-host`, `--dns`, `--dns-search`, `--dns-option`.

use super::options::Given;
use crate::engine::spec::{HOST_GATEWAY, Names, NetworkMode};
use crate::error::{Error, Result};
use std::net::IpAddr;

/// The longest name that DNS has, in bytes (RFC 1035, 2.3.4).
const LONGEST: usize = 253;

/// An option, and what takes one of its words.
type Option = (&'static str, fn(&str) -> Result<String>);

const OPTIONS: [Option; 5] = [
    ("--network-alias", alias),
    ("--add-host", extra_host),
    ("--dns", server),
    ("--dns-search", domain),
    ("--dns-option", option),
];

/// What was asked for, in the form in which records keep it.
///
/// # Errors
/// Docker's sentences for words that are not well formed, and for a network that has no files of its own.
pub(super) fn checked(given: &Given, network: &NetworkMode) -> Result<Names> {
    let mut names = Names::default();
    for (option, check) in OPTIONS {
        let name = option.trim_start_matches('-');
        for text in given.read_all(option, check)? {
            names.0.push(format!("{name} {text}"));
            refuse_without_files(name, network).map_err(|error| error.of(option))?;
        }
    }
    Ok(names)
}

/// Who joins a sandbox has its files, and with the host's network one has the host's.
fn refuse_without_files(option: &str, network: &NetworkMode) -> Result<()> {
    let what = match (network, option) {
        (NetworkMode::Host, _) => {
            return Err(Error::new(format_args!(
                "conflicting options: --{option} and --network host: the host's own /etc/hosts and /etc/resolv.conf are used"
            )));
        }
        (NetworkMode::None | NetworkMode::Network(_), _) => return Ok(()),
        (NetworkMode::Container(_), "network-alias") => "network-scoped aliases",
        (NetworkMode::Container(_), "add-host") => "custom host-to-IP mapping",
        (NetworkMode::Container(_), option) => option,
    };
    Err(Error::new(format_args!(
        "conflicting options: {what} and the network mode"
    )))
}

fn is_name(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    (1..=LONGEST).contains(&text.len()) && text.bytes().all(allowed)
}

fn alias(text: &str) -> Result<String> {
    // A comment would begin with '#', and an address is not looked for.
    if is_name(text) && text.parse::<IpAddr>().is_err() {
        return Ok(text.to_owned());
    }
    Err(Error::new(format_args!(
        "invalid network alias ({text}): 1 to {LONGEST} letters, digits, '-', '.' and '_' are allowed"
    )))
}

/// `NAME:ADDRESS` or `NAME=ADDRESS`, an IPv6 address with or without brackets.
fn extra_host(text: &str) -> Result<String> {
    let bad = || Error::new(format_args!("bad format for add-host: \"{text}\""));
    let (name, value) = text.split_once(['=', ':']).ok_or_else(bad)?;
    if !is_name(name) || value.is_empty() {
        return Err(bad());
    }
    if value == HOST_GATEWAY {
        return Ok(format!("{name}:{value}"));
    }
    let bare = value.strip_prefix('[').and_then(|v| v.strip_suffix(']'));
    match bare.unwrap_or(value).parse::<IpAddr>() {
        Ok(address) => Ok(format!("{name}:{address}")),
        Err(_) => Err(Error::new(format_args!(
            "invalid IP address in add-host: \"{value}\""
        ))),
    }
}

fn server(text: &str) -> Result<String> {
    match text.parse::<IpAddr>() {
        Ok(address) => Ok(address.to_string()),
        Err(_) => Err(Error::new(format_args!("{text} is not an ip address"))),
    }
}

fn domain(text: &str) -> Result<String> {
    if text == "." || is_name(text) {
        return Ok(text.to_owned());
    }
    Err(Error::new(format_args!("{text} is not a valid domain")))
}

fn option(text: &str) -> Result<String> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(text.to_owned());
    }
    Err(Error::new(format_args!(
        "invalid DNS option: \"{text}\" has a space, or is empty"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extra_hosts_are_written_as_docker_takes_them() {
        for (typed, kept) in [
            ("db:10.0.0.1", "db:10.0.0.1"),
            ("db=10.0.0.1", "db:10.0.0.1"),
            ("db:fd00::1", "db:fd00::1"),
            ("db=[fd00::1]", "db:fd00::1"),
            ("db:[fd00::1]", "db:fd00::1"),
            ("me.lan:host-gateway", "me.lan:host-gateway"),
        ] {
            assert_eq!(extra_host(typed).expect(typed), kept);
        }
        for bad in ["db", "db:", ":10.0.0.1", "d b:10.0.0.1", "#db:10.0.0.1", ""] {
            let error = extra_host(bad).expect_err(bad).to_string();
            assert!(error.starts_with("bad format for add-host: "), "{error}");
        }
        let error = extra_host("db:10.0.0.256").expect_err("no address");
        assert_eq!(
            error.to_string(),
            "invalid IP address in add-host: \"10.0.0.256\""
        );
    }

    #[test]
    fn words_that_would_be_lines_of_their_own_are_refused() {
        for bad in ["a\nb", "a b", "", "#", "10.0.0.1", "fd00::1"] {
            assert!(alias(bad).is_err(), "{bad:?}");
        }
        for bad in ["a\nb", "a b", ""] {
            assert!(option(bad).is_err(), "{bad:?}");
            assert!(domain(bad).is_err(), "{bad:?}");
            assert!(server(bad).is_err(), "{bad:?}");
        }
    }
}
