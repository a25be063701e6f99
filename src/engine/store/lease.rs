//! Leases: who has an address of a network, or a published port of the host.
//!
//! A lease is a small file that names the sandbox it belongs to by id, so that undoing an operation frees its own
//! leases and nobody else's. An address's lease becomes a tombstone when its sandbox goes: the name of the host's link,
//! which has to be gone before the address is given out again.

use super::{Locked, Store};
use crate::engine::record::SandboxRecord;
use crate::error::Result;
use crate::sys::fd::write_all;
use crate::types::json::{self, Json, Object, Wrong};
use crate::types::tree::Value;
use crate::types::{Cidr, Id, IfName, Name, PortMapping};
use std::net::IpAddr;

/// The content of a lease file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lease {
    /// In use by a sandbox.
    Held {
        /// Its id.
        id: Id,
        /// Its name, for messages.
        sandbox: Name,
    },
    /// Its sandbox is gone, its link maybe not yet.
    Tombstone {
        /// The host's end.
        link: IfName,
        /// When it was buried, nanoseconds since boot (CLOCK_BOOTTIME).
        since: u64,
    },
}

impl Json for Lease {
    fn write(&self, out: &mut String) {
        let mut object = Object::new(out);
        match self {
            Lease::Held { id, sandbox } => object.field("id", id).field("sandbox", sandbox),
            Lease::Tombstone { link, since } => object.field("link", link).field("since", since),
        }
        .end();
    }

    fn blank() -> Self {
        Lease::Tombstone {
            link: Json::blank(),
            since: 0,
        }
    }

    fn fill(&mut self, value: &Value) -> Result<(), Wrong> {
        *self = match value.get("link") {
            None => Lease::Held {
                id: json::field(value, "id")?,
                sandbox: json::field(value, "sandbox")?,
            },
            Some(_) => Lease::Tombstone {
                link: json::field(value, "link")?,
                since: json::field(value, "since")?,
            },
        };
        Ok(())
    }
}

impl Lease {
    /// Whether it is in use by this sandbox.
    pub fn is_of(&self, owner: &Id) -> bool {
        matches!(self, Lease::Held { id, .. } if id == owner)
    }
}

fn address_path(network: &Name, address: IpAddr) -> String {
    format!("networks/{network}/leases/{address}")
}

fn port_directory(port: &PortMapping) -> String {
    format!("ports/{}-{}", port.proto, port.host_port)
}

/// Where the lease of a port is: `ADDRESS`, or `ADDRESS,INTERFACE,SENDERS` with `-` for each interface and a `_` for the slash of a prefix.
pub fn port_path(port: &PortMapping) -> String {
    let (directory, host_ip) = (port_directory(port), port.host_ip);
    if !port.is_limited() {
        return format!("{directory}/{host_ip}");
    }
    let on = port.on.as_ref().map_or("-", IfName::as_str);
    let from = port.from.unwrap_or(Cidr::all(host_ip));
    format!("{directory}/{host_ip},{on},{}_{}", from.addr, from.prefix)
}

/// The host's end that a lease's file name says, with the protocol and the ports of `like`.
fn end_of(name: &str, like: &PortMapping) -> Option<PortMapping> {
    let mut parts = name.split(',');
    let host_ip = parts.next()?.parse().ok()?;
    let on = parts.next().filter(|on| *on != "-");
    let from = match parts.next() {
        Some(from) => Some(from.replace('_', "/").parse().ok()?),
        None => None,
    };
    Some(PortMapping {
        host_ip,
        on: on.map(str::parse).transpose().ok()?,
        from: from.filter(|from: &Cidr| from.prefix != 0),
        ..like.clone()
    })
}

/// The id of the sandbox that a lease is of, if that one has this name.
fn holder_of(lease: Result<Option<Lease>>, sandbox: &Name) -> Option<Id> {
    match lease {
        Ok(Some(Lease::Held { id, sandbox: own })) if own == *sandbox => Some(id),
        _ => None,
    }
}

impl Store {
    /// The lease of an address, if it has one.
    pub fn address_lease(&self, network: &Name, address: IpAddr) -> Result<Option<Lease>> {
        self.root.read_json(&address_path(network, address))
    }

    /// The addresses of a network that are leased or buried.
    pub fn address_leases(&self, network: &Name) -> Result<Vec<IpAddr>> {
        let names = self.root.names(&format!("networks/{network}/leases"))?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// The addresses whose leases name a sandbox, each with its network and the sandbox's id.
    pub fn addresses_of(&self, sandbox: &Name) -> Result<Vec<(Name, IpAddr, Id)>> {
        let mut found = Vec::new();
        for network in &self.names_of("networks")? {
            for address in self.address_leases(network)? {
                let lease = self.address_lease(network, address);
                if let Some(id) = holder_of(lease, sandbox) {
                    found.push((network.clone(), address, id));
                }
            }
        }
        Ok(found)
    }

    /// The host's ends of the ports whose leases name a sandbox, each with the sandbox's id.
    pub fn ports_of(&self, sandbox: &Name) -> Result<Vec<(PortMapping, Id)>> {
        let mut found = Vec::new();
        for directory in &self.root.names("ports")? {
            let mut like = PortMapping::blank();
            if let Some((proto, port)) = directory.split_once('-')
                && let (Ok(proto), Ok(host_port)) = (proto.parse(), port.parse())
            {
                (like.proto, like.host_port) = (proto, host_port);
            }
            for name in &self.root.names(&format!("ports/{directory}"))? {
                let lease = self.root.read_json(&format!("ports/{directory}/{name}"));
                if let (Some(id), Some(port)) = (holder_of(lease, sandbox), end_of(name, &like)) {
                    found.push((port, id));
                }
            }
        }
        Ok(found)
    }

    /// Leases a sandbox's addresses, replacing tombstones.
    pub fn lease_addresses(
        &self,
        _: &Locked,
        sandbox: &SandboxRecord,
        lease: &Lease,
    ) -> Result<()> {
        if let Some(endpoint) = &sandbox.endpoint {
            for address in &endpoint.addresses {
                let path = address_path(&endpoint.network, address.addr);
                self.root.unlink(&path)?;
                self.write_lease(&path, lease)?;
            }
        }
        Ok(())
    }

    /// Leases again what of a sandbox's addresses and ports is leased to nobody, or by a lease that cannot be read: whether
    /// anything was. Nobody would take back what is torn here: each comes whole.
    pub fn lease_again(&self, _: &Locked, sandbox: &SandboxRecord) -> Result<bool> {
        let lease = Lease::Held {
            id: sandbox.id,
            sandbox: sandbox.name.clone(),
        };
        let mut paths = Vec::new();
        if let Some(endpoint) = &sandbox.endpoint {
            let own = endpoint.addresses.iter();
            paths.extend(own.map(|own| address_path(&endpoint.network, own.addr)));
        }
        paths.extend(sandbox.ports.iter().map(|port| port_path(&port.mapping)));
        let mut changed = false;
        for path in &paths {
            if !matches!(self.root.read_json::<Lease>(path), Ok(Some(_))) {
                self.root.write_json(path, &lease)?;
                changed = true;
            }
        }
        Ok(changed)
    }

    /// Frees an address that belongs to `owner`, leaving a tombstone where its link may still be there.
    pub fn free_address(
        &self,
        _: &Locked,
        (network, address): (&Name, IpAddr),
        owner: &Id,
        tombstone: Option<Lease>,
    ) -> Result<()> {
        let path = address_path(network, address);
        match self.root.read_json::<Lease>(&path) {
            Ok(Some(lease)) if !lease.is_of(owner) => return Ok(()),
            Ok(None) => return Ok(()),
            // Its own, or unreadable: an address that nobody can give back would be lost for the boot.
            Ok(Some(_)) | Err(_) => {}
        }
        match tombstone {
            // Without room for one the address is free at once; its link goes some 15 ms later.
            Some(tombstone) => {
                (self.root.write_json(&path, &tombstone)).or_else(|_| self.root.unlink(&path))
            }
            None => self.root.unlink(&path),
        }
    }

    /// Who holds ports that this mapping would collide with: the same protocol and port at the same address, or at any
    /// address where one of the two means all.
    pub fn port_conflicts(&self, port: &PortMapping) -> Result<Vec<(PortMapping, Lease)>> {
        let directory = port_directory(port);
        let mut held = Vec::new();
        for name in &self.root.names(&directory)? {
            let Some(other) = end_of(name, port) else {
                continue;
            };
            if other.collides_with(port)
                && let Some(lease) = self.root.read_json(&format!("{directory}/{name}"))?
            {
                held.push((other, lease));
            }
        }
        Ok(held)
    }

    /// Leases those of a sandbox's ports whose host's end none of `has` has: a lease is for that, wherever it leads.
    pub fn lease_ports(
        &self,
        locked: &Locked,
        (ports, has): (&[PortMapping], &[PortMapping]),
        lease: &Lease,
    ) -> Result<()> {
        let ports = PortMapping::not_in(ports, has, port_path);
        (ports.iter()).try_for_each(|port| self.lease_port(locked, port, lease))
    }

    /// Frees those of a sandbox's ports whose host's end none of `kept` has: all that can be.
    ///
    /// # Errors
    /// Why the first could not be freed that was not.
    pub fn free_ports(
        &self,
        locked: &Locked,
        (ports, kept): (&[PortMapping], &[PortMapping]),
        owner: &Id,
    ) -> Result<()> {
        let ports = PortMapping::not_in(ports, kept, port_path);
        let freed = ports.iter().map(|port| self.free_port(locked, port, owner));
        freed.fold(Ok(()), Result::and)
    }

    /// Leases a port.
    pub fn lease_port(&self, _: &Locked, port: &PortMapping, lease: &Lease) -> Result<()> {
        self.write_lease(&port_path(port), lease)
    }

    /// Frees a port that belongs to `owner`.
    pub fn free_port(&self, _: &Locked, port: &PortMapping, owner: &Id) -> Result<()> {
        let path = port_path(port);
        match self.root.read_json::<Lease>(&path) {
            Ok(Some(lease)) if !lease.is_of(owner) => return Ok(()),
            // Its own, or unreadable; where it is gone its directory may have stayed.
            _ => self.root.unlink(&path)?,
        }
        self.root.remove_empty(&port_directory(port))
    }

    /// A lease is torn only by a full tmpfs, and then the operation fails and takes it back.
    fn write_lease(&self, path: &str, lease: &Lease) -> Result<()> {
        let fd = self.root.create_new(path)?;
        let text = json::to_text(lease);
        write_all(&fd, text.as_bytes(), None).map_err(|errno| self.root.error("write", path, errno))
    }
}
