//! `-v` and `--tmpfs`: what of the host a container is shown, and where.

use crate::harness::*;
use crate::tests;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

pub const TESTS: &[runner::Test] = tests![
    a_volume_is_the_hosts_directory_inside,
    a_volume_that_is_read_only_cannot_be_written,
    a_file_and_a_place_that_is_not_there_are_mounted_too,
    volumes_within_volumes_and_tmpfs_come_in_order,
    a_planted_symlink_leads_to_nothing_of_the_hosts,
    a_volumes_devices_stay_closed,
    the_image_is_not_written_for_a_volume,
    volumes_work_on_the_hosts_root,
    volumes_that_make_no_sense_are_refused,
    a_read_only_root_and_a_tmpfs_to_write_to,
    tmpfs_has_the_options_it_was_given,
    a_dry_run_says_the_mounts,
    bad_values_are_refused_and_nothing_is_left,
];

fn inspect(name: &str, template: &str) -> String {
    netcell(&["inspect", name, "--format", template]).quiet()
}

/// Runs a shell's script in a container with these options.
fn sh(options: &str, script: &str) -> Output {
    let mut words = vec!["run", "--rm"];
    words.extend(options.split(' ').filter(|word| !word.is_empty()));
    words.extend(["alpine", "sh", "-c", script]);
    netcell(&words)
}

/// Where a test keeps what it shows to containers.
fn directory(name: &str) -> String {
    let path = format!("/var/lib/box/{name}");
    fs::create_dir_all(&path).unwrap();
    path
}

fn a_volume_is_the_hosts_directory_inside() {
    let data = directory("data");
    fs::write(format!("{data}/in"), "from outside\n").unwrap();
    let script = "cat /data/in && echo from inside >/data/out";
    assert_eq!(sh(&format!("-v {data}:/data"), script).ok(), "from outside");
    assert_eq!(
        fs::read_to_string(format!("{data}/out")).unwrap(),
        "from inside\n"
    );
    cell(&format!(
        "run -d --name web --volume={data}:/data:rw alpine sleep 1000"
    ))
    .ok();
    assert_eq!(cell("exec web cat /data/out").quiet(), "from inside");
    let mounts = cell("inspect web").json();
    let mount = &mounts[0]["Mounts"][0];
    assert_eq!(
        (mount["Source"].as_str(), mount["Destination"].as_str()),
        (Some(&*data), Some("/data"))
    );
    assert_eq!(
        (mount["Type"].as_str(), mount["RW"].as_bool()),
        (Some("bind"), Some(true))
    );
    assert_eq!(
        inspect("web", "{{json .HostConfig.Binds}}"),
        format!("[\"{data}:/data\"]")
    );
    // It is there again after a stop and a start.
    cell("stop -t 0 web").ok();
    cell("start web").ok();
    assert_eq!(cell("exec web cat /data/in").quiet(), "from outside");
    cell("rm -f web").ok();
    // Nothing of it is left on the host, and no file of it is gone.
    assert!(Path::new(&format!("{data}/in")).exists());
}

fn a_volume_that_is_read_only_cannot_be_written() {
    let data = directory("data");
    let below = directory("data/below");
    sys::mount("tmpfs", &below, "tmpfs", 0, "").unwrap();
    fs::write(format!("{below}/file"), "below\n").unwrap();
    let script =
        "cat /data/below/file; echo x >/data/new || echo no; echo x >/data/below/new || echo no";
    let said = sh(&format!("-v {data}:/data:ro"), script).ok();
    assert_eq!(said, "below\nno\nno");
    // Remounting takes a capability that it has not got.
    assert_ne!(
        sh(&format!("-v {data}:/data:ro"), "mount -o remount,rw /data").code,
        0
    );
    assert!(oracle::entries(&below).iter().all(|name| name == "file"));
    sys::umount(&below).unwrap();
}

fn a_file_and_a_place_that_is_not_there_are_mounted_too() {
    let data = directory("data");
    fs::write(format!("{data}/file"), "a file\n").unwrap();
    let said = sh(
        &format!("-v {data}/file:/etc/deep/er/file:ro -v {data}/file:/etc/passwd"),
        "cat /etc/deep/er/file /etc/passwd",
    )
    .ok();
    assert_eq!(said, "a file\na file");
    // A source that is not there is a directory from then on, as with Docker.
    assert_eq!(
        sh(
            &format!("-v {data}/new/er:/x"),
            "test -d /x && echo directory"
        )
        .ok(),
        "directory"
    );
    assert!(Path::new(&format!("{data}/new/er")).is_dir());
    sh(&format!("-v {data}/file:/tmp"), "true").refused(125, &["/tmp", "directory"]);
    sh(&format!("-v {data}:/etc/passwd"), "true").refused(125, &["/etc/passwd", "directory"]);
    assert_eq!(containers(), 0);
}

fn volumes_within_volumes_and_tmpfs_come_in_order() {
    let (outer, inner) = (directory("outer"), directory("inner"));
    fs::write(format!("{inner}/file"), "inner\n").unwrap();
    let options = format!("-v {inner}:/a/b/c -v {outer}:/a --tmpfs /a/t -v {inner}/file:/a/t/file");
    assert_eq!(
        sh(&options, "cat /a/b/c/file /a/t/file").ok(),
        "inner\ninner"
    );
    // The mount points in between were made in the volume, as with Docker.
    assert!(Path::new(&format!("{outer}/b/c")).is_dir());
}

fn a_planted_symlink_leads_to_nothing_of_the_hosts() {
    let (data, secret) = (directory("data"), directory("secret"));
    fs::write(format!("{data}/mine"), "mine\n").unwrap();
    fs::write(format!("{secret}/key"), "secret\n").unwrap();
    // In the image: the place of a mount is a link out of it, absolute, upwards, and to a process's root.
    let image = image::make("planted");
    symlink(&secret, format!("{image}/absolute")).unwrap();
    symlink(
        format!("../../../../../..{secret}"),
        format!("{image}/upwards"),
    )
    .unwrap();
    symlink("/proc/1/root", format!("{image}/magic")).unwrap();
    symlink("/etc", format!("{image}/inside")).unwrap();
    let run = |place: &str, script: &str| {
        netcell(&[
            "run",
            "--rm",
            "-v",
            &format!("{data}:{place}"),
            "planted",
            "sh",
            "-c",
            script,
        ])
    };
    for place in ["/absolute", "/upwards"] {
        let said = run(place, &format!("cat {secret}/mine; ls {secret}"));
        // The link is followed inside: what it leads to was made in the container's own root, or refused.
        assert!(
            said.stdout.trim() == "mine\nmine" || said.code == 125,
            "{said:?}"
        );
        assert_eq!(oracle::entries(&secret), ["key"]);
    }
    let said = run("/magic/x", "true");
    assert_ne!(said.code, 0, "{said:?}");
    assert_eq!(run("/inside/x", "cat /etc/x/mine").ok(), "mine");
    // In a volume that a container can write, for the next one's mount within it.
    symlink(&secret, format!("{data}/link")).unwrap();
    let options = format!("-v {data}:/v -v {data}/mine:/v/link/planted");
    let said = sh(&options, "true");
    assert!(
        !Path::new(&format!("{secret}/planted")).exists(),
        "{said:?}"
    );
    assert_eq!(oracle::entries(&secret), ["key"]);
    assert!(!Path::new(&format!("{image}/etc/x")).exists());
}

fn a_volumes_devices_stay_closed() {
    if must("id", &["-u"]).trim() != "0"
        || any("mknod", &["/var/lib/box/probe", "c", "1", "3"]).code != 0
    {
        return;
    }
    let data = directory("dev");
    sys::mount("tmpfs", &data, "tmpfs", 0, "").unwrap();
    must(
        "mknod",
        &["-m", "666", &format!("{data}/null"), "c", "1", "3"],
    );
    assert_eq!(
        sh(&format!("-v {data}:/d"), "echo x >/d/null || echo closed").ok(),
        "closed"
    );
    assert_eq!(
        sh(
            &format!("--privileged -v {data}:/d"),
            "echo x >/d/null && echo open"
        )
        .ok(),
        "open"
    );
    sys::umount(&data).unwrap();
    fs::remove_file("/var/lib/box/probe").unwrap();
}

fn the_image_is_not_written_for_a_volume() {
    let data = directory("data");
    let before = must("find", &[image::ALPINE]);
    sh(
        &format!("-v {data}:/new/place --tmpfs /other/place"),
        "touch /new/place/x /other/place/y",
    )
    .ok();
    assert_eq!(must("find", &[image::ALPINE]), before);
}

fn volumes_work_on_the_hosts_root() {
    let data = directory("data");
    fs::write(format!("{data}/file"), "shown\n").unwrap();
    let place = directory("place");
    let volume = format!("{data}:{place}:ro");
    let said = netcell(&[
        "run",
        "--rm",
        "-v",
        &volume,
        "/",
        "cat",
        &format!("{place}/file"),
    ])
    .ok();
    assert_eq!(said, "shown");
    assert!(oracle::entries(&place).is_empty());
    // No place is made in it.
    for option in ["-v", "--tmpfs"] {
        let at = match option {
            "-v" => format!("{data}:/var/lib/box/new"),
            _ => "/var/lib/box/new".into(),
        };
        netcell(&["run", "--rm", option, &at, "/", "true"])
            .refused(125, &["/var/lib/box/new", "no such place"]);
    }
    assert!(!Path::new("/var/lib/box/new").exists());
}

fn volumes_that_make_no_sense_are_refused() {
    for (volume, words) in [
        ("/data", "no source"),
        ("data:/x", "named volumes are not supported"),
        ("/a:x", "mount path must be absolute"),
        ("/a:/", "destination can't be '/'"),
        ("/a:/proc/x", "inside /proc"),
        ("/a:/x:rx", "invalid mode: rx"),
        ("/a:/x:ro:y", "invalid volume specification"),
    ] {
        // Without a colon -v is --verbose.
        let option = if volume.contains(':') {
            "-v"
        } else {
            "--volume"
        };
        sh(&format!("{option} {volume}"), "true").refused(125, &[words]);
    }
    // Labels: nothing to do without SELinux, and refused with it.
    must("busybox", &["mount", "-t", "tmpfs", "none", "/sys/fs"]);
    for mode in ["z", "Z", "rw,z", "ro,Z"] {
        sh(&format!("-v /tmp:/x:{mode}"), "true").ok();
    }
    step("make a directory", fs::create_dir("/sys/fs/selinux"));
    sh("-v /tmp:/x:ro,z", "true").refused(125, &["SELinux", "chcon", "/tmp"]);
    must("busybox", &["umount", "/sys/fs"]);
    sh("-v /tmp:/x -v /run:/y/../x", "true").refused(125, &["Duplicate mount point: /x"]);
    assert_eq!(containers(), 0);
}

fn a_read_only_root_and_a_tmpfs_to_write_to() {
    let script = "echo x >/etc/x || echo no; echo x >/new || echo no; echo y >/tmp/y && cat /tmp/y; echo z >/dev/shm/z && echo shm";
    assert_eq!(
        sh("--read-only --tmpfs /tmp", script).ok(),
        "no\nno\ny\nshm"
    );
    let script = "mount -o remount,rw / || echo stays";
    assert_eq!(sh("--read-only", script).ok(), "stays");
    cell("create --name web --read-only alpine true").ok();
    assert_eq!(inspect("web", "{{.HostConfig.ReadonlyRootfs}}"), "true");
    cell("rm web").ok();
    let said = netcell(&[
        "run",
        "--rm",
        "--read-only",
        "--tmpfs",
        "/tmp",
        "/",
        "sh",
        "-c",
        "echo x >/tmp/x && echo x >/var/lib/box/x || echo no",
    ]);
    assert_eq!(said.ok(), "no");
}

fn tmpfs_has_the_options_it_was_given() {
    let line = |options: &str, place: &str| {
        let mounts = sh(options, "cat /proc/self/mounts").ok();
        let found = mounts
            .lines()
            .rfind(|line| line.split(' ').nth(1) == Some(place));
        found
            .unwrap_or_else(|| panic!("{place} is not in {mounts}"))
            .to_owned()
    };
    let plain = line("--tmpfs /a/b", "/a/b");
    assert!(
        plain.starts_with("tmpfs /a/b tmpfs rw,nosuid,nodev,noexec"),
        "{plain}"
    );
    let sized = line("--tmpfs /a:size=64k,mode=700,exec", "/a");
    for word in ["size=64k", "mode=700"] {
        assert!(sized.contains(word), "{sized}");
    }
    assert!(!sized.contains("noexec"), "{sized}");
    sh("--tmpfs /a:nosuch", "true").refused(125, &["invalid tmpfs option", "nosuch"]);
    sh("--tmpfs a", "true").refused(125, &["must be absolute"]);
    sh("--tmpfs /a:size=x", "true").refused(125, &["tmpfs", "/a"]);
}

fn a_dry_run_says_the_mounts() {
    let data = directory("data");
    let script = cell(&format!("run --dry-run --rm -v {data}:/data:ro --tmpfs /t:size=1m --read-only --sysctl net.ipv4.tcp_syn_retries=3 alpine true")).quiet();
    for line in [
        format!("mount -o rbind {data} "),
        "mount -o remount,bind,$old,ro,nodev".into(),
        "nosuid,nodev,noexec,size=1m tmpfs ".into(),
        "mount -o remount,bind,ro,nodev ".into(),
        "echo '3' >".into(),
    ] {
        assert!(script.contains(&line), "{line} is not in:\n{script}");
    }
    assert_eq!(containers(), 0);
}

fn bad_values_are_refused_and_nothing_is_left() {
    // What only the container's first process finds out, too.
    let data = directory("data");
    fs::write(format!("{data}/file"), "").unwrap();
    for options in [
        format!("-v {data}/file/x:/x"),
        "--tmpfs /etc/passwd/x".into(),
        "--sysctl net.ipv4.tcp_syn_retries=nonsense".into(),
    ] {
        let answer = sh(&options, "true");
        answer.refused(125, &[]);
        assert_eq!(containers(), 0, "{options}");
    }
}
