//! `netcell run`.

use super::argv::{self, Options, Usage};
use super::output::{self, Voice};
use super::{Cli, show};
use crate::engine::spec::{ContainerSpec, NetworkMode, SandboxSpec};
use crate::engine::{Engine, Run};
use crate::error::{Error, Result};
use crate::types::{Name, PortMapping};
use argh::{ArgsInfo, FromArgs};

/// Two log files share it, and each keeps at least a line.
const LOG_LEAST: u64 = 4096;

/// Create a container and run a command in it. Without COMMAND: make a sandbox and show it.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    example = "netcell run -d --name web -p 8080:80 alpine httpd -f",
    note = "IMAGE is a root file system: a name under the image directory, a path, or / for the host's own.",
    error_code(125, "an error of netcell's"),
    error_code(126, "COMMAND cannot be executed"),
    error_code(127, "COMMAND was not found")
)]
struct Words {
    /// run in the background and print the id
    #[argh(switch, short = 'd')]
    detach: bool,
    /// remove the container when its process ends
    #[argh(switch)]
    rm: bool,
    #[argh(option, arg_name = "NAME")]
    /// a name of at most 63 characters; else one is made up
    name: Option<String>,
    #[argh(option, arg_name = "NETWORK", default = "String::from(\"bridge\")")]
    /// bridge (default), none, host, container:NAME|ID, or a network's name
    network: String,
    #[argh(option, short = 'p', arg_name = "[IP:]HOST:CONTAINER[/udp]")]
    /// publish a port; may be repeated
    publish: Vec<String>,
    #[argh(option, short = 'h', arg_name = "NAME")]
    /// the container's host name
    hostname: Option<String>,
    /// keep stdin open
    #[argh(switch, short = 'i')]
    interactive: bool,
    #[argh(option, short = 'e', arg_name = "KEY[=VALUE]")]
    /// set an environment variable; may be repeated
    env: Vec<String>,
    #[argh(option, short = 'w', arg_name = "DIR")]
    /// the working directory inside
    workdir: Option<String>,
    #[argh(option, short = 'u', arg_name = "USER[:GROUP]")]
    /// run as this user
    user: Option<String>,
    #[argh(option, arg_name = "SIZE", default = "String::from(\"1m\")")]
    /// the most the log keeps, as in 64k; default 1m
    log_max_size: String,
    /// say each operation as it is done
    #[argh(switch, short = 'v')]
    verbose: bool,
    /// print the operations as a shell script and change nothing
    #[argh(switch)]
    dry_run: bool,
    #[argh(positional, greedy, arg_name = "IMAGE [COMMAND [ARG…]]")]
    words: Vec<String>,
}

/// What `run` and `create` have in common, read from their words.
pub(super) struct Wanted<'a> {
    pub name: Option<&'a str>,
    pub network: &'a str,
    pub publish: &'a [String],
    pub hostname: Option<&'a str>,
    pub interactive: bool,
    pub env: &'a [String],
    pub workdir: Option<&'a str>,
    pub user: Option<&'a str>,
    pub log_max_size: &'a str,
    pub auto_remove: bool,
}

impl Wanted<'_> {
    /// The specification of a container.
    pub fn container(&self, image: &str, command: &[String]) -> Result<ContainerSpec> {
        let network = mode(self.network)?;
        if self.hostname.is_some() && matches!(network, NetworkMode::Container(_)) {
            return Err(Error::new(
                "conflicting options: hostname and the network mode",
            ));
        }
        if let Some(workdir) = self.workdir.filter(|workdir| !workdir.starts_with('/')) {
            return Err(Error::new(format!(
                "the working directory '{workdir}' is invalid, it needs to be an absolute path"
            )));
        }
        Ok(ContainerSpec {
            name: self.name()?,
            image: image.to_owned(),
            command: command.to_vec(),
            env: environment(self.env)?,
            workdir: self.workdir.map(str::to_owned),
            user: self.user.map(str::to_owned),
            hostname: self.hostname.map(str::to_owned),
            publish: self.published(&network)?,
            network,
            auto_remove: self.auto_remove,
            interactive: self.interactive,
            log_max: size(self.log_max_size)?,
        })
    }

    /// The specification of a sandbox alone.
    pub fn sandbox(&self) -> Result<SandboxSpec> {
        let network = mode(self.network)?;
        let publish = self.published(&network)?;
        Ok(SandboxSpec {
            name: self.name()?,
            hostname: self.hostname.map(str::to_owned),
            network,
            publish,
        })
    }

    fn name(&self) -> Result<Option<Name>> {
        self.name.map(str::parse).transpose()
    }

    fn published(&self, network: &NetworkMode) -> Result<Vec<PortMapping>> {
        let ports = self
            .publish
            .iter()
            .map(|port| port.parse())
            .collect::<Result<Vec<_>>>()?;
        if *network == NetworkMode::Host && !ports.is_empty() {
            output::complain(
                &"WARNING: Published ports are discarded when using host network mode",
            );
            return Ok(Vec::new());
        }
        Ok(ports)
    }
}

/// `--network`'s value.
fn mode(text: &str) -> Result<NetworkMode> {
    Ok(match text {
        "none" => NetworkMode::None,
        "host" => NetworkMode::Host,
        "default" | "" => NetworkMode::Network("bridge".into()),
        "container" => return Err(invalid_container()),
        _ => match text.strip_prefix("container:") {
            Some("") => return Err(invalid_container()),
            Some(reference) => NetworkMode::Container(reference.to_owned()),
            None => NetworkMode::Network(text.to_owned()),
        },
    })
}

fn invalid_container() -> Error {
    Error::new("invalid network mode: invalid container format container:<name|id>")
}

/// `-e KEY=VALUE`; `-e KEY` takes the caller's value, and is left out where the caller has none.
pub(super) fn environment(entries: &[String]) -> Result<Vec<String>> {
    let mut env = Vec::with_capacity(entries.len());
    for entry in entries {
        match entry.split_once('=') {
            Some(("", _)) => {
                return Err(Error::new(format!("invalid environment variable: {entry}")));
            }
            Some(_) => env.push(entry.clone()),
            None if entry.is_empty() => {
                return Err(Error::new("invalid environment variable: it is empty"));
            }
            None => env.extend(
                std::env::var(entry)
                    .ok()
                    .map(|value| format!("{entry}={value}")),
            ),
        }
    }
    Ok(env)
}

/// A size in bytes, with Docker's suffixes.
fn size(text: &str) -> Result<u64> {
    let wrong = || {
        Error::new(format!(
            "invalid size: '{text}': a number of bytes is wanted, or one with k or m"
        ))
    };
    let lower = text.to_ascii_lowercase();
    let digits = lower
        .trim_end_matches('b')
        .trim_end_matches(['k', 'm', 'g']);
    let unit = match lower[digits.len()..].chars().next() {
        None | Some('b') => 1,
        Some('k') => 1 << 10,
        Some('m') => 1 << 20,
        _ => 1 << 30,
    };
    let bytes = digits
        .parse::<u64>()
        .ok()
        .and_then(|n| n.checked_mul(unit))
        .ok_or_else(wrong)?;
    if bytes < LOG_LEAST {
        return Err(Error::new(format!(
            "invalid size: '{text}': a log keeps at least {LOG_LEAST} bytes"
        )));
    }
    Ok(bytes)
}

/// Carries out `netcell run`.
pub fn main(cli: &Cli, words: &[String]) -> Result<u8, Usage> {
    let words: Words = argv::parse("run", words, Options::First)?;
    argv::at_least_one("run", &words.words)?;
    let wanted = Wanted {
        name: words.name.as_deref(),
        network: &words.network,
        publish: &words.publish,
        hostname: words.hostname.as_deref(),
        interactive: words.interactive,
        env: &words.env,
        workdir: words.workdir.as_deref(),
        user: words.user.as_deref(),
        log_max_size: &words.log_max_size,
        auto_remove: words.rm,
    };
    let voice = Voice::of(words.verbose, words.dry_run);
    let (image, command) = (&words.words[0], &words.words[1..]);
    let spec = wanted.container(image, command)?;
    if command.is_empty() {
        let alone = wanted.sandbox()?;
        return Ok(cli.engine(voice, |engine, run| {
            show_new(engine, image, &alone, words.rm, run)
        })?);
    }
    let ran = cli.engine(voice, |engine, run| {
        let ran = engine.run(&spec, words.detach, run)?;
        Ok((ran, run.dry_run))
    });
    let (ran, dry_run) = ran?;
    match ran.exit {
        Some(code) => Ok(code),
        None if dry_run => Ok(0),
        None => {
            output::line(&ran.id)?;
            Ok(0)
        }
    }
}

/// Without a command: a sandbox alone, shown, and with `--rm` removed again.
fn show_new(
    engine: &Engine,
    image: &str,
    spec: &SandboxSpec,
    remove: bool,
    run: &mut Run,
) -> Result<u8> {
    engine.check_image(image)?;
    let id = engine.create_sandbox(spec, run)?.to_string();
    if run.dry_run {
        return Ok(0);
    }
    let shown = engine
        .show(Some(&id))
        .and_then(|view| output::text(&show::page(&view)));
    if remove {
        engine.remove(&id, true, run)?;
    }
    shown.map(|()| 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_dockers_suffixes() {
        assert_eq!(size("1m").expect("a size"), 1 << 20);
        assert_eq!(size("64KB").expect("a size"), 64 << 10);
        assert_eq!(size("8192").expect("a size"), 8192);
        for bad in ["", "m", "-1", "1x", "4095", "99999999999g"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }
}
