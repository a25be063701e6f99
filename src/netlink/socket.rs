//! Sending a batch and hearing of each message; asking for one object; dumping all.

use super::batch::{Batch, HEADER};
use super::decode::{Message, attributes, messages};
use crate::error::{Errno, Error, Result};
use crate::sys::socket::{Family, Instruction, Netlink};
use crate::types::IfName;
use neli::consts::nl::{NlmF, Nlmsg};
use rustix::fd::{AsFd, BorrowedFd};
use std::cell::Cell;

/// A dump that changed while it was read is asked for again, so often at most.
const INTERRUPTED: usize = 5;

/// The most that one answer has, in bytes: a link with all its attributes, or a refused message sent back.
const ANSWER: usize = 8 * 1024;

/// The kernel's dumps come in buffers of at most 32 KiB (netlink_dump in net/netlink/af_netlink.c).
const DUMP: usize = 32 * 1024;

/// A message that the kernel refused.
#[derive(Debug, Clone)]
pub struct Rejected {
    /// Which of the batch's messages, from 0; the whole batch's failure counts as its first.
    pub index: u32,
    /// Why.
    pub errno: Errno,
    /// The kernel's words (NLMSGERR_ATTR_MSG), where it has some.
    pub words: Option<String>,
    /// Those of a transaction that were refused with the same errno, as far as the kernel's answers had room.
    pub alike: Vec<u32>,
}

/// Why a batch did not go through.
#[derive(Debug)]
pub enum TransactError {
    /// The kernel refused messages of it; the first stands for all.
    Rejected(Rejected),
    /// Nothing could be sent or heard.
    Socket(Error),
}

impl From<Error> for TransactError {
    fn from(error: Error) -> Self {
        TransactError::Socket(error)
    }
}

/// A netlink socket of one namespace and one family.
pub struct Socket {
    pub(super) netlink: Netlink,
    pub(super) sequence: u32,
}

impl Socket {
    /// Opens a socket in the namespace that this process is in; it stays bound to it.
    pub fn open(family: Family) -> Result<Self> {
        Ok(Socket {
            netlink: Netlink::open(family)?,
            sequence: 1,
        })
    }

    /// Sends messages that are each acknowledged, and empties the batch.
    ///
    /// rtnetlink carries out every message, whether or not an earlier one failed.
    pub fn transact(&mut self, batch: &mut Batch) -> Result<(), TransactError> {
        let count = batch.count();
        let first = self.send(batch)?;
        let mut rejected = None;
        let mut open = count;
        while open > 0 {
            self.hear(true, &mut |message| {
                let index = message.sequence.wrapping_sub(first);
                if message.kind == u16::from(Nlmsg::Error) && index < count {
                    // No kernel answers twice, but this is not to end by a panic where one does.
                    open = open.saturating_sub(1);
                    rejected = rejected.take().or_else(|| refusal(&message, index));
                }
            })?;
        }
        rejected.map_or(Ok(()), |rejected| Err(TransactError::Rejected(rejected)))
    }

    /// Sends one nf_tables transaction: the batch is BEGIN, messages, END. All of it takes effect or nothing.
    ///
    /// The acknowledgement of the last message inside is not the commit: what counts is that nothing was refused.
    pub fn commit(&mut self, batch: &mut Batch) -> Result<(), TransactError> {
        let last = batch.count().saturating_sub(2);
        batch.ack_only(last);
        let count = batch.count();
        let first = self.send(batch)?;
        let (done, mut rejected, mut alike) = (Cell::new(false), None::<Rejected>, Vec::new());
        let mut each = |message: Message| {
            let index = message.sequence.wrapping_sub(first);
            if message.kind != u16::from(Nlmsg::Error) || index >= count {
                return;
            }
            done.set(true);
            if let Some(refusal) = refusal(&message, index) {
                let errno = refusal.errno;
                if rejected.get_or_insert(refusal).errno == errno {
                    alike.push(index);
                }
            }
        };
        // The kernel has answered everything by the time send returns: what else was refused is there once one answer is.
        loop {
            match self.hear(!done.get(), &mut each) {
                Ok(true) => {}
                Ok(false) => break,
                // More refusals than had room: the first are there all the same, and hearing them makes room again.
                Err(error) if error.is(Errno::NOBUFS) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let Some(mut rejected) = rejected else {
            return Ok(());
        };
        rejected.alike = alike;
        Err(TransactError::Rejected(rejected))
    }

    /// The index of a link in the socket's namespace, by ioctl: none when there is no such link.
    pub fn index(&self, link: &IfName) -> Result<Option<u32>> {
        self.netlink.index(link)
    }

    /// Asks for one object: none when it does not exist.
    pub fn get<T>(
        &mut self,
        batch: &mut Batch,
        mut read: impl FnMut(&Message) -> Option<T>,
    ) -> Result<Option<T>, TransactError> {
        let mut found = None;
        self.ask(batch, &mut |message| found = read(message))?;
        Ok(found)
    }

    fn ask(
        &mut self,
        batch: &mut Batch,
        each: &mut dyn FnMut(&Message),
    ) -> Result<(), TransactError> {
        let first = self.send(batch)?;
        let (mut rejected, mut answered) = (None, false);
        while !answered {
            self.hear(true, &mut |message| {
                if message.sequence != first {
                    return;
                }
                answered = true;
                if message.kind == u16::from(Nlmsg::Error) {
                    rejected = refusal(&message, 0);
                } else {
                    each(&message);
                }
            })?;
        }
        match rejected {
            Some(rejected) if ![Errno::NODEV, Errno::NOENT].contains(&rejected.errno) => {
                Err(TransactError::Rejected(rejected))
            }
            _ => Ok(()),
        }
    }

    /// Dumps: `write` makes the request, `read` takes each object. One that changed meanwhile is asked for again, and what was
    /// read of it is forgotten: `read` must keep nothing, and so is no FnMut.
    pub fn dump<T>(
        &mut self,
        write: impl Fn(&mut Batch, NlmF),
        read: impl Fn(&Message) -> Option<T>,
    ) -> Result<Vec<T>, TransactError> {
        let mut all = Vec::new();
        self.walk(&write, &mut |message| match message {
            Some(message) => {
                if let Some(object) = read(message) {
                    all.push(object);
                }
            }
            None => all.clear(),
        })?;
        Ok(all)
    }

    /// Dumps: `each` gets every object, and none where all before it is to be forgotten.
    fn walk(
        &mut self,
        write: &dyn Fn(&mut Batch, NlmF),
        each: &mut dyn FnMut(Option<&Message>),
    ) -> Result<(), TransactError> {
        let mut batch = Batch::default();
        let mut buffer = vec![0; DUMP];
        for _ in 0..INTERRUPTED {
            each(None);
            write(&mut batch, NlmF::REQUEST | NlmF::DUMP);
            let first = self.send(&mut batch)?;
            let (mut done, mut torn, mut rejected) = (false, false, None);
            while !done {
                self.hear_into(&mut buffer, true, &mut |message| {
                    if message.sequence != first {
                        return;
                    }
                    torn |= message.flags & NlmF::DUMP_INTR.bits() != 0;
                    if [Nlmsg::Error.into(), Nlmsg::Done.into()].contains(&message.kind) {
                        rejected = refusal(&message, 0);
                        done = true;
                    } else {
                        each(Some(&message));
                    }
                })?;
            }
            match rejected {
                Some(rejected) => return Err(TransactError::Rejected(rejected)),
                None if !torn => return Ok(()),
                None => {}
            }
        }
        Err(TransactError::Socket(Error::new(format_args!(
            "cannot read the kernel's tables: they changed during each of {INTERRUPTED} dumps"
        ))))
    }

    fn send(&mut self, batch: &mut Batch) -> Result<u32> {
        if batch.overflowed() {
            batch.clear();
            return Err(Error::os("send netlink messages", Errno::MSGSIZE)
                .because("they are too large for one batch"));
        }
        let first = self.sequence;
        self.sequence = self.sequence.wrapping_add(batch.count());
        let sent = self
            .netlink
            .send(batch.finish(first))
            .map_err(|errno| Error::os("send netlink messages", errno));
        batch.clear();
        sent.map(|()| first)
    }

    /// Hears one datagram; false when there is none and `wait` was not asked for.
    fn hear(&self, wait: bool, each: &mut dyn FnMut(Message)) -> Result<bool> {
        self.hear_into(&mut [0; ANSWER], wait, each)
    }

    fn hear_into(
        &self,
        buffer: &mut [u8],
        wait: bool,
        each: &mut dyn FnMut(Message),
    ) -> Result<bool> {
        match self.netlink.receive(buffer, wait) {
            Ok(bytes) => {
                messages(bytes).for_each(&mut *each);
                Ok(true)
            }
            Err(Errno::AGAIN) if !wait => Ok(false),
            Err(Errno::AGAIN) => Err(Error::os(
                "hear from the kernel over netlink",
                Errno::TIMEDOUT,
            )),
            Err(errno) => Err(Error::os("hear from the kernel over netlink", errno)),
        }
    }
}

/// What the kernel tells of changes in a namespace.
pub struct Notifications(Netlink);

impl Notifications {
    /// Listens in the namespace that this process is in to groups, a bit each from group 1 on; to what a filter lets through.
    pub fn open(family: Family, groups: u32, filter: Option<&[Instruction]>) -> Result<Self> {
        Netlink::listen(family, groups, filter).map(Notifications)
    }

    /// Hears all that has been told: whether that was all that happened.
    pub fn hear(&self, each: &mut dyn FnMut(Message)) -> bool {
        let mut whole = true;
        let mut buffer = [0; ANSWER];
        loop {
            match self.0.receive(&mut buffer, false) {
                Ok(bytes) => messages(bytes).for_each(&mut *each),
                Err(Errno::AGAIN) => return whole,
                // Too much of it (ENOBUFS), or too long: it is asked for instead.
                Err(Errno::NOBUFS | Errno::MSGSIZE) => whole = false,
                Err(_) => return false,
            }
        }
    }
}

impl AsFd for Notifications {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The refusal in an NLMSG_ERROR (or the end of a dump); none when it is an acknowledgement.
fn refusal(message: &Message, index: u32) -> Option<Rejected> {
    /// NLMSGERR_ATTR_MSG of linux/netlink.h.
    const WORDS: u16 = 1;
    let code = i32::from_ne_bytes(message.body.get(..4)?.try_into().ok()?);
    if code == 0 {
        return None;
    }
    // The failed request follows: its header alone where the answer is capped, else all of it.
    let capped = message.flags & NlmF::CAPPED.bits() != 0;
    let request = message.body.get(4..).unwrap_or_default();
    let length = request
        .get(..4)
        .and_then(|b| b.try_into().ok())
        .map_or(HEADER, |b| u32::from_ne_bytes(b) as usize);
    let skipped = if capped {
        HEADER
    } else {
        length.next_multiple_of(4)
    };
    // NLM_F_ACK_TLVS (linux/netlink.h): extended-ack attributes are there.
    let words = if message.flags & 0x200 != 0 {
        request.get(skipped..)
    } else {
        None
    };
    let words = words
        .and_then(|bytes| attributes(bytes).find(|a| a.kind == WORDS))
        .and_then(|a| a.str())
        .map(str::to_owned);
    Some(Rejected {
        index,
        // The kernel has no other errnos (MAX_ERRNO in include/linux/err.h).
        errno: match code.checked_neg() {
            Some(errno @ 1..4096) => Errno::from_raw_os_error(errno),
            _ => Errno::PROTO,
        },
        words,
        alike: Vec::new(),
    })
}
