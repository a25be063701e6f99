//! Two questions to this namespace by a socket: whether a port is taken, and whether a link is there.

use crate::error::{Errno, Error, Result};
use crate::types::{IfName, PortMapping, Proto};
use rustix::net::{
    AddressFamily, SocketAddrV4, SocketFlags, SocketType, bind, ipproto, socket_with, sockopt,
};
use std::net::Ipv4Addr;

/// Refuses a port that a program on the host is bound to.
///
/// # Errors
/// The port is in use, or the address is not one of the host's.
pub fn refuse_if_listened_on(port: &PortMapping) -> Result<()> {
    let (kind, protocol) = match port.proto {
        Proto::Tcp => (SocketType::STREAM, ipproto::TCP),
        Proto::Udp => (SocketType::DGRAM, ipproto::UDP),
    };
    let failed = |errno| {
        Error::os(
            format_args!(
                "publish {port}: bind host port {}:{}/{}",
                port.host_ip, port.host_port, port.proto
            ),
            errno,
        )
    };
    let socket = socket_with(
        AddressFamily::INET,
        kind,
        SocketFlags::CLOEXEC,
        Some(protocol),
    )
    .map_err(failed)?;
    if port.proto == Proto::Tcp {
        // Connections in TIME-WAIT do not hold the port: only a listener does (tcp(7), SO_REUSEADDR).
        sockopt::set_socket_reuseaddr(&socket, true).map_err(failed)?;
    }
    match bind(&socket, &SocketAddrV4::new(port.host_ip, port.host_port)) {
        // Who may not bind low ports may still publish them: nothing is bound in the end.
        Ok(()) | Err(Errno::ACCESS) => Ok(()),
        Err(Errno::ADDRNOTAVAIL) => Err(failed(Errno::ADDRNOTAVAIL)
            .because(format!("{} is not an address of this host", port.host_ip))),
        Err(errno) => Err(failed(errno)),
    }
}

/// Whether this namespace has a link of this name (netdevice(7), SIOCGIFINDEX).
pub fn link_exists(link: &IfName) -> bool {
    let socket = socket_with(
        AddressFamily::INET,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    );
    socket.is_ok_and(|socket| rustix::net::netdevice::name_to_index(&socket, link.as_str()).is_ok())
}

/// Whether an address is one of this namespace's own.
pub fn is_own(address: Ipv4Addr) -> bool {
    let socket = socket_with(
        AddressFamily::INET,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    );
    socket.is_ok_and(|socket| bind(&socket, &SocketAddrV4::new(address, 0)).is_ok())
}
