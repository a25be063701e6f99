//! What the fuzz target `netlink` in tests/fuzz calls: conversations with a kernel that says anything. A socket pair stands
//! for it; whatever the bytes, each conversation ends, and without a panic.

use super::{Batch, Message, Socket, attributes, flags};
use crate::sys::socket::Netlink;
use neli::consts::nl::{NlmF, Nlmsg};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, send, socketpair};

/// Datagrams, each behind its length in 16 bits, as answers to a batch, a transaction, a request and a dump.
pub fn exchange(bytes: &[u8], read: &mut dyn FnMut(&Message)) {
    for conversation in [batch, transaction, request, dump] {
        let (kind, none) = (SocketType::SEQPACKET, SocketFlags::CLOEXEC);
        let Ok((kernel, ours)) = socketpair(AddressFamily::UNIX, kind, none, None) else {
            return;
        };
        let mut rest = bytes;
        while let [a, b, more @ ..] = rest {
            let length = usize::from(u16::from_le_bytes([*a, *b])).min(more.len());
            let (datagram, after) = more.split_at(length);
            if send(&kernel, datagram, SendFlags::DONTWAIT).is_err() {
                break;
            }
            rest = after;
        }
        // In the end the kernel answers properly.
        for sequence in 1..=4 {
            let mut end = Batch::default();
            end.message(Nlmsg::Error.into(), NlmF::empty(), &[0; 20], |_| {});
            end.message(Nlmsg::Done.into(), NlmF::empty(), &[0; 4], |_| {});
            end.set_sequences(sequence);
            let _ = send(&kernel, end.as_bytes(), SendFlags::DONTWAIT);
        }
        if let Ok(netlink) = Netlink::of_pair(ours) {
            let mut socket = Socket {
                netlink,
                sequence: 1,
            };
            conversation(&mut socket, read);
        }
    }
}

fn asked(count: u32) -> Batch {
    let mut batch = Batch::default();
    for _ in 0..count {
        batch.request(16, flags::CREATE, &[0; 16], |a| a.str(3, "nc0"));
    }
    batch
}

fn batch(socket: &mut Socket, _: &mut dyn FnMut(&Message)) {
    let _ = socket.transact(&mut asked(3));
}

fn transaction(socket: &mut Socket, _: &mut dyn FnMut(&Message)) {
    let _ = socket.commit(&mut asked(4));
}

fn request(socket: &mut Socket, read: &mut dyn FnMut(&Message)) {
    let _ = socket.get(&mut asked(1), |message| {
        read(message);
        attributes(message.body).map(|a| a.nested().count()).max()
    });
}

fn dump(socket: &mut Socket, read: &mut dyn FnMut(&Message)) {
    let write = |batch: &mut Batch, how| batch.message(18, how, &[0; 16], |_| {});
    let read = std::cell::RefCell::new(read);
    let _ = socket.dump(write, |message| {
        (read.borrow_mut())(message);
        Some(message.body.len())
    });
}
