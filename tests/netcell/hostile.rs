//! What a container may not do (design.md): each line of it with a test that tries.

use crate::harness::frames;
use crate::harness::*;
use crate::tests;
use std::fs;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

pub const TESTS: &[runner::Test] = tests![
    an_image_is_never_written,
    an_image_without_mount_points_stays_without_them,
    writes_are_limited_in_size_and_vanish,
    device_nodes_cannot_be_opened.root_only("makes device nodes"),
    the_hosts_disks_are_not_in_dev,
    symlinks_of_an_image_lead_nowhere_on_the_host,
    mount_points_of_an_image_that_are_symlinks_change_nothing_on_the_host,
    an_image_that_is_a_trap_of_files_is_refused_or_runs_without_harm,
    capabilities_are_dockers_fourteen_and_no_new_ones_come,
    nothing_can_be_mounted_or_unmounted,
    settings_of_the_kernel_cannot_be_written,
    the_binary_cannot_be_written_from_inside,
    netcells_own_process_cannot_be_entered_from_inside,
    processes_outside_cannot_be_signalled_or_traced,
    the_state_and_the_pins_cannot_be_seen,
    with_the_hosts_root_the_state_and_the_pins_are_covered,
    with_the_hosts_root_mounts_stay_inside,
    there_is_no_terminal_to_push_characters_into,
    the_hosts_loopback_services_cannot_be_reached_by_crafted_packets,
    loopback_of_the_host_is_guarded_where_route_localnet_is_set,
    a_router_advertisement_changes_no_route,
    interfaces_and_rules_cannot_be_changed_from_inside,
    resolver_files_cannot_be_written,
    a_fork_bomb_of_output_fills_nothing,
    limits_hold_for_exec_too,
];

/// Each file below a directory: kind, mode, size, modification time, content.
fn tree(directory: &str) -> Vec<String> {
    let list = must(
        "find",
        &[directory, "-printf", "%P %y %m %s %T@ %U %G %l\n"],
    );
    let mut lines: Vec<String> = list.lines().map(str::to_owned).collect();
    lines.sort();
    lines.push(must(
        "sh",
        &[
            "-c",
            &format!("find {directory} -type f -exec cksum {{}} + | sort"),
        ],
    ));
    lines
}

fn shell(script: &str) -> Output {
    netcell(&["run", "--rm", "alpine", "sh", "-c", script])
}

fn an_image_is_never_written() {
    let before = tree(image::ALPINE);
    shell("echo x >/new; echo x >>/etc/passwd; rm /etc/group; mkdir /d; chmod 777 /etc; chown 1000 /www 2>/dev/null; mv /www /w; ln -s x /y; touch /bin/busybox; sync").ok();
    assert_eq!(tree(image::ALPINE), before);
    cell("run -d --name web alpine sleep 1000").ok();
    let _ = cell("exec web rm -rf /bin /etc /www");
    assert_eq!(tree(image::ALPINE), before);
    cell("rm -f web").ok();
    assert_eq!(tree(image::ALPINE), before);
}

fn an_image_without_mount_points_stays_without_them() {
    let names = || oracle::entries(image::ALPINE);
    assert!(
        !names()
            .iter()
            .any(|name| ["proc", "sys", "dev"].contains(&name.as_str()))
    );
    cell("run --rm alpine ls /proc/self /sys/class /dev/null /etc/hosts /etc/resolv.conf").ok();
    assert!(
        !names()
            .iter()
            .any(|name| ["proc", "sys", "dev", "run"].contains(&name.as_str()))
    );
    assert!(!Path::new(&format!("{}/etc/hosts", image::ALPINE)).exists());
}

fn writes_are_limited_in_size_and_vanish() {
    let free = shell("df -k / | tail -n 1 | awk '{print $2}'").ok();
    let free: u64 = free.parse().unwrap_or_else(|_| panic!("df says {free}"));
    let memory = fs::read_to_string("/proc/meminfo").unwrap();
    let memory: u64 = memory.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(free <= memory / 2, "{free} kB of {memory} kB may be filled");
    let before = fs::read_to_string("/proc/self/mountinfo").unwrap();
    shell("head -c 1000000 /dev/zero >/filled; ls -l /filled").ok();
    assert_eq!(fs::read_to_string("/proc/self/mountinfo").unwrap(), before);
}

fn device_nodes_cannot_be_opened() {
    let disk = oracle::entries("/sys/block")
        .into_iter()
        .find_map(|name| fs::read_to_string(format!("/sys/block/{name}/dev")).ok());
    let disk = disk
        .unwrap_or_else(|| "1:0".to_owned())
        .trim()
        .replace(':', " ");
    for place in ["/", "/tmp/", "/dev/", "/dev/shm/", "/etc/", "/root/"] {
        for node in [format!("b {disk}"), "c 1 1".to_owned(), "c 1 5".to_owned()] {
            let script = format!("mknod {place}node {node} || exit 9; head -c 1 {place}node");
            let code = shell(&script).code;
            assert!(code != 0, "opened {node} in {place}");
        }
    }
    // A node that the image brings along is as dead.
    must(
        "mknod",
        &[
            "-m",
            "666",
            &format!("{}/null2", image::ALPINE),
            "c",
            "1",
            "3",
        ],
    );
    assert_ne!(cell("run --rm alpine cat /null2").code, 0);
}

fn the_hosts_disks_are_not_in_dev() {
    for image in ["alpine", "/"] {
        let kinds = netcell(&["run", "--rm", image, "find", "/dev", "-type", "b"]).ok();
        assert_eq!(kinds, "", "block devices with image {image}");
        let kinds = netcell(&["run", "--rm", image, "find", "/dev", "-type", "c"]).ok();
        let allowed = [
            "null", "zero", "full", "random", "urandom", "tty", "console", "pts/ptmx", "ptmx",
        ];
        for line in kinds.lines() {
            let name = line.strip_prefix("/dev/").unwrap();
            assert!(allowed.contains(&name), "{line} with image {image}");
        }
    }
}

fn symlinks_of_an_image_lead_nowhere_on_the_host() {
    fs::write("/tmp/secret", "of the host\n").unwrap();
    let root = image::make("links");
    symlink("/tmp/secret", format!("{root}/leak")).unwrap();
    symlink("../../../../../../tmp/secret", format!("{root}/leak2")).unwrap();
    symlink("/proc/1/root/tmp/secret", format!("{root}/leak3")).unwrap();
    for leak in [
        "/leak",
        "/leak2",
        "/leak3",
        "/proc/1/root/tmp/secret",
        "/../../tmp/secret",
    ] {
        let seen = netcell(&["run", "--rm", "links", "cat", leak]);
        assert!(!seen.stdout.contains("of the host"), "{leak}");
    }
    // The working directory and the user's files are opened inside as well.
    symlink("/tmp", format!("{root}/wd")).unwrap();
    let seen = netcell(&["run", "--rm", "-w", "/wd", "links", "cat", "secret"]);
    assert!(!seen.stdout.contains("of the host"), "{seen:?}");
    fs::remove_file(format!("{root}/etc/passwd")).unwrap();
    fs::write("/tmp/passwd", "stranger:x:4242:4242::/:/bin/sh\n").unwrap();
    symlink("/tmp/passwd", format!("{root}/etc/passwd")).unwrap();
    cell("run --rm -u stranger links id").refused(125, &["stranger"]);
}

fn mount_points_of_an_image_that_are_symlinks_change_nothing_on_the_host() {
    let targets = ["/tmp/outside-hosts", "/tmp/outside-dir"];
    fs::write(targets[0], "of the host\n").unwrap();
    fs::create_dir(targets[1]).unwrap();
    // Without the mount that carries the pins, which the first `run` makes.
    let mounts = || -> Vec<String> {
        let all = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let others = all.lines().filter(|line| !line.contains(" /run/netns "));
        others.map(str::to_owned).collect()
    };
    let before = (tree("/tmp"), mounts());
    let mut number = 0;
    for (name, target) in [
        ("etc/hosts", targets[0]),
        ("etc/resolv.conf", "../../../../../../tmp/outside-hosts"),
        ("etc/hostname", "/proc/self/root/tmp/outside-hosts"),
        ("proc", targets[1]),
        ("sys", targets[1]),
        ("dev", targets[1]),
        ("dev", "/dev"),
        ("proc", "/proc"),
        ("proc", "."),
        ("etc/hosts", "/etc/hosts"),
        ("sys", "/nowhere"),
        ("run", targets[1]),
    ] {
        number += 1;
        let root = image::make(&format!("image{number}"));
        symlink(target, format!("{root}/{name}")).unwrap();
        let answer = netcell(&[
            "run",
            "--rm",
            &root,
            "sh",
            "-c",
            "cat /etc/hosts; ls /proc/1 /dev/null; echo x >/etc/hosts",
        ]);
        assert!(
            !answer.stdout.contains("of the host"),
            "{name} -> {target}: {answer:?}"
        );
        if answer.code == 125 {
            answer.refused(125, &[]);
        }
        must("rm", &["-rf", &root]);
        assert_eq!(tree("/tmp"), before.0, "{name} -> {target}");
        assert_eq!(mounts(), before.1, "{name} -> {target}");
    }
}

fn an_image_that_is_a_trap_of_files_is_refused_or_runs_without_harm() {
    // /proc is a file, /dev a FIFO, /etc a symlink to itself: a FIFO that is opened without care hangs forever.
    for (number, trap) in [
        "rm -rf etc; ln -s etc etc",
        "mkfifo dev",
        "echo x >proc",
        "mkfifo etc/resolv.conf",
        "mkfifo etc/passwd2; ln -sf passwd2 etc/passwd",
        "mkdir -p etc/hosts",
    ]
    .iter()
    .enumerate()
    {
        let root = image::make(&format!("trap{number}"));
        must("sh", &["-c", &format!("cd {root} && {trap}")]);
        let user = if trap.contains("passwd2") {
            "user"
        } else {
            "0"
        };
        let answer = netcell(&["run", "--rm", "-u", user, &root, "true"]);
        assert!([0, 125].contains(&answer.code), "{trap}: {answer:?}");
        if answer.code == 125 {
            answer.refused(125, &[]);
        }
    }
}

fn capabilities_are_dockers_fourteen_and_no_new_ones_come() {
    for image in ["alpine", "/"] {
        let status = netcell(&["run", "--rm", image, "cat", "/proc/self/status"]).ok();
        for line in [
            "CapInh:\t0000000000000000",
            "CapPrm:\t00000000a80425fb",
            "CapEff:\t00000000a80425fb",
            "CapBnd:\t00000000a80425fb",
            "CapAmb:\t0000000000000000",
            "NoNewPrivs:\t1",
        ] {
            assert!(
                status.contains(line),
                "{line} is not so with image {image}:\n{status}"
            );
        }
    }
}

fn nothing_can_be_mounted_or_unmounted() {
    for script in [
        "mount -t tmpfs none /tmp",
        "mount -o remount,rw /sys",
        "mount -o remount,rw /proc/sys",
        "umount /proc/keys",
        "umount /etc/hosts",
        "mount -o bind / /tmp",
        "mount -t proc none /tmp",
        "chroot / true && false",
        "umount -l /proc",
    ] {
        assert_ne!(shell(script).code, 0, "{script}");
    }
}

fn settings_of_the_kernel_cannot_be_written() {
    for (file, value) in [
        ("/proc/sys/net/ipv4/ip_forward", "0"),
        ("/proc/sys/kernel/hostname", "x"),
        ("/proc/sys/net/ipv6/conf/eth0/accept_ra", "2"),
        ("/proc/sysrq-trigger", "h"),
        ("/proc/irq/default_smp_affinity", "1"),
        ("/sys/kernel/uevent_helper", "/x"),
        ("/sys/class/net/eth0/mtu", "1000"),
    ] {
        let answer = shell(&format!("echo {value} >{file}"));
        assert_ne!(answer.code, 0, "{file} was written");
    }
}

/// A copy of the binary in a place that could be written, unlike where it was built.
fn copied_binary() -> String {
    let copy = "/tmp/netcell".to_owned();
    fs::copy(boxes::BINARY, &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    copy
}

fn the_binary_cannot_be_written_from_inside() {
    let copy = copied_binary();
    let before = must("cksum", &[&copy]);
    let run = |words: &[&str]| {
        let mut command = Command::new(&copy);
        command.args(words).env("NETCELL_IMAGES", image::IMAGES);
        command::finish(command, "")
    };
    // The container lies in wait for a process of netcell's own that has entered it (CVE-2019-5736).
    let script = "while :; do for p in /proc/[0-9]*; do case $(readlink $p/exe) in *busybox) ;; *) readlink $p/exe >>/seen; printf x >>$p/exe && echo written >>/seen;; esac; done 2>/dev/null; done";
    run(&["run", "-d", "--name", "web", "alpine", "sh", "-c", script]).ok();
    for _ in 0..15 {
        run(&["exec", "web", "/proc/self/exe", "--version"]);
        run(&["exec", "web", "true"]).ok();
    }
    let seen = run(&["exec", "web", "cat", "/seen"]).stdout;
    assert!(!seen.contains("written"), "{seen}");
    run(&["run", "--rm", "alpine", "/proc/self/exe", "--version"]);
    run(&[
        "run",
        "--rm",
        "alpine",
        "sh",
        "-c",
        "printf x >>/proc/self/exe",
    ]);
    run(&["rm", "-f", "web"]).ok();
    assert_eq!(must("cksum", &[&copy]), before);
}

fn netcells_own_process_cannot_be_entered_from_inside() {
    cell("run -d --name web alpine sleep 1000").ok();
    // While exec enters, what it holds open and its memory must not be had by those who are in already.
    let script = "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); for p in /proc/[0-9]*; do ls -l $p/fd $p/cwd $p/root; done; done 2>/dev/null | grep -E 'netcell|/run/|images' | head -n 3";
    netcell(&[
        "exec",
        "-d",
        "web",
        "sh",
        "-c",
        &format!("{script} >/found; echo end >>/found"),
    ])
    .ok();
    for _ in 0..30 {
        cell("exec web true").ok();
    }
    let found = cell("exec web cat /found").stdout;
    assert!(!found.contains("->"), "{found}");
    cell("rm -f web").ok();
}

fn processes_outside_cannot_be_signalled_or_traced() {
    let bystander = Background::spawn(Command::new("busybox").args(["sleep", "7777"]));
    let pid = bystander.pid();
    for image in ["alpine", "/"] {
        netcell(&[
            "run",
            "--rm",
            image,
            "sh",
            "-c",
            &format!("kill -9 {pid}; kill -9 -1; ls /proc/{pid}/fd"),
        ]);
        assert!(Path::new(&format!("/proc/{pid}/fd")).exists());
        assert_ne!(
            oracle::status(pid, "State").unwrap().chars().next(),
            Some('Z'),
            "killed with image {image}"
        );
        let list = netcell(&["run", "--rm", image, "sh", "-c", "cat /proc/[0-9]*/cmdline"]).stdout;
        assert!(!list.contains("7777"), "seen with image {image}");
    }
}

fn the_state_and_the_pins_cannot_be_seen() {
    cell("create --name other").ok();
    for place in [
        "/run/netcell",
        "/run/netns",
        "/var/lib/netcell",
        "/var/run/netcell",
    ] {
        assert_ne!(
            cell(&format!("run --rm alpine ls {place}")).code,
            0,
            "{place}"
        );
    }
    let mounts = cell("run --rm alpine cat /proc/self/mountinfo").ok();
    assert!(!mounts.contains("/run/netns"), "{mounts}");
    cell("rm other").ok();
}

fn with_the_hosts_root_the_state_and_the_pins_are_covered() {
    cell("create --name other").ok();
    for place in ["/run/netcell", "/run/netns"] {
        let seen = netcell(&[
            "run",
            "--rm",
            "/",
            "sh",
            "-c",
            &format!("ls -A {place}; touch {place}/x && echo written"),
        ]);
        assert_eq!(seen.stdout, "", "{place}");
    }
    assert!(Path::new(&pin("other")).exists());
    cell("rm other").ok();
}

fn with_the_hosts_root_mounts_stay_inside() {
    let before = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let hosts = fs::read_to_string("/etc/hosts").unwrap_or_default();
    netcell(&["run", "-d", "--name", "web", "/", "sleep", "1000"]).ok();
    let count = |text: &str| {
        text.lines()
            .filter(|line| !line.contains(" /run/netns"))
            .count()
    };
    assert_eq!(
        count(&fs::read_to_string("/proc/self/mountinfo").unwrap()),
        count(&before)
    );
    assert_eq!(fs::read_to_string("/etc/hosts").unwrap_or_default(), hosts);
    let name = cell("exec web cat /etc/hostname").quiet();
    assert_eq!(name, cell("exec web hostname").quiet());
    let mounts = cell("exec web cat /proc/self/mountinfo").quiet();
    // A path that is masked by the null device has to stay one that opens.
    let plain = |line: &&str| {
        !line.contains(" - devpts ") && !line.contains(" /dev/") && !line.contains(" /null ")
    };
    for line in mounts.lines().filter(plain) {
        let options = line.split(' ').nth(5).unwrap();
        assert!(
            options.contains("nodev") || line.contains(" /dev "),
            "without nodev: {line}"
        );
    }
    cell("rm -f web").ok();
}

fn there_is_no_terminal_to_push_characters_into() {
    // Field 7 of /proc/PID/stat is the controlling terminal, 0 when there is none (proc(5)).
    for words in ["run --rm alpine", "run --rm -i alpine", "run --rm /"] {
        let line = format!("{} {words} cat /proc/self/stat", boxes::BINARY);
        let mut script = Command::new("script");
        script
            .args(["-qec", &line, "/dev/null"])
            .env("NETCELL_IMAGES", image::IMAGES);
        let said = command::finish(script, "").stdout;
        let stat = said
            .lines()
            .find(|line| line.contains(" (cat) "))
            .unwrap_or_else(|| panic!("{words}: {said}"));
        let fields: Vec<&str> = stat.split(' ').collect();
        assert_eq!(fields[6], "0", "{words} has a controlling terminal: {stat}");
    }
}

/// The MAC of the bridge, which a container sends to when it wants the host.
fn bridge_mac() -> frames::Mac {
    frames::mac(
        ip_json(&["link", "show", "netcell0"])[0]["address"]
            .as_str()
            .unwrap(),
    )
}

/// Sends packets for the host's loopback from inside a sandbox; whether anything of them arrived.
fn knocks(sandbox: &str) -> bool {
    let tcp = TcpListener::bind("127.0.0.1:7070").unwrap();
    tcp.set_nonblocking(true).unwrap();
    let udp = UdpSocket::bind("127.0.0.1:7071").unwrap();
    udp.set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let (own, _) = address_in(sandbox, "eth0");
    let link = frames::mac(
        ip_json_in(sandbox, &["link", "show", "eth0"])[0]["address"]
            .as_str()
            .unwrap(),
    );
    let socket = in_netns(pin(sandbox), || sys::PacketSocket::open("eth0")).unwrap();
    for from in [own, Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 9)] {
        let packets = [
            frames::syn((from, 5000), (Ipv4Addr::LOCALHOST, 7070)),
            frames::udp((from, 5000), (Ipv4Addr::LOCALHOST, 7071), b"knock"),
        ];
        for packet in packets {
            socket
                .send(&frames::ethernet(bridge_mac(), link, 0x0800, &packet))
                .unwrap();
        }
    }
    let datagram = udp.recv(&mut [0; 16]).is_ok();
    let mut answered = false;
    while let Some(frame) = socket.receive(Duration::from_millis(100)).unwrap() {
        // Source address 127.0.0.1 in an IPv4 frame from the host.
        answered |= frame.get(12..14) == Some(&[8, 0])
            && frame.get(26..30) == Some(&[127, 0, 0, 1])
            && frame.get(6..12) != Some(&link[..]);
    }
    datagram || answered
}

fn the_hosts_loopback_services_cannot_be_reached_by_crafted_packets() {
    cell("create --name web").ok();
    assert!(!knocks("web"));
    cell("rm web").ok();
}

fn loopback_of_the_host_is_guarded_where_route_localnet_is_set() {
    cell("create --name web -p 127.0.0.1:8080:80 -p 8081:80").ok();
    serve_in(&pin("web"), 80, "web");
    answered(ask(Ipv4Addr::LOCALHOST, 8080), "web");
    answered(ask(Ipv4Addr::LOCALHOST, 8081), "web");
    cell("create --name other").ok();
    assert!(!knocks("other") && !knocks("web"));
    let read = |name: &str| {
        fs::read_to_string(format!("/proc/sys/net/ipv4/conf/{name}/route_localnet")).unwrap()
    };
    assert_eq!(
        (read("all"), read("default")),
        ("0\n".to_owned(), "0\n".to_owned())
    );
    // The guard has to be what keeps the packets out, wherever netcell has opened the door for its own.
    for link in links()
        .into_iter()
        .filter(|name| name.starts_with("netcell"))
    {
        fs::write(
            format!("/proc/sys/net/ipv4/conf/{link}/route_localnet"),
            "1",
        )
        .unwrap();
    }
    assert!(
        !knocks("other") && !knocks("web"),
        "the guard does not hold with route_localnet on"
    );
    cell("rm web other").ok();
}

fn a_router_advertisement_changes_no_route() {
    cell("create --name evil").ok();
    cell("create --name victim").ok();
    let link = frames::mac(
        ip_json_in("evil", &["link", "show", "eth0"])[0]["address"]
            .as_str()
            .unwrap(),
    );
    let socket = in_netns(pin("evil"), || sys::PacketSocket::open("eth0")).unwrap();
    // An IPv6 address on each side makes sure that IPv6 is listened to at all.
    must(
        "ip",
        &[
            "address",
            "add",
            "fd00:77::1/64",
            "dev",
            "netcell0",
            "nodad",
        ],
    );
    must(
        "ip",
        &[
            "-n",
            "victim",
            "address",
            "add",
            "fd00:77::2/64",
            "dev",
            "eth0",
            "nodad",
        ],
    );
    // A port that somebody plugged into the bridge, as a wire to a router outside.
    must(
        "ip",
        &[
            "link", "add", "plug0", "type", "veth", "peer", "name", "plug1",
        ],
    );
    must("ip", &["link", "set", "plug0", "master", "netcell0", "up"]);
    must("ip", &["link", "set", "plug1", "up"]);
    let plug = sys::PacketSocket::open("plug1").unwrap();
    let plain = frames::router_advertisement(link);
    // A priority tag (IEEE 802.1Q, VLAN 0) is taken off by whoever hears the frame.
    let tagged = [&plain[..12], &[0x81, 0, 0, 0], &plain[12..]].concat();
    let advertise = || {
        for frame in [&plain, &tagged] {
            socket.send(frame).unwrap();
            plug.send(frame).unwrap();
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let learnt = || {
        let all = must("ip", &["-n", "victim", "-6", "route"]);
        all.contains("default")
    };
    for _ in 0..3 {
        advertise();
    }
    for all in [
        must("ip", &["-6", "route"]) + &must("ip", &["-6", "address"]),
        must("ip", &["-n", "victim", "-6", "route"])
            + &must("ip", &["-n", "victim", "-6", "address"]),
    ] {
        assert!(
            !all.contains("default") && !all.contains("fd00:bad"),
            "{all}"
        );
    }
    // Without the guard it would have been taken: the frame is a good one, tagged or not.
    must("nft", &["delete", "table", "bridge", "netcell"]);
    socket.send(&tagged).unwrap();
    wait_until("the advertisement is taken", learnt);
    must("ip", &["link", "delete", "plug0"]);
    cell("rm evil victim").ok();
}

fn interfaces_and_rules_cannot_be_changed_from_inside() {
    for script in [
        "ip link set eth0 down",
        "ip addr add 10.1.1.1/24 dev eth0",
        "ip route del default",
        "ip link set eth0 address 02:00:00:00:00:01",
        "hostname other",
    ] {
        assert_ne!(shell(script).code, 0, "{script}");
    }
    if Path::new("/usr/sbin/nft").exists() {
        assert_ne!(cell("run --rm / nft add table inet x").code, 0);
    }
}

fn resolver_files_cannot_be_written() {
    for image in ["alpine", "/"] {
        for file in ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"] {
            let answer = netcell(&[
                "run",
                "--rm",
                image,
                "sh",
                "-c",
                &format!("echo x >>{file}"),
            ]);
            assert_ne!(answer.code, 0, "{file} with image {image}");
        }
        let mounts = netcell(&["run", "--rm", image, "cat", "/proc/self/mountinfo"]).ok();
        let line = mounts
            .lines()
            .rfind(|line| line.split(' ').nth(4) == Some("/etc/hosts"))
            .unwrap();
        for option in ["ro", "nosuid", "nodev", "noexec"] {
            assert!(
                line.split(' ')
                    .nth(5)
                    .unwrap()
                    .split(',')
                    .any(|o| o == option),
                "{option}: {line}"
            );
        }
    }
}

fn a_fork_bomb_of_output_fills_nothing() {
    netcell(&[
        "run",
        "-d",
        "--name",
        "web",
        "alpine",
        "sh",
        "-c",
        "yes | head -c 50000000; yes >&2 | head -c 1",
    ])
    .ok();
    std::thread::sleep(Duration::from_secs(2));
    let size = must("du", &["-sk", "/run/netcell"]);
    let size: u64 = size.split_whitespace().next().unwrap().parse().unwrap();
    assert!(size < 2048, "{size} kB of the host's memory hold the log");
    cell("rm -f web").ok();
}

fn limits_hold_for_exec_too() {
    cell("run -d --name web alpine sleep 1000").ok();
    for script in [
        "mount -t tmpfs none /tmp",
        "ip link set eth0 down",
        "echo 1 >/proc/sys/net/ipv4/ip_forward",
        "umount /etc/hosts",
    ] {
        assert_ne!(
            netcell(&["exec", "web", "sh", "-c", script]).code,
            0,
            "{script}"
        );
    }
    cell("rm -f web").ok();
}
