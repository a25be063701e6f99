//! Descriptors handed from one process to another (SCM_RIGHTS, unix(7)), and a door in the file system to knock at.

use rustix::cmsg_space;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;

/// The most descriptors in one message.
pub const MOST: usize = 3;

/// Two connected ends, close-on-exec.
pub fn pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )
}

/// Where `name` in the directory `dir` is, in the 108 bytes that an address has (unix(7)).
fn address(dir: BorrowedFd<'_>, name: &str) -> Result<SocketAddrUnix, Errno> {
    SocketAddrUnix::new(format!("/proc/self/fd/{}/{name}", dir.as_raw_fd()))
}

fn datagrams() -> Result<OwnedFd, Errno> {
    rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )
}

/// A socket for datagrams at a new name in a directory.
pub fn door(dir: BorrowedFd<'_>, name: &str) -> Result<OwnedFd, Errno> {
    let socket = datagrams()?;
    rustix::net::bind(&socket, &address(dir, name)?)?;
    Ok(socket)
}

/// A socket that sends to such a name; ECONNREFUSED when nobody is behind it any more.
pub fn knock(dir: BorrowedFd<'_>, name: &str) -> Result<OwnedFd, Errno> {
    let socket = datagrams()?;
    rustix::net::connect(&socket, &address(dir, name)?)?;
    Ok(socket)
}

/// Sends a byte and descriptors, at most [`MOST`]; EAGAIN rather than waiting.
pub fn send(socket: impl AsFd, byte: u8, fds: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MOST))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(Errno::TOOBIG);
    }
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    loop {
        match rustix::net::sendmsg(&socket, &[IoSlice::new(&[byte])], &mut control, flags) {
            Err(Errno::INTR) => {}
            other => return other.map(drop),
        }
    }
}

/// Receives a byte and the descriptors that came with it; without `wait`, EAGAIN when there is nothing. No byte is the
/// end: whoever could send is gone.
pub fn receive(socket: impl AsFd, wait: bool) -> Result<(Option<u8>, Vec<OwnedFd>), Errno> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MOST))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let flags = if wait {
        RecvFlags::CMSG_CLOEXEC
    } else {
        RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT
    };
    let received = loop {
        let mut parts = [IoSliceMut::new(&mut byte)];
        match rustix::net::recvmsg(&socket, &mut parts, &mut control, flags) {
            Err(Errno::INTR) => {}
            other => break other?.bytes,
        }
    };
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            fds.extend(received);
        }
    }
    Ok(((received > 0).then_some(byte[0]), fds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_arrive_with_their_byte_and_the_end_has_none() {
        let (a, b) = pair().unwrap();
        let (read, write) = rustix::pipe::pipe().unwrap();
        assert_eq!(receive(&b, false).unwrap_err(), Errno::AGAIN);
        send(&a, b'T', &[write.as_fd(), read.as_fd()]).unwrap();
        drop(write);
        let (byte, fds) = receive(&b, true).unwrap();
        assert_eq!((byte, fds.len()), (Some(b'T'), 2));
        rustix::io::write(&fds[0], b"x").unwrap();
        assert_eq!(rustix::io::read(&read, &mut [0; 2]), Ok(1));
        drop(a);
        assert!(matches!(receive(&b, true), Ok((None, fds)) if fds.is_empty()));
    }
}
