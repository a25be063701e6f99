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
const CTA_IP_V4_DST: u16 = 2;
const CTA_PROTO_NUM: u16 = 1;
const CTA_PROTO_SRC_PORT: u16 = 2;
const CTA_PROTO_DST_PORT: u16 = 3;
const CTA_FILTER_ORIG_FLAGS: u16 = 1;
const CTA_FILTER_REPLY_FLAGS: u16 = 2;
/// The fields of a tuple that the kernel compares (net/netfilter/nf_internals.h).
const IP_SRC: u32 = 1;
const PROTO_NUM: u32 = 1 << 3;
const PROTO_SRC_PORT: u32 = 1 << 4;
const PROTO_DST_PORT: u32 = 1 << 5;

/// Which connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Those that came through a published port to this address of a sandbox.
    Through(PortMapping, Ipv4Addr),
    /// Those to a port of the host that is about to be published: a flow that met no port, or the port of another
    /// sandbox, would stay where it is for as long as it goes on.
    To(PortMapping),
}

/// Forgets connections.
#[derive(Debug, Clone)]
pub struct Forget(pub Flow);

impl fmt::Display for Forget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Flow::Through(port, to) => {
                write!(
                    f,
                    "conntrack -D -p {} --reply-src {to} --reply-port-src {}",
                    port.proto, port.container_port
                )?;
            }
            Flow::To(port) => write!(
                f,
                "conntrack -D -p {} --orig-port-dst {}",
                port.proto, port.host_port
            )?,
        }
        f.write_str(" >/dev/null 2>&1 || true")
    }
}

/// An entry, as much of it as deleting it takes: its tuple as the kernel wrote it, and its id; and where it was sent.
struct Entry {
    to: Option<Ipv4Addr>,
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
        for entry in entries.into_iter().filter(|entry| self.means(entry)) {
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
        let kind = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET;
        batch.message(kind, flags, &[NFPROTO_IPV4, 0, 0, 0], |a| match &self.0 {
            Flow::Through(port, to) => {
                a.nest(CTA_TUPLE_REPLY, |a| {
                    a.nest(CTA_TUPLE_IP, |a| a.bytes(CTA_IP_V4_SRC, &to.octets()));
                    a.nest(CTA_TUPLE_PROTO, |a| {
                        a.u8(CTA_PROTO_NUM, port.proto.number());
                        a.be16(CTA_PROTO_SRC_PORT, port.container_port);
                    });
                });
                a.nest(CTA_FILTER, |a| {
                    a.u32(CTA_FILTER_REPLY_FLAGS, IP_SRC | PROTO_NUM | PROTO_SRC_PORT)
                });
            }
            Flow::To(port) => {
                a.nest(CTA_TUPLE_ORIG, |a| {
                    a.nest(CTA_TUPLE_PROTO, |a| {
                        a.u8(CTA_PROTO_NUM, port.proto.number());
                        a.be16(CTA_PROTO_DST_PORT, port.host_port);
                    });
                });
                a.nest(CTA_FILTER, |a| {
                    a.u32(CTA_FILTER_ORIG_FLAGS, PROTO_NUM | PROTO_DST_PORT)
                });
            }
        });
    }

    /// The kernel compared all but one thing: a flow to somebody else's port of that number is not meant.
    fn means(&self, entry: &Entry) -> bool {
        match &self.0 {
            Flow::Through(..) => true,
            Flow::To(port) if port.host_ip.is_unspecified() => {
                entry.to.is_some_and(crate::sys::port::is_own)
            }
            Flow::To(port) => entry.to == Some(port.host_ip),
        }
    }
}

fn read(message: &Message) -> Option<Entry> {
    let mut entry = Entry {
        to: None,
        tuple: heapless::Vec::new(),
        id: heapless::Vec::new(),
    };
    for attribute in attributes(message.body.get(4..)?) {
        match attribute.kind {
            CTA_TUPLE_ORIG => {
                entry.tuple.extend_from_slice(attribute.value).ok()?;
                let mut ip = attribute
                    .nested()
                    .filter(|a| a.kind == CTA_TUPLE_IP)
                    .flat_map(|a| a.nested());
                let to = ip
                    .find(|a| a.kind == CTA_IP_V4_DST)
                    .and_then(|a| a.value.try_into().ok());
                entry.to = to.map(|octets: [u8; 4]| octets.into());
            }
            CTA_ID => entry.id.extend_from_slice(attribute.value).ok()?,
            _ => {}
        }
    }
    (!entry.tuple.is_empty() && entry.id.len() == 4).then_some(entry)
}
