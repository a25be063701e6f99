//! The state of the box's host as text lines, so that before and after can be compared: nothing may be left behind.
//!
//! It reads /proc and /sys, and asks `nft` once. Not compared: what design.md lets stay after the last network is
//! gone, which is forwarding, the tables `netcell` without elements, and empty directories and locks below the state directory.

use super::boxes::STATE;
use super::command::{any, containers, netcell, wait_until, wait_within};
use super::image::IMAGES;
use super::oracle::{entries, processes};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// What was there: each line, how often.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    lines: BTreeMap<String, usize>,
    /// Whether the sysctls are among them.
    whole: bool,
}

impl Snapshot {
    /// Everything, now.
    pub fn take() -> Self {
        let mut now = Snapshot::but_sysctls();
        now.add_sysctls();
        now
    }

    /// Everything but the sysctls, which are two hundred files: who tries the same thing hundreds of times leaves them to
    /// the comparison at the end of the test, as one that was changed stays so.
    pub fn but_sysctls() -> Self {
        let mut now = Snapshot::transient();
        now.addresses_and_routes();
        now.rules();
        now.mounts();
        now.files(Path::new("/run"));
        now.files(Path::new("/dev/shm"));
        now.files(Path::new("/var/lib/netcell"));
        now
    }

    /// Everything but the sysctls, when the processes and links of what was before are gone: after 5 s as it is.
    pub fn at_rest() -> Self {
        let started = Instant::now();
        loop {
            let now = Snapshot::but_sysctls();
            std::thread::sleep(Duration::from_millis(60));
            if now == Snapshot::but_sysctls() || started.elapsed() > Duration::from_secs(5) {
                return now;
            }
        }
    }

    /// The same of a host on which no netcell is to be: what sees an earlier sandbox off may take longer than a moment.
    pub fn idle() -> Self {
        wait_until("no netcell runs", || {
            processes().iter().all(|(_, name)| name != "netcell")
        });
        Snapshot::at_rest()
    }

    /// As much as there is in this one, now.
    fn again(&self) -> Self {
        match self.whole {
            true => Snapshot::take(),
            false => Snapshot::but_sysctls(),
        }
    }

    /// What goes by itself a little later: links with their namespace, and processes that are dying.
    fn transient() -> Self {
        let mut now = Snapshot::default();
        now.links();
        for (_, name) in processes() {
            now.add("process", &name);
        }
        now
    }

    /// Whether what goes by itself has gone, which is cheaper to see than the rest.
    fn settled(&self, may_stay: &dyn Fn(&str) -> bool) -> bool {
        let now = Snapshot::transient();
        now.lines
            .iter()
            .all(|(line, count)| self.lines.get(line) == Some(count) || may_stay(line))
    }

    fn add(&mut self, kind: &str, text: &str) {
        *self.lines.entry(format!("{kind}: {text}")).or_default() += 1;
    }

    fn links(&mut self) {
        for name in entries("/sys/class/net") {
            let read = |file: &str| {
                let text = fs::read_to_string(format!("/sys/class/net/{name}/{file}"));
                text.unwrap_or_default().trim_end().to_owned()
            };
            let line = format!(
                "{name} {} mtu {} flags {}",
                read("address"),
                read("mtu"),
                read("flags")
            );
            self.add("link", &line);
        }
    }

    fn addresses_and_routes(&mut self) {
        let read = |file: &str| fs::read_to_string(format!("/proc/net/{file}")).unwrap_or_default();
        for line in read("route").lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            // Interface, destination, gateway, mask; the rest counts use.
            let picked = [0, 1, 2, 7].map(|i| fields.get(i).copied().unwrap_or_default());
            self.add("route", &picked.join(" "));
        }
        for line in read("ipv6_route").lines() {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let picked = [0, 1, 4, 9].map(|i| fields.get(i).copied().unwrap_or_default());
            // The kernel's own for multicast (ff00::/8): a link gets it a moment after its carrier, and takes it along.
            if picked[..2] != ["ff000000000000000000000000000000", "08"] {
                // Once: where routes change meanwhile the kernel begins again, and some are there twice (ipv6_route_seq_ops).
                self.lines.insert(format!("route: {}", picked.join(" ")), 1);
            }
        }
        for line in read("if_inet6").lines() {
            self.add("address", line);
        }
        let mut prefix = "";
        let trie = read("fib_trie");
        for line in trie.lines().map(str::trim) {
            match line.strip_prefix("|-- ") {
                Some(address) => prefix = address,
                None if line.ends_with("LOCAL") => self.add("address", &format!("{prefix} {line}")),
                None => {}
            }
        }
    }

    /// The rule sets of nf_tables; netcell's own table only as far as it has elements.
    fn rules(&mut self) {
        let answer = any("nft", &["-j", "list", "ruleset"]);
        let value: Value = serde_json::from_str(&answer.stdout).unwrap_or_default();
        let objects = value["nftables"].as_array().cloned().unwrap_or_default();
        for object in objects
            .iter()
            .filter(|object| object.get("metainfo").is_none())
        {
            if !is_netcells(object) {
                self.add("rule", &without_counts(object).to_string());
                continue;
            }
            for kind in ["map", "set"] {
                let name = object[kind]["name"].as_str().unwrap_or_default();
                // It stays as long as forwarding does: it keeps the host from being a router.
                if name == "no_transit" {
                    continue;
                }
                // What cuts a removed sandbox's port off goes by itself within a second: a test of the guard sees to it.
                if name == "gone" {
                    continue;
                }
                for element in object[kind]["elem"].as_array().into_iter().flatten() {
                    self.add("element", &format!("{name} {}", without_counts(element)));
                }
            }
        }
    }

    fn mounts(&mut self) {
        for line in fs::read_to_string("/proc/self/mountinfo")
            .unwrap_or_default()
            .lines()
        {
            // proc(5): id, parent, device, root, place, options, optional fields, -, type, source, options.
            let fields: Vec<&str> = line.split(' ').collect();
            let place = fields.get(4).copied().unwrap_or_default();
            // /run/netns is made a shared mount once, as iproute2 makes it.
            if place != "/run/netns" {
                let root = fields.get(3).copied().unwrap_or_default();
                self.add("mount", &format!("{root} on {place}"));
            }
        }
    }

    fn files(&mut self, directory: &Path) {
        for name in entries(&directory.to_string_lossy()) {
            let path = directory.join(&name);
            let Ok(found) = fs::symlink_metadata(&path) else {
                continue;
            };
            let text = path.to_string_lossy().into_owned();
            let state = text.starts_with(STATE);
            if text == IMAGES {
                continue;
            }
            if found.is_dir() {
                if !state && text != "/run/netns" {
                    self.add("directory", &text);
                }
                self.files(&path);
            } else if !(state && (is_kept(&name) || is_tombstone(&text))) {
                self.add("file", &text);
            }
        }
    }

    /// The sysctls that a router's owner sets and that netcell must not touch.
    fn add_sysctls(&mut self) {
        self.whole = true;
        for family in ["ipv4", "ipv6"] {
            for scope in ["all", "default"] {
                let directory = format!("/proc/sys/net/{family}/conf/{scope}");
                for name in entries(&directory) {
                    // These follow ip_forward (inet_forward_change in net/ipv4/devinet.c); stable_secret cannot be read.
                    if [
                        "forwarding",
                        "accept_redirects",
                        "stable_secret",
                        "mc_forwarding",
                    ]
                    .contains(&name.as_str())
                    {
                        continue;
                    }
                    let value =
                        fs::read_to_string(format!("{directory}/{name}")).unwrap_or_default();
                    self.add(
                        "sysctl",
                        &format!("{family} {scope} {name} = {}", value.trim_end()),
                    );
                }
            }
        }
    }

    /// Whether any line holds this text.
    pub fn holds(&self, text: &str) -> bool {
        self.lines.keys().any(|line| line.contains(text))
    }

    /// What is there now and was not, and what was and is not.
    pub fn differences(&self, after: &Snapshot) -> Vec<String> {
        let mut lines = Vec::new();
        for (line, &count) in &after.lines {
            let before = self.lines.get(line).copied().unwrap_or_default();
            if count > before {
                lines.push(format!("left behind: {line}"));
            }
        }
        for (line, &count) in &self.lines {
            let now = after.lines.get(line).copied().unwrap_or_default();
            if count > now {
                lines.push(format!("gone: {line}"));
            }
        }
        lines
    }
}

fn is_netcells(object: &Value) -> bool {
    let inner = object.as_object().and_then(|object| object.values().next());
    inner.is_some_and(|inner| {
        inner["table"] == "netcell" || inner["name"] == "netcell" && inner.get("table").is_none()
    })
}

/// Locks, the watcher's FIFO and its last trouble, and the note that forwarding is netcell's doing.
fn is_kept(name: &str) -> bool {
    [
        "boot",
        "lock",
        "reconcile",
        "fifo",
        "trouble",
        "forwarding",
        "forwarding6",
    ]
    .contains(&name)
}

/// An address lease of a removed sandbox, which is free again within a second.
fn is_tombstone(path: &str) -> bool {
    path.contains("/leases/")
}

/// Handles and counters change without anybody's doing; so does the time that is left to an element.
fn without_counts(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(without_counts).collect(),
        Value::Object(fields) => fields
            .iter()
            .filter(|(key, _)| !["handle", "packets", "bytes", "expires"].contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), without_counts(value)))
            .collect(),
        other => other.clone(),
    }
}

/// Waits until the host is as it was: links go with their namespace a little later, and killed processes take a moment.
///
/// # Errors
/// The lines that still differ after `time`.
pub fn restored(before: &Snapshot, time: Duration) -> Result<(), Vec<String>> {
    restored_but(before, time, &|_| false)
}

/// The same, but for lines that may differ.
///
/// # Errors
/// The other lines that still differ after `time`.
pub fn restored_but(
    before: &Snapshot,
    time: Duration,
    may_stay: &dyn Fn(&str) -> bool,
) -> Result<(), Vec<String>> {
    let started = Instant::now();
    while !before.settled(may_stay) && started.elapsed() < time {
        std::thread::sleep(Duration::from_millis(3));
    }
    loop {
        let mut lines = before.differences(&before.again());
        lines.retain(|line| !may_stay(line));
        if lines.is_empty() {
            return Ok(());
        }
        if started.elapsed() > time {
            return Err(lines);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// What a `--rm` container or a killed monitor may need for its last steps, and the kernel for a namespace's.
const MOMENT: Duration = Duration::from_secs(10);

/// At the end of a test: its networks can be removed, which proves that nobody uses them, and then nothing is left.
pub fn check_leaks(before: &Snapshot) {
    wait_within(MOMENT, "containers are gone", || {
        entries(&format!("{STATE}/containers")).is_empty() || containers() == 0
    });
    for network in entries(&format!("{STATE}/networks")) {
        netcell(&["network", "rm", &network]).ok();
    }
    if let Err(lines) = restored(before, MOMENT) {
        panic!("the test left something behind:\n{}", lines.join("\n"));
    }
}
