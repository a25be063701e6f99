//! Connection tracking: what came through a published port is forgotten with it (linux/netfilter/nfnetlink_conntrack.h).
//!
//! The kernel picks the entries by one end of them, so the answer does not grow with the host's table; what it picked is
//! compared once more, because a kernel that ignored the filter would have somebody else's connections deleted. The walk
//! itself takes the kernel up to 10 ms: never in anybody's way who does not need it.

use super::snapshot::Snapshot;
use super::sockets::{Sockets, plain};
use super::sysctl;
use super::uapi::conntrack::*;
use super::uapi::nf_tables::{NFNL_SUBSYS_CTNETLINK, NFPROTO_IPV4, NFPROTO_IPV6};
use super::{Channel, Holds, Operation};
use crate::error::{Errno, Result};
use crate::netlink::{Attribute, Batch, Message, TransactError, attributes};
use crate::types::{PortMapping, any};
use neli::consts::nl::NlmF;
use std::fmt;
use std::net::IpAddr;

/// So many deletions go in one send: their acknowledgements fit the socket's buffer.
const AT_ONCE: usize = 64;

/// So many ports are asked for one by one; more are picked out of those of their protocol.
const FEW: usize = 8;

/// Which connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flow {
    /// Those that came through published ports to this address of a sandbox.
    Through(Vec<PortMapping>, IpAddr),
    /// Those to ports of the host, of one protocol and family, that are about to be published: a flow that met no port,
    /// or the port of another sandbox, would stay where it is for as long as it goes on.
    To(Vec<PortMapping>),
}

/// Forgets connections.
#[derive(Debug, Clone)]
pub struct Forget(pub Flow);

impl fmt::Display for Forget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const QUIET: &str = ">/dev/null 2>&1 || true";
        let (ports, to) = match &self.0 {
            Flow::Through(ports, to) => (ports, Some(to)),
            Flow::To(ports) => (ports, None),
        };
        for (at, port) in ports.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            let family = if port.host_ip.is_ipv6() {
                "-f ipv6 "
            } else {
                ""
            };
            write!(
                f,
                "conntrack -D {family}-p {} --orig-port-dst {}",
                port.proto, port.host_port
            )?;
            if let Some(to) = to {
                let inner = port.container_port;
                write!(f, " --reply-src {to} --reply-port-src {inner}")?;
            }
            write!(f, " {QUIET}")?;
        }
        Ok(())
    }
}

/// One direction of a connection, as far as it is compared.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tuple {
    source: Option<IpAddr>,
    destination: Option<IpAddr>,
    protocol: u8,
    source_port: u16,
    destination_port: u16,
}

/// An entry, and what deleting it takes: its tuple as the kernel wrote it, and its id.
#[derive(Debug)]
pub(super) struct Entry {
    original: Tuple,
    reply: Tuple,
    bytes: heapless::Vec<u8, 128>,
    id: heapless::Vec<u8, 4>,
}

impl Operation for Forget {
    fn channel(&self) -> Channel {
        Channel::Syscall
    }

    fn holds(&self, now: &Snapshot) -> Holds {
        match (&self.0, &now.elements) {
            // While the ports led to the sandbox all the time, no flow went elsewhere.
            (Flow::To(ports), Some(elements)) if ports.iter().all(|p| elements.leads(p)) => {
                Holds::Yes
            }
            _ => Holds::No,
        }
    }

    fn act(&self, sockets: &mut Sockets) -> Result<()> {
        // Often nothing is tracked, or the kernel has no connection tracking at all: then there is nothing to ask.
        if sysctl::read("net/netfilter/nf_conntrack_count").is_none_or(|count| count == "0") {
            return Ok(());
        }
        let socket = sockets.netfilter()?;
        let meant = |message: &Message| read(message).filter(|entry| self.means(entry));
        let mut entries = Vec::new();
        for question in self.questions() {
            match socket.dump(|batch, flags| self.ask(question, batch, flags), meant) {
                // A kernel without ctnetlink (CONFIG_NF_CT_NETLINK) lets the entries run out by themselves.
                Err(TransactError::Rejected(rejected))
                    if matches!(rejected.errno, Errno::INVAL | Errno::OPNOTSUPP) =>
                {
                    return Ok(());
                }
                found => entries.extend(found.map_err(|error| plain(error, "list connections"))?),
            }
        }
        for some in entries.chunks(AT_ONCE) {
            let mut batch = Batch::default();
            some.iter().for_each(|entry| self.delete(entry, &mut batch));
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
    /// What to ask the kernel for, one walk of its table each: a protocol with one port of the host or with all, or, by
    /// none, the sandbox's address. Not for IPv6: there the kernel's comparison of addresses is the wrong way round
    /// (ctnetlink_filter_match_tuple in net/netfilter/nf_conntrack_netlink.c, up to 6.18 at least).
    fn questions(&self) -> Vec<Option<(u8, Option<u16>)>> {
        let ports = match &self.0 {
            Flow::Through(_, to) if to.is_ipv4() => return vec![None],
            Flow::Through(ports, _) | Flow::To(ports) => ports,
        };
        let few = ports.len() <= FEW;
        let question =
            |port: &PortMapping| Some((port.proto.number(), few.then_some(port.host_port)));
        let mut questions: Vec<_> = ports.iter().map(question).collect();
        questions.sort_unstable();
        questions.dedup();
        questions
    }

    /// The family's header of a message (struct nfgenmsg).
    fn header(&self) -> [u8; 4] {
        let ipv6 = match &self.0 {
            Flow::Through(_, to) => to.is_ipv6(),
            Flow::To(ports) => ports.first().is_some_and(|port| port.host_ip.is_ipv6()),
        };
        [if ipv6 { NFPROTO_IPV6 } else { NFPROTO_IPV4 }, 0, 0, 0]
    }

    fn ask(&self, question: Option<(u8, Option<u16>)>, batch: &mut Batch, flags: NlmF) {
        let kind = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET;
        batch.message(kind, flags, &self.header(), |a| match (question, &self.0) {
            (Some((proto, port)), _) => {
                let mut wanted = CTA_FILTER_F_CTA_PROTO_NUM;
                a.nest(CTA_TUPLE_ORIG, |a| {
                    a.nest(CTA_TUPLE_PROTO, |a| {
                        a.u8(CTA_PROTO_NUM, proto);
                        if let Some(port) = port {
                            a.be16(CTA_PROTO_DST_PORT, port);
                            wanted |= CTA_FILTER_F_CTA_PROTO_DST_PORT;
                        }
                    });
                });
                a.nest(CTA_FILTER, |a| a.u32(CTA_FILTER_ORIG_FLAGS, wanted));
            }
            (None, Flow::Through(_, to)) => {
                let bytes = super::addr::octets(*to).1;
                a.nest(CTA_TUPLE_REPLY, |a| {
                    a.nest(CTA_TUPLE_IP, |a| a.bytes(CTA_IP_V4_SRC, &bytes));
                });
                a.nest(CTA_FILTER, |a| {
                    a.u32(CTA_FILTER_REPLY_FLAGS, CTA_FILTER_F_CTA_IP_SRC)
                });
            }
            (None, Flow::To(_)) => {}
        });
    }

    fn means(&self, entry: &Entry) -> bool {
        let aimed_at = |port: &PortMapping| {
            (port.proto.number(), port.host_port)
                == (entry.original.protocol, entry.original.destination_port)
        };
        match &self.0 {
            Flow::Through(ports, to) => {
                // What was sent to the sandbox's own address did not come through a published port.
                let translated =
                    entry.reply.source == Some(*to) && entry.original.destination != Some(*to);
                translated
                    && ports.iter().any(|port| {
                        aimed_at(port) && port.container_port == entry.reply.source_port
                    })
            }
            // A flow to somebody else's port of that number is not meant.
            Flow::To(ports) => {
                let Some(at) = entry.original.destination else {
                    return false;
                };
                ports.iter().any(|port| {
                    let here = if port.host_ip.is_unspecified() {
                        any(at) == port.host_ip && crate::sys::port::is_own(at)
                    } else {
                        at == port.host_ip
                    };
                    aimed_at(port) && here
                })
            }
        }
    }

    fn delete(&self, entry: &Entry, batch: &mut Batch) {
        const NESTED: u16 = 1 << 15;
        batch.request(
            NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE,
            NlmF::empty(),
            &self.header(),
            |a| {
                a.bytes(CTA_TUPLE_ORIG | NESTED, &entry.bytes);
                a.bytes(CTA_ID, &entry.id);
            },
        );
    }
}

pub(super) fn read(message: &Message) -> Option<Entry> {
    let mut entry = Entry {
        original: Tuple::default(),
        reply: Tuple::default(),
        bytes: heapless::Vec::new(),
        id: heapless::Vec::new(),
    };
    for attribute in attributes(message.body.get(4..)?) {
        match attribute.kind {
            CTA_TUPLE_ORIG => {
                entry.original = tuple(&attribute);
                entry.bytes.extend_from_slice(attribute.value).ok()?;
            }
            CTA_TUPLE_REPLY => entry.reply = tuple(&attribute),
            CTA_ID => entry.id.extend_from_slice(attribute.value).ok()?,
            _ => {}
        }
    }
    (!entry.bytes.is_empty() && entry.id.len() == 4).then_some(entry)
}

fn tuple(attribute: &Attribute) -> Tuple {
    let mut tuple = Tuple::default();
    for part in attribute.nested() {
        for a in part.nested() {
            match (part.kind, a.kind) {
                (CTA_TUPLE_IP, CTA_IP_V4_SRC | CTA_IP_V6_SRC) => tuple.source = a.ip(),
                (CTA_TUPLE_IP, CTA_IP_V4_DST | CTA_IP_V6_DST) => tuple.destination = a.ip(),
                (CTA_TUPLE_PROTO, CTA_PROTO_NUM) => {
                    tuple.protocol = a.value.first().copied().unwrap_or(0)
                }
                (CTA_TUPLE_PROTO, CTA_PROTO_SRC_PORT) => {
                    tuple.source_port = a.be16().unwrap_or(0);
                }
                (CTA_TUPLE_PROTO, CTA_PROTO_DST_PORT) => {
                    tuple.destination_port = a.be16().unwrap_or(0);
                }
                _ => {}
            }
        }
    }
    tuple
}
