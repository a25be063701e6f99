//! The state directory as bad luck leaves it: each file cut off at any byte, empty, foreign, of a newer netcell, a
//! directory, a link, a pipe; a tmpfs without room, without inodes, read-only. What is wrong is named by its path, no
//! command crashes or hangs, and whoever does not need that file works on. When it is whole again, so is everything.

use crate::harness::boxes::STATE;
use crate::harness::sample::Sample;
use crate::harness::snapshot::{Snapshot, restored_but};
use crate::harness::*;
use crate::tests;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub const TESTS: &[runner::Test] = tests![
    a_file_that_is_not_what_it_was_is_named_and_harms_nobody_else.seconds(900),
    a_record_cut_off_at_any_byte_is_named_and_harms_nobody_else.seconds(900),
    a_record_of_a_newer_netcell_is_named_with_what_to_do,
    a_record_with_an_entrypoint_and_no_command_is_shown_as_it_is,
    what_cannot_be_cleared_up_is_refused_and_not_waited_for_forever,
    a_boot_file_that_is_broken_loses_nothing,
    a_full_state_directory_makes_all_or_nothing.seconds(300),
    a_state_directory_without_inodes_makes_all_or_nothing.seconds(300),
    a_read_only_state_directory_can_be_read.seconds(120),
    what_is_broken_is_said_once_and_as_it_is,
];

/// One container on a network of its own, and one that has nothing to do with it.
fn two_containers() {
    cell("network create --subnet 10.50.0.0/24 lan").ok();
    cell("run -d --name web --network lan -p 8080:80 alpine sleep 1000").ok();
    cell("run -d --name other alpine sleep 1000").ok();
}

fn both_go() {
    cell("rm -f web").ok();
    cell("rm -f other").ok();
    cell("network rm lan").ok();
}

/// Every file of the state directory that is there while a container runs, but the other one's and logs.
fn state_files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut open = vec![PathBuf::from(STATE)];
    while let Some(directory) = open.pop() {
        for name in entries(&directory.to_string_lossy()) {
            let path = directory.join(&name);
            if name == "other" || name == "bridge" {
                continue;
            }
            match fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir()) {
                true => open.push(path),
                false => files.push(path),
            }
        }
    }
    files.sort();
    files
}

/// What stands in a file's place.
#[derive(Clone, Debug)]
enum Instead {
    Text(&'static str, Vec<u8>),
    Directory,
    FullDirectory,
    Link(&'static str),
    Pipe,
}

fn all_instead() -> Vec<Instead> {
    let foreign = br#"{"ociVersion":"1.0.2","process":{"args":["sh"]},"root":{"path":"rootfs"}}"#;
    let mut list = "{\"version\":1,\"name\":[".to_owned();
    list.push_str(&"[".repeat(5000));
    vec![
        Instead::Text("empty", Vec::new()),
        Instead::Text("foreign", foreign.to_vec()),
        Instead::Text("binary", (0..=255).cycle().take(3000).collect()),
        Instead::Text("deep", list.into_bytes()),
        Instead::Text("long", vec![b' '; 3 << 20]),
        Instead::Text("null", b"null".to_vec()),
        Instead::Directory,
        Instead::FullDirectory,
        Instead::Link("/etc/passwd"),
        Instead::Link("nowhere"),
        Instead::Pipe,
    ]
}

/// Puts something in a file's place, and the file back afterwards.
struct Swapped {
    path: PathBuf,
    kept: PathBuf,
}

impl Swapped {
    fn new(path: &Path, instead: &Instead) -> Self {
        let kept = PathBuf::from("/run/kept");
        step("keep a file", fs::rename(path, &kept));
        let made = match instead {
            Instead::Text(_, text) => fs::write(path, text),
            Instead::Directory => fs::create_dir(path),
            Instead::FullDirectory => {
                fs::create_dir(path).and_then(|()| fs::write(path.join("stray"), "x"))
            }
            Instead::Link(to) => std::os::unix::fs::symlink(to, path),
            Instead::Pipe => {
                must("mkfifo", &[&path.to_string_lossy()]);
                Ok(())
            }
        };
        step("put something in its place", made);
        Swapped {
            path: path.to_owned(),
            kept,
        }
    }
}

impl Drop for Swapped {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path).or_else(|_| fs::remove_dir_all(&self.path));
        let _ = fs::rename(&self.kept, &self.path);
    }
}

/// An answer in time, without a crash, and where it is an error one sentence.
#[track_caller]
fn orderly(line: &str) -> Output {
    let started = Instant::now();
    let answer = cell(line);
    assert!([0, 1, 125].contains(&answer.code), "{answer:?}");
    assert!(!answer.stderr.contains("panicked"), "{answer:?}");
    assert!(
        answer
            .stderr
            .lines()
            .all(|line| line.starts_with("netcell: ")),
        "{answer:?}"
    );
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "it took {:?}: {answer:?}",
        started.elapsed()
    );
    answer
}

/// What does not need the broken file goes on as if nothing were the matter.
#[track_caller]
fn others_work_on(path: &Path) {
    for line in [
        "exec other true",
        "inspect other",
        "publish other 9090:90",
        "unpublish other 9090:90",
    ] {
        let answer = orderly(line);
        assert_eq!(answer.code, 0, "{}: {answer:?}", path.display());
    }
    let list = orderly("ps -a");
    assert!(
        list.stdout.contains("other"),
        "{}: {list:?}",
        path.display()
    );
}

fn a_file_that_is_not_what_it_was_is_named_and_harms_nobody_else() {
    two_containers();
    let files = state_files();
    assert!(files.len() > 10, "{files:?}");
    let mut cases: Vec<(PathBuf, Instead)> = Vec::new();
    for path in &files {
        cases.extend(
            all_instead()
                .into_iter()
                .map(|instead| (path.clone(), instead)),
        );
    }
    let (count, sample) = (cases.len(), Sample::of_one_in(5));
    let cases = sample.of(cases);
    println!(
        "note: {} files, {count} cases, {} tried ({sample})",
        files.len(),
        cases.len()
    );
    for (path, instead) in cases {
        let what = match &instead {
            Instead::Text(what, _) | Instead::Link(what) => what,
            Instead::Directory => "a directory",
            Instead::FullDirectory => "a directory with something in it",
            Instead::Pipe => "a pipe",
        };
        println!("{}: {what}", path.display());
        let swapped = Swapped::new(&path, &instead);
        let name = path.to_string_lossy().into_owned();
        let answers = ["inspect web", "port web", "network inspect lan"].map(orderly);
        let named = answers.iter().any(|answer| answer.stderr.contains(&name));
        let failed = answers.iter().find(|answer| answer.code != 0);
        // Who fails because of it says because of what.
        assert!(failed.is_none() || named, "{name} is not named: {failed:?}");
        let record = name.ends_with("record.json");
        let gone = matches!(instead, Instead::Link("nowhere"));
        assert!(
            !record || gone || named,
            "{name} is nobody's trouble: {answers:?}"
        );
        // Without a lock, and without knowing of which boot all is, nobody can go on; but he can say so.
        if ["boot", "lock"].iter().any(|file| path.ends_with(file)) {
            let answer = orderly("exec other true");
            assert!(
                answer.code == 0 || answer.stderr.contains(&name),
                "{answer:?}"
            );
        } else {
            others_work_on(&path);
        }
        drop(swapped);
        for line in [
            "inspect web",
            "exec web true",
            "port web",
            "network inspect lan",
            "inspect other",
        ] {
            cell(line).ok();
        }
    }
    both_go();
}

fn a_record_cut_off_at_any_byte_is_named_and_harms_nobody_else() {
    two_containers();
    let mut files = state_files();
    files.retain(|path| {
        fs::symlink_metadata(path).is_ok_and(|found| found.is_file() && found.len() > 0)
    });
    let cuts: Vec<(PathBuf, usize)> = files
        .iter()
        .flat_map(|path| {
            let length = step("read a file", fs::read(path)).len();
            (0..length).map(|cut| (path.clone(), cut))
        })
        .collect();
    let (count, sample) = (cuts.len(), Sample::of_one_in(37));
    let cuts = sample.of(cuts);
    println!(
        "note: {} files, {count} cuts, {} tried ({sample})",
        files.len(),
        cuts.len()
    );
    for (turn, (path, cut)) in cuts.into_iter().enumerate() {
        let whole = step("read a file", fs::read(&path));
        step("cut a file off", fs::write(&path, &whole[..cut]));
        let name = path.to_string_lossy().into_owned();
        let answers = ["inspect web", "network inspect lan"].map(orderly);
        let named = answers.iter().any(|answer| answer.stderr.contains(&name));
        // Of a record only the last byte, the end of its line, is not missed.
        let missed = name.ends_with("record.json") && cut + 1 < whole.len();
        assert!(!missed || named, "{name} cut off at {cut}: {answers:?}");
        if turn % 10 == 0 && !path.ends_with("boot") {
            others_work_on(&path);
        }
        // In place, as it was: others have it open.
        step("put a file back", fs::write(&path, &whole));
    }
    for line in [
        "inspect web",
        "exec web true",
        "port web",
        "network inspect lan",
    ] {
        cell(line).ok();
    }
    both_go();
}

fn a_record_of_a_newer_netcell_is_named_with_what_to_do() {
    two_containers();
    for (path, line) in [
        ("/run/netcell/containers/web/record.json", "inspect web"),
        ("/run/netcell/sandboxes/web/record.json", "inspect web"),
        (
            "/run/netcell/networks/lan/record.json",
            "network inspect lan",
        ),
    ] {
        let text = step("read a record", fs::read_to_string(path));
        // What else a newer one has, or has no more, is not looked at.
        for newer in [
            text.replacen("\"version\":1", "\"version\":2", 1),
            "{\"version\":7}".to_owned(),
        ] {
            step("write a record", fs::write(path, &newer));
            let sentence = cell(line).refused(1, &[path, "newer netcell"]);
            assert!(!sentence.contains("missing"), "{sentence}");
            others_work_on(Path::new(path));
        }
        step("write a record", fs::write(path, &text));
    }
    both_go();
}

fn a_record_with_an_entrypoint_and_no_command_is_shown_as_it_is() {
    two_containers();
    cell("create --name odd --entrypoint sleep alpine").ok();
    let path = Path::new("/run/netcell/containers/odd/record.json");
    let text = step("read a record", fs::read_to_string(path));
    let odd = text.replacen(r#""command":["sleep"]"#, r#""command":[]"#, 1);
    assert_ne!(odd, text);
    step("write a record", fs::write(path, odd));
    let names = cell("ps -a --format {{.Names}}").ok();
    assert!(names.lines().any(|name| name == "odd"), "{names}");
    let shown = "inspect odd --format {{.Path}}|{{.Config.Entrypoint}}|{{.Config.Cmd}}";
    assert_eq!(cell(shown).ok(), "|[]|[]");
    orderly("start odd");
    others_work_on(path);
    cell("rm -f odd").ok();
    both_go();
}

fn what_cannot_be_cleared_up_is_refused_and_not_waited_for_forever() {
    cell("create --name web").ok();
    let boot = step(
        "read the boot's id",
        fs::read_to_string("/proc/sys/kernel/random/boot_id"),
    );
    let intent = |version: u32, host: u32| {
        format!(
            r#"{{"version":{version},"boot":"{}","host":{host},"verb":"create","name":"web","container":null,"generation":0,"sandbox":"web","whole":null,"to":null,"ports_before":[],"ports_after":[]}}"#,
            boot.trim()
        ) + "\n"
    };
    let path = "/run/netcell/intents/web";
    // Begun by a newer netcell, in another host's namespace, torn, and nothing that netcell wrote.
    for text in [
        intent(2, 1),
        intent(1, 1),
        intent(1, 1)[..90].to_owned(),
        String::new(),
        "\u{1}garbage\n".into(),
    ] {
        step("write an intent", fs::write(path, &text));
        for line in [
            "rm -f web",
            "rename web new",
            "publish web 8080:80",
            "create --name web",
        ] {
            let answer = orderly(line);
            assert_ne!(answer.code, 0, "{text}: {answer:?}");
            assert!(answer.stderr.contains(path), "{text}: {answer:?}");
        }
        for line in [
            "create --name other",
            "inspect web",
            "exec web true",
            "rm other",
        ] {
            assert_eq!(orderly(line).code, 0, "{line}, beside {text}");
        }
        step("remove an intent", fs::remove_file(path));
    }
    cell("rm web").quiet();
}

fn a_boot_file_that_is_broken_loses_nothing() {
    cell("run -d --name web -p 8080:80 alpine sleep 1000").ok();
    let whole = step("read a file", fs::read_to_string("/run/netcell/boot"));
    for text in [
        "",
        "x",
        &whole[..20],
        "00000000-0000-0000-0000-000000000000",
    ] {
        step("write a file", fs::write("/run/netcell/boot", text));
        cell("exec web true").quiet();
        cell("create --name another").ok();
        assert_ne!(address_in("web", "eth0"), address_in("another", "eth0"));
        cell("create --name more -p 8080:80").refused(1, &["8080"]);
        cell("rm another").ok();
        assert_eq!(
            step("read a file", fs::read_to_string("/run/netcell/boot")),
            whole
        );
    }
    cell("rm -f web").quiet();
}

/// Runs commands on a state directory that is a tmpfs of its own with these options, where at most `room` pages are left:
/// how many could make something, and how many removals needed more room.
fn on_a_small_one(options: &str, room: Option<usize>, what: &str) -> (usize, usize) {
    let place = "/run/small";
    let start = Snapshot::take();
    let is_kept = |line: &str| {
        let kept = ["directory: ", "/leases/", "/watch/"];
        kept.iter().any(|part| line.contains(part))
    };
    step("make a directory", fs::create_dir_all(place));
    step(
        "mount a tmpfs",
        sys::mount("tmpfs", place, "tmpfs", 0, &format!("mode=0700,{options}")),
    );
    let small = |line: &str| orderly(&format!("--root {place} {line}"));
    let (mut made, mut stuck) = (0, 0);
    if small("create --name first").code == 0 {
        made += 1;
        let first = small("exec first true").code;
        let before = Snapshot::at_rest();
        let filling = format!("{place}/filling");
        if let Some(pages) = room {
            // As much as there is room for, and some of it back.
            let mut length = 0;
            while fs::write(&filling, vec![b'x'; length]).is_ok() {
                length += 4096;
            }
            step(
                "fill it",
                fs::write(
                    &filling,
                    vec![b'x'; length.saturating_sub(4096 * (1 + pages))],
                ),
            );
        }
        for line in [
            "create --name web -p 8080:80",
            "run -d --name web -p 8080:80 alpine sleep 1000",
        ] {
            let answer = small(line);
            if answer.code == 0 {
                made += 1;
                assert_eq!(elements("map", "publish4").len(), 1, "{what}: {answer:?}");
                let removed = small("rm -f web");
                if removed.code != 0 {
                    stuck += 1;
                    assert!(
                        removed.stderr.contains("No space left on device"),
                        "{what}: {removed:?}"
                    );
                    let _ = fs::remove_file(&filling);
                    small("rm -f web").ok();
                }
            } else {
                let room = "No space left on device";
                assert!(answer.stderr.contains(room), "{what}: {answer:?}");
                assert_eq!(answer.stderr.lines().count(), 1, "{what}: {answer:?}");
                assert!(!Path::new(&pin("web")).exists(), "{what}: {answer:?}");
                no_port_is_published();
            }
        }
        assert_eq!(small("exec first true").code, first, "{what}");
        let _ = fs::remove_file(&filling);
        let left = restored_but(&before, Duration::from_secs(3), &is_kept);
        assert_eq!(left, Ok(()), "{what}");
    }
    assert_eq!(small("rm first").code == 0, made > 0, "{what}");
    let _ = small("network rm bridge");
    step("umount it", sys::umount(place));
    step("remove a directory", fs::remove_dir(place));
    // Links and processes go a moment later, and would be there at the next one's beginning.
    let left = restored_but(&start, Duration::from_secs(3), &is_kept);
    assert_eq!(left, Ok(()), "{what}");
    (made, stuck)
}

/// What is made with this much of something: from nothing to enough, both ends and some in between.
fn from_nothing_to_enough(
    all: std::ops::Range<usize>,
    of: &str,
    one: &dyn Fn(usize, &str) -> (usize, usize),
) {
    let (least, most) = (all.start, all.end - 1);
    let mut amounts = Sample::of_one_in(6).of(all.collect());
    amounts.extend([least, most]);
    let mut seen = Vec::new();
    for amount in amounts {
        let (made, stuck) = one(amount, &format!("{amount} {of}"));
        assert_eq!(
            stuck, 0,
            "with {amount} {of} left a container cannot be removed"
        );
        seen.push((amount, made));
    }
    println!("note: ({of}, how many could be made): {seen:?}");
    let made = |amount| {
        seen.iter()
            .find(|(seen, _)| *seen == amount)
            .map(|(_, made)| *made)
    };
    assert!(
        made(least) < Some(2) && made(most) == Some(3),
        "never too little or enough: {seen:?}"
    );
}

fn a_full_state_directory_makes_all_or_nothing() {
    from_nothing_to_enough(0..16, "pages", &|pages, what| {
        on_a_small_one("size=320k", Some(pages), what)
    });
}

fn a_state_directory_without_inodes_makes_all_or_nothing() {
    from_nothing_to_enough(2..48, "inodes", &|inodes, what| {
        on_a_small_one(&format!("nr_inodes={inodes}"), None, what)
    });
}

fn a_read_only_state_directory_can_be_read() {
    cell("run -d --name web -p 8080:80 alpine sleep 1000").ok();
    // The same files by another mount: through the first one the monitor has its log open.
    let place = "/run/read-only";
    step("make a directory", fs::create_dir_all(place));
    step(
        "bind a directory",
        sys::mount(STATE, place, "", libc::MS_BIND, ""),
    );
    let flags = libc::MS_REMOUNT | libc::MS_BIND | libc::MS_RDONLY;
    step(
        "make it read-only",
        sys::mount("none", place, "", flags, ""),
    );
    let small = |line: &str| orderly(&format!("--root {place} {line}"));
    let before = Snapshot::take();
    for line in [
        "ps",
        "inspect web",
        "port web",
        "logs web",
        "exec web true",
        "show web",
        "network ls",
    ] {
        let answer = small(line);
        assert_eq!((answer.code, answer.stderr.as_str()), (0, ""), "{answer:?}");
    }
    for line in [
        "create --name other",
        "run -d alpine sleep 1000",
        "rm -f web",
        "publish web 81:81",
        "rename web new",
    ] {
        let answer = small(line);
        assert_ne!(answer.code, 0, "{answer:?}");
        assert_eq!(answer.stderr.lines().count(), 1, "{answer:?}");
        for word in [place, "Read-only file system"] {
            assert!(answer.stderr.contains(word), "{answer:?}");
        }
    }
    assert_eq!(before.differences(&Snapshot::take()), Vec::<String>::new());
    step("umount it", sys::umount(place));
    step("remove a directory", fs::remove_dir(place));
    cell("rm -f web").quiet();
}

fn what_is_broken_is_said_once_and_as_it_is() {
    cell("run -d --name one alpine sleep 1000").ok();
    cell("run -d --name two alpine sleep 1000").ok();
    for path in [
        "/run/netcell/containers/one/record.json",
        "/run/netcell/sandboxes/one/record.json",
        "/run/netcell/networks/bridge/record.json",
    ] {
        let path = Path::new(path);
        let name = path.to_string_lossy();
        for instead in [
            Instead::Text("empty", Vec::new()),
            Instead::Link("/etc/passwd"),
        ] {
            let swapped = Swapped::new(path, &instead);
            let sentence = cell("reconcile").refused(1, &[&name]);
            for word in ["in sandbox", "is gone"] {
                assert!(!sentence.contains(word), "{sentence}");
            }
            cell("prune").refused(1, &[&name]);
            drop(swapped);
        }
    }
    let path = "/run/netcell/networks/bridge/record.json";
    step("keep a file", fs::rename(path, "/run/kept"));
    let answer = cell("reconcile").exits(1);
    assert_eq!(
        answer.stderr.matches(&format!("is gone: {path}")).count(),
        2,
        "of two sandboxes: {answer:?}"
    );
    // Its leases are theirs.
    let leases = entries("/run/netcell/networks/bridge/leases");
    assert_eq!(cell("prune").quiet(), "");
    assert_eq!(entries("/run/netcell/networks/bridge/leases"), leases);
    step("put a file back", fs::rename("/run/kept", path));
    let intent = "/run/netcell/intents/web";
    step("write an intent", fs::write(intent, ""));
    let answer = cell("prune").exits(1);
    assert_eq!(answer.stderr.matches(intent).count(), 1, "{answer:?}");
    assert_eq!(answer.stderr.lines().count(), 2, "{answer:?}");
    let answer = cell("rm web").exits(1);
    assert_eq!(answer.stderr.matches("cut off").count(), 1, "{answer:?}");
    cell("prune --dry-run").refused(1, &[intent]);
    step("remove an intent", fs::remove_file(intent));
    cell("reconcile").quiet();
    cell("rm -f one").ok();
    cell("rm -f two").ok();
}
