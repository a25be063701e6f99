//! `netcell run`.

use super::argv::{self, Usage};
use super::attach::{DETACH_KEYS, SIG_PROXY};
use super::options::{Given, Page, option, switch};
use super::{Cli, attach, names, output, show};
use crate::engine::spec::{ContainerSpec, EndpointSpec, NetworkMode, SandboxSpec, Stay};
use crate::engine::{Engine, Run};
use crate::error::{Error, Result, exit};
use crate::types::{Mac, Name, PortSpec};

/// Two log files share it, and each keeps at least a line.
const LOG_LEAST: u64 = 4096;

pub(super) static PAGE: Page = Page {
    command: "run",
    words: "IMAGE [COMMAND [ARG…]]",
    about: "Create a container and run a command in it. Without COMMAND: make a sandbox and show it.",
    own: &[
        switch(
            "--detach",
            Some('d'),
            "run in the background and print the id",
        ),
        option(
            "--attach",
            Some('a'),
            "STREAM",
            "only stdin, stdout or stderr; may be repeated",
        ),
        option("--detach-keys", None, "KEYS", DETACH_KEYS),
        switch("--sig-proxy", None, SIG_PROXY),
    ],
    end: "Example:
  netcell run -d --name web -p 8080:80 alpine httpd -f

IMAGE is a root file system: a name under the image directory, a path, or / for the host's own.

Exit codes: 125 an error of netcell's, 126 COMMAND cannot be executed, 127 COMMAND was not found,
141 nobody reads on, else COMMAND's own, or 128 plus its signal.
",
};

impl Given {
    /// The specification of a container.
    pub fn container(&self, image: &str, command: &[String]) -> Result<ContainerSpec> {
        let network = self.network()?;
        let hostname = self.owned("--hostname");
        if hostname.is_some() && matches!(network, NetworkMode::Container(_)) {
            let error = Error::new("conflicting options: hostname and the network mode");
            return Err(self.blame("--hostname", error));
        }
        let entrypoint = self.last("--entrypoint").filter(|entry| !entry.is_empty());
        let entrypoint = entrypoint.map(str::to_owned).into_iter();
        Ok(ContainerSpec {
            name: self.name()?,
            image: image.to_owned(),
            command: entrypoint.chain(command.iter().cloned()).collect(),
            env: self.environment()?,
            labels: self.labels()?,
            settings: self.settings(&network)?,
            applied: None,
            workdir: self.read("--workdir", workdir)?,
            user: self.owned("--user"),
            hostname,
            names: names::checked(self, &network)?,
            publish: self.published(&network)?,
            endpoint: self.endpoint()?,
            network,
            auto_remove: self.has("--rm"),
            interactive: self.has("--interactive"),
            terminal: self.has("--tty"),
            log_max: self.read("--log-max-size", size)?.unwrap_or(1 << 20),
        })
    }

    /// The specification of a sandbox alone.
    pub fn sandbox(&self) -> Result<SandboxSpec> {
        let network = self.network()?;
        let publish = self.published(&network)?;
        Ok(SandboxSpec {
            name: self.name()?,
            hostname: self.owned("--hostname"),
            names: names::checked(self, &network)?,
            network,
            publish,
            endpoint: self.endpoint()?,
            applied: None,
        })
    }

    fn endpoint(&self) -> Result<EndpointSpec> {
        Ok(EndpointSpec {
            ip: self.read("--ip", address)?,
            ip6: self.read("--ip6", address)?,
            mac: self.read("--mac-address", mac)?,
            allow_spoof: self.has("--allow-spoof"),
        })
    }

    fn name(&self) -> Result<Option<Name>> {
        self.read("--name", str::parse)
    }

    fn network(&self) -> Result<NetworkMode> {
        let mode = match self.all("--network")[..] {
            [] => mode("bridge"),
            [one] => mode(one),
            [one, other, ..] if one == other => Err(Error::new(format_args!(
                "network \"{one}\" is specified multiple times"
            ))),
            [one, other, ..] => Err(Error::new(format_args!(
                "cannot attach to both {one} and {other}: a sandbox has one network"
            ))),
        };
        mode.map_err(|error| error.nth("--network", 1))
    }

    fn published(&self, network: &NetworkMode) -> Result<Vec<PortSpec>> {
        let ports = self.read_all("--publish", str::parse)?;
        if *network == NetworkMode::Host && !ports.is_empty() {
            output::complain(
                &"WARNING: Published ports are discarded when using host network mode",
            );
            return Ok(Vec::new());
        }
        Ok(ports)
    }
}

/// The value of `--workdir`.
fn workdir(text: &str) -> Result<String> {
    match text.starts_with('/') {
        true => Ok(text.to_owned()),
        false => Err(Error::new(format_args!(
            "the working directory '{text}' is invalid, it needs to be an absolute path"
        ))),
    }
}

/// The value of `--ip` or `--ip6`.
fn address<T: std::str::FromStr>(text: &str) -> Result<T> {
    text.parse()
        .map_err(|_| Error::new(format_args!("invalid IP address: {text}")))
}

/// `--mac-address`'s value.
fn mac(text: &str) -> Result<Mac> {
    let mac = text.parse::<Mac>()?;
    mac.is_valid().then_some(mac).ok_or_else(|| {
        Error::new(format_args!(
            "{text} is not a valid mac address: a group's address, or the one of zeros, is nobody's"
        ))
    })
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

/// A size in bytes, with Docker's suffixes.
fn size(text: &str) -> Result<u64> {
    let wrong = || {
        Error::new(format_args!(
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
        return Err(Error::new(format_args!(
            "invalid size: '{text}': a log keeps at least {LOG_LEAST} bytes"
        )));
    }
    Ok(bytes)
}

/// Carries out `netcell run`.
pub fn main(cli: &Cli, given: &Given) -> Result<u8, Usage> {
    let (image, command) = given.first()?;
    let voice = given.voice();
    let spec = given.container(image, command)?;
    if spec.command.is_empty() {
        if let Some(option) = given.of_a_process() {
            cli.check_image(image)?;
            return Err(argv::no_command(image, option));
        }
        let (alone, remove) = (given.sandbox()?, given.has("--rm"));
        return Ok(cli.engine(voice, |engine, run| {
            show_new(engine, image, &alone, remove, run)
        })?);
    }
    let stay = match (given.has("--detach"), streams(given)?) {
        (true, None) => None,
        (true, Some(_)) => {
            let both = "conflicting options: cannot specify both --attach and --detach";
            return Err(Usage::Failed(Error::new(both).exit(exit::FAILURE)));
        }
        (false, wanted) => {
            let [stdin, out, err] = wanted.unwrap_or([true; 3]);
            let stdin = stdin && given.has("--interactive");
            attach::check_terminal(stdin && given.has("--tty"))?;
            Some(Stay {
                stdin,
                streams: [out, err],
                ..given.stay()?
            })
        }
    };
    let ran = cli.engine(voice, |engine, run| {
        let ran = engine.run(&spec, stay.as_ref(), run)?;
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

/// What `--attach` names: stdin, stdout, stderr.
fn streams(given: &Given) -> Result<Option<[bool; 3]>> {
    let mut wanted = None;
    for name in given.all("--attach") {
        let known = ["stdin", "stdout", "stderr"];
        let Some(at) = known
            .iter()
            .position(|known| name.eq_ignore_ascii_case(known))
        else {
            return Err(Error::new(format_args!(
                "invalid argument \"{name}\" for \"-a, --attach\" flag: valid streams are STDIN, STDOUT and STDERR"
            )));
        };
        wanted.get_or_insert([false; 3])[at] = true;
    }
    Ok(wanted)
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
        if remove {
            engine.say_end(None, run);
        }
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
