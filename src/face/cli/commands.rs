//! The table of subcommands.

use super::argv::Usage;
use super::options::Page;
use super::{
    Cli, Main, apply, attach, create, exec, info, inspect, kill, logs, network, port, prune, ps,
    publish, reconcile, rename, rm, run, show, start, stop, version, wait,
};
use crate::error::{Result, exit};

/// A subcommand: its name, what carries it out, what it is for, and the exit code of its errors.
pub(super) struct Command {
    pub name: &'static str,
    pub act: Act,
    pub about: &'static str,
    pub failure: u8,
}

/// What carries a subcommand out.
pub(super) enum Act {
    /// Takes what its words say, by its page.
    Given(&'static Page, Main),
    /// Takes its words as they are: it has commands of its own, or is about others.
    Words(fn(&Cli, &[String]) -> Result<u8, Usage>),
}

const fn command(page: &'static Page, act: Main, about: &'static str) -> Command {
    Command {
        name: page.command,
        act: Act::Given(page, act),
        about,
        failure: exit::FAILURE,
    }
}

/// All of them, as help lists them.
pub(super) static COMMANDS: [Command; 25] = [
    Command {
        failure: exit::RUN,
        ..command(
            &run::PAGE,
            run::main,
            "create a container and run a command in it",
        )
    },
    command(
        &create::PAGE,
        create::main,
        "create a container, or a sandbox alone, without starting it",
    ),
    command(
        &exec::PAGE,
        exec::main,
        "run a command in a container or sandbox",
    ),
    command(
        &start::PAGE,
        start::main,
        "start containers that are not running",
    ),
    command(
        &attach::PAGE,
        attach::main,
        "stay with a running container, as on its terminal",
    ),
    command(
        &stop::STOP,
        stop::main,
        "stop containers: SIGTERM, then SIGKILL",
    ),
    command(
        &stop::RESTART,
        stop::restart,
        "stop containers and start them again",
    ),
    command(&kill::PAGE, kill::main, "send a signal to containers"),
    command(
        &wait::PAGE,
        wait::main,
        "wait until containers end, and print their exit codes",
    ),
    command(
        &rename::PAGE,
        rename::main,
        "give a container and its sandbox another name",
    ),
    command(&rm::PAGE, rm::main, "remove containers and sandboxes"),
    command(&ps::PAGE, ps::main, "list containers"),
    command(
        &logs::PAGE,
        logs::main,
        "print what a container has written",
    ),
    command(
        &port::PAGE,
        port::main,
        "list a container's published ports",
    ),
    command(
        &publish::PUBLISH,
        publish::main,
        "publish more ports of a sandbox that lives",
    ),
    command(
        &publish::UNPUBLISH,
        publish::withdraw,
        "withdraw published ports",
    ),
    command(
        &inspect::PAGE,
        inspect::main,
        "everything about containers, as JSON or by a template",
    ),
    command(
        &show::PAGE,
        show::main,
        "links, addresses, routes and sockets of a sandbox, or of the host",
    ),
    Command {
        name: "network",
        act: Act::Words(network::main),
        about: "create, list, inspect and remove networks",
        failure: exit::FAILURE,
    },
    command(
        &apply::PAGE,
        apply::main,
        "make what runs what a file of command lines asks for",
    ),
    command(
        &reconcile::PAGE,
        reconcile::main,
        "make again what others flushed or deleted",
    ),
    command(
        &prune::PAGE,
        prune::main,
        "remove what nobody has a record of",
    ),
    command(
        &info::PAGE,
        info::main,
        "what the kernel has of what is needed, paths, limits",
    ),
    command(&version::PAGE, version::main, "the version of netcell"),
    Command {
        name: "help",
        act: Act::Words(super::help),
        about: "this page",
        failure: exit::FAILURE,
    },
];
