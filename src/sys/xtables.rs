//! The filter table of iptables-legacy, which nf_tables does not show: read by getsockopt (linux/netfilter_ipv4/ip_tables.h).

use rustix::fd::{AsRawFd, OwnedFd};
use rustix::io::{Errno, Result};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

/// IPT_SO_GET_INFO and IPT_SO_GET_ENTRIES, the same in ip6_tables.h.
const GET_INFO: i32 = 64;
const GET_ENTRIES: i32 = 65;

/// The name of a table and, behind it, 13 words: the hooks, where each begins and where its policy is, count and size.
const NAME: usize = 32;
const INFO: usize = NAME + 13 * 4;

/// The entries are aligned to eight bytes, behind the name and their size.
const HEAD: usize = 40;

/// NF_INET_FORWARD.
const FORWARD: usize = 2;

/// A filter table.
#[derive(Debug, PartialEq, Eq)]
pub struct Filter {
    /// Its entries, one behind the other.
    pub entries: Vec<u8>,
    /// Where the chain FORWARD begins in them.
    pub forward: usize,
    /// Where the entry is that stands for its policy.
    pub policy: usize,
}

/// The filter table of this process's namespace; none where it was never used: to ask for one makes it (iptable_filter).
pub fn filter(ipv6: bool) -> Option<Filter> {
    let (names, family, level) = match ipv6 {
        false => (
            "/proc/net/ip_tables_names",
            AddressFamily::INET,
            libc::IPPROTO_IP,
        ),
        true => (
            "/proc/net/ip6_tables_names",
            AddressFamily::INET6,
            libc::IPPROTO_IPV6,
        ),
    };
    let names = super::file::text(names).ok()?;
    if !names.lines().any(|name| name == "filter") {
        return None;
    }
    let raw = rustix::net::ipproto::RAW;
    let socket = socket_with(family, SocketType::RAW, SocketFlags::CLOEXEC, Some(raw)).ok()?;
    read(&socket, level).ok()
}

fn read(socket: &OwnedFd, level: i32) -> Result<Filter> {
    let mut info = vec![0; INFO];
    info[..6].copy_from_slice(b"filter");
    get(socket, level, GET_INFO, &mut info)?;
    let word = |at: usize| {
        let bytes = info.get(NAME + at * 4..NAME + at * 4 + 4);
        let word = bytes.and_then(|b| Some(u32::from_ne_bytes(b.try_into().ok()?)));
        word.map_or(Err(Errno::INVAL), |word| Ok(word as usize))
    };
    let size = word(12)?;
    let mut table = vec![0; HEAD + size];
    table[..6].copy_from_slice(b"filter");
    table[NAME..NAME + 4].copy_from_slice(&(size as u32).to_ne_bytes());
    get(socket, level, GET_ENTRIES, &mut table)?;
    Ok(Filter {
        forward: word(1 + FORWARD)?,
        policy: word(6 + FORWARD)?,
        entries: table.split_off(HEAD),
    })
}

fn get(socket: &OwnedFd, level: i32, option: i32, buffer: &mut [u8]) -> Result<()> {
    let mut length = buffer.len() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes to the buffer, which has as many and lives over the call.
    let done = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            level,
            option,
            buffer.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if done == 0 {
        return Ok(());
    }
    let error = std::io::Error::last_os_error();
    Err(Errno::from_io_error(&error).unwrap_or(Errno::IO))
}
