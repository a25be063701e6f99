//! Addresses: an address with its prefix, and a MAC.

use crate::error::{Error, Result};
use crate::types::json::json_text;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// An IP address with the length of its prefix in bits, as `ip address` writes it: `10.0.0.2/24`, `fd00::1/64`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    /// The address; for a subnet its first one.
    pub addr: IpAddr,
    /// 0 to 32 for IPv4, 0 to 128 for IPv6.
    pub prefix: u8,
}

impl Cidr {
    /// An IPv4 address with its prefix; a prefix above 32 is taken as 32.
    pub fn v4(addr: Ipv4Addr, prefix: u8) -> Self {
        Cidr {
            addr: addr.into(),
            prefix: prefix.min(32),
        }
    }

    /// Every address of the family that this one is of.
    pub fn all(like: IpAddr) -> Self {
        Cidr {
            addr: any(like),
            prefix: 0,
        }
    }

    /// The subnet that the address lies in: the host bits cleared.
    pub fn subnet(&self) -> Self {
        Cidr {
            addr: from_bits(bits(self.addr) & !self.host_mask(), self.addr),
            prefix: self.prefix,
        }
    }

    /// The last address of the subnet.
    pub fn last(&self) -> IpAddr {
        from_bits(bits(self.addr) | self.host_mask(), self.addr)
    }

    /// The bits that tell the subnet's addresses apart.
    fn host_mask(&self) -> u128 {
        let width: u32 = if self.addr.is_ipv4() { 32 } else { 128 };
        let host = width.saturating_sub(u32::from(self.prefix));
        1_u128.checked_shl(host).unwrap_or(0).wrapping_sub(1)
    }

    /// Whether an address of the same family lies in the subnet.
    pub fn contains(&self, addr: IpAddr) -> bool {
        self.addr.is_ipv4() == addr.is_ipv4()
            && (bits(self.addr) ^ bits(addr)) & !self.host_mask() == 0
    }

    /// Whether the two subnets have an address in common.
    pub fn overlaps(&self, other: &Cidr) -> bool {
        let wider = if self.prefix <= other.prefix {
            (self, other)
        } else {
            (other, self)
        };
        wider.0.contains(wider.1.addr)
    }
}

/// An address as a number; IPv4's as one of 32 bits.
pub fn bits(addr: IpAddr) -> u128 {
    match addr {
        IpAddr::V4(a) => a.to_bits().into(),
        IpAddr::V6(a) => a.to_bits(),
    }
}

/// The address with these bits, of the family that `like` is of.
pub fn from_bits(bits: u128, like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => Ipv4Addr::from_bits(bits as u32).into(),
        IpAddr::V6(_) => Ipv6Addr::from_bits(bits).into(),
    }
}

/// The unspecified address, `0.0.0.0` or `::`, of the family that `like` is of.
pub fn any(like: IpAddr) -> IpAddr {
    from_bits(0, like)
}

impl FromStr for Cidr {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::new(format_args!(
                "invalid CIDR address: {text}: an address and a prefix length are wanted, as in 10.0.0.0/24"
            ))
        };
        let (addr, prefix) = text.split_once('/').ok_or_else(wrong)?;
        let addr: IpAddr = addr.parse().map_err(|_| wrong())?;
        let most = if addr.is_ipv4() { 32 } else { 128 };
        let digits = !prefix.is_empty() && prefix.bytes().all(|b| b.is_ascii_digit());
        match prefix.parse::<u8>() {
            Ok(prefix) if digits && prefix <= most => Ok(Cidr { addr, prefix }),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.prefix)
    }
}

/// A 48-bit Ethernet address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// The MAC that belongs to an address: locally administered, `02:6e` ('n') and the four bytes of an IPv4 address, or
    /// an IPv6 address folded to four, so that an address that is used again meets no stale neighbour entry.
    pub fn of(addr: IpAddr) -> Self {
        let folded = match addr {
            IpAddr::V4(a) => a.to_bits(),
            IpAddr::V6(a) => a.octets().iter().fold(0x811c_9dc5, |h, byte| {
                (h ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
            }),
        };
        let [a, b, c, d] = folded.to_be_bytes();
        Mac([0x02, 0x6e, a, b, c, d])
    }

    /// The MAC that belongs to the name of a host's end, `nc` and ten hex digits: locally administered, `06` and the five
    /// bytes. By it the link is known as netcell's when nothing else tells.
    pub fn of_link(name: &str) -> Option<Self> {
        let digits = name
            .strip_prefix("nc")
            .filter(|digits| digits.len() == 10)?;
        let mut bytes = [0x06; 6];
        for (at, byte) in bytes.iter_mut().skip(1).enumerate() {
            *byte = u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok()?;
        }
        (Mac(bytes).link_name() == name).then_some(Mac(bytes))
    }

    /// The name that [`Mac::of_link`] would have it of.
    fn link_name(&self) -> String {
        let digits = self.0.iter().skip(1);
        digits.fold("nc".to_owned(), |name, byte| format!("{name}{byte:02x}"))
    }

    /// Whether one interface can have it: a group's address and the one of zeros cannot (is_valid_ether_addr in
    /// linux/etherdevice.h).
    pub fn is_valid(&self) -> bool {
        self.0[0] & 1 == 0 && self.0 != [0; 6]
    }
}

impl FromStr for Mac {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::new(format_args!("{text} is not a valid mac address"));
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().filter(|p| p.len() == 2).ok_or_else(wrong)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| wrong())?;
        }
        if parts.next().is_some() {
            Err(wrong())
        } else {
            Ok(Mac(bytes))
        }
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

json_text!(
    Cidr = Cidr::all(Ipv4Addr::UNSPECIFIED.into()),
    Mac = Mac([0; 6])
);

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().expect("a CIDR")
    }

    #[test]
    fn subnets_overlap_when_one_holds_the_other() {
        assert!(cidr("10.0.0.0/8").overlaps(&cidr("10.50.0.0/24")));
        assert!(cidr("10.50.0.0/24").overlaps(&cidr("10.0.0.0/8")));
        assert!(cidr("0.0.0.0/0").overlaps(&cidr("10.0.0.0/8")));
        assert!(!cidr("10.50.0.0/24").overlaps(&cidr("10.50.1.0/24")));
        assert!(!cidr("::/0").overlaps(&cidr("10.0.0.0/8")));
        assert_eq!(cidr("10.50.0.9/24").subnet(), cidr("10.50.0.0/24"));
        assert_eq!(cidr("fd00::9/64").subnet(), cidr("fd00::/64"));
        assert_eq!(cidr("10.50.0.9/24").last().to_string(), "10.50.0.255");
        assert_eq!(cidr("fd00::/120").last().to_string(), "fd00::ff");
        assert_eq!(cidr("0.0.0.0/0").last().to_string(), "255.255.255.255");
        assert_eq!(cidr("10.0.0.1/32").last().to_string(), "10.0.0.1");
        assert!(cidr("::/0").contains("fd00::1".parse().expect("an address")));
    }

    #[test]
    fn text_that_is_no_cidr_is_refused() {
        for bad in [
            "10.0.0.0",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0/24",
            "nonsense",
            "10.0.0.0/+8",
            "fd00::/129",
        ] {
            assert!(bad.parse::<Cidr>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_mac_follows_the_name_of_a_hosts_end_and_no_other_name() {
        let mac = Mac::of_link("nc5f3a9c21e0").expect("a MAC");
        assert_eq!(mac.to_string(), "06:5f:3a:9c:21:e0");
        for other in [
            "nc5f3a9c21e",
            "nc5f3a9c21e00",
            "nc5F3a9c21e0",
            "nc+f3a9c21e0",
            "eth0",
            "nc\u{e9}f3a9c21e",
        ] {
            assert_eq!(Mac::of_link(other), None, "{other}");
        }
    }

    #[test]
    fn a_mac_follows_its_address_and_reads_back() {
        let mac = Mac::of(Ipv4Addr::new(10, 50, 0, 9).into());
        assert_eq!(mac.to_string(), "02:6e:0a:32:00:09");
        assert_eq!(mac.to_string().parse::<Mac>().expect("a MAC"), mac);
    }
}
