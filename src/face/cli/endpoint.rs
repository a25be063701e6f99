//! `--network name=lan,alias=db,ip=10.50.0.9`: Docker's long form, put into the options of its own that each part has.

use super::argv::{Put, WORD};
use super::options::Given;
use crate::error::{Error, Result};

/// The keys, the option that is the same, and what Docker calls it.
const KEYS: [(&str, &str, &str); 5] = [
    ("name", "--network", ""),
    (
        "alias",
        "--network-alias",
        "--network-alias and per-network alias",
    ),
    ("ip", "--ip", "--ip and per-network IPv4 address"),
    ("ip6", "--ip6", "--ip6 and per-network IPv6 address"),
    (
        "mac-address",
        "--mac-address",
        "--mac-address and per-network MAC address",
    ),
];

/// What Docker's drivers take, and the option that it is here.
const SYSCTLS: &str = "com.docker.network.endpoint.sysctls=";

impl Given {
    /// Replaces each `--network` of the long form.
    pub(super) fn expand_network(&mut self) -> Result<()> {
        let is_long = |option: &Put| {
            let value = option.value.as_ref();
            option.name == "--network" && value.is_some_and(|value| value.contains('='))
        };
        while let Some(index) = self.options.iter().position(is_long) {
            let Put {
                value, at, word, ..
            } = self.options.remove(index);
            let parts = parts(value.as_deref().unwrap_or_default())
                .map_err(|error| error.nth(WORD, word))?;
            for (option, _, together) in &parts {
                let twice = self.options.iter().any(|given| given.name == *option);
                if twice && !together.is_empty() {
                    let error = Error::new(format_args!(
                        "conflicting options: cannot specify both {together}"
                    ));
                    return Err(error.nth(WORD, word));
                }
            }
            let parts = parts.into_iter();
            self.options.extend(parts.map(|(name, value, _)| Put {
                name,
                value: Some(value),
                at,
                word,
            }));
        }
        Ok(())
    }
}

/// The options that the long form stands for, with their values, and what cannot be said beside.
fn parts(long: &str) -> Result<Vec<(&'static str, String, &'static str)>> {
    let mut parts = Vec::new();
    for part in long.split(',') {
        let (key, value) = part
            .split_once('=')
            .ok_or_else(|| Error::new(format_args!("invalid field {part}")))?;
        let (key, value) = (key.trim().to_ascii_lowercase(), value.trim());
        let known = KEYS.iter().find(|(known, ..)| *known == key);
        match (known, value.strip_prefix(SYSCTLS)) {
            (Some((_, option, together)), _) => parts.push((*option, value.to_owned(), *together)),
            (None, Some(sysctl)) if key == "driver-opt" => {
                parts.push(("--sysctl", sysctl.to_owned(), ""));
            }
            (None, _) if ["driver-opt", "gw-priority", "link-local-ip"].contains(&&*key) => {
                return Err(Error::new(format_args!(
                    "invalid field {part}: Docker has it, netcell has not: of a sandbox's one network name, alias, ip, ip6, mac-address and driver-opt={SYSCTLS}KEY=VALUE are known"
                )));
            }
            (None, _) => return Err(Error::new(format_args!("invalid field key {key}"))),
        }
    }
    let is_name =
        |(option, value, _): &(&str, String, _)| *option == "--network" && !value.is_empty();
    if !parts.iter().any(is_name) {
        return Err(Error::new("no name set for network"));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_is_an_option() {
        let options = |long: &str| -> Vec<String> {
            let parts = parts(long).expect(long);
            parts
                .into_iter()
                .map(|(o, v, _)| format!("{o}={v}"))
                .collect()
        };
        assert_eq!(
            options("name=lan,alias=a, Alias=b,ip=10.0.0.9"),
            [
                "--network=lan",
                "--network-alias=a",
                "--network-alias=b",
                "--ip=10.0.0.9"
            ]
        );
        assert_eq!(
            options(
                "name=lan,driver-opt=com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.forwarding=1"
            ),
            [
                "--network=lan",
                "--sysctl=net.ipv4.conf.IFNAME.forwarding=1"
            ]
        );
        for (long, said) in [
            ("alias=a", "no name set for network"),
            ("name=", "no name set for network"),
            ("name= ,alias=a", "no name set for network"),
            ("name=lan,nosuch=1", "invalid field key nosuch"),
            ("name=lan,gw-priority=1", "Docker has it"),
            ("name=lan,alias", "invalid field alias"),
        ] {
            let error = parts(long).expect_err(long).to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
