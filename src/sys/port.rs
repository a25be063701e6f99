//! Questions to this namespace by a socket: whether a port is taken, an address is here, a link is there.

use crate::error::{Errno, Error};
use crate::types::{IfName, PortMapping, Proto};
use rustix::fd::OwnedFd;
use rustix::io::Result as Io;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, ipproto, socket_with, sockopt};
use std::net::{IpAddr, SocketAddr};

/// A socket that something can be bound to; none where the kernel does not know the protocol, which nobody can then
/// listen with.
fn bindable(port: &PortMapping) -> Io<Option<OwnedFd>> {
    let (kind, protocol) = match port.proto {
        Proto::Tcp => (SocketType::STREAM, ipproto::TCP),
        Proto::Udp => (SocketType::DGRAM, ipproto::UDP),
        Proto::Sctp => (SocketType::STREAM, ipproto::SCTP),
    };
    let family = family(port.host_ip);
    match socket_with(family, kind, SocketFlags::CLOEXEC, Some(protocol)) {
        Ok(socket) => Ok(Some(socket)),
        Err(Errno::PROTONOSUPPORT | Errno::SOCKTNOSUPPORT) if port.proto == Proto::Sctp => Ok(None),
        Err(errno) => Err(errno),
    }
}

fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    }
}

/// Tries whether a program on the host is bound to a port: EADDRINUSE, or EADDRNOTAVAIL where the address is not one of
/// the host's.
pub fn try_bind(port: &PortMapping) -> Io<()> {
    let Some(socket) = bindable(port)? else {
        return Ok(());
    };
    if port.proto == Proto::Tcp {
        // Connections in TIME-WAIT do not hold the port: only a listener does (tcp(7), SO_REUSEADDR).
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    if port.host_ip.is_ipv6() {
        // IPv4's end of the same port is a mapping of its own.
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    match bind(&socket, &port.host_end()) {
        // Who may not bind low ports may still publish them: nothing is bound in the end.
        Err(Errno::ACCESS) => Ok(()),
        bound => bound,
    }
}

/// The sentence for a port that cannot be had: `owner` is who has it, where that is known.
pub fn not_had(port: &PortMapping, errno: Errno, owner: Option<String>) -> Error {
    let end = port.host_end();
    let error = Error::os(
        format_args!("publish {port}: bind host port {end}/{}", port.proto),
        errno,
    );
    match (errno, owner) {
        (Errno::ADDRNOTAVAIL, _) => {
            error.because(format!("{} is not an address of this host", port.host_ip))
        }
        (_, Some(owner)) => error.because(format!("Address already in use by {owner}")),
        (_, None) => error,
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
pub fn is_own(address: IpAddr) -> bool {
    let socket = socket_with(
        family(address),
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    );
    socket.is_ok_and(|socket| bind(&socket, &SocketAddr::new(address, 0)).is_ok())
}
