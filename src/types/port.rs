//! Published ports: what `-p` says.

use crate::error::{Error, Result};
use crate::types::json::{json_object, json_words};
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// A transport protocol that ports can be published for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Proto {
    /// TCP, protocol 6.
    Tcp,
    /// UDP, protocol 17.
    Udp,
}

json_words!(Proto {
    Tcp = "tcp",
    Udp = "udp"
});

impl Proto {
    /// The number in the IP header (IANA protocol numbers).
    pub fn number(self) -> u8 {
        match self {
            Proto::Tcp => 6,
            Proto::Udp => 17,
        }
    }
}

impl fmt::Display for Proto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Proto::Tcp => "tcp",
            Proto::Udp => "udp",
        })
    }
}

/// One published port: a port of the host that leads to a port of the sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortMapping {
    /// The protocol of both ends.
    pub proto: Proto,
    /// The host's address that answers; unspecified (0.0.0.0) for each of its addresses.
    pub host_ip: Ipv4Addr,
    /// The host's port, 1 to 65535.
    pub host_port: u16,
    /// The sandbox's port, 1 to 65535.
    pub container_port: u16,
}

json_object!(PortMapping {
    proto,
    host_ip,
    host_port,
    container_port
});

impl PortMapping {
    /// Whether both take the same port of the same address of the host.
    pub fn same_host_end(&self, other: &Self) -> bool {
        (self.proto, self.host_ip, self.host_port) == (other.proto, other.host_ip, other.host_port)
    }

    /// Those of `ports` whose host end none of `others` has: a lease is for the host's end, wherever it leads.
    pub fn host_ends_not_in<'a>(
        ports: &'a [Self],
        others: &'a [Self],
    ) -> impl Iterator<Item = &'a Self> {
        ports
            .iter()
            .filter(|port| !others.iter().any(|other| other.same_host_end(port)))
    }

    /// Whether there is a packet that both would answer: the same protocol and port, at the same address or at any.
    pub fn collides_with(&self, other: &Self) -> bool {
        let addresses = self.host_ip == other.host_ip
            || self.host_ip.is_unspecified()
            || other.host_ip.is_unspecified();
        addresses && (self.proto, self.host_port) == (other.proto, other.host_port)
    }
}

impl FromStr for PortMapping {
    type Err = Error;

    /// `[IP:]HOST:CONTAINER[/tcp|/udp]`, with Docker's texts for what is wrong.
    fn from_str(text: &str) -> Result<Self> {
        let (ports, proto) = text.split_once('/').unwrap_or((text, "tcp"));
        let proto = match proto.to_ascii_lowercase().as_str() {
            "tcp" => Proto::Tcp,
            "udp" => Proto::Udp,
            _ => {
                return Err(Error::new(format!(
                    "invalid proto: {proto}: tcp and udp can be published"
                )));
            }
        };
        let (host, container) = ports.rsplit_once(':').ok_or_else(|| {
            Error::new(format!(
                "invalid published port: {text}: HOST:CONTAINER[/tcp|/udp] is wanted"
            ))
        })?;
        if host.contains('-') || container.contains('-') {
            return Err(Error::new(format!(
                "invalid published port: {text}: ranges of ports are not built yet"
            )));
        }
        let (host_ip, host) = host.rsplit_once(':').unwrap_or(("0.0.0.0", host));
        let host_ip = host_ip.parse().map_err(|_| {
            Error::new(format!(
                "invalid IP address: {host_ip}: an IPv4 address of the host is wanted"
            ))
        })?;
        let container_port = port("containerPort", container, text)?;
        Ok(PortMapping {
            proto,
            host_ip,
            host_port: port("hostPort", host, text)?,
            container_port,
        })
    }
}

fn port(what: &str, text: &str, whole: &str) -> Result<u16> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse() {
        Ok(port) if digits && port != 0 => Ok(port),
        _ => Err(Error::new(format!(
            "invalid {what}: {text} in {whole}: a port from 1 to 65535 is wanted"
        ))),
    }
}

impl fmt::Display for PortMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}:{}/{}",
            self.host_ip, self.host_port, self.container_port, self.proto
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_ports_are_read_as_dockers() {
        let port: PortMapping = "127.0.0.1:8080:80/UDP".parse().expect("a mapping");
        assert_eq!(port.to_string(), "127.0.0.1:8080:80/udp");
        assert_eq!(
            "8080:80".parse::<PortMapping>().expect("a mapping").host_ip,
            Ipv4Addr::UNSPECIFIED
        );
        for bad in [
            "80",
            "80:abc",
            "0:80",
            "80:0",
            "65536:80",
            "80:80/sctp",
            "1.2.3:80:80",
            "+80:80",
            "",
            ":",
            "80:",
        ] {
            assert!(bad.parse::<PortMapping>().is_err(), "{bad}");
        }
    }
}
