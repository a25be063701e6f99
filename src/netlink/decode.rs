//! Reading: messages of a datagram, attributes of a message. Every length is checked; what is cut off ends the walk.

use std::net::IpAddr;

/// One message.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Its type.
    pub kind: u16,
    /// Its flags.
    pub flags: u16,
    /// Its sequence number.
    pub sequence: u32,
    /// What follows the header.
    pub body: &'a [u8],
}

/// One attribute.
#[derive(Debug, Clone, Copy)]
pub struct Attribute<'a> {
    /// Its type, without the flags for nesting and byte order.
    pub kind: u16,
    /// Its payload.
    pub value: &'a [u8],
}

impl<'a> Attribute<'a> {
    /// 32 bits in the host's order.
    pub fn u32(&self) -> Option<u32> {
        Some(u32::from_ne_bytes(self.value.get(..4)?.try_into().ok()?))
    }

    /// 32 bits, big-endian.
    pub fn be32(&self) -> Option<u32> {
        Some(u32::from_be_bytes(self.value.get(..4)?.try_into().ok()?))
    }

    /// 16 bits, big-endian.
    pub fn be16(&self) -> Option<u16> {
        Some(u16::from_be_bytes(self.value.get(..2)?.try_into().ok()?))
    }

    /// An address, IPv4 or IPv6 by its length.
    pub fn ip(&self) -> Option<IpAddr> {
        match self.value.len() {
            4 => Some(<[u8; 4]>::try_from(self.value).ok()?.into()),
            16 => Some(<[u8; 16]>::try_from(self.value).ok()?.into()),
            _ => None,
        }
    }

    /// Text up to its NUL.
    pub fn str(&self) -> Option<&'a str> {
        let end = self
            .value
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(self.value.len());
        std::str::from_utf8(&self.value[..end]).ok()
    }

    /// The attributes within.
    pub fn nested(&self) -> impl Iterator<Item = Attribute<'a>> + use<'a> {
        attributes(self.value)
    }
}

/// The messages of a datagram.
pub fn messages(bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let head = rest.get(..16)?;
        let length = u32::from_ne_bytes(head[..4].try_into().ok()?) as usize;
        let body = rest.get(16..length)?;
        let message = Message {
            kind: u16::from_ne_bytes([head[4], head[5]]),
            flags: u16::from_ne_bytes([head[6], head[7]]),
            sequence: u32::from_ne_bytes(head[8..12].try_into().ok()?),
            body,
        };
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

/// The attributes in a run of bytes.
pub fn attributes(bytes: &[u8]) -> impl Iterator<Item = Attribute<'_>> {
    // NLA_F_NESTED and NLA_F_NET_BYTEORDER (linux/netlink.h).
    const TYPE: u16 = 0x3fff;
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let head = rest.get(..4)?;
        let length = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        let value = rest.get(4..length)?;
        let attribute = Attribute {
            kind: u16::from_ne_bytes([head[2], head[3]]) & TYPE,
            value,
        };
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(attribute)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_off_message_or_attribute_ends_the_walk() {
        let whole = [
            20u8, 0, 0, 0, 2, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4,
        ];
        if cfg!(target_endian = "little") {
            assert_eq!(messages(&whole).count(), 1);
            assert_eq!(
                attributes(&[8, 0, 3, 0, b'l', b'o', 0, 0])
                    .next()
                    .and_then(|a| a.str()),
                Some("lo")
            );
        }
        for cut in 0..whole.len() {
            assert_eq!(messages(&whole[..cut]).count(), 0);
        }
        assert_eq!(attributes(&[200, 0, 1, 0]).count(), 0);
        assert_eq!(attributes(&[0, 0, 1, 0]).count(), 0);
    }
}
