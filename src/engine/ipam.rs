//! Which subnet a network gets, and which address a sandbox gets on it.
//!
//! An address is a hash of the network's and the sandbox's name, and then the next free one: the same sandbox gets the
//! same address again after a reboot, and finding it does not cost more the more are taken.

use crate::engine::record::NetworkRecord;
use crate::engine::store::{Lease, Store};
use crate::error::{Error, Result};
use crate::types::{Cidr, IfName, Name};
use std::net::{IpAddr, Ipv4Addr};

/// After so many taken addresses in a row the leases are listed instead of being asked for one by one.
const PROBES: u32 = 64;

/// A link whose sandbox went this long ago, in nanoseconds, and that is still there, is deleted by force.
const BURIED: u64 = 1_000_000_000;

/// Docker's default pools, in its order: 172.17–172.31 in /16, then 192.168 in /20.
pub fn pools() -> impl Iterator<Item = Cidr> {
    let first = (17..32).map(|b| Cidr::v4(Ipv4Addr::new(172, b, 0, 0), 16));
    let second = (0..16).map(|b| Cidr::v4(Ipv4Addr::new(192, 168, b * 16, 0), 20));
    first.chain(second)
}

/// The first pool that overlaps nothing in use.
///
/// # Errors
/// When each of them overlaps something.
pub fn free_pool(in_use: &[Cidr]) -> Result<Cidr> {
    let free = |pool: &Cidr| !in_use.iter().any(|used| pool.overlaps(used));
    pools().find(free).ok_or_else(|| {
        Error::new("all predefined address pools have been fully subnetted: each overlaps a route or an address of the host; name one with network create --subnet")
    })
}

/// Takes a subnet as it was typed.
///
/// # Errors
/// IPv6, host bits, and a subnet too small for a gateway and one sandbox.
pub fn checked_subnet(subnet: Cidr) -> Result<Cidr> {
    let whole = subnet.subnet();
    match subnet.addr {
        IpAddr::V6(_) => Err(Error::new(format!(
            "invalid subnet {subnet}: IPv6 networks are not built yet, an IPv4 subnet is wanted"
        ))),
        IpAddr::V4(_) if whole != subnet => Err(Error::new(format!(
            "invalid subnet {subnet}: it should be {whole}"
        ))),
        IpAddr::V4(a) if subnet.prefix == 0 || subnet.prefix > 30 => Err(Error::new(format!(
            "invalid subnet {a}/{}: a prefix from 1 to 30 is wanted",
            subnet.prefix
        ))),
        IpAddr::V4(a) if a.is_loopback() || a.is_multicast() || a.is_unspecified() => {
            Err(Error::new(format!(
                "invalid subnet {subnet}: sandboxes cannot have such addresses"
            )))
        }
        IpAddr::V4(_) => Ok(subnet),
    }
}

/// The gateway of a subnet: its first address after the network's own.
pub fn gateway(subnet: Cidr) -> Ipv4Addr {
    first(subnet).map_or(Ipv4Addr::UNSPECIFIED, |bits| Ipv4Addr::from_bits(bits + 1))
}

/// An address for a sandbox.
pub struct Choice {
    /// The address.
    pub address: Ipv4Addr,
    /// A link that should long be gone and still holds the address: to be deleted first.
    pub bury: Option<IfName>,
}

/// Chooses a free address. The caller holds `lock`; `is_gone` tells whether a link of the host is gone.
///
/// # Errors
/// When none is free: how many are leased, and where to look.
pub fn choose(
    store: &Store,
    network: &NetworkRecord,
    sandbox: &Name,
    is_gone: &dyn Fn(&IfName) -> bool,
) -> Result<Choice> {
    let hosts = Hosts::of(network.subnet);
    let start = hash(network.name.as_str(), sandbox.as_str()) % hosts.count;
    let probes = PROBES.min(hosts.count);
    for i in 0..probes {
        let address = hosts.nth((start + i) % hosts.count);
        match store.address_lease(&network.name, address)? {
            None => {
                return Ok(Choice {
                    address,
                    bury: None,
                });
            }
            Some(Lease::Held { .. }) => {}
            Some(Lease::Tombstone { link, since }) => {
                if is_gone(&link) {
                    return Ok(Choice {
                        address,
                        bury: None,
                    });
                }
                if crate::sys::time::since_boot().saturating_sub(since) > BURIED {
                    return Ok(Choice {
                        address,
                        bury: Some(link),
                    });
                }
            }
        }
    }
    let mut taken = store.address_leases(&network.name)?;
    taken.sort_unstable();
    let free = (probes..hosts.count)
        .map(|i| hosts.nth((start + i) % hosts.count))
        .find(|a| taken.binary_search(a).is_err());
    if let Some(address) = free {
        return Ok(Choice {
            address,
            bury: None,
        });
    }
    // The last resort: one whose sandbox has only just gone.
    for address in &taken {
        if let Some(Lease::Tombstone { link, .. }) = store.address_lease(&network.name, *address)? {
            return Ok(Choice {
                address: *address,
                bury: Some(link),
            });
        }
    }
    Err(Error::new(format!(
        "no available addresses on network {}: all {} of {} are leased, see {}",
        network.name,
        hosts.count,
        network.subnet,
        store
            .path(&format!("networks/{}/leases", network.name))
            .display()
    )))
}

/// The addresses of a subnet that sandboxes may have: neither the network's, nor the gateway's, nor the broadcast's.
struct Hosts {
    first: u32,
    count: u32,
}

impl Hosts {
    fn of(subnet: Cidr) -> Self {
        let size = 1u64 << (32 - u32::from(subnet.prefix.clamp(1, 30)));
        Hosts {
            first: first(subnet).unwrap_or(0) + 2,
            count: u32::try_from(size - 3).unwrap_or(u32::MAX),
        }
    }

    fn nth(&self, n: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.first + n)
    }
}

fn first(subnet: Cidr) -> Option<u32> {
    match subnet.subnet().addr {
        IpAddr::V4(a) => Some(a.to_bits()),
        IpAddr::V6(_) => None,
    }
}

/// FNV-1a (draft-eastlake-fnv) of both names, with a byte between that no name has.
fn hash(network: &str, sandbox: &str) -> u32 {
    let bytes = network.bytes().chain([0]).chain(sandbox.bytes());
    bytes.fold(0x811c_9dc5, |h, byte| {
        (h ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().expect("a CIDR")
    }

    #[test]
    fn the_first_pool_that_overlaps_nothing_is_taken() {
        assert_eq!(free_pool(&[]).expect("a pool"), cidr("172.17.0.0/16"));
        assert_eq!(
            free_pool(&[cidr("172.16.0.0/12"), cidr("192.168.1.0/24")]).expect("a pool"),
            cidr("192.168.16.0/20")
        );
        assert!(free_pool(&[cidr("128.0.0.0/1")]).is_err());
    }

    #[test]
    fn subnets_that_no_sandbox_could_live_on_are_refused() {
        for bad in [
            "10.0.0.1/24",
            "10.0.0.0/31",
            "10.0.0.0/32",
            "0.0.0.0/0",
            "127.0.0.0/8",
            "224.0.0.0/4",
            "fd00::/64",
        ] {
            assert!(checked_subnet(cidr(bad)).is_err(), "{bad}");
        }
        assert!(checked_subnet(cidr("10.50.0.0/30")).is_ok());
    }

    #[test]
    fn network_gateway_and_broadcast_are_never_given() {
        let hosts = Hosts::of(cidr("10.50.0.0/29"));
        assert_eq!(gateway(cidr("10.50.0.0/29")), Ipv4Addr::new(10, 50, 0, 1));
        assert_eq!(
            (hosts.nth(0), hosts.count),
            (Ipv4Addr::new(10, 50, 0, 2), 5)
        );
        assert_eq!(hosts.nth(hosts.count - 1), Ipv4Addr::new(10, 50, 0, 6));
        assert_eq!(Hosts::of(cidr("10.50.0.0/30")).count, 1);
    }
}
