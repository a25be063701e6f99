//! Published ports: what `-p` asks for, and what came of it.

mod parse;

use crate::types::json::{json_text, json_words};
use crate::types::{Cidr, IfName};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// A transport protocol that ports can be published for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Proto {
    /// TCP, protocol 6.
    Tcp,
    /// UDP, protocol 17.
    Udp,
    /// SCTP, protocol 132.
    Sctp,
}

json_words!(Proto {
    Tcp = "tcp",
    Udp = "udp",
    Sctp = "sctp"
});

impl Proto {
    /// The number in the IP header (IANA protocol numbers).
    pub fn number(self) -> u8 {
        match self {
            Proto::Tcp => 6,
            Proto::Udp => 17,
            Proto::Sctp => 132,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Proto::Tcp => "tcp",
            Proto::Udp => "udp",
            Proto::Sctp => "sctp",
        }
    }
}

impl fmt::Display for Proto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One published port: a port of the host that leads to a port of the sandbox.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortMapping {
    /// The protocol of both ends.
    pub proto: Proto,
    /// The host's address that answers; unspecified (`0.0.0.0`, `::`) for each of its addresses of that family.
    pub host_ip: IpAddr,
    /// The host's port, 1 to 65535.
    pub host_port: u16,
    /// The sandbox's port, 1 to 65535.
    pub container_port: u16,
    /// Only what arrives by this interface of the host is let through.
    pub on: Option<IfName>,
    /// Only what comes from these addresses is let through.
    pub from: Option<Cidr>,
}

json_text!(
    PortMapping = PortMapping {
        proto: Proto::Tcp,
        host_ip: Ipv4Addr::UNSPECIFIED.into(),
        host_port: 0,
        container_port: 0,
        on: None,
        from: None,
    }
);

impl PortMapping {
    /// Those of `ports` that have another `key` than each of `others`: one that protocol and host's port are part of.
    pub fn not_in(ports: &[Self], others: &[Self], key: fn(&Self) -> String) -> Vec<Self> {
        let others = PortIndex::of(others);
        let mut ports = ports.to_vec();
        ports.retain(|port| !others.has(port, key));
        ports
    }

    /// Whether there is a packet that both would answer: the same protocol and port, at the same address or at any, and
    /// no two interfaces or sets of senders that keep them apart.
    pub fn collides_with(&self, other: &Self) -> bool {
        let addresses = self.host_ip == other.host_ip
            || self.host_ip.is_ipv4() == other.host_ip.is_ipv4()
                && (self.host_ip.is_unspecified() || other.host_ip.is_unspecified());
        let apart = match (&self.on, &other.on) {
            (Some(one), Some(other)) => one != other,
            _ => false,
        } || match (&self.from, &other.from) {
            (Some(one), Some(other)) => !one.overlaps(other),
            _ => false,
        };
        addresses && !apart && (self.proto, self.host_port) == (other.proto, other.host_port)
    }

    /// Whether it is for some interface or senders only.
    pub fn is_limited(&self) -> bool {
        self.on.is_some() || self.from.is_some()
    }

    /// The host's end: `0.0.0.0:8080`, `[::]:8080`.
    pub fn host_end(&self) -> SocketAddr {
        SocketAddr::new(self.host_ip, self.host_port)
    }
}

impl fmt::Display for PortMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (end, to, proto) = (self.host_end(), self.container_port, self.proto);
        write!(f, "{end}:{to}/{proto}")?;
        if let Some(on) = &self.on {
            write!(f, ",on={on}")?;
        }
        if let Some(from) = &self.from {
            write!(f, ",from={from}")?;
        }
        Ok(())
    }
}

/// Published ports by protocol and the host's port: those that could be in the way of one are found among 65,000 without
/// a look at all.
pub struct PortIndex<'a>(Vec<(usize, &'a PortMapping)>);

impl<'a> PortIndex<'a> {
    /// Of these ports.
    pub fn of(ports: &'a [PortMapping]) -> Self {
        let mut ports: Vec<_> = ports.iter().enumerate().collect();
        ports.sort_unstable_by_key(|(_, port)| (port.proto, port.host_port));
        PortIndex(ports)
    }

    /// Those with the protocol and the host's port of this one, each with its place among all.
    pub fn near(&self, port: &PortMapping) -> &[(usize, &'a PortMapping)] {
        let end = (port.proto, port.host_port);
        let key = |(_, other): &(usize, &PortMapping)| (other.proto, other.host_port);
        let first = self.0.partition_point(|other| key(other) < end);
        let last = self.0.partition_point(|other| key(other) <= end);
        self.0.get(first..last).unwrap_or_default()
    }

    /// Whether one of them has the same protocol, host's port and `key` as this one.
    pub fn has(&self, port: &PortMapping, key: fn(&PortMapping) -> String) -> bool {
        let near = self.near(port);
        !near.is_empty() && {
            let own = key(port);
            near.iter().any(|(_, other)| key(other) == own)
        }
    }
}

/// Ports in a row, both ends included; none is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// The first.
    pub first: u16,
    /// The last, not below the first.
    pub last: u16,
}

impl Ports {
    /// How many.
    pub fn count(&self) -> usize {
        usize::from(self.last - self.first) + 1
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = u16> + use<> {
        self.first..=self.last
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => write!(f, "{}", self.first),
            false => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

/// What one `-p` asks for: `[IP:][HOST[-HOST]:]CONTAINER[-CONTAINER][/PROTO]`, or as `published=…,target=…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortSpec {
    /// The protocol.
    pub proto: Proto,
    /// The host's address; none for each address of each family that the sandbox has.
    pub host_ip: Option<IpAddr>,
    /// The host's ports: as many as inside, or a pool for one inside; none for one that the kernel would give out.
    pub host: Option<Ports>,
    /// The sandbox's ports.
    pub container: Ports,
    /// Only what arrives by this interface of the host.
    pub on: Option<IfName>,
    /// Only what comes from these addresses.
    pub from: Option<Cidr>,
}

/// In the short form.
impl fmt::Display for PortSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.host_ip, self.host) {
            (Some(IpAddr::V6(ip)), None) => write!(f, "[{ip}]::")?,
            (Some(ip), None) => write!(f, "{ip}::")?,
            (Some(IpAddr::V6(ip)), Some(host)) => write!(f, "[{ip}]:{host}:")?,
            (Some(ip), Some(host)) => write!(f, "{ip}:{host}:")?,
            (None, Some(host)) => write!(f, "{host}:")?,
            (None, None) => {}
        }
        write!(f, "{}/{}", self.container, self.proto)
    }
}

impl PortSpec {
    /// Whether it names this mapping: what it leaves open may be anything.
    pub fn means(&self, port: &PortMapping) -> bool {
        let within = |ports: &Ports, port| (ports.first..=ports.last).contains(&port);
        self.proto == port.proto
            && within(&self.container, port.container_port)
            && self.host.is_none_or(|host| within(&host, port.host_port))
            && self.host_ip.is_none_or(|ip| ip == port.host_ip)
            && (self.on.is_none() || self.on == port.on)
            && (self.from.is_none() || self.from == port.from)
    }

    /// Whether this mapping is one that it asks for: what it leaves open is open there, too.
    pub fn asks_for(&self, port: &PortMapping) -> bool {
        let in_step = self.host.is_none_or(|host| {
            let offset = port.container_port.wrapping_sub(self.container.first);
            host.count() != self.container.count()
                || host.first.wrapping_add(offset) == port.host_port
        });
        self.means(port)
            && in_step
            && (self.host_ip.is_some() || port.host_ip.is_unspecified())
            && (&self.on, &self.from) == (&port.on, &port.from)
    }

    /// The same for `count` of its ports inside, from the one after `skipped`.
    pub fn part(&self, skipped: u16, count: u16) -> Self {
        let part = |ports: Ports| {
            let first = ports.first + skipped;
            let last = first + (count - 1);
            Ports { first, last }
        };
        PortSpec {
            container: part(self.container),
            host: self.fixed().map(part).or(self.host),
            ..self.clone()
        }
    }

    /// The host's ports that it takes, whatever else is taken: those at both ends in step, or one of each.
    pub fn fixed(&self) -> Option<Ports> {
        self.host
            .filter(|host| host.count() == self.container.count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_collide_where_a_packet_could_be_for_both() {
        let mapping = |text: &str| text.parse::<PortMapping>().expect("a mapping");
        let any = mapping("0.0.0.0:80:1/tcp");
        assert!(any.collides_with(&mapping("10.0.0.1:80:2/tcp")));
        assert!(any.collides_with(&mapping("10.0.0.1:80:2/tcp,on=eth0")));
        assert!(!any.collides_with(&mapping("[::]:80:2/tcp")));
        assert!(!any.collides_with(&mapping("0.0.0.0:80:2/udp")));
        let on = |text: &str| mapping(&format!("0.0.0.0:80:1/tcp,{text}"));
        assert!(!on("on=eth0").collides_with(&on("on=eth1")));
        assert!(on("on=eth0").collides_with(&on("from=10.0.0.0/8")));
        assert!(!on("from=10.0.0.0/8").collides_with(&on("from=11.0.0.0/8")));
        assert!(on("from=10.0.0.0/8").collides_with(&on("from=10.1.0.0/16")));
    }
}
