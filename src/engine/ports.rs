//! Which ports of the host a `-p` takes: fixed ones, the first free one of a pool, one as the kernel would give out.
//!
//! Between sandboxes leases decide, under `lock`, and name the other; against the host's own programs a trial bind
//! does, and only when it fails is /proc searched for who has the port.

use crate::engine::Engine;
use crate::engine::record::{Endpoint, NetworkRecord};
use crate::engine::store::{Lease, port_path};
use crate::error::{Errno, Error, Result};
use crate::kernel::{owner, sysctl};
use crate::sys::{port, random};
use crate::types::{Name, PortIndex, PortMapping, PortSpec, Ports, Proto};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// So many published ports has a sandbox at most: its record, and what is written before it is changed, must fit in a file.
const MOST: usize = 65535;

/// Where the kernel takes ports for clients from, unless net.ipv4.ip_local_port_range says otherwise.
const EPHEMERAL: Ports = Ports {
    first: 49153,
    last: 65535,
};

/// The families that a sandbox has, or will have, addresses of.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Families {
    /// IPv4.
    pub ipv4: bool,
    /// IPv6.
    pub ipv6: bool,
}

impl Families {
    /// Those of an endpoint.
    pub fn of(endpoint: Option<&Endpoint>) -> Self {
        let has = |ipv4| endpoint.is_some_and(|endpoint| endpoint.address(ipv4).is_some());
        Families {
            ipv4: has(true),
            ipv6: has(false),
        }
    }

    /// Those of a network.
    pub fn of_network(network: &NetworkRecord) -> Self {
        let has = |ipv4| network.subnet(ipv4).is_some();
        Families {
            ipv4: has(true),
            ipv6: has(false),
        }
    }
}

/// What a set of ports is asked for by.
pub(super) struct Claim<'a> {
    /// The container or sandbox that asks.
    pub name: &'a Name,
    /// What it asks for.
    pub specs: &'a [PortSpec],
    /// What it already has, and may have again.
    pub own: &'a [PortMapping],
    /// The addresses that the ports could lead to.
    pub families: Families,
}

/// What is in the way of ports, or may be had again.
struct Beside<'a> {
    own: &'a PortIndex<'a>,
    /// What the same command has been given.
    others: PortIndex<'a>,
}

/// Why a port cannot be had.
enum TakenBy {
    Sandbox(Name),
    Same,
    Host(Errno),
}

/// Ports of the host of which some are to be had, gone through once.
struct Pool {
    all: Ports,
    /// How far after the first of them it began, and how many have been tried.
    began: usize,
    tried: usize,
    /// Those that are left alone.
    reserved: Vec<Ports>,
}

impl Pool {
    /// That which is named, from its first on; else the kernel's own, but for those that it gives to no client.
    fn of(named: Option<Ports>) -> Result<Self> {
        let own = ephemeral();
        let all = named.unwrap_or(own);
        Ok(Pool {
            began: match named {
                Some(_) => 0,
                None => somewhere(all)?,
            },
            tried: 0,
            reserved: match all == own {
                true => reserved(),
                false => Vec::new(),
            },
            all,
        })
    }

    fn next(&mut self) -> Option<u16> {
        while self.tried < self.all.count() {
            let port = self.all.first + ((self.began + self.tried) % self.all.count()) as u16;
            self.tried += 1;
            let within = |ports: &Ports| (ports.first..=ports.last).contains(&port);
            if !self.reserved.iter().any(within) {
                return Some(port);
            }
        }
        None
    }
}

impl Engine {
    /// Decides on the ports of a sandbox. The caller holds `lock`.
    ///
    /// # Errors
    /// Ports that another sandbox has, that the same command names twice, or that a program on the host listens on;
    /// and host ends from which nothing could be led to the sandbox.
    pub(super) fn decide_ports(&self, claim: &Claim) -> Result<Vec<PortMapping>> {
        let own = &PortIndex::of(claim.own);
        let mut ports = Vec::new();
        for spec in claim.specs {
            let others = PortIndex::of(&ports);
            let beside = Beside { own, others };
            let mut more = Vec::new();
            refuse_without_sctp(spec)?;
            let ends = host_ends(spec, claim.families)?;
            refuse_too_many(ports.len() + ends.len() * spec.container.count())?;
            match spec.host {
                Some(host) if host.count() == spec.container.count() => {
                    for (host, inside) in host.iter().zip(spec.container.iter()) {
                        more.extend(mappings(spec, &ends, host, inside));
                    }
                    self.refuse_taken(claim, &more, &beside)?;
                }
                pool => {
                    // Each is tried once: what one port inside cannot have, no other can.
                    let mut pool = Pool::of(pool)?;
                    for inside in spec.container.iter() {
                        let wanted = |host| mappings(spec, &ends, host, inside);
                        more.extend(self.first_free(claim, &beside, &mut pool, &wanted)?);
                    }
                }
            }
            ports.extend(more);
        }
        Ok(ports)
    }

    /// The next port of a pool of which every host end is free.
    fn first_free(
        &self,
        claim: &Claim,
        beside: &Beside,
        pool: &mut Pool,
        wanted: &dyn Fn(u16) -> Vec<PortMapping>,
    ) -> Result<Vec<PortMapping>> {
        while let Some(host_port) = pool.next() {
            let wanted = wanted(host_port);
            match self.refusal(&wanted, beside)? {
                None => return Ok(wanted),
                // Where the address is not the host's, another port of it is no better.
                Some((port, TakenBy::Host(errno))) if errno != Errno::ADDRINUSE => {
                    return Err(port::not_had(port, errno, None));
                }
                Some(_) => {}
            }
        }
        Err(Error::new(format_args!(
            "cannot publish a port for {}: all host ports from {} are taken",
            claim.name, pool.all
        )))
    }

    fn refuse_taken(&self, claim: &Claim, wanted: &[PortMapping], beside: &Beside) -> Result<()> {
        let Some((port, taken)) = self.refusal(wanted, beside)? else {
            return Ok(());
        };
        let by = match taken {
            TakenBy::Sandbox(sandbox) => format!("sandbox {sandbox}"),
            TakenBy::Same => "the same container".to_owned(),
            TakenBy::Host(errno) => {
                let owner = if errno == Errno::ADDRINUSE {
                    owner::of(port)
                } else {
                    None
                };
                return Err(port::not_had(port, errno, owner));
            }
        };
        Err(Error::new(format_args!(
            "Bind for {} failed: port is already allocated to {by} (publishing {port} for {})",
            port.host_end(),
            claim.name
        )))
    }

    /// The first of some host ends that cannot be had, and why.
    fn refusal<'a>(
        &self,
        wanted: &'a [PortMapping],
        beside: &Beside,
    ) -> Result<Option<(&'a PortMapping, TakenBy)>> {
        for port in wanted {
            let mut others = beside.others.near(port).iter();
            if others.any(|(_, other)| other.collides_with(port)) {
                return Ok(Some((port, TakenBy::Same)));
            }
            if beside.own.has(port, port_path) {
                continue;
            }
            for (held, lease) in self.store.port_conflicts(port)? {
                if let Lease::Held { sandbox, .. } = lease
                    && !beside.own.has(&held, port_path)
                {
                    return Ok(Some((port, TakenBy::Sandbox(sandbox))));
                }
            }
            if let Err(errno) = port::try_bind(port) {
                return Ok(Some((port, TakenBy::Host(errno))));
            }
        }
        Ok(None)
    }
}

/// Refuses a number of ports that a sandbox cannot have.
pub(super) fn refuse_too_many(count: usize) -> Result<()> {
    if count <= MOST {
        return Ok(());
    }
    Err(Error::new(format_args!(
        "cannot publish so many ports: a sandbox has at most {MOST}, and one for both IP versions counts twice"
    )))
}

/// Refuses what a network cannot do with ports, before anything is made.
pub(super) fn refuse_unpublishable(
    specs: &[PortSpec],
    network: Option<&NetworkRecord>,
) -> Result<()> {
    let Some(spec) = specs.first() else {
        return Ok(());
    };
    match network {
        None => Err(Error::new(format_args!(
            "cannot publish {spec}: a sandbox on network none has no address that a port could lead to"
        ))),
        Some(network) if network.internal => Err(Error::new(format_args!(
            "cannot publish {spec}: network {} is internal, and nothing from outside it is let in",
            network.name
        ))),
        Some(_) => Ok(()),
    }
}

/// The sentence of a port of who is in the host's own network.
pub(super) fn host_publishes_nothing(port: &dyn std::fmt::Display) -> Error {
    Error::new(format_args!(
        "cannot publish {port}: the host's own network is used"
    ))
}

/// Connections of a protocol that the kernel does not track cannot be led anywhere.
fn refuse_without_sctp(spec: &PortSpec) -> Result<()> {
    let tracked = || {
        sysctl::read("net/netfilter/nf_conntrack_sctp_timeout_established").is_some()
            || sysctl::read("net/netfilter/nf_conntrack_count").is_none()
    };
    if spec.proto != Proto::Sctp || tracked() {
        return Ok(());
    }
    Err(Error::new(format_args!(
        "cannot publish {spec}: this kernel lacks CONFIG_NF_CT_PROTO_SCTP"
    )))
}

/// The addresses of the host that are to answer.
pub(super) fn host_ends(spec: &PortSpec, families: Families) -> Result<Vec<IpAddr>> {
    let cannot = |host_ip: IpAddr, why: &str| {
        Err(Error::new(format_args!(
            "cannot publish {}/{} on {host_ip}: {why}",
            spec.container, spec.proto
        )))
    };
    let family = spec.from.map(|from| from.addr.is_ipv4());
    match spec.host_ip {
        Some(IpAddr::V6(ip)) if ip.is_loopback() => cannot(
            ip.into(),
            "the kernel translates no packet from ::1; 127.0.0.1 can be published, and so can the host's other addresses",
        ),
        Some(ip) if ip.is_ipv4() && !families.ipv4 => cannot(
            ip,
            "the sandbox has no IPv4 address, and packets are not translated from one IP version to the other",
        ),
        Some(ip) if ip.is_ipv6() && !families.ipv6 => cannot(
            ip,
            "the sandbox has no IPv6 address, and packets are not translated from one IP version to the other",
        ),
        Some(ip) => Ok(vec![ip]),
        None => {
            let any: [(bool, IpAddr); 2] = [
                (
                    families.ipv4 && family != Some(false),
                    Ipv4Addr::UNSPECIFIED.into(),
                ),
                (
                    families.ipv6 && family != Some(true),
                    Ipv6Addr::UNSPECIFIED.into(),
                ),
            ];
            let ends: Vec<_> = any
                .iter()
                .filter(|(has, _)| *has)
                .map(|(_, ip)| *ip)
                .collect();
            match (ends.is_empty(), spec.from) {
                (true, Some(from)) => cannot(
                    crate::types::any(from.addr),
                    "the sandbox has no address of that IP version",
                ),
                _ => Ok(ends),
            }
        }
    }
}

/// What a specification asks of one port of the host, at each of the addresses.
pub(super) fn mappings(
    spec: &PortSpec,
    ends: &[IpAddr],
    host_port: u16,
    container_port: u16,
) -> Vec<PortMapping> {
    let mapping = |host_ip: &IpAddr| PortMapping {
        proto: spec.proto,
        host_ip: *host_ip,
        host_port,
        container_port,
        on: spec.on.clone(),
        from: spec.from,
    };
    ends.iter().map(mapping).collect()
}

/// Where a port is taken from that nobody named.
pub(super) fn ephemeral() -> Ports {
    let text = sysctl::read("net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut ends = text.split_whitespace().filter_map(|word| word.parse().ok());
    match (ends.next(), ends.next()) {
        (Some(first), Some(last)) if first > 0 && first <= last => Ports { first, last },
        _ => EPHEMERAL,
    }
}

/// The ports that the kernel gives to no client (net.ipv4.ip_local_reserved_ports): an owner's services wait there.
fn reserved() -> Vec<Ports> {
    let text = sysctl::read("net/ipv4/ip_local_reserved_ports").unwrap_or_default();
    let parse = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(Ports {
            first: first.parse().ok()?,
            last: last.parse().ok()?,
        })
    };
    text.split(',').filter_map(parse).collect()
}

/// How far after a pool's first port to begin, so that one that was just given back is not the next to be given out.
fn somewhere(pool: Ports) -> Result<usize> {
    let [high, low, ..] = random::id()?.0;
    Ok(usize::from(u16::from_be_bytes([high, low])) % pool.count())
}
