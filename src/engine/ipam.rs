//! Which subnet a network gets, and which address a sandbox gets on it.
//!
//! An address is a hash of the network's and the sandbox's name, and then the next free one: the same sandbox gets the
//! same address again after a reboot, and finding it does not cost more the more are taken.

use crate::engine::record::{NetworkRecord, Subnet};
use crate::engine::store::{Lease, Store};
use crate::error::{Error, Result};
use crate::types::{Cidr, IfName, Name, bits, from_bits};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// After so many taken addresses in a row the leases are listed instead of being asked for one by one.
const PROBES: u64 = 64;

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

/// A subnet of a unique local prefix (RFC 4193) for a network: the same on this machine each time, as far as it is free.
pub fn local_pool(machine: &str, network: &str, in_use: &[Cidr]) -> Cidr {
    let site =
        u128::from(hash(machine, "netcell")) << 8 | u128::from(hash("netcell", machine) & 0xff);
    let wanted = hash(machine, network);
    let subnet = |n: u32| {
        let bits = 0xfd << 120 | site << 80 | u128::from(n & 0xffff) << 64;
        Cidr {
            addr: Ipv6Addr::from_bits(bits).into(),
            prefix: 64,
        }
    };
    let free = |pool: &Cidr| !in_use.iter().any(|used| pool.overlaps(used));
    (0..=0xffff)
        .map(|n| subnet(wanted.wrapping_add(n)))
        .find(free)
        .unwrap_or(subnet(wanted))
}

/// Takes a subnet as it was typed.
///
/// # Errors
/// Host bits, addresses that no sandbox can have, and a subnet too small for a gateway and one sandbox.
pub fn checked_subnet(subnet: Cidr) -> Result<Cidr> {
    let whole = subnet.subnet();
    let most = if subnet.addr.is_ipv4() { 31 } else { 127 };
    let unfit = match subnet.addr {
        IpAddr::V4(a) => a.is_loopback() || a.is_multicast() || a.is_unspecified(),
        IpAddr::V6(a) => {
            a.is_loopback() || a.is_multicast() || a.is_unspecified() || a.is_unicast_link_local()
        }
    };
    let wrong = |why: String| Err(Error::new(format_args!("invalid subnet {subnet}: {why}")));
    if whole != subnet {
        wrong(format!("it should be {whole}"))
    } else if subnet.prefix == 0 || subnet.prefix > most {
        wrong(format!("a prefix from 1 to {most} is wanted"))
    } else if unfit {
        wrong("sandboxes cannot have such addresses".into())
    } else {
        Ok(subnet)
    }
}

/// The gateway of a subnet when none is asked for: its first address after the network's own; of the two addresses of
/// a /31 or /127 the first.
pub fn gateway(subnet: Cidr) -> IpAddr {
    from_bits(Hosts::of(subnet, None).first, subnet.addr)
}

/// Takes a gateway as it was typed.
///
/// # Errors
/// One that is not an address of the subnet, or that means the network or all of it.
pub fn checked_gateway(gateway: IpAddr, subnet: Cidr) -> Result<IpAddr> {
    if !subnet.contains(gateway) {
        return Err(Error::new(format_args!(
            "invalid gateway {gateway}: parent subnet {subnet} doesn't contain this address"
        )));
    }
    if !Hosts::of(subnet, None).has(gateway) {
        return Err(Error::new(format_args!(
            "invalid gateway {gateway}: it is the network's own or the broadcast address of {subnet}"
        )));
    }
    Ok(gateway)
}

/// Takes an ip-range as it was typed.
///
/// # Errors
/// Host bits, one beyond its subnet, and one without an address that a sandbox could have.
pub fn checked_range(part: Subnet) -> Result<Subnet> {
    let Some(range) = part.range else {
        return Ok(part);
    };
    let wrong = |why: String| Err(Error::new(format_args!("invalid ip-range {range}: {why}")));
    if range.subnet() != range {
        return wrong(format!("it should be {}", range.subnet()));
    }
    if !part.subnet.contains(range.addr) || range.prefix < part.subnet.prefix {
        return wrong(format!("it is not a part of {}", part.subnet));
    }
    let hosts = Hosts::of(part.subnet, part.range);
    match hosts.count() - u64::from(hosts.has(part.gateway)) {
        0 => wrong("it has no address for a sandbox".into()),
        _ => Ok(part),
    }
}

/// An address for a sandbox.
pub struct Choice {
    /// The address with its subnet's prefix.
    pub address: Cidr,
    /// A link that should long be gone and still holds the address: to be deleted first.
    pub bury: Option<IfName>,
}

/// Who is to get an address of which network.
pub struct Asker<'a> {
    /// The state directory.
    pub store: &'a Store,
    /// The network.
    pub network: &'a NetworkRecord,
    /// The sandbox.
    pub sandbox: &'a Name,
    /// Whether a link of the host is gone.
    pub is_gone: &'a dyn Fn(&IfName) -> bool,
}

impl Asker<'_> {
    /// The address that was asked for. The caller holds `lock`.
    ///
    /// # Errors
    /// One that is in no subnet, that no sandbox can have, or that another has.
    pub fn take(&self, address: IpAddr) -> Result<Choice> {
        let network = self.network;
        let part = network.subnet(address.is_ipv4());
        let Some(part) = part.filter(|part| part.subnet.contains(address)) else {
            return Err(Error::new(format_args!(
                "invalid endpoint settings: no configured subnet contains IP address {address}: network {} has {}",
                network.name,
                network
                    .subnets
                    .iter()
                    .map(|part| part.subnet.to_string())
                    .collect::<Vec<_>>()
                    .join(" and ")
            )));
        };
        let in_use = |by: &str| {
            Err(Error::new(format_args!(
                "Address already in use: {address} of network {} is {by}",
                network.name
            )))
        };
        if address == part.gateway {
            return in_use("its gateway");
        }
        if !Hosts::of(part.subnet, None).has(address) {
            return in_use("the network's own or its broadcast address");
        }
        match self.state(part, address)? {
            State::Free(choice) => Ok(choice),
            // Whoever asks for this very address does not want to wait.
            State::Buried(link) => Ok(Choice {
                bury: Some(link),
                address: Cidr {
                    addr: address,
                    prefix: part.subnet.prefix,
                },
            }),
            State::Held(sandbox) => in_use(&format!("leased to sandbox {sandbox}")),
        }
    }

    /// Chooses a free address of a subnet. The caller holds `lock`.
    ///
    /// # Errors
    /// When none is free: how many are leased, and where to look.
    pub fn choose(&self, part: &Subnet) -> Result<Choice> {
        let hosts = Hosts::of(part.subnet, part.range);
        let count = hosts.count().max(1);
        let start = u64::from(hash(self.network.name.as_str(), self.sandbox.as_str())) % count;
        let nth = |i: u64| from_bits(hosts.first + u128::from((start + i) % count), part.gateway);
        let probes = PROBES.min(count);
        for address in (0..probes).map(nth).filter(|a| *a != part.gateway) {
            if let State::Free(choice) = self.state(part, address)? {
                return Ok(choice);
            }
        }
        let choice = |addr, bury| Choice {
            address: Cidr {
                addr,
                prefix: part.subnet.prefix,
            },
            bury,
        };
        let mut taken = self.store.address_leases(&self.network.name)?;
        taken.push(part.gateway);
        taken.retain(|address| hosts.has(*address));
        taken.sort_unstable();
        let free = (probes..count)
            .map(nth)
            .find(|a| taken.binary_search(a).is_err());
        if let Some(address) = free {
            return Ok(choice(address, None));
        }
        // The last resort: one whose sandbox has only just gone.
        for address in &taken {
            if let Some(Lease::Tombstone { link, .. }) =
                self.store.address_lease(&self.network.name, *address)?
            {
                return Ok(choice(*address, Some(link)));
            }
        }
        let gateways = u64::from(hosts.has(part.gateway));
        Err(Error::new(format_args!(
            "no available addresses on network {}: all {} of {} are leased, see {}",
            self.network.name,
            count - gateways,
            part.range.unwrap_or(part.subnet),
            self.store
                .path(&format!("networks/{}/leases", self.network.name))
                .display()
        )))
    }

    fn state(&self, part: &Subnet, address: IpAddr) -> Result<State> {
        let free = |bury| {
            State::Free(Choice {
                address: Cidr {
                    addr: address,
                    prefix: part.subnet.prefix,
                },
                bury,
            })
        };
        Ok(
            match self.store.address_lease(&self.network.name, address)? {
                None => free(None),
                Some(Lease::Held { sandbox, .. }) => State::Held(sandbox),
                Some(Lease::Tombstone { link, .. }) if (self.is_gone)(&link) => free(None),
                Some(Lease::Tombstone { link, since })
                    if crate::sys::time::since_boot().saturating_sub(since) > BURIED =>
                {
                    free(Some(link))
                }
                Some(Lease::Tombstone { link, .. }) => State::Buried(link),
            },
        )
    }
}

/// What an address is.
enum State {
    Free(Choice),
    Held(Name),
    /// Its sandbox has only just gone, and its link not yet.
    Buried(IfName),
}

/// The addresses of a subnet, or of a part of it, that hosts may have: neither the network's own nor the broadcast's.
/// Both of a /31 (RFC 3021) and of a /127 (RFC 6164) are hosts'.
struct Hosts {
    first: u128,
    last: u128,
    like: IpAddr,
}

impl Hosts {
    fn of(subnet: Cidr, range: Option<Cidr>) -> Self {
        let (mut first, mut last) = (bits(subnet.subnet().addr), bits(subnet.last()));
        if last - first > 1 {
            first += 1;
            // IPv6 has no broadcast; its first address is any router's (RFC 4291, 2.6.1).
            last -= u128::from(subnet.addr.is_ipv4());
        }
        if let Some(range) = range {
            first = first.max(bits(range.subnet().addr));
            last = last.min(bits(range.last()));
        }
        Hosts {
            first,
            last,
            like: subnet.addr,
        }
    }

    /// How many, at most 2^32: beyond those none is chosen.
    fn count(&self) -> u64 {
        match self.last.checked_sub(self.first) {
            Some(more) => more.min((1 << 32) - 1) as u64 + 1,
            None => 0,
        }
    }

    fn has(&self, address: IpAddr) -> bool {
        self.like.is_ipv4() == address.is_ipv4()
            && (self.first..=self.last).contains(&bits(address))
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
    fn a_unique_local_pool_is_a_networks_own_and_lasts() {
        let one = local_pool("machine", "lan", &[]);
        assert_eq!(one, local_pool("machine", "lan", &[]));
        assert!(cidr("fd00::/8").contains(one.addr) && one.prefix == 64 && one.subnet() == one);
        for other in [
            local_pool("machine", "wan", &[]),
            local_pool("other", "lan", &[]),
            local_pool("machine", "lan", &[one]),
        ] {
            assert!(!one.overlaps(&other), "{one} {other}");
        }
    }

    #[test]
    fn subnets_that_no_sandbox_could_live_on_are_refused() {
        for bad in [
            "10.0.0.1/24",
            "10.0.0.0/32",
            "0.0.0.0/0",
            "127.0.0.0/8",
            "224.0.0.0/4",
            "fd00::1/64",
            "fd00::/128",
            "fe80::/64",
            "ff00::/64",
            "::/0",
        ] {
            assert!(checked_subnet(cidr(bad)).is_err(), "{bad}");
        }
        for good in ["10.50.0.0/30", "10.50.0.0/31", "fd00::/64", "fd00::/127"] {
            assert!(checked_subnet(cidr(good)).is_ok(), "{good}");
        }
    }

    #[test]
    fn network_and_broadcast_are_never_given() {
        let all = |subnet: &str, range: Option<&str>| {
            let hosts = Hosts::of(cidr(subnet), range.map(cidr));
            let like = cidr(subnet).addr;
            let said = |bits| from_bits(bits, like).to_string();
            said(hosts.first) + " " + &said(hosts.last)
        };
        assert_eq!(all("10.50.0.0/29", None), "10.50.0.1 10.50.0.6");
        assert_eq!(all("10.50.0.0/30", None), "10.50.0.1 10.50.0.2");
        assert_eq!(all("10.50.0.0/31", None), "10.50.0.0 10.50.0.1");
        assert_eq!(all("fd00::/126", None), "fd00::1 fd00::3");
        assert_eq!(all("fd00::/127", None), "fd00:: fd00::1");
        assert_eq!(
            all("10.50.0.0/24", Some("10.50.0.128/25")),
            "10.50.0.128 10.50.0.254"
        );
        assert_eq!(gateway(cidr("10.50.0.0/29")).to_string(), "10.50.0.1");
        assert!(
            checked_gateway(
                "10.50.0.7".parse().expect("an address"),
                cidr("10.50.0.0/29")
            )
            .is_err()
        );
    }
}
