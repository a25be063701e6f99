//! The only code that runs plans.
//!
//! Consecutive operations of one netlink channel go out as one batch. The inverse of each operation is armed before it
//! acts; the first failure runs the inverses, last first. rtnetlink goes on after a message that failed, so after a
//! failure in a batch the inverses of the whole batch run; but not that of an object which already existed: it is
//! somebody else's.

use crate::engine::Say;
use crate::engine::plan::Plan;
use crate::error::{Errno, Error, Result};
pub use crate::kernel::sockets::Sockets;
use crate::kernel::sockets::refused;
use crate::kernel::{Channel, Op, Operation, nft};
use crate::netlink::{Batch, Rejected, TransactError};
use crate::sys::time;
use std::time::{Duration, Instant};

/// A port that was let run out is still there until the next tick of the kernel's clock: so long it is asked for again in all
/// of a plan, and so far apart.
const EXPIRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_micros(500));

/// So many operations go out in one send at most: a thousand published ports are one transaction, and the socket's buffer
/// (net.core.wmem_default, 208 KiB) holds them.
const AT_ONCE: usize = 1500;

/// Runs a plan; after a failure nothing of it is left.
pub fn execute(plan: &Plan, sockets: &mut Sockets, say: &mut dyn Say) -> Result<()> {
    let mut inverses = Vec::with_capacity(8);
    let mut way = Way::new(false);
    for group in groups(plan) {
        let before = inverses.len();
        for op in group {
            inverses.extend(op.inverse());
        }
        match run(group, sockets, &mut way) {
            Ok(()) => group.iter().for_each(|op| say.operation(op)),
            // The kernel was quicker to take it along with its namespace.
            Err(failure) if matches!(group, [op @ Op::DelLink(_)] if is_done(op, &failure.error)) =>
                {}
            Err(failure) => {
                if failure.nothing_done {
                    inverses.truncate(before);
                } else if failure.error.is(Errno::EXIST) {
                    // What was there before is not ours to take back.
                    let armed = group[failure.at..]
                        .iter()
                        .filter(|op| op.inverse().is_some())
                        .count();
                    inverses.truncate(inverses.len() - armed);
                }
                undo(inverses, sockets, say);
                return Err(failure.error);
            }
        }
    }
    Ok(())
}

/// Runs a plan that takes something down: it goes on after a failure and reports the first; what is gone already is fine.
pub fn teardown(plan: &Plan, sockets: &mut Sockets, say: &mut dyn Say) -> Result<()> {
    let (mut first, mut way) = (None, Way::new(true));
    for group in groups(plan) {
        // Most often all goes well: a thousand ports are one transaction. Else each operation has its own fate.
        if group.len() > 1 && run(group, sockets, &mut way).is_ok() {
            group.iter().for_each(|op| say.operation(op));
            continue;
        }
        for op in group {
            match run(std::slice::from_ref(op), sockets, &mut way) {
                Ok(()) => say.operation(op),
                Err(failure) if is_done(op, &failure.error) => {}
                Err(failure) => first = first.or(Some(failure.error)),
            }
        }
    }
    first.map_or(Ok(()), Err)
}

fn undo(mut inverses: Vec<Op>, sockets: &mut Sockets, say: &mut dyn Say) {
    inverses.reverse();
    let mut way = Way::new(true);
    for op in &inverses {
        if let Err(failure) = run(std::slice::from_ref(op), sockets, &mut way)
            && !is_done(op, &failure.error)
        {
            say.note(&format_args!(
                "while taking back what was done: {}",
                failure.error
            ));
        }
    }
}

/// Whether a failure says that there was nothing left to do: what goes is gone, what comes back is there.
fn is_done(op: &Op, error: &Error) -> bool {
    let done: &[Errno] = match op {
        Op::AddElement(_) => &[Errno::NOENT, Errno::EXIST],
        // Busy: the port leads elsewhere by now.
        Op::DelElement(_) | Op::ExpireElement(_) => &[Errno::NOENT, Errno::BUSY],
        _ => &[Errno::NOENT, Errno::NODEV, Errno::NXIO, Errno::ADDRNOTAVAIL],
    };
    done.iter().any(|errno| error.is(*errno))
}

/// The runs of operations that share a channel.
fn groups(plan: &Plan) -> impl Iterator<Item = &[Op]> {
    let mut rest = plan.operations().as_slice();
    std::iter::from_fn(move || {
        let channel = rest.first()?.channel();
        let mut length = rest.iter().take_while(|op| op.channel() == channel).count();
        length = length.min(AT_ONCE);
        if channel == Channel::Syscall {
            length = 1;
        }
        let (group, after) = rest.split_at(length);
        rest = after;
        Some(group)
    })
}

/// A failed group: the operation that failed, counted from the group's first.
struct Failure {
    at: usize,
    error: Error,
    /// The group was a transaction that the kernel refused: nothing of it was done.
    nothing_done: bool,
}

impl Failure {
    fn at(at: usize, error: Error) -> Self {
        Failure {
            at,
            error,
            nothing_done: false,
        }
    }
}

/// How a plan is run.
struct Way {
    /// Something is taken down: what is to come back may be there.
    down: bool,
    /// Until when what runs out is waited for, once anything was.
    until: Option<Instant>,
}

impl Way {
    fn new(down: bool) -> Self {
        Way { down, until: None }
    }

    /// Waits a moment for what runs out, if there is still time.
    fn wait(&mut self) -> bool {
        let now = Instant::now();
        let waits = now < *self.until.get_or_insert_with(|| now + EXPIRY.0);
        if waits {
            time::sleep(EXPIRY.1);
        }
        waits
    }
}

fn run(group: &[Op], sockets: &mut Sockets, way: &mut Way) -> Result<(), Failure> {
    match group.first().map(Operation::channel) {
        None => Ok(()),
        Some(Channel::Syscall) => group
            .iter()
            .enumerate()
            .try_for_each(|(at, op)| op.act(sockets).map_err(|error| Failure::at(at, error))),
        Some(Channel::Nftables) => run_transaction(group, sockets, way),
        Some(Channel::Route(_)) => run_batch(group, sockets),
    }
}

/// One send on a rtnetlink socket; an operation on a link that an earlier one of the group makes needs its index, and
/// so waits for that one.
fn run_batch(group: &[Op], sockets: &mut Sockets) -> Result<(), Failure> {
    let mut batch = Batch::default();
    // For each message, the operation it belongs to.
    let mut owners = Vec::with_capacity(group.len() + 1);
    for (at, op) in group.iter().enumerate() {
        let encoded = match op.encode(&mut batch, sockets) {
            Err(error) if error.is(Errno::NODEV) && !batch.is_empty() => {
                send(group, &mut batch, &owners, sockets)?;
                owners.clear();
                op.encode(&mut batch, sockets)
            }
            encoded => encoded,
        };
        encoded.map_err(|error| Failure::at(at, error))?;
        owners.resize(batch.count() as usize, at);
    }
    send(group, &mut batch, &owners, sockets)
}

fn send(
    group: &[Op],
    batch: &mut Batch,
    owners: &[usize],
    sockets: &mut Sockets,
) -> Result<(), Failure> {
    if batch.is_empty() {
        return Ok(());
    }
    let Some(Channel::Route(place)) = group.first().map(Operation::channel) else {
        return Ok(());
    };
    let route = sockets
        .route(&place)
        .map_err(|error| Failure::at(0, error))?;
    route
        .socket
        .transact(batch)
        .map_err(|error| failure(group, owners, error))
}

/// One nf_tables transaction; without what is to be deleted and is gone, and, on the way down, what is to come back and is
/// there.
fn run_transaction(group: &[Op], sockets: &mut Sockets, way: &mut Way) -> Result<(), Failure> {
    let mut done = vec![false; group.len()];
    loop {
        let mut batch = Batch::default();
        nft::begin(&mut batch);
        let mut owners = vec![0];
        for (at, op) in group.iter().enumerate() {
            if done.get(at) != Some(&true) {
                op.encode(&mut batch, sockets)
                    .map_err(|error| Failure::at(at, error))?;
            }
            owners.resize(batch.count() as usize, at);
        }
        if batch.count() == 1 {
            // All of it is done; and what holds nothing but its beginning and end is answered from Linux 6.10 on alone.
            return Ok(());
        }
        nft::end(&mut batch);
        let socket = sockets.netfilter().map_err(|error| Failure::at(0, error))?;
        let Err(error) = socket.commit(&mut batch) else {
            return Ok(());
        };
        let alike = match &error {
            TransactError::Rejected(rejected) => rejected.alike.clone(),
            TransactError::Socket(_) => Vec::new(),
        };
        let failure = failure(group, &owners, error);
        let dying = failure.error.is(Errno::EXIST)
            && matches!(group.get(failure.at), Some(Op::AddElement(_)));
        if dying && way.wait() {
            continue;
        }
        // What is done already is left out: all of it at once, and not a transaction for each.
        let mut left_out = false;
        for at in alike.iter().filter_map(|at| owners.get(*at as usize)) {
            if let (Some(op), Some(done @ false)) = (group.get(*at), done.get_mut(*at)) {
                *done = match op {
                    Op::DelElement(_) => true,
                    Op::AddElement(_) => way.down,
                    _ => false,
                } && is_done(op, &failure.error);
                left_out |= *done;
            }
        }
        if !left_out {
            return Err(failure);
        }
    }
}

fn failure(group: &[Op], owners: &[usize], error: TransactError) -> Failure {
    match error {
        TransactError::Socket(error) => Failure::at(0, error),
        TransactError::Rejected(rejected) => {
            let at = owners.get(rejected.index as usize).copied().unwrap_or(0);
            Failure {
                at,
                error: explained(group.get(at), &rejected),
                nothing_done: group
                    .first()
                    .is_some_and(|op| op.channel() == Channel::Nftables),
            }
        }
    }
}

/// The sentence for a refused operation: its command line is the action, but for the errnos that mislead.
fn explained(op: Option<&Op>, rejected: &Rejected) -> Error {
    let action = op.map_or_else(|| "talk to the kernel".to_owned(), said);
    let error = refused(rejected, &format!("do `{action}`"));
    let because = match (op, rejected.errno) {
        // addrconf.c's answer where IPv6 is off on a link, and what comes of a kernel without.
        (Some(Op::AddAddr(add)), Errno::ACCESS | Errno::OPNOTSUPP | Errno::AFNOSUPPORT)
            if add.address.addr.is_ipv6() =>
        {
            "IPv6 is off: net.ipv6.conf.*.disable_ipv6 is 1 there, or this kernel lacks CONFIG_IPV6"
        }
        (_, Errno::PERM | Errno::ACCESS) => {
            "netcell needs root, or CAP_NET_ADMIN and CAP_SYS_ADMIN in this namespace"
        }
        (Some(Op::AddVeth(_)), Errno::OPNOTSUPP) => "this kernel lacks CONFIG_VETH",
        (Some(Op::AddBridge(_)), Errno::OPNOTSUPP) => "this kernel lacks CONFIG_BRIDGE",
        (Some(Op::AddVeth(_)), Errno::XFULL) => "the bridge has 1,023 ports, and no more fit",
        (Some(Op::AddTable(_)), Errno::OPNOTSUPP | Errno::NOENT) => {
            "this kernel lacks a part of nf_tables (CONFIG_NF_TABLES_INET and with it CONFIG_IPV6, CONFIG_NFT_NAT, CONFIG_NFT_MASQ, CONFIG_NFT_CT, CONFIG_NFT_FIB_INET)"
        }
        _ => return error,
    };
    error.because(because)
}

/// The first line of what an operation says.
fn said(op: &Op) -> String {
    let text = op.to_string();
    text.lines().next().unwrap_or_default().to_owned()
}
