//! Sockets that wait for somebody: listening TCP, bound UDP (the tables of /proc/net, proc_net(5)).

use crate::sys::file;
use crate::types::Proto;
use crate::types::json::json_object;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A socket that waits for somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listening {
    /// Its protocol.
    pub proto: Proto,
    /// The address it is bound to.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
}
json_object!(Listening {
    proto,
    address,
    port
});

/// Those of the namespace that this process is in; a protocol that the kernel lacks has none.
pub fn read() -> Vec<Listening> {
    // TCP_LISTEN, and TCP_CLOSE, which is what an unconnected UDP socket's state is shown as.
    let tables = [
        ("tcp", Proto::Tcp, "0A"),
        ("tcp6", Proto::Tcp, "0A"),
        ("udp", Proto::Udp, "07"),
        ("udp6", Proto::Udp, "07"),
    ];
    let mut all = Vec::new();
    for (file, proto, state) in tables {
        let text = file::text(format!("/proc/thread-self/net/{file}")).unwrap_or_default();
        all.extend(
            text.lines()
                .skip(1)
                .filter_map(|line| parse(line, proto, state)),
        );
    }
    all
}

fn parse(line: &str, proto: Proto, wanted: &str) -> Option<Listening> {
    let mut words = line.split_whitespace().skip(1);
    let (address, port) = words.next()?.split_once(':')?;
    if words.nth(1)? != wanted {
        return None;
    }
    // Each group of eight digits is a word of the address in the host's byte order.
    let word = |at: usize| {
        Some(
            u32::from_str_radix(address.get(8 * at..8 * at + 8)?, 16)
                .ok()?
                .to_ne_bytes(),
        )
    };
    let address = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        _ => {
            let mut bytes = [0; 16];
            for (at, part) in bytes.chunks_mut(4).enumerate() {
                part.copy_from_slice(&word(at)?);
            }
            IpAddr::V6(Ipv6Addr::from(bytes))
        }
    };
    Some(Listening {
        proto,
        address,
        port: u16::from_str_radix(port, 16).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn the_kernels_tables_are_read() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0";
        let found = parse(line, Proto::Tcp, "0A").expect("a listening socket");
        assert_eq!(
            (found.address, found.port),
            (Ipv4Addr::LOCALHOST.into(), 8080)
        );
        let line = "   0: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 0";
        assert_eq!(
            parse(line, Proto::Tcp, "0A")
                .expect("a listening socket")
                .address,
            Ipv6Addr::LOCALHOST
        );
        assert_eq!(parse("torn", Proto::Tcp, "0A"), None);
    }
}
