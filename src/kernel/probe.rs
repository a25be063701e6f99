//! What the kernel has: asked of the kernel itself, in namespaces that are thrown away, and never read of a configuration.
//!
//! [`FEATURES`] is the only list of what netcell needs, and of what is lost without; README's table is the same (a test
//! compares). A question makes the thing that is asked for (a link, a table with a rule), as its first use would, which
//! also loads a module that is there.

use super::expression::{IIFNAME, Rule};
use super::ruleset::{PREROUTING, Writer};
use super::uapi::conntrack::IPCTNL_MSG_CT_GET;
use super::uapi::if_link::IFLA_INFO_KIND;
use super::uapi::nf_tables::*;
use super::{nft, sysctl};
use crate::error::Errno;
use crate::netlink::{Batch, Family, Socket, TransactError, flags};
use crate::sys::file;
use crate::sys::process::{fork, wait};
use crate::sys::{mount, netns, socket};
use neli::consts::rtnl::{Ifla, Rtm};
use rustix::fs::{Access, access};
use rustix::pipe::{PipeFlags, pipe_with};
use std::path::Path;

/// How an option of the kernel's shows.
#[derive(Debug, Clone, Copy)]
enum Probe {
    /// The link of a namespace of this kind under /proc/self/ns.
    Namespace(&'static str),
    /// A link of this kind can be made.
    Link(&'static str),
    /// There is the subsystem of nfnetlink with this number; its message of this number dumps.
    Subsystem(u16, u16),
    /// A table of this family can be made, with a chain at a hook.
    Table(u8),
    /// A rule can have this expression, of this family.
    Expression(u8, &'static str),
    /// `meta` can be asked in a table of the family bridge, which a kernel without this option can, and one whose module
    /// for it is missing cannot (nft_meta_select_ops in net/netfilter/nft_meta.c).
    BridgeMeta,
    /// There is a socket of IPv6.
    Ipv6,
    /// What a network sets can be written.
    Settings,
    /// Connections of SCTP are tracked.
    Sctp,
    /// A file system of this kind can be made.
    FileSystem(&'static str),
}

/// Options of the kernel that are lost together.
#[derive(Debug)]
pub struct Feature {
    options: &'static [(&'static str, Probe)],
    /// What is not there without them.
    pub without: &'static str,
}

use Probe::*;

/// What netcell needs, the most needed first.
pub static FEATURES: [Feature; 12] = [
    feature(&[("NET_NS", Namespace("net"))], "nothing works"),
    feature(
        &[
            ("PID_NS", Namespace("pid")),
            ("UTS_NS", Namespace("uts")),
            ("IPC_NS", Namespace("ipc")),
        ],
        "no containers; sandboxes without a process work",
    ),
    feature(
        &[("VETH", Link("veth")), ("BRIDGE", Link("bridge"))],
        "no networks; `--network none`, `--network host` and `container:` work",
    ),
    feature(
        &[
            (
                "NF_TABLES",
                Subsystem(NFNL_SUBSYS_NFTABLES, NFT_MSG_GETTABLE),
            ),
            ("NF_TABLES_INET", Table(NFPROTO_INET)),
            ("NFT_NAT", Expression(NFPROTO_INET, "nat")),
            ("NFT_MASQ", Expression(NFPROTO_INET, "masq")),
            ("NFT_CT", Expression(NFPROTO_INET, "ct")),
            ("NFT_FIB_INET", Expression(NFPROTO_INET, "fib")),
        ],
        "no networks; `--network none`, `--network host` and `container:` work",
    ),
    feature(
        &[
            ("NF_TABLES_BRIDGE", Table(NFPROTO_BRIDGE)),
            ("NFT_BRIDGE_META", BridgeMeta),
        ],
        "networks work; a sandbox can send from a neighbour's address, and the first use says so",
    ),
    feature(
        &[(
            "NF_CT_NETLINK",
            Subsystem(NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET),
        )],
        "a connection through a port that is withdrawn ends when its entry runs out, not at once",
    ),
    feature(
        &[("IPV6", Ipv6)],
        "no networks, whose tables of the family `inet` need it; booted with `ipv6.disable=1` there is no IPv6, nothing else",
    ),
    feature(
        &[("OVERLAY_FS", FileSystem("overlay"))],
        "a container's root is read-only but for /tmp and /run, and `run` says so",
    ),
    feature(&[("USER_NS", Namespace("user"))], "nothing, for root"),
    feature(
        &[("a writable /proc/sys", Settings)],
        "networks need forwarding to be on already, or `--internal` or `--no-forwarding`; ports do not answer at the host's own 127.0.0.1, and the first use says so",
    ),
    feature(&[("NF_CT_PROTO_SCTP", Sctp)], "no SCTP ports"),
    feature(
        &[
            ("UNIX98_PTYS", FileSystem("devpts")),
            ("POSIX_MQUEUE", FileSystem("mqueue")),
        ],
        "containers have no pseudo-terminals, no /dev/mqueue",
    ),
];

const fn feature(options: &'static [(&'static str, Probe)], without: &'static str) -> Feature {
    Feature { options, without }
}

impl Feature {
    /// Its options, without `CONFIG_`; what has blanks in it is none.
    pub fn options(&self) -> impl Iterator<Item = &'static str> {
        self.options.iter().map(|(name, _)| *name)
    }
}

/// Whether an option is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It is not.
    No,
    /// It is.
    Yes,
    /// It cannot be told without more privileges, or without another that is missing.
    Unknown,
}

/// Asks for all options of [`FEATURES`], in their order.
///
/// Who may make no namespace hears of those that show under /proc.
pub fn ask() -> Vec<Answer> {
    let probes: Vec<Probe> = FEATURES
        .iter()
        .flat_map(|feature| feature.options)
        .map(|(_, probe)| *probe)
        .collect();
    let mut answers: Vec<Answer> = probes.iter().map(|probe| seen(*probe)).collect();
    // One that is neither yes nor no is asked for by a process that gives itself namespaces, and ends.
    let open: Vec<usize> = (0..probes.len())
        .filter(|&at| answers[at] == Answer::Unknown)
        .collect();
    for (at, answer) in open.iter().zip(elsewhere(&probes, &open)) {
        answers[*at] = answer;
    }
    answers
}

/// What anybody sees.
fn seen(probe: Probe) -> Answer {
    match probe {
        Namespace(kind) => yes(file::exists(&Path::new("/proc/self/ns").join(kind))),
        Ipv6 => yes(socket::has_ipv6()),
        Settings => match access("/proc/sys/net/ipv4/ip_forward", Access::WRITE_OK) {
            Ok(()) => Answer::Yes,
            Err(Errno::ROFS) => Answer::No,
            // It may be the caller's rights.
            Err(_) => Answer::Unknown,
        },
        Sctp => {
            let there =
                |name| sysctl::read(&format!("net/netfilter/nf_conntrack_{name}")).is_some();
            match (there("sctp_timeout_established"), there("count")) {
                (true, _) => Answer::Yes,
                (false, true) => Answer::No,
                // Nothing is tracked yet.
                (false, false) => Answer::Unknown,
            }
        }
        FileSystem(kind) => match file::text("/proc/filesystems") {
            Ok(list) if list.split_whitespace().any(|known| known == kind) => Answer::Yes,
            // It may be a module that is not loaded.
            _ => Answer::Unknown,
        },
        _ => Answer::Unknown,
    }
}

fn yes(is: bool) -> Answer {
    if is { Answer::Yes } else { Answer::No }
}

fn elsewhere(probes: &[Probe], open: &[usize]) -> Vec<Answer> {
    let Ok((from, to)) = pipe_with(PipeFlags::CLOEXEC) else {
        return Vec::new();
    };
    let child = fork(|| {
        if netns::leave_for_new_ones().is_err() {
            return 1;
        }
        for &at in open {
            let answer = tried(probes[at]) as u8;
            if rustix::io::write(&to, &[answer]).is_err() {
                return 1;
            }
        }
        0
    });
    drop(to);
    let mut bytes = [0; 64];
    let mut answers = Vec::new();
    while let Ok(read @ 1..) = rustix::io::read(&from, &mut bytes) {
        answers.extend(bytes[..read].iter().map(|&byte| match byte {
            0 => Answer::No,
            1 => Answer::Yes,
            _ => Answer::Unknown,
        }));
    }
    if let Ok(child) = child {
        // What it could not answer stays unknown.
        wait(child).ok();
    }
    answers
}

/// What shows when it is made, in a namespace that nobody else is in.
fn tried(probe: Probe) -> Answer {
    match probe {
        Link(kind) => link(kind),
        Subsystem(number, message) => subsystem(number, message),
        Table(family) => table(family, None),
        Expression(family, name) => table(family, Some(&|rule| rule.named(name))),
        BridgeMeta => table(NFPROTO_BRIDGE, Some(&|rule| rule.meta(IIFNAME, 1))),
        FileSystem(kind) => match mount::has_filesystem(kind) {
            Ok(()) => Answer::Yes,
            Err(Errno::NODEV) => Answer::No,
            Err(_) => Answer::Unknown,
        },
        other => seen(other),
    }
}

fn link(kind: &str) -> Answer {
    let Ok(mut socket) = Socket::open(Family::Route) else {
        return Answer::Unknown;
    };
    let mut batch = Batch::default();
    let message = u16::from(Rtm::Newlink);
    batch.request(message, flags::create_new(), &[0; 16], |a| {
        a.str(u16::from(Ifla::Ifname), kind);
        a.nest(u16::from(Ifla::Linkinfo), |a| {
            a.str(IFLA_INFO_KIND, kind);
        });
    });
    match socket.transact(&mut batch) {
        Ok(()) => Answer::Yes,
        // "Unknown device type" (__rtnl_newlink in net/core/rtnetlink.c).
        Err(TransactError::Rejected(rejected)) if rejected.errno == Errno::OPNOTSUPP => Answer::No,
        Err(_) => Answer::Unknown,
    }
}

fn subsystem(number: u16, message: u16) -> Answer {
    let Ok(mut socket) = Socket::open(Family::Netfilter) else {
        return Answer::No;
    };
    let ask = |batch: &mut Batch, flags| {
        batch.message(number << 8 | message, flags, &nft::header(0), |_| {});
    };
    match socket.dump(ask, |_| Some(())) {
        Ok(_) => Answer::Yes,
        // nfnetlink_rcv_msg in net/netfilter/nfnetlink.c.
        Err(TransactError::Rejected(rejected)) if rejected.errno == Errno::INVAL => Answer::No,
        Err(_) => Answer::Unknown,
    }
}

/// The chain that the rules are tried in.
const CHAIN: &str = "probe";

/// Makes a table with a chain at a hook, and perhaps a rule: what it is asked for is the last of these.
fn table(
    family: u8,
    write: Option<&dyn for<'r, 'a, 'b> Fn(&'r mut Rule<'a, 'b>) -> &'r mut Rule<'a, 'b>>,
) -> Answer {
    let Ok(mut socket) = Socket::open(Family::Netfilter) else {
        return Answer::No;
    };
    let mut batch = Batch::default();
    nft::begin(&mut batch);
    let message = nft::kind(NFT_MSG_NEWTABLE);
    batch.request(message, flags::CREATE, &nft::header(family), |a| {
        a.str(NFTA_TABLE_NAME, nft::TABLE);
    });
    let mut writer = Writer {
        batch: &mut batch,
        family,
        last_set: 0,
        mend: false,
    };
    writer.chain("hooked", Some(("filter", PREROUTING, 0)));
    writer.chain(CHAIN, None);
    let last = writer.batch.count();
    if let Some(write) = write {
        writer.rule(CHAIN, &|rule| {
            write(rule);
        });
    }
    nft::end(&mut batch);
    match socket.commit(&mut batch) {
        Ok(()) => Answer::Yes,
        Err(TransactError::Rejected(rejected)) => match rejected.errno {
            _ if write.is_some() && rejected.index < last => Answer::Unknown,
            // No such family, chain or expression (nft_expr_type_get in net/netfilter/nf_tables_api.c).
            Errno::NOENT | Errno::OPNOTSUPP | Errno::AFNOSUPPORT => Answer::No,
            // An expression that wants more than its name.
            Errno::INVAL if write.is_some() => Answer::Yes,
            _ => Answer::Unknown,
        },
        Err(_) => Answer::Unknown,
    }
}
