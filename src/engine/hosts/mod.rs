//! /etc/hosts of the sandboxes on a network: every one finds every other one by name, alias and short id.
//!
//! With a text for each sandbox a change on a network of N would be N writes, and N changes N². So a network has one:
//! `networks/NET/hosts/LENGTH-HASH`, a head of LENGTH bytes (names of loopback, `--add-host`) and a body with the lines
//! of all its sandboxes. Each distinct head has a file of its own with the same body; `sandboxes/NAME/hosts` is a hard
//! link to it, so that sandboxes without `--add-host` share one inode, and what a change costs does not grow with them.
//!
//! Nothing is written before the first reader, a container or `exec` in a sandbox alone: it writes the body from the
//! records. From then on a new sandbox is one pwrite at the end; one that goes becomes a comment of the same length, and
//! when half of the body is such comments it is written anew. All in place, so that bind mounts see it.
//!
//! A change is made under `lock` between an operation's commit and the end of its intent: who settles the intent of a
//! death in between writes the bodies from the records. Where one cannot be written, `stale` makes the next change do so.

mod text;

use crate::engine::record::{ContainerRecord, Endpoint, HOST_GATEWAY, Names, SandboxRecord};
use crate::engine::store::{Locked, Store};
use crate::error::{Errno, Error, Result};
use crate::sys::fd::{read_at, write_all};
use crate::types::{Id, Name};
use rustix::fd::OwnedFd;
use rustix::fs::OFlags;
use rustix::io::retry_on_intr;
use std::net::Ipv4Addr;
use text::{Edit, LOOPBACK};

/// Says that a body may not be what the records say.
const STALE: &str = "stale";

/// Holds a sandbox's file open for writing, for as long as a container of it lives: on a file that is open so nobody can
/// take a lease (fcntl(2), F_SETLEASE), by which a container could make its siblings wait when they open theirs.
pub fn hold(store: &Store, sandbox: &Name) -> Option<OwnedFd> {
    let path = format!("sandboxes/{sandbox}/hosts");
    let access = OFlags::WRONLY | OFlags::NONBLOCK;
    // Without it the container runs as well.
    store.root.open_file(&path, access).ok().flatten()
}

/// Gives a sandbox that gets a reader its file, making it where there is none with the same head.
pub fn provide(store: &Store, _: &Locked, sandbox: &SandboxRecord) -> Result<()> {
    let own = format!("sandboxes/{}/hosts", sandbox.name);
    if store.root.exists(&own)? {
        return Ok(());
    }
    let mut head = text::head(sandbox);
    let Some(network) = network_of(sandbox) else {
        // Without a network its own name still has to lead somewhere.
        text::line(&mut head, Ipv4Addr::LOCALHOST.into(), &[&sandbox.hostname]);
        return store.root.write_in_place(&own, &head);
    };
    let directory = directory(network);
    let plain = file_name(LOOPBACK);
    let open = |name: &str| Shared::open(store, &directory, name, OFlags::RDONLY);
    if open(&plain)?.is_none() {
        let body = recorded(store, network)?;
        make(store, &directory, &plain, LOOPBACK, &body)?;
    }
    let body = || match open(&plain)? {
        Some(file) => Ok(String::from_utf8_lossy(&file.body()?).into_owned()),
        None => Ok(String::new()),
    };
    if text::asks_for_a_host_name(sandbox) && text::is_claimed_by_another(&body()?, sandbox) {
        text::own_line(&mut head, sandbox);
    }
    let name = file_name(&head);
    // One that nobody has a link to was left by a writer that died, and may be torn.
    if name != plain && open(&name)?.is_none_or(|file| file.links < 2) {
        make(store, &directory, &name, &head, &body()?)?;
    }
    store
        .root
        .link(&format!("{directory}/{name}"), &own)
        .map(drop)
}

/// Lets the others find a sandbox that is committed; `id` is its first container's, or its own.
pub fn enter(store: &Store, _: &Locked, sandbox: &SandboxRecord, id: Id) -> Result<()> {
    upkeep(store, sandbox, &|_| {
        Ok(Edit::Append(text::lines(sandbox, Some(id))))
    })
}

/// The others find a sandbox no longer, whose record is gone.
pub fn leave(store: &Store, _: &Locked, sandbox: &SandboxRecord) -> Result<()> {
    upkeep(store, sandbox, &|plain| {
        Ok(text::without(&plain.body()?, sandbox))
    })
}

/// Writes what the records say, after a change that is more than one line, or one that was cut short.
pub fn renew(store: &Store, _: &Locked, sandbox: &SandboxRecord) -> Result<()> {
    upkeep(store, sandbox, &|_| match network_of(sandbox) {
        Some(network) => recorded(store, network).map(|body| Edit::Whole(body.into_bytes())),
        None => Ok(Edit::Nothing),
    })
}

/// The same where the file that most read says something else: whether it did.
pub fn mend(store: &Store, locked: &Locked, sandbox: &SandboxRecord) -> Result<bool> {
    let Some(network) = network_of(sandbox) else {
        return Ok(false);
    };
    let (directory, plain) = (directory(network), file_name(LOOPBACK));
    let Some(file) = Shared::open(store, &directory, &plain, OFlags::RDWR)? else {
        return Ok(false);
    };
    let mut head = [0; LOOPBACK.len()];
    let headless =
        rustix::io::pread(&file.fd, &mut head, 0) != Ok(head.len()) || head != LOOPBACK.as_bytes();
    if headless {
        rustix::io::pwrite(&file.fd, LOOPBACK.as_bytes(), 0)
            .map_err(|errno| file.error("write", errno))?;
    }
    let lines = |text: &str| {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let mut lines: Vec<String> = lines.map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    let body = file.body()?;
    if lines(&String::from_utf8_lossy(&body)) == lines(&recorded(store, network)?) {
        return Ok(headless);
    }
    renew(store, locked, sandbox).map(|()| true)
}

/// On network none nobody could look for an alias, and only with a gateway is there an address of the host.
pub fn refuse_without_network(names: &Names, endpoint: Option<&Endpoint>) -> Result<()> {
    let host = endpoint.is_some_and(|endpoint| !endpoint.gateways.is_empty());
    let idle = |entry: &&String| {
        endpoint.is_none() && entry.starts_with("network-alias ")
            || !host && entry.ends_with(HOST_GATEWAY)
    };
    match names.0.iter().find(idle) {
        Some(entry) => Err(Error::new(format_args!(
            "cannot do --{entry}: on network none there are no siblings, and there or on an internal network no gateway"
        ))),
        None => Ok(()),
    }
}

/// A container that takes a sandbox over has to ask for what the sandbox has.
pub fn refuse_other_names(wanted: &Names, sandbox: &SandboxRecord) -> Result<()> {
    if *wanted == sandbox.names {
        return Ok(());
    }
    let say = |names: &Names| match names.0.as_slice() {
        [] => "none of --network-alias, --add-host and --dns".to_owned(),
        list => format!("--{}", list.join(", --")),
    };
    Err(Error::new(format_args!(
        "sandbox {} lives on with its other members with {}, and a container that takes it over cannot ask for {}",
        sandbox.name,
        say(&sandbox.names),
        say(wanted)
    )))
}

/// A network's files, once there is a reader.
struct Upkeep<'a> {
    store: &'a Store,
    network: &'a Name,
    directory: String,
    /// The names of those with heads of their own.
    others: Vec<String>,
    was_stale: bool,
}

fn upkeep(
    store: &Store,
    sandbox: &SandboxRecord,
    decide: &dyn Fn(&Shared) -> Result<Edit>,
) -> Result<()> {
    let Some(network) = network_of(sandbox) else {
        return Ok(());
    };
    let directory = directory(network);
    let stale = format!("{directory}/{STALE}");
    let mut others = match store.root.names(&directory) {
        Ok(others) if others.is_empty() => return Ok(()),
        Ok(others) => others,
        Err(error) => {
            store.root.write_in_place(&stale, "")?;
            return Err(error);
        }
    };
    let count = others.len();
    others.retain(|name| name != STALE);
    let upkeep = Upkeep {
        store,
        network,
        was_stale: others.len() < count,
        directory,
        others,
    };
    match upkeep.act(decide) {
        Ok(()) if upkeep.was_stale => store.root.unlink(&stale),
        Ok(()) => Ok(()),
        Err(error) => {
            store.root.write_in_place(&stale, "")?;
            Err(error)
        }
    }
}

impl Upkeep<'_> {
    fn act(&self, decide: &dyn Fn(&Shared) -> Result<Edit>) -> Result<()> {
        let plain = file_name(LOOPBACK);
        let Some(first) = Shared::open(self.store, &self.directory, &plain, OFlags::RDWR)? else {
            // A writer died before the first reader had it.
            return self.store.root.remove_with_files(&self.directory);
        };
        let mut files = Vec::with_capacity(self.others.len());
        let mut failed = None;
        for name in self.others.iter().filter(|name| **name != plain) {
            match Shared::open(self.store, &self.directory, name, OFlags::RDWR) {
                // Its last sandbox is gone.
                Ok(Some(file)) if file.links < 2 => self.store.root.unlink(&file.path)?,
                Ok(file) => files.extend(file),
                Err(error) => failed = Some(error),
            }
        }
        let same = files.iter().all(|file| file.length == first.length);
        let edit = if same && !self.was_stale {
            decide(&first)?
        } else {
            Edit::Whole(recorded(self.store, self.network)?.into_bytes())
        };
        let empties = match &edit {
            Edit::Nothing => first.length == 0,
            edit => *edit == Edit::Whole(Vec::new()),
        };
        if empties && files.is_empty() && first.links < 2 {
            return self.store.root.remove_with_files(&self.directory);
        }
        // The plain one last: while it has not had what is decided from it, not all others may have had it.
        files.push(first);
        for file in &files {
            failed = file.apply(&edit).err().or(failed);
        }
        failed.map_or(Ok(()), Err)
    }
}

/// One of a network's files.
struct Shared {
    fd: OwnedFd,
    /// How many names it has: its own, and a sandbox's each.
    links: u64,
    /// Where its body begins, in bytes.
    head: u64,
    /// The length of its body, in bytes.
    length: u64,
    path: String,
}

impl Shared {
    fn open(store: &Store, directory: &str, name: &str, access: OFlags) -> Result<Option<Self>> {
        let path = format!("{directory}/{name}");
        // Where a monitor was killed, its container may hold a lease: it must not hold netcell up with it.
        let Some(fd) = store.root.open_file(&path, access | OFlags::NONBLOCK)? else {
            return Ok(None);
        };
        let stat = rustix::fs::fstat(&fd).map_err(|e| store.root.error("look at", &path, e))?;
        let head = name
            .split('-')
            .next()
            .and_then(|length| length.parse().ok());
        let head = head.unwrap_or(stat.st_size as u64);
        Ok(Some(Shared {
            fd,
            links: stat.st_nlink as u64,
            head,
            length: (stat.st_size as u64).saturating_sub(head),
            path,
        }))
    }

    fn body(&self) -> Result<Vec<u8>> {
        let mut bytes = vec![0; self.length as usize];
        let read =
            read_at(&self.fd, &mut bytes, self.head).map_err(|errno| self.error("read", errno))?;
        bytes.truncate(read);
        Ok(bytes)
    }

    fn apply(&self, edit: &Edit) -> Result<()> {
        match edit {
            Edit::Nothing => Ok(()),
            Edit::Append(text) => self.write(text.as_bytes(), self.length as usize),
            Edit::Blank(ranges) => ranges.iter().try_for_each(|range| {
                self.write(text::comment(range.len()).as_bytes(), range.start)
            }),
            Edit::Cut(length) => self.cut(*length),
            Edit::Whole(text) => {
                self.write(text, 0)?;
                self.cut(text.len())
            }
        }
    }

    fn write(&self, text: &[u8], at: usize) -> Result<()> {
        write_all(&self.fd, text, Some(self.head + at as u64))
            .map_err(|errno| self.error("write", errno))
    }

    fn cut(&self, length: usize) -> Result<()> {
        retry_on_intr(|| rustix::fs::ftruncate(&self.fd, self.head + length as u64))
            .map_err(|errno| self.error("write", errno))
    }

    fn error(&self, action: &str, errno: Errno) -> Error {
        Error::os(format_args!("{action} {}", self.path), errno)
    }
}

/// Makes a file whole before anybody can read it.
fn make(store: &Store, directory: &str, name: &str, head: &str, body: &str) -> Result<()> {
    let temporary = format!("{directory}/.{name}");
    store.root.make(directory)?;
    let made = store
        .root
        .write_in_place(&temporary, &format!("{head}{body}"))
        .and_then(|()| {
            store
                .root
                .rename(&temporary, &format!("{directory}/{name}"))
        });
    if made.is_err() {
        store.root.unlink(&temporary).ok();
    }
    made
}

fn directory(network: &Name) -> String {
    format!("networks/{network}/hosts")
}

/// The name of the file whose head this is: its length, and FNV-1a (draft-eastlake-fnv).
fn file_name(head: &str) -> String {
    let hash = head.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    format!("{}-{hash:x}", head.len())
}

fn network_of(sandbox: &SandboxRecord) -> Option<&Name> {
    sandbox.endpoint.as_ref().map(|endpoint| &endpoint.network)
}

/// The body that the records give, oldest sandbox first.
fn recorded(store: &Store, network: &Name) -> Result<String> {
    let mut sandboxes = store.read_all::<SandboxRecord>(&mut |_| {})?;
    sandboxes.retain(|sandbox| network_of(sandbox) == Some(network));
    let mut found: Vec<(u64, String)> = Vec::with_capacity(sandboxes.len());
    for sandbox in &sandboxes {
        // One that cannot be read hides no other, and the sandbox is still found by name.
        let container = store.read::<ContainerRecord>(&sandbox.name);
        let container = container.ok().flatten().map(|record| record.id);
        let id = container.or(sandbox.bare.then_some(sandbox.id));
        let at = found.partition_point(|(created, _)| *created <= sandbox.created);
        found.insert(at, (sandbox.created, text::lines(sandbox, id)));
    }
    Ok(found.into_iter().map(|(_, lines)| lines).collect())
}
