//! Netlink sockets: raw sends and receives, with what rustix does not wrap.

use crate::error::{Errno, Error, Result};
use crate::types::IfName;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::io::Result as Io;
use rustix::net::netdevice::name_to_index;
use rustix::net::netlink::{NETFILTER, SocketAddrNetlink};
use rustix::net::{
    AddressFamily, RecvFlags, ReturnFlags, SendFlags, SocketFlags, SocketType, bind, recvmsg, send,
    socket_with, sockopt,
};
use std::io::IoSliceMut;
use std::sync::OnceLock;
use std::time::Duration;

/// A kernel that does not answer for so long never will.
const PATIENCE: Duration = Duration::from_secs(10);

/// A netlink protocol (netlink(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// NETLINK_ROUTE: links, addresses, routes.
    Route,
    /// NETLINK_NETFILTER: nf_tables, connection tracking.
    Netfilter,
}

/// Whether the kernel has IPv6, and was not started without it (ipv6.disable=1): netlink too knows no such family then.
pub fn has_ipv6() -> bool {
    static HAS: OnceLock<bool> = OnceLock::new();
    // Cheaper than a look below /proc, which makes entries for the process that looks.
    *HAS.get_or_init(|| {
        let (kind, flags) = (SocketType::DGRAM, SocketFlags::CLOEXEC);
        socket_with(AddressFamily::INET6, kind, flags, None).err() != Some(Errno::AFNOSUPPORT)
    })
}

/// One instruction of a socket's filter (socket(7), SO_ATTACH_FILTER; linux/filter.h).
pub type Instruction = libc::sock_filter;

/// A netlink socket, bound to the network namespace it was opened in.
#[derive(Debug)]
pub struct Netlink(OwnedFd);

impl Netlink {
    /// Opens a socket in the namespace that this process is in.
    ///
    /// # Errors
    /// EPROTONOSUPPORT names the kernel option that is missing.
    pub fn open(family: Family) -> Result<Self> {
        let (protocol, name) = match family {
            // NETLINK_ROUTE is protocol 0, the family's default.
            Family::Route => (None, "rtnetlink"),
            Family::Netfilter => (Some(NETFILTER), "nfnetlink"),
        };
        let failed = |errno| Error::os(format_args!("open a socket for {name}"), errno);
        let fd = socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            protocol,
        )
        .map_err(|errno| match errno {
            Errno::PROTONOSUPPORT => failed(errno)
                .because("this kernel lacks CONFIG_NETFILTER_NETLINK and CONFIG_NF_TABLES"),
            errno => failed(errno),
        })?;
        sockopt::set_socket_timeout(&fd, sockopt::Timeout::Recv, Some(PATIENCE)).map_err(failed)?;
        let socket = Netlink(fd);
        // Both are comforts: the kernel's words for errors (4.12), and dumps that honour their filters (4.20).
        let on: libc::c_int = 1;
        for comfort in [libc::NETLINK_EXT_ACK, libc::NETLINK_GET_STRICT_CHK] {
            socket.set(libc::SOL_NETLINK, comfort, &on).ok();
        }
        Ok(socket)
    }

    /// Opens one that hears what the groups are told (netlink(7)), a bit each from group 1 on; it never waits. Of that the
    /// kernel drops what a filter does not let through, before it wakes anybody or takes room.
    ///
    /// # Errors
    /// As [`Netlink::open`].
    pub fn listen(family: Family, groups: u32, filter: Option<&[Instruction]>) -> Result<Self> {
        let socket = Netlink::open(family)?;
        if let Some(filter) = filter {
            socket
                .attach(filter)
                .map_err(|errno| Error::os("filter the kernel's notifications", errno))?;
        }
        // Bound, and so numbered: what the kernel itself tells has the number that an unbound socket has, and would not come
        // (do_one_broadcast in net/netlink/af_netlink.c).
        bind(&socket.0, &SocketAddrNetlink::new(0, groups))
            .map_err(|errno| Error::os("listen to the kernel's notifications", errno))?;
        Ok(socket)
    }

    /// One end of a pair whose other end stands for the kernel.
    #[cfg(any(test, fuzzing))]
    pub fn of_pair(fd: OwnedFd) -> Io<Self> {
        let soon = Some(Duration::from_millis(1));
        sockopt::set_socket_timeout(&fd, sockopt::Timeout::Recv, soon)?;
        Ok(Netlink(fd))
    }

    fn attach(&self, filter: &[Instruction]) -> Io<()> {
        let program = libc::sock_fprog {
            len: filter.len() as libc::c_ushort,
            filter: filter.as_ptr().cast_mut(),
        };
        self.set(libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
    }

    fn set<T>(&self, level: libc::c_int, option: libc::c_int, value: &T) -> Io<()> {
        // SAFETY: the value lives over the call, with what it points to, and its size is given; the kernel copies both.
        let code = unsafe {
            libc::setsockopt(
                self.0.as_raw_fd(),
                level,
                option,
                (&raw const *value).cast(),
                size_of::<T>() as libc::socklen_t,
            )
        };
        match code {
            0 => Ok(()),
            _ => Err(super::last_errno()),
        }
    }

    /// The index of a link in the socket's namespace (netdevice(7), SIOCGIFINDEX, which every socket answers).
    pub fn index(&self, link: &IfName) -> Result<Option<u32>> {
        match name_to_index(&self.0, link.as_str()) {
            Ok(index) => Ok(Some(index)),
            Err(Errno::NODEV) => Ok(None),
            Err(errno) => Err(Error::os(format_args!("look up {link}"), errno)),
        }
    }

    /// Sends a buffer of messages to the kernel, which has carried them out when this returns.
    pub fn send(&self, bytes: &[u8]) -> Io<()> {
        loop {
            match send(&self.0, bytes, SendFlags::empty()) {
                Ok(n) if n == bytes.len() => return Ok(()),
                Ok(_) => return Err(Errno::MSGSIZE),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }

    /// Receives one datagram from the kernel; others' are dropped. Without `wait`, EAGAIN when there is none.
    ///
    /// # Errors
    /// ENOBUFS when the kernel had to drop some; EMSGSIZE for one that does not fit.
    pub fn receive<'a>(&self, buffer: &'a mut [u8], wait: bool) -> Io<&'a [u8]> {
        let flags = if wait {
            RecvFlags::TRUNC
        } else {
            RecvFlags::TRUNC | RecvFlags::DONTWAIT
        };
        let length = loop {
            let mut parts = [IoSliceMut::new(buffer)];
            match recvmsg(&self.0, &mut parts, &mut Default::default(), flags) {
                Ok(message) => {
                    let from = message
                        .address
                        .and_then(|address| SocketAddrNetlink::try_from(address).ok());
                    if from.is_some_and(|from| from.pid() != 0) {
                        continue;
                    }
                    if message.flags.contains(ReturnFlags::TRUNC) {
                        return Err(Errno::MSGSIZE);
                    }
                    break message.bytes;
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        };
        buffer.get(..length).ok_or(Errno::MSGSIZE)
    }
}

impl AsFd for Netlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
