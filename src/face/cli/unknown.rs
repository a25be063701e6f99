//! Options and commands that netcell does not have: the nearest that it has, or why it has not what Docker has.

use crate::error::Error;

/// Docker's options that netcell has not, by reason.
const DOCKERS: [(&str, &str); 11] = [
    (
        "it sets no limits on resources, a control group does",
        "memory memory-swap memory-reservation memory-swappiness kernel-memory cpus cpu-shares cpu-period \
         cpu-quota cpu-rt-period cpu-rt-runtime cpu-count cpu-percent cpuset-cpus cpuset-mems blkio-weight \
         blkio-weight-device device-read-bps device-read-iops device-write-bps device-write-iops pids-limit \
         oom-kill-disable oom-score-adj cgroup-parent cgroupns io-maxbandwidth io-maxiops shm-size storage-opt \
         gpus device-cgroup-rule",
    ),
    (
        "an image is a directory of this host, nothing is pulled",
        "pull platform disable-content-trust quiet",
    ),
    (
        "an image is a directory, which names no command, health check or volumes of its own",
        "health-cmd health-interval health-retries health-start-interval health-start-period \
         health-timeout no-healthcheck volumes-from volume-driver",
    ),
    (
        "each container has pid, ipc, uts and mount namespaces of its own",
        "pid ipc uts userns isolation runtime",
    ),
    (
        "the log is netcell's own, with --log-max-size",
        "log-driver log-opt details",
    ),
    ("names are found with --network-alias", "link link-local-ip"),
    (
        "there is no swarm, and one driver of addresses",
        "attachable ingress scope config-only config-from config ipam-driver ipam-opt",
    ),
    (
        "capabilities are dropped and no_new_privs is set already",
        "security-opt",
    ),
    ("what a container writes is not counted", "size"),
    ("there are no checkpoints", "checkpoint checkpoint-dir"),
    (
        "it is not built",
        "annotation cidfile device domainname expose ipv4 mount publish-all volumes aux-address",
    ),
];

/// Docker's commands that netcell has not, by reason.
const COMMANDS: [(&str, &str); 5] = [
    (
        "an image is a directory of this host: copy or unpack one",
        "image images build builder buildx pull push tag rmi save load import export commit history login \
         logout search manifest trust",
    ),
    (
        "there is no daemon, and there are no other hosts",
        "context events swarm service stack node secret config plugin system",
    ),
    (
        "the host's own programs see a container's processes and files",
        "cp diff top",
    ),
    ("signals STOP and CONT do it, with kill -s", "pause unpause"),
    (
        "it is not built",
        "checkpoint container compose stats update volume",
    ),
];

/// Why a long option is not known.
pub fn option(name: &str, known: &[&str]) -> Error {
    let hint = match name {
        "dry-run" => ": this command only looks, waits or hands something on, so there is nothing that a script could do in its place".to_owned(),
        _ => hint(name, "--", known, &DOCKERS),
    };
    Error::new(format_args!("unknown flag: --{name}{hint}"))
}

/// What Docker's letters stand for that are not always netcell's.
const LETTERS: [(char, &str); 6] = [
    ('P', "publish-all"),
    ('c', "cpu-shares"),
    ('l', "label"),
    ('m', "memory"),
    ('s', "size"),
    ('t', "tty"),
];

/// Why a letter is not known.
pub fn letter(letter: char, word: &str) -> Error {
    let long = LETTERS.iter().find(|(known, _)| *known == letter);
    let hint = long.map(|(_, long)| hint(long, "--", &[], &DOCKERS));
    let hint = hint.unwrap_or_default();
    Error::new(format_args!(
        "unknown shorthand flag: '{letter}' in {word}{hint}"
    ))
}

/// Why a command is not known.
pub fn command(name: &str, known: &[&str]) -> Error {
    Error::new(format_args!(
        "'{name}' is not a netcell command{} (see 'netcell help')",
        hint(name, "", known, &COMMANDS)
    ))
}

fn hint(name: &str, dashes: &str, known: &[&str], dockers: &[(&str, &str)]) -> String {
    let theirs = dockers
        .iter()
        .find(|(_, names)| names.split_whitespace().any(|known| known == name));
    if let Some((reason, _)) = theirs {
        return format!(": Docker has it, netcell has not: {reason}");
    }
    // A slip or two; in a short word two would make it any other.
    let most = if name.len() > 4 { 2 } else { 1 };
    let known = known.iter().map(|known| known.trim_start_matches('-'));
    match known.map(|known| (distance(name, known), known)).min() {
        Some((slips, known)) if slips <= most => format!(": did you mean {dashes}{known}?"),
        _ => String::new(),
    }
}

/// How many letters have to be changed, put in, left out or swapped with the next (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().collect());
    // Of so many first letters of both: a row for each letter of `a` and none, a column for each of `b` and none.
    let width = b.len() + 1;
    let mut slips = vec![0; (a.len() + 1) * width];
    for at in 0..slips.len() {
        let (i, j) = (at / width, at % width);
        if i == 0 || j == 0 {
            slips[at] = i + j;
            continue;
        }
        let changed = slips[at - width - 1] + usize::from(a[i - 1] != b[j - 1]);
        let mut least = changed.min(slips[at - width] + 1).min(slips[at - 1] + 1);
        if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
            least = least.min(slips[at - 2 * width - 2] + 1);
        }
        slips[at] = least;
    }
    slips[slips.len() - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_counted() {
        for (a, b, slips) in [
            ("network", "network", 0),
            ("netwrok", "network", 1),
            ("nework", "network", 1),
            ("nonsense", "name", 6),
            ("", "rm", 2),
            ("rm", "", 2),
        ] {
            assert_eq!(distance(a, b), slips, "{a} {b}");
        }
    }

    #[test]
    fn the_nearest_is_named_and_so_is_what_docker_has() {
        let known = ["--name", "--network", "--rm"];
        let said = |name| option(name, &known).to_string();
        assert_eq!(
            said("netwrok"),
            "unknown flag: --netwrok: did you mean --network?"
        );
        assert_eq!(said("nonsense"), "unknown flag: --nonsense");
        assert_eq!(
            said("memory"),
            "unknown flag: --memory: Docker has it, netcell has not: it sets no limits on resources, a control group does"
        );
        assert!(
            command("insepct", &["inspect"])
                .to_string()
                .contains("did you mean inspect?")
        );
        assert!(
            command("pull", &["inspect"])
                .to_string()
                .contains("an image is a directory")
        );
    }
}
