//! Deciding on a network: its subnets, its bridge's name, and the plan for what its sandboxes share.

use super::{DEFAULT, MTU, is_default};
use crate::engine::plan::Plan;
use crate::engine::record::{NetworkRecord, Subnet, VERSION};
use crate::engine::spec::NetworkSpec;
use crate::engine::{Engine, firewall, ipam};
use crate::error::{Error, Result};
use crate::kernel::guard::AddGuard;
use crate::kernel::nft::{AddElement, AddTable, Element};
use crate::kernel::snapshot::Snapshot;
use crate::kernel::{Place, addr, link, sysctl};
use crate::sys::file;
use crate::sys::{random, time};
use crate::types::{Cidr, IfName, Mac, Name};
use std::net::{IpAddr, Ipv6Addr};

/// The least MTU of IPv6 (RFC 8200), of IPv4 (RFC 791), and the most of Ethernet's (ETH_MAX_MTU), in bytes.
const LEAST6: u32 = 1280;
const LEAST4: u32 = 68;
const MOST: u32 = 65535;

/// The bridge's address on its own link: what it forwards it asks for neighbours with no other (ndisc_solicit and
/// ndisc_send_ns in net/ipv6/ndisc.c), and would not ask at all. Sandboxes have none, so it is free on every bridge.
const SOLICITING: Cidr = Cidr {
    addr: IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1)),
    prefix: 64,
};

impl Engine {
    pub(super) fn write_decided(
        &self,
        spec: &NetworkSpec,
        unguarded: bool,
    ) -> Result<Box<NetworkRecord>> {
        // Two networks that are created at once must not choose the same pool: the later sees the earlier's record.
        let host = Snapshot::of_host(&mut self.sockets())?;
        let _locked = self.store.lock()?;
        let mut record = self.decide_on(&host, spec)?;
        record.unguarded = unguarded;
        self.store.write_network(&record)?;
        Ok(record)
    }

    pub(super) fn decide_network(&self, spec: &NetworkSpec) -> Result<Box<NetworkRecord>> {
        self.decide_on(&Snapshot::of_host(&mut self.sockets())?, spec)
    }

    fn decide_on(&self, host: &Snapshot, spec: &NetworkSpec) -> Result<Box<NetworkRecord>> {
        let others = self.store.read_all::<NetworkRecord>(&mut |_| {})?;
        self.decide_beside(&others, host, spec)
    }

    /// What a network would be beside these others, on such a host.
    pub(in crate::engine) fn decide_beside(
        &self,
        others: &[NetworkRecord],
        host: &Snapshot,
        spec: &NetworkSpec,
    ) -> Result<Box<NetworkRecord>> {
        let name = &spec.name;
        let subnets = subnets(spec, others, host)?;
        let mtu = spec.mtu.or(host.uplink_mtu()).unwrap_or(MTU);
        let ipv6 = subnets.iter().any(|part| part.gateway.is_ipv6());
        if ipv6 && host.forwarding6.is_none() {
            return Err(Error::new(format_args!(
                "network {name} cannot have IPv6: this kernel lacks CONFIG_IPV6, or was booted with ipv6.disable=1"
            )));
        }
        let least = if ipv6 { LEAST6 } else { LEAST4 };
        if !(least..=MOST).contains(&mtu) {
            return Err(Error::new(format_args!(
                "invalid MTU {mtu} for network {name}: {least} to {MOST} bytes are possible{}",
                if ipv6 { " with IPv6" } else { "" }
            )));
        }
        let id = match is_default(name) {
            true => self.predefined_id(DEFAULT),
            false => random::id()?,
        };
        let link = match &spec.interface {
            Some(wanted) => wanted_link(wanted, others, host)?,
            None => free_link(name, others, host)?,
        };
        let Some(first) = subnets.first() else {
            return Err(Error::new(format_args!(
                "network {name} has no subnet: IPv4 or IPv6 is needed"
            )));
        };
        Ok(Box::new(NetworkRecord {
            version: VERSION,
            boot: self.store.boot.clone(),
            id,
            name: name.clone(),
            created: time::now(),
            link,
            mac: Mac::of(first.gateway),
            subnets,
            mtu,
            internal: spec.internal,
            no_masquerade: spec.no_masquerade,
            isolate: spec.isolate,
            no_forwarding: spec.no_forwarding,
            labels: spec.labels.clone(),
            unguarded: false,
            applied: spec.applied.clone(),
        }))
    }

    /// The plan for what is missing of a network's shared objects. The rules come before forwarding is turned on, so
    /// that the host is at no moment a router for others.
    ///
    /// # Errors
    /// IPv6 forwarding would cost the host its own default route.
    pub(super) fn shared(&self, record: &NetworkRecord) -> Result<Plan> {
        let host = Snapshot::of_host(&mut self.sockets())?;
        let forwarding = forwarding(record, &host)?;
        self.shared_all(record, &host, forwarding)?
            .without_what_holds(&host)
    }

    /// The plan for all of a network's shared objects, whatever of it is there; `forwarding` is to be turned on.
    pub(in crate::engine) fn shared_all(
        &self,
        record: &NetworkRecord,
        host: &Snapshot,
        forwarding: Vec<&'static str>,
    ) -> Result<Plan> {
        let bridge = record.link.clone();
        let key = |suffix: &str| format!("net/{suffix}").replace("BRIDGE", bridge.as_str());
        let set = |key: String, value| sysctl::Set::one(Place::Host, key, value);
        let mut plan = Plan::new();
        plan.push(link::AddBridge {
            name: bridge.clone(),
            mac: record.mac,
            mtu: record.mtu,
        });
        for part in &record.subnets {
            plan.push(addr::Add {
                place: Place::Host,
                link: bridge.clone(),
                address: Cidr {
                    addr: part.gateway,
                    prefix: part.subnet.prefix,
                },
            });
        }
        if record.subnet(false).is_some() {
            plan.push(addr::Add {
                place: Place::Host,
                link: bridge.clone(),
                address: SOLICITING,
            });
        }
        // Where no sysctl can be set the guard's rule, which drops advertisements at the ports, has to do.
        let sealed = sysctl::is_sealed();
        if !sealed || record.unguarded {
            plan.push(set(key("ipv6/conf/BRIDGE/accept_ra"), "0"));
        }
        plan.push(AddTable);
        if !record.unguarded {
            plan.push(AddGuard);
        }
        for (ipv4, key) in [(true, sysctl::FORWARDING), (false, sysctl::FORWARDING6)] {
            let noted = !host.table && self.store.turned_forwarding_on(key)?;
            if noted || forwarding.contains(&key) {
                plan.push(AddElement(Element::NoTransit(ipv4)));
            }
        }
        plan.extend(firewall::add_network(record));
        if record.subnet(true).is_some() && !sealed {
            plan.push(set(key("ipv4/conf/BRIDGE/route_localnet"), "1"));
        }
        plan.push(link::SetUp {
            place: Place::Host,
            link: bridge.clone(),
        });
        for key in forwarding {
            plan.push(set(key.to_owned(), "1"));
        }
        Ok(plan)
    }
}

/// The sysctls that have to be turned on for a network whose sandboxes reach beyond their bridge.
///
/// # Errors
/// That would cost the host its own default route.
pub(in crate::engine) fn forwarding(
    record: &NetworkRecord,
    host: &Snapshot,
) -> Result<Vec<&'static str>> {
    let mut keys = Vec::new();
    let on4 = host.forwards_ipv4()?;
    if record.internal || record.no_forwarding {
        return Ok(keys);
    }
    if record.subnet(true).is_some() && !on4 {
        keys.push(sysctl::FORWARDING);
    }
    if record.subnet(false).is_some() && host.forwarding6.as_deref() == Some("0") {
        if let Some(link) = sysctl::learnt_default_route() {
            return Err(Error::new(format_args!(
                "cannot turn on net.ipv6.conf.all.forwarding for network {}: the kernel would throw away the default route that {link} learnt by router advertisement; `sysctl -w net.ipv6.conf.{}.accept_ra=2` keeps it, or --no-forwarding does without",
                record.name,
                link.replace('.', "/")
            )));
        }
        keys.push(sysctl::FORWARDING6);
    }
    Ok(keys)
}

/// A network's subnets, IPv4 first: those asked for, and of netcell's choice what was left to it.
fn subnets(spec: &NetworkSpec, others: &[NetworkRecord], host: &Snapshot) -> Result<Vec<Subnet>> {
    let mut subnets = Vec::with_capacity(2);
    for ipv4 in [true, false] {
        let of = |addr: &IpAddr| addr.is_ipv4() == ipv4;
        let mut wanted = spec.subnets.iter().filter(|subnet| of(&subnet.addr));
        let subnet = match (wanted.next(), wanted.next()) {
            (Some(_), Some(second)) => {
                return Err(Error::new(format_args!(
                    "invalid network config: {second} is a second subnet of its family, and a network has at most one of each"
                )));
            }
            (Some(one), None) => free_of(ipam::checked_subnet(*one)?, others, host)?,
            (None, _) if ipv4 && !spec.no_ipv4 => ipam::free_pool(&in_use(others, host))?,
            (None, _) if !ipv4 && spec.ipv6 => {
                ipam::local_pool(&machine(), spec.name.as_str(), &in_use(others, host))
            }
            (None, _) => continue,
        };
        let mut gateways = spec.gateways.iter().filter(|gateway| of(gateway));
        let gateway = match gateways.next() {
            Some(gateway) => ipam::checked_gateway(*gateway, subnet)?,
            None => ipam::gateway(subnet),
        };
        let mut ranges = spec.ranges.iter().filter(|range| of(&range.addr));
        let range = ranges.next().copied();
        if gateways.next().is_some() || ranges.next().is_some() {
            return Err(Error::new(format_args!(
                "invalid network config: subnet {subnet} can have one gateway and one ip-range"
            )));
        }
        subnets.push(ipam::checked_range(Subnet {
            subnet,
            gateway,
            range,
        })?);
    }
    let mut placed = spec.gateways.clone();
    placed.extend(spec.ranges.iter().map(|range| range.addr));
    for addr in placed {
        if !subnets.iter().any(|part| part.subnet.contains(addr)) {
            return Err(Error::new(format_args!(
                "every ip-range or gateway must have a corresponding subnet: {addr} has none"
            )));
        }
    }
    Ok(subnets)
}

/// What a network's subnet must not overlap: other networks', the host's, and its resolvers.
fn in_use(others: &[NetworkRecord], host: &Snapshot) -> Vec<Cidr> {
    let mut used = resolvers();
    used.extend(host.subnets());
    for other in others {
        used.extend(other.subnets.iter().map(|part| part.subnet));
    }
    used
}

/// What tells this machine from others: a subnet of its own choice is to be another one on each.
fn machine() -> String {
    for path in ["/etc/machine-id", "/proc/sys/kernel/hostname"] {
        let text = file::text(path).unwrap_or_default();
        if !text.trim().is_empty() {
            return text;
        }
    }
    String::new()
}

/// A subnet that somebody asked for, if nothing else has it.
fn free_of(subnet: Cidr, others: &[NetworkRecord], host: &Snapshot) -> Result<Cidr> {
    let overlaps = |what: String| {
        Err(Error::new(format_args!(
            "Pool overlaps with other one on this address space: {subnet} overlaps {what}"
        )))
    };
    for other in others {
        if let Some(part) = other
            .subnets
            .iter()
            .find(|part| part.subnet.overlaps(&subnet))
        {
            return overlaps(format!("{} of network {}", part.subnet, other.name));
        }
    }
    match host.subnets().find(|used| used.overlaps(&subnet)) {
        Some(used) => overlaps(format!("{used} of the host")),
        None => Ok(subnet),
    }
}

/// A bridge's name that somebody asked for, if nothing else has it.
fn wanted_link(wanted: &IfName, others: &[NetworkRecord], host: &Snapshot) -> Result<IfName> {
    if let Some(other) = others.iter().find(|other| other.link == *wanted) {
        return Err(Error::new(format_args!(
            "cannot make the bridge {wanted}: network {} has it",
            other.name
        )));
    }
    match host.link(wanted) {
        Some(_) => Err(Error::new(format_args!(
            "cannot make the bridge {wanted}: the host has a link of that name"
        ))),
        None => Ok(wanted.clone()),
    }
}

/// `netcell0` for the default network, else the first `netcellN` that no network and no link has.
fn free_link(name: &Name, others: &[NetworkRecord], host: &Snapshot) -> Result<IfName> {
    if name.as_str() == DEFAULT {
        return "netcell0".parse();
    }
    for n in 1..u32::MAX {
        let Ok(link) = format!("netcell{n}").parse() else {
            break;
        };
        if !others.iter().any(|other| other.link == link) && host.link(&link).is_none() {
            return Ok(link);
        }
    }
    Err(Error::new("no free name for a bridge"))
}

/// The host's resolvers: a pool that holds one of them would cut the host off from it.
fn resolvers() -> Vec<Cidr> {
    let text = file::text("/etc/resolv.conf").unwrap_or_default();
    let mut servers = Vec::new();
    for line in text.lines() {
        let server = line.strip_prefix("nameserver");
        if let Some(Ok(addr)) = server.map(|server| server.trim().parse::<IpAddr>()) {
            servers.push(Cidr {
                addr,
                prefix: if addr.is_ipv4() { 32 } else { 128 },
            });
        }
    }
    servers
}
