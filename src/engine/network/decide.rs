//! Deciding on a network: its subnet, its bridge's name, and the plan for what its sandboxes share.

use super::{DEFAULT, MTU, is_default};
use crate::engine::plan::Plan;
use crate::engine::record::{NetworkRecord, VERSION};
use crate::engine::{Engine, firewall, ipam};
use crate::error::{Error, Result};
use crate::kernel::guard::AddGuard;
use crate::kernel::snapshot::Snapshot;
use crate::kernel::{Place, addr, link, sysctl};
use crate::sys::{random, time};
use crate::types::{Cidr, IfName, Mac, Name};
use std::net::{IpAddr, Ipv4Addr};

impl Engine {
    pub(super) fn write_decided(
        &self,
        name: &Name,
        subnet: Option<Cidr>,
        unguarded: bool,
    ) -> Result<NetworkRecord> {
        // Two networks that are created at once must not choose the same pool: the later sees the earlier's record.
        let host = Snapshot::of_host(&mut self.sockets())?;
        let _locked = self.store.lock()?;
        let record = NetworkRecord {
            unguarded,
            ..self.decide_on(&host, name, subnet)?
        };
        self.store.write_network(&record)?;
        Ok(record)
    }

    pub(super) fn decide_network(
        &self,
        name: &Name,
        subnet: Option<Cidr>,
    ) -> Result<NetworkRecord> {
        self.decide_on(&Snapshot::of_host(&mut self.sockets())?, name, subnet)
    }

    pub(super) fn decide_on(
        &self,
        host: &Snapshot,
        name: &Name,
        subnet: Option<Cidr>,
    ) -> Result<NetworkRecord> {
        let others = self.store.read_all::<NetworkRecord>(&mut |_| {})?;
        let subnet = match subnet {
            Some(subnet) => free_of(ipam::checked_subnet(subnet)?, &others, host)?,
            None => {
                let resolvers = resolvers();
                let in_use: Vec<_> = others
                    .iter()
                    .map(|n| n.subnet)
                    .chain(host.subnets())
                    .chain(resolvers)
                    .collect();
                ipam::free_pool(&in_use)?
            }
        };
        let gateway = ipam::gateway(subnet);
        Ok(NetworkRecord {
            version: VERSION,
            boot: self.store.boot.clone(),
            id: if is_default(name) {
                self.predefined_id(DEFAULT)
            } else {
                random::id()?
            },
            name: name.clone(),
            created: time::now(),
            link: free_link(name, &others, host)?,
            mac: Mac::of(gateway),
            subnet,
            gateway,
            mtu: host.uplink_mtu().unwrap_or(MTU),
            unguarded: false,
        })
    }

    /// The plan for what is missing of a network's shared objects. The rules come before forwarding is turned on, so
    /// that the host is at no moment a router for others.
    pub(super) fn shared(&self, record: &NetworkRecord) -> Result<Plan> {
        let host = Snapshot::of_host(&mut self.sockets())?;
        let key = |suffix: &str| format!("net/{suffix}").replace("BRIDGE", record.link.as_str());
        let bridge = record.link.clone();
        let turn_on = !host.forwards_ipv4()?;
        let mut plan = Plan::new();
        plan.push(link::AddBridge {
            name: bridge.clone(),
            mac: record.mac,
            mtu: record.mtu,
        });
        plan.push(addr::Add {
            place: Place::Host,
            link: bridge.clone(),
            address: Cidr::v4(record.gateway, record.subnet.prefix),
        });
        plan.push(sysctl::Set::one(
            Place::Host,
            key("ipv6/conf/BRIDGE/accept_ra"),
            "0",
        ));
        plan.extend(firewall::table(
            turn_on || self.store.turned_forwarding_on(),
        ));
        if !record.unguarded {
            plan.push(AddGuard);
        }
        plan.extend(firewall::add_network(record));
        plan.push(sysctl::Set::one(
            Place::Host,
            key("ipv4/conf/BRIDGE/route_localnet"),
            "1",
        ));
        plan.push(link::SetUp {
            place: Place::Host,
            link: bridge,
        });
        plan.push(sysctl::Set::one(Place::Host, sysctl::FORWARDING, "1"));
        plan.without_what_holds(&host)
    }
}

/// A subnet that somebody asked for, if nothing else has it.
fn free_of(subnet: Cidr, others: &[NetworkRecord], host: &Snapshot) -> Result<Cidr> {
    if let Some(other) = others.iter().find(|other| other.subnet.overlaps(&subnet)) {
        return Err(Error::new(format!(
            "Pool overlaps with other one on this address space: {subnet} overlaps {} of network {}",
            other.subnet, other.name
        )));
    }
    match host.subnets().find(|used| used.overlaps(&subnet)) {
        Some(used) => Err(Error::new(format!(
            "Pool overlaps with other one on this address space: {subnet} overlaps {used} of the host"
        ))),
        None => Ok(subnet),
    }
}

/// `netcell0` for the default network, else the first `netcellN` that no network and no link has.
fn free_link(name: &Name, others: &[NetworkRecord], host: &Snapshot) -> Result<IfName> {
    if name.as_str() == DEFAULT {
        return "netcell0".parse();
    }
    (1..=u32::MAX)
        .map_while(|n| format!("netcell{n}").parse::<IfName>().ok())
        .find(|link| !others.iter().any(|other| other.link == *link) && host.link(link).is_none())
        .ok_or_else(|| Error::new("no free name for a bridge"))
}

/// The host's resolvers: a pool that holds one of them would cut the host off from it.
fn resolvers() -> Vec<Cidr> {
    let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let servers = text
        .lines()
        .filter_map(|line| line.strip_prefix("nameserver"))
        .filter_map(|s| s.trim().parse::<IpAddr>().ok());
    servers
        .filter_map(|server| {
            if let IpAddr::V4(a) = server {
                Some(a)
            } else {
                None
            }
        })
        .map(|a: Ipv4Addr| Cidr::v4(a, 32))
        .collect()
}
