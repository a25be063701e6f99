//! The grammar of ports: Docker's, with its texts for what is wrong.

use super::{PortMapping, PortSpec, Ports, Proto};
use crate::error::{Error, Result};
use crate::types::Cidr;
use std::net::IpAddr;
use std::str::FromStr;

impl FromStr for Proto {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let named = [Proto::Tcp, Proto::Udp, Proto::Sctp]
            .into_iter()
            .find(|proto| text.eq_ignore_ascii_case(proto.name()));
        named.ok_or_else(|| {
            Error::new(format_args!(
                "invalid proto: {text}: tcp, udp and sctp can be published"
            ))
        })
    }
}

impl FromStr for PortMapping {
    type Err = Error;

    /// What its `Display` writes: one port with its address.
    fn from_str(text: &str) -> Result<Self> {
        let spec: PortSpec = text.parse()?;
        match (spec.host_ip, spec.host) {
            (Some(host_ip), Some(host)) if host.count() == 1 && spec.container.count() == 1 => {
                Ok(PortMapping {
                    proto: spec.proto,
                    host_ip,
                    host_port: host.first,
                    container_port: spec.container.first,
                    on: spec.on,
                    from: spec.from,
                })
            }
            _ => Err(Error::new(format_args!("{text} is not one published port"))),
        }
    }
}

impl Ports {
    fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let ports = Ports {
            first: number(first)?,
            last: number(last)?,
        };
        (ports.first != 0 && ports.first <= ports.last).then_some(ports)
    }
}

fn number(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

impl FromStr for PortSpec {
    type Err = Error;

    /// Docker's grammar, with its texts for what is wrong.
    fn from_str(text: &str) -> Result<Self> {
        let mut short = None;
        let mut long = Long::default();
        for (at, field) in text.split(',').enumerate() {
            match field.split_once('=') {
                None if at == 0 => short = Some(field),
                None => return Err(invalid_field(field)),
                Some((key, value)) => long.set(key, value, short.is_some())?,
            }
        }
        let spec = match short {
            Some(short) => short_form(short)?,
            None => {
                let host = long.published.filter(|published| *published != "0");
                let target = long.target.ok_or_else(|| empty(text))?;
                PortSpec {
                    proto: long.protocol.unwrap_or("tcp").parse()?,
                    host_ip: long.host_ip.map(address).transpose()?,
                    host: host.map(|host| ports("hostPort", host)).transpose()?,
                    container: ports("containerPort", target)?,
                    on: None,
                    from: None,
                }
            }
        };
        let spec = PortSpec {
            on: long.on.map(str::parse).transpose()?,
            from: long.from.map(senders).transpose()?,
            ..spec
        };
        spec.checked(text)
    }
}

impl PortSpec {
    fn checked(self, text: &str) -> Result<Self> {
        if let Some(host) = self.host
            && host.count() != self.container.count()
            && self.container.count() != 1
        {
            return Err(Error::new(format_args!(
                "invalid ranges specified for container and host Ports: {} and {host}: as many are wanted, or one container port",
                self.container
            )));
        }
        let family = |addr: IpAddr| if addr.is_ipv4() { 4 } else { 6 };
        match (self.host_ip, &self.from) {
            (Some(ip), Some(from)) if family(ip) != family(from.addr) => {
                Err(Error::new(format_args!(
                    "invalid published port: {text}: {ip} and {from} are not of one family"
                )))
            }
            _ => Ok(self),
        }
    }
}

/// The fields of the long form.
#[derive(Default)]
struct Long<'a> {
    published: Option<&'a str>,
    target: Option<&'a str>,
    protocol: Option<&'a str>,
    host_ip: Option<&'a str>,
    on: Option<&'a str>,
    from: Option<&'a str>,
}

impl<'a> Long<'a> {
    fn set(&mut self, key: &str, value: &'a str, only_limits: bool) -> Result<()> {
        let field = match key {
            "on" => &mut self.on,
            "from" => &mut self.from,
            _ if only_limits => return Err(invalid_field(key)),
            "published" => &mut self.published,
            "target" => &mut self.target,
            "protocol" => &mut self.protocol,
            "host_ip" => &mut self.host_ip,
            // Docker's swarm publishes in two ways; here there is one.
            "mode" if ["host", "ingress"].contains(&value) => return Ok(()),
            _ => return Err(invalid_field(key)),
        };
        *field = Some(value);
        Ok(())
    }
}

fn short_form(text: &str) -> Result<PortSpec> {
    let (ends, proto) = text.split_once('/').unwrap_or((text, "tcp"));
    let (rest, container) = ends.rsplit_once(':').unwrap_or(("", ends));
    if container.is_empty() {
        return Err(empty(text));
    }
    let (host_ip, host) = match rest.rsplit_once(':') {
        // An address in brackets without a port behind it would be cut in two.
        Some((_, tail)) if tail.ends_with(']') => (Some(rest), ""),
        Some((ip, host)) => (Some(ip), host),
        None => (None, rest),
    };
    Ok(PortSpec {
        proto: proto.parse()?,
        host_ip: host_ip.map(address).transpose()?,
        host: match host {
            "" | "0" => None,
            host => Some(ports("hostPort", host)?),
        },
        container: ports("containerPort", container)?,
        on: None,
        from: None,
    })
}

fn address(text: &str) -> Result<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    bare.parse().map_err(|_| {
        Error::new(format_args!(
            "invalid IP address: {text}: an address of the host is wanted"
        ))
    })
}

fn senders(text: &str) -> Result<Cidr> {
    let from = match text.parse::<IpAddr>() {
        Ok(addr) => Cidr {
            addr,
            prefix: if addr.is_ipv4() { 32 } else { 128 },
        },
        Err(_) => text.parse()?,
    };
    if from.subnet() == from {
        return Ok(from);
    }
    Err(Error::new(format_args!(
        "invalid senders: from={text}: it should be {}",
        from.subnet()
    )))
}

fn ports(what: &str, text: &str) -> Result<Ports> {
    Ports::parse(text).ok_or_else(|| {
        Error::new(format_args!(
            "invalid {what}: {text}: a port from 1 to 65535 is wanted, or two with a '-' between"
        ))
    })
}

fn empty(text: &str) -> Error {
    Error::new(format_args!(
        "no port specified: {text}<empty>: [IP:][HOST:]CONTAINER[/PROTO] is wanted"
    ))
}

fn invalid_field(key: &str) -> Error {
    Error::new(format_args!(
        "invalid field key: {key}: published, target, protocol, host_ip, mode, on and from are known"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> PortSpec {
        text.parse()
            .unwrap_or_else(|error| unreachable!("{text}: {error}"))
    }

    fn said(text: &str) -> String {
        let spec = spec(text);
        format!(
            "{} {} {} {}",
            spec.host_ip.map_or("-".into(), |ip| ip.to_string()),
            spec.host.map_or("-".into(), |host| host.to_string()),
            spec.container,
            spec.proto
        )
    }

    #[test]
    fn published_ports_are_read_as_dockers() {
        for (text, meant) in [
            ("127.0.0.1:8080:80/UDP", "127.0.0.1 8080 80 udp"),
            ("8080:80", "- 8080 80 tcp"),
            ("80", "- - 80 tcp"),
            ("0:80", "- - 80 tcp"),
            ("127.0.0.1::80", "127.0.0.1 - 80 tcp"),
            ("[fd00::1]:8080:80/sctp", "fd00::1 8080 80 sctp"),
            ("[::1]::80", "::1 - 80 tcp"),
            ("[::1]:80", "::1 - 80 tcp"),
            ("fd00::1:8080:80", "fd00::1 8080 80 tcp"),
            ("8000-8009:80", "- 8000-8009 80 tcp"),
            ("8000-8009:9000-9009", "- 8000-8009 9000-9009 tcp"),
            ("9000-9009", "- - 9000-9009 tcp"),
            (
                "published=8080,target=80,protocol=udp,mode=host",
                "- 8080 80 udp",
            ),
            ("target=80", "- - 80 tcp"),
        ] {
            assert_eq!(said(text), meant, "{text}");
        }
        let limited = spec("8080:80,on=eth0,from=10.0.0.0/8");
        assert_eq!(limited.on.map(|on| on.to_string()), Some("eth0".into()));
        assert_eq!(
            limited.from.map(|from| from.to_string()),
            Some("10.0.0.0/8".into())
        );
    }

    #[test]
    fn what_is_no_port_is_refused_with_dockers_words() {
        for (bad, words) in [
            ("", "no port specified"),
            (":", "no port specified"),
            ("80:", "no port specified"),
            ("80:abc", "invalid containerPort: abc"),
            ("80:0", "invalid containerPort: 0"),
            ("65536:80", "invalid hostPort: 65536"),
            ("80:80/icmp", "invalid proto: icmp"),
            ("1.2.3:80:80", "invalid IP address: 1.2.3"),
            ("+80:80", "invalid hostPort: +80"),
            ("90-80:80", "invalid hostPort: 90-80"),
            ("8000-8002:80-81", "invalid ranges specified"),
            ("80:80,up=1", "invalid field key: up"),
            ("80:80,target=1", "invalid field key: target"),
            ("80:80,from=10.0.0.1/8", "it should be 10.0.0.0/8"),
            ("1.2.3.4:80:80,from=fd00::/8", "not of one family"),
        ] {
            let error = bad
                .parse::<PortSpec>()
                .map(|_| ())
                .map_err(|e| e.to_string());
            assert!(
                error.as_ref().is_err_and(|error| error.contains(words)),
                "{bad}: {error:?}"
            );
        }
    }

    #[test]
    fn a_mapping_reads_back() {
        let mapping = |text: &str| text.parse::<PortMapping>().expect("a mapping");
        for text in [
            "0.0.0.0:8080:80/tcp",
            "[::]:8080:80/udp",
            "[fd00::1]:1:2/sctp,on=eth0,from=fd00::/8",
        ] {
            assert_eq!(mapping(text).to_string(), text);
        }
    }
}
