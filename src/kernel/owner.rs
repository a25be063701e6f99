//! Who has what open, as /proc has it (proc(5)); and so who is bound to a port of the host (proc_net(5)).

use crate::sys::file;
use crate::types::{PortMapping, Proto};
use rustix::fs::readlink;
use std::path::Path;

/// The name and pid of a process that is bound to this port; none where no such process can be seen.
pub fn of(port: &PortMapping) -> Option<String> {
    let (files, state): (&[&str], &str) = match port.proto {
        // TCP_LISTEN, and TCP_CLOSE, which is what an unconnected UDP socket's state is shown as.
        Proto::Tcp => (&["tcp", "tcp6"], "0A"),
        Proto::Udp => (&["udp", "udp6"], "07"),
        Proto::Sctp => return None,
    };
    let end = format!(":{:04X}", port.host_port);
    let text: String = files
        .iter()
        .filter_map(|file| file::text(format!("/proc/thread-self/net/{file}")).ok())
        .collect();
    // sl, local address, remote address, state; the inode is the tenth.
    let inode = text.lines().find_map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        let bound = words.get(1)?.ends_with(&end) && words.get(3) == Some(&state);
        if bound { words.get(9).copied() } else { None }
    })?;
    let socket = format!("socket:[{inode}]");
    let names = file::names("/proc").ok()?;
    let pids = names.iter().filter_map(|name| name.to_str()?.parse().ok());
    pids.filter(|pid| holds(*pid, socket.as_bytes()))
        .find_map(|pid: i32| {
            let name = file::text(format!("/proc/{pid}/comm")).ok()?;
            Some(format!("{} (process {pid})", name.trim_end()))
        })
}

/// Whether a process has something open whose link in /proc/PID/fd begins so.
pub fn holds(pid: i32, begin: &[u8]) -> bool {
    let directory = format!("/proc/{pid}/fd");
    let names = file::names(&directory).unwrap_or_default();
    names.iter().any(|name| {
        let target = readlink(Path::new(&directory).join(name), Vec::new());
        target.is_ok_and(|target| target.as_bytes().starts_with(begin))
    })
}
