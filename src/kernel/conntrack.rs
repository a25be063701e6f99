//! Connection tracking: what came through a published port is forgotten with it (linux/netfilter/nfnetlink_conntrack.h).
//!
//! The kernel picks the entries by the sandbox's end of them, so the answer does not grow with the host's table; then
//! each is deleted by its tuple.

use super::sockets::{Sockets, plain};
use super::sysctl;
use super::uapi::nf_tables::{NFNL_SUBSYS_CTNETLINK, NFPROTO_IPV4};
use super::{Channel, Operation};
use crate::error::{Errno, Result};
use crate::netlink::{Batch, Message, TransactError, attributes};
use crate::types::PortMapping;
use neli::consts::nl::NlmF;
use std::fmt;
use std::net::Ipv4Addr;

const IPCTNL_MSG_CT_GET: u16 = 1;
const IPCTNL_MSG_CT_DELETE: u16 = 2;
const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_ID: u16 = 12;
const CTA_FILTER: u16 = 25;
const CTA_TUPLE_IP: u16 = 1;
const CTA_TUPLE_PROTO: u16 = 2;
const CTA_IP_V4_SRC: u16 = 1;
const CTA_PROTO_NUM: u16 = 1;
const CTA_PROTO_SRC_PORT: u16 = 2;
const CTA_FILTER_REPLY_FLAGS: u16 = 2;
/// The fields of the reply's tuple that the kernel compares: source address, protocol, source port
/// (net/netfilter/nf_internals.h).
const COMPARED: u32 = 1 | 1 << 3 | 1 << 4;

/// Forgets the connections that came through a published port.
#[derive(Debug, Clone)]
pub struct Forget {
    /// The port.
    pub mapping: PortMapping,
    /// The sandbox's address.
    pub to: Ipv4Addr,
}

impl fmt::Display for Forget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Forget { mapping, to } = self;
        write!(
            f,
            "conntrack -D -p {} --reply-src {to} --reply-port-src {} 2>/dev/null || true",
            mapping.proto, mapping.container_port
        )
    }
}

/// An entry, as much of it as deleting it takes: its tuple as the kernel wrote it, and its id.
struct Entry {
    tuple: heapless::Vec<u8, 128>,
    id: heapless::Vec<u8, 4>,
}

impl Operation for Forget {
    fn channel(&self) -> Channel {
        Channel::Syscall
    }

    fn act(&self, sockets: &mut Sockets) -> Result<()> {
        // Most often nothing is tracked, or the kernel has no connection tracking at all: then there is nothing to ask.
        if sysctl::read("net/netfilter/nf_conntrack_count").is_none_or(|count| count == "0") {
            return Ok(());
        }
        let socket = sockets.netfilter()?;
        let entries = match socket.dump(|batch, flags| self.ask(batch, flags), read) {
            // A kernel without ctnetlink (CONFIG_NF_CT_NETLINK) lets the entries run out by themselves.
            Err(TransactError::Rejected(rejected))
                if matches!(rejected.errno, Errno::INVAL | Errno::OPNOTSUPP) =>
            {
                return Ok(());
            }
            entries => entries.map_err(|error| plain(error, "list connections"))?,
        };
        for entry in entries {
            let mut batch = Batch::default();
            batch.request(
                NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE,
                NlmF::empty(),
                &[NFPROTO_IPV4, 0, 0, 0],
                |a| {
                    a.bytes(CTA_TUPLE_ORIG | 1 << 15, &entry.tuple);
                    a.bytes(CTA_ID, &entry.id);
                },
            );
            match socket.transact(&mut batch) {
                // It ended by itself meanwhile.
                Err(TransactError::Rejected(rejected)) if rejected.errno == Errno::NOENT => {}
                done => done.map_err(|error| plain(error, "forget a connection"))?,
            }
        }
        Ok(())
    }
}

impl Forget {
    fn ask(&self, batch: &mut Batch, flags: NlmF) {
        batch.message(
            NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET,
            flags,
            &[NFPROTO_IPV4, 0, 0, 0],
            |a| {
                a.nest(CTA_TUPLE_REPLY, |a| {
                    a.nest(CTA_TUPLE_IP, |a| a.bytes(CTA_IP_V4_SRC, &self.to.octets()));
                    a.nest(CTA_TUPLE_PROTO, |a| {
                        a.u8(CTA_PROTO_NUM, self.mapping.proto.number());
                        a.be16(CTA_PROTO_SRC_PORT, self.mapping.container_port);
                    });
                });
                a.nest(CTA_FILTER, |a| a.u32(CTA_FILTER_REPLY_FLAGS, COMPARED));
            },
        );
    }
}

fn read(message: &Message) -> Option<Entry> {
    let mut entry = Entry {
        tuple: heapless::Vec::new(),
        id: heapless::Vec::new(),
    };
    for attribute in attributes(message.body.get(4..)?) {
        match attribute.kind {
            CTA_TUPLE_ORIG => entry.tuple.extend_from_slice(attribute.value).ok()?,
            CTA_ID => entry.id.extend_from_slice(attribute.value).ok()?,
            _ => {}
        }
    }
    (!entry.tuple.is_empty() && entry.id.len() == 4).then_some(entry)
}
