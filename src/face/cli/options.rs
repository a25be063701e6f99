//! A subcommand's options: declared once in a table, parsed, explained and read by it; `run` and `create` share theirs.
//!
//! A table instead of argh's structures, which know no sharing: two of them would be every option twice, in the source
//! and in the binary. An option is a line in [`COMMON`], and is read where it is used, by its name.

use super::argv::{self, Options, Put, Usage, WORD};
use super::output::Voice;
use crate::error::{Error, Result};
use argh::{FlagInfo, FlagInfoKind, Optionality};

/// The options of a process, of `exec` too.
pub(super) const ENV: FlagInfo<'static> = option(
    "--env",
    Some('e'),
    "KEY[=VALUE]",
    "set an environment variable; may be repeated",
);
pub(super) const ENV_FILE: FlagInfo<'static> =
    option("--env-file", None, "FILE", "as --env, a line each");
pub(super) const WORKDIR: FlagInfo<'static> = option(
    "--workdir",
    Some('w'),
    "DIR",
    "the working directory inside",
);
pub(super) const USER: FlagInfo<'static> =
    option("--user", Some('u'), "USER[:GROUP]", "run as this user");

/// What both have.
const COMMON: &[FlagInfo<'static>] = &[
    option(
        "--name",
        None,
        "NAME",
        "a name of at most 63 characters; else one is made up",
    ),
    option(
        "--network",
        None,
        "NETWORK",
        "bridge (default), none, host, container:NAME, lan or name=lan,ip=10.50.0.9",
    ),
    option(
        "--publish",
        Some('p'),
        "PORTS",
        "publish [IP:][HOST:]CONTAINER[/PROTO], also ranges; may be repeated",
    ),
    option("--ip", None, "ADDRESS", "the IPv4 address"),
    option("--ip6", None, "ADDRESS", "the IPv6 address"),
    option("--mac-address", None, "MAC", "the MAC"),
    switch(
        "--allow-spoof",
        None,
        "let it send from other MACs and addresses than its own",
    ),
    option("--hostname", Some('h'), "NAME", "the host name"),
    option(
        "--network-alias",
        None,
        "NAME",
        "one more name on its network; may be repeated",
    ),
    option(
        "--add-host",
        None,
        "NAME:IP",
        "a line of /etc/hosts; IP may be host-gateway; may be repeated",
    ),
    option("--dns", None, "IP", "a name server; may be repeated"),
    option(
        "--dns-search",
        None,
        "DOMAIN",
        "a domain to search, . for none; may be repeated",
    ),
    option(
        "--dns-option",
        None,
        "OPTION",
        "an option of resolv.conf(5); may be repeated",
    ),
    switch("--rm", None, "remove the container when its process ends"),
    switch("--interactive", Some('i'), "keep stdin open"),
    switch("--tty", Some('t'), "give it a terminal"),
    ENV,
    ENV_FILE,
    WORKDIR,
    USER,
    option(
        "--group-add",
        None,
        "GROUP",
        "and in this group; may be repeated",
    ),
    option(
        "--volume",
        Some('v'),
        "SRC:DST",
        "show a file or directory of the host's, or :ro; may be repeated",
    ),
    option(
        "--tmpfs",
        None,
        "DST[:OPTIONS]",
        "a file system in memory, as in /tmp:size=64m",
    ),
    switch("--read-only", None, "the root cannot be written"),
    option(
        "--label",
        Some('l'),
        "KEY[=VALUE]",
        "call it something; may be repeated",
    ),
    option("--label-file", None, "FILE", "as --label, a line each"),
    option(
        "--entrypoint",
        None,
        "PROGRAM",
        "what COMMAND is the arguments of",
    ),
    option(
        "--restart",
        None,
        "POLICY",
        "start it again: no, on-failure[:N], always, unless-stopped",
    ),
    switch(
        "--init",
        None,
        "a first process that hands signals on and reaps",
    ),
    option(
        "--stop-signal",
        None,
        "SIGNAL",
        "what stop sends; default TERM",
    ),
    option(
        "--stop-timeout",
        None,
        "SECONDS",
        "how long stop waits then; default 10",
    ),
    option(
        "--cap-add",
        None,
        "NAME",
        "a capability more, or ALL; may be repeated",
    ),
    option(
        "--cap-drop",
        None,
        "NAME",
        "a capability less, or ALL; may be repeated",
    ),
    switch(
        "--privileged",
        None,
        "all capabilities and devices: no boundary any more",
    ),
    option(
        "--ulimit",
        None,
        "NAME=N[:N]",
        "a resource limit, soft and hard; may be repeated",
    ),
    option(
        "--sysctl",
        None,
        "KEY=VALUE",
        "of its namespaces, as in net.ipv4.conf.IFNAME.forwarding=1",
    ),
    option(
        "--log-max-size",
        None,
        "SIZE",
        "the most the log keeps, as in 64k; default 1m",
    ),
    switch(
        "--verbose",
        None,
        "say each operation as it is done; also -v without SRC:DST",
    ),
    DRY_RUN,
];

/// What most that change something have.
pub(super) const VERBOSE: FlagInfo<'static> =
    switch("--verbose", Some('v'), "say each operation as it is done");

/// The same.
pub(super) const DRY_RUN: FlagInfo<'static> = switch(
    "--dry-run",
    None,
    "print the operations as a shell script and change nothing",
);

/// What those that list or show have.
pub(super) const JSON: FlagInfo<'static> = switch("--json", None, "as JSON");

/// An option without a value.
pub(super) const fn switch(
    long: &'static str,
    short: Option<char>,
    description: &'static str,
) -> FlagInfo<'static> {
    FlagInfo {
        kind: FlagInfoKind::Switch,
        optionality: Optionality::Optional,
        long,
        short,
        description,
        hidden: false,
    }
}

/// An option with a value, which the page calls `arg_name`.
pub(super) const fn option(
    long: &'static str,
    short: Option<char>,
    arg_name: &'static str,
    description: &'static str,
) -> FlagInfo<'static> {
    FlagInfo {
        kind: FlagInfoKind::Option { arg_name },
        ..switch(long, short, description)
    }
}

/// A subcommand's page of help, which is also how it is parsed.
pub(super) struct Page {
    /// Its name.
    pub command: &'static str,
    /// The words that are no options.
    pub words: &'static str,
    /// What it does.
    pub about: &'static str,
    /// Its options, without those that `run` and `create` share.
    pub own: &'static [FlagInfo<'static>],
    /// Examples, notes and exit codes.
    pub end: &'static str,
}

/// The words of a command line, by option.
pub(super) struct Given {
    page: &'static Page,
    /// The options.
    pub options: Vec<Put>,
    /// What is no option: IMAGE, COMMAND and its arguments.
    pub rest: Vec<String>,
    /// For each of those its number among the words, counted from 0.
    pub places: Vec<usize>,
}

impl Given {
    /// Reads a command line.
    pub fn parse(page: &'static Page, words: &[String]) -> Result<Self, Usage> {
        let normal = argv::normalise(words, &page.flags(), page.place()).map_err(Usage::Wrong)?;
        if normal.help {
            return Err(Usage::Help(page.text()));
        }
        argv::check_count(page.command, page.words, normal.rest.len())?;
        let mut given = Given {
            page,
            options: normal.options,
            rest: normal.rest,
            places: normal.places,
        };
        given.expand_network().map_err(Usage::Failed)?;
        Ok(given)
    }

    /// What stands behind an option: a switch has no value, or `false`.
    fn values(&self, name: &'static str) -> Vec<Option<&str>> {
        debug_assert!(
            self.page.flags().iter().any(|flag| flag.long == name),
            "{name} is in no table"
        );
        let mut values = Vec::new();
        for option in &self.options {
            if option.name == name {
                values.push(option.value.as_deref());
            }
        }
        values
    }

    /// Whether a switch was given.
    pub fn has(&self, name: &'static str) -> bool {
        self.values(name).last() == Some(&None)
    }

    /// The value of an option; of several the last one holds.
    pub fn last(&self, name: &'static str) -> Option<&str> {
        self.values(name).pop().flatten()
    }

    /// The same as text of its own.
    pub fn owned(&self, name: &'static str) -> Option<String> {
        self.last(name).map(str::to_owned)
    }

    /// The same, read.
    pub fn read<T>(&self, name: &'static str, read: fn(&str) -> Result<T>) -> Result<Option<T>> {
        match self.last(name) {
            Some(text) => Ok(Some(read(text).map_err(|error| error.of(name))?)),
            None => Ok(None),
        }
    }

    /// All values of an option that may be repeated.
    pub fn all(&self, name: &'static str) -> Vec<&str> {
        self.values(name).into_iter().flatten().collect()
    }

    /// The same, each of them read.
    pub fn read_all<T>(&self, name: &'static str, read: fn(&str) -> Result<T>) -> Result<Vec<T>> {
        let mut all = Vec::new();
        self.each(name, &mut |text| {
            all.push(read(text)?);
            Ok(())
        })?;
        Ok(all)
    }

    fn each(&self, name: &'static str, take: &mut dyn FnMut(&str) -> Result<()>) -> Result<()> {
        for (number, text) in self.all(name).into_iter().enumerate() {
            take(text).map_err(|error| error.nth(name, number))?;
        }
        Ok(())
    }

    /// An error that is about an option, not about its value.
    pub fn blame(&self, name: &'static str, error: Error) -> Error {
        match self.options.iter().find(|option| option.name == name) {
            Some(option) => error.nth(WORD, option.at),
            None => error,
        }
    }

    /// The words that are no options, at least one.
    pub fn names(&self) -> Result<&[String], Usage> {
        self.first()?;
        Ok(&self.rest)
    }

    /// The first word that is no option, and the others.
    pub fn first(&self) -> Result<(&str, &[String]), Usage> {
        let first = self.rest.split_first();
        // The page says that there is one.
        first
            .map(|(first, rest)| (first.as_str(), rest))
            .ok_or_else(|| argv::wants(self.page.command, "at least 1 argument"))
    }

    /// The only word that is no option.
    pub fn one_name(&self) -> Result<&str, Usage> {
        Ok(self.first()?.0)
    }

    /// A number as the value of an option.
    pub fn number(&self, name: &'static str) -> Result<Option<i64>, Usage> {
        let Some(text) = self.last(name) else {
            return Ok(None);
        };
        text.parse().map(Some).map_err(|_| {
            Usage::Wrong(Error::new(format_args!(
                "invalid argument \"{text}\" for \"{name}\" flag: a number is wanted"
            )))
        })
    }

    /// How much is to be said.
    pub fn voice(&self) -> Voice {
        Voice::of(self.has("--verbose"), self.has("--dry-run"))
    }
}

impl Page {
    /// Whether a container's command may stand behind the options.
    fn place(&self) -> Options {
        match self.command {
            "run" | "create" | "exec" => Options::First,
            _ => Options::Anywhere,
        }
    }

    fn flags(&self) -> Vec<&'static FlagInfo<'static>> {
        let mut flags: Vec<_> = self.own.iter().collect();
        if let "run" | "create" = self.command {
            flags.extend(COMMON);
        }
        flags
    }

    /// What `--help` prints.
    pub fn text(&self) -> String {
        let mut page = format!(
            "Usage: netcell {} [OPTIONS] {}\n\n{}\n\nOptions:\n",
            self.command, self.words, self.about
        );
        for flag in self.flags() {
            page.push_str(&line(flag));
        }
        page.push_str("  --help\n\n");
        page.push_str(self.end);
        page
    }
}

/// An option's line: its spellings, then from one column on what it does.
fn line(flag: &FlagInfo) -> String {
    const COLUMN: usize = 26;
    let mut line = String::from("  ");
    if let Some(short) = flag.short {
        line.extend(['-', short, ',', ' ']);
    }
    line.push_str(flag.long);
    if let FlagInfoKind::Option { arg_name } = flag.kind {
        line.extend([" ", arg_name]);
    }
    let mut room = line.chars().count() + 1;
    if room > COLUMN {
        line.push('\n');
        room = 0;
    }
    line.extend(std::iter::repeat_n(' ', COLUMN - room));
    line.extend([" ", flag.description, "\n"]);
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: Page = Page {
        command: "run",
        words: "IMAGE [ARG…]",
        about: "Test.",
        own: &[switch("--detach", Some('d'), "go")],
        end: "End.\n",
    };

    fn given(text: &str) -> Given {
        let words: Vec<_> = text.split(' ').map(str::to_owned).collect();
        Given::parse(&PAGE, &words).unwrap_or_else(|_| panic!("{text}"))
    }

    #[test]
    fn the_last_value_holds_unless_all_are_asked_for() {
        let given = given("-dp80:80 --name a --name=b -p 81:81 alpine -i");
        assert!(given.has("--detach") && !given.has("--interactive"));
        assert_eq!(given.last("--name"), Some("b"));
        assert_eq!(given.all("--publish"), ["80:80", "81:81"]);
        assert_eq!(given.rest, ["alpine", "-i"]);
    }

    #[test]
    fn no_option_is_in_the_table_twice_and_the_page_has_each() {
        let page = PAGE.text();
        for (at, flag) in COMMON.iter().enumerate() {
            let rest = &COMMON[at + 1..];
            assert!(rest.iter().all(|other| other.long != flag.long
                && (flag.short.is_none() || other.short != flag.short)));
            assert!(
                page.contains(flag.long) && page.contains(flag.description),
                "{page}"
            );
        }
        assert!(
            page.lines().all(|line| line.chars().count() <= 100),
            "{page}"
        );
    }
}
