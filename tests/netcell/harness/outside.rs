//! The world outside the box's host: another machine, reached over a veth uplink with 198.51.100.0/24.

use super::command::{Background, must, step, wait_until};
use super::oracle::in_netns;
use super::sys;
use std::fmt::Debug;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The box's host on the uplink.
pub const HOST: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// The machine outside.
pub const OUTSIDE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
/// The same two on IPv6, where [`Outside::with_ipv6`] was asked for.
pub const HOST6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x99, 0, 0, 0, 0, 0, 1);
pub const OUTSIDE6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x99, 0, 0, 0, 0, 0, 2);
/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// A machine outside: it knows the uplink's subnet and no other, so that only masqueraded packets are answered.
pub struct Outside {
    holder: Background,
}

impl Outside {
    /// Joins it to the host's `up0` and makes it the host's default gateway.
    pub fn new() -> Self {
        let holder = namespace_holder();
        let pid = holder.pid().to_string();
        must(
            "ip",
            &[
                "link", "add", "up0", "type", "veth", "peer", "name", "up1", "netns", &pid,
            ],
        );
        must("ip", &["address", "add", "198.51.100.1/24", "dev", "up0"]);
        must("ip", &["link", "set", "up0", "up"]);
        let outside = Outside { holder };
        outside.run(|| {
            must("ip", &["link", "set", "lo", "up"]);
            must("ip", &["address", "add", "198.51.100.2/24", "dev", "up1"]);
            must("ip", &["link", "set", "up1", "up"]);
        });
        must("ip", &["route", "add", "default", "via", "198.51.100.2"]);
        outside
    }

    /// As [`Outside::new`], with fd00:99::/64 on the uplink too.
    pub fn with_ipv6() -> Self {
        let outside = Outside::new();
        let (host, other) = (format!("{HOST6}/64"), format!("{OUTSIDE6}/64"));
        must("ip", &["address", "add", &host, "dev", "up0", "nodad"]);
        outside.run(|| must("ip", &["address", "add", &other, "dev", "up1", "nodad"]));
        let via = OUTSIDE6.to_string();
        must("ip", &["-6", "route", "add", "default", "via", &via]);
        outside
    }

    /// The file of its network namespace.
    pub fn namespace(&self) -> String {
        format!("/proc/{}/ns/net", self.holder.pid())
    }

    /// Runs something there.
    pub fn run<T: Send>(&self, body: impl FnOnce() -> T + Send) -> T {
        in_netns(self.namespace(), body)
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        // The host's end goes with its peer, but only some time after the namespace.
        let _ = Command::new("ip").args(["link", "delete", "up0"]).output();
    }
}

/// A process that does nothing but keep a new network namespace alive.
pub fn namespace_holder() -> Background {
    let mut command = Command::new("busybox");
    command.args(["sleep", "1000000"]).stdin(Stdio::null());
    let unshare = || sys::unshare(libc::CLONE_NEWNET);
    #[allow(
        unsafe_code,
        reason = "std offers no other way to run a step after fork"
    )]
    // SAFETY: between fork and exec the closure makes one system call and allocates nothing.
    unsafe {
        command.pre_exec(unshare)
    };
    Background::spawn(&mut command)
}

/// A TCP server on a socket that is already bound: it answers each connection with `NAME PEER-ADDRESS:PORT` and closes.
pub fn serve(listener: TcpListener, name: &'static str) {
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let Ok(peer) = stream.peer_addr() else {
                continue;
            };
            let _ = stream.write_all(format!("{name} {peer}").as_bytes());
        }
    });
}

/// A UDP server: it answers each datagram with `NAME PEER-ADDRESS:PORT`.
pub fn serve_udp(socket: UdpSocket, name: &'static str) {
    std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((_, peer)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(format!("{name} {peer}").as_bytes(), peer);
        }
    });
}

/// Binds and serves in a namespace, without any process there.
#[track_caller]
pub fn serve_in(namespace: &str, port: u16, name: &'static str) {
    let listener = in_netns(namespace, || {
        TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))
    });
    serve(step("listen", listener), name);
}

/// As [`serve_in`], UDP.
#[track_caller]
pub fn serve_udp_in(namespace: &str, port: u16, name: &'static str) {
    let socket = in_netns(namespace, || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)));
    serve_udp(step("bind", socket), name);
}

/// As [`serve_in`], TCP and UDP, IPv4 and IPv6.
#[track_caller]
pub fn serve_all_in(namespace: &str, port: u16, name: &'static str) {
    let bound = in_netns(namespace, || {
        let at = (Ipv6Addr::UNSPECIFIED, port);
        Ok::<_, io::Error>((TcpListener::bind(at)?, UdpSocket::bind(at)?))
    });
    let (listener, socket) = step("listen", bound);
    serve(listener, name);
    serve_udp(socket, name);
}

/// What a server says to a TCP client of this thread's namespace.
pub fn ask(address: impl Into<IpAddr>, port: u16) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::new(address.into(), port), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// What a server says to a UDP client of this thread's namespace.
pub fn ask_udp(address: impl Into<IpAddr>, port: u16) -> io::Result<String> {
    let address = address.into();
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect(SocketAddr::new(address, port))?;
    socket.send(b"who")?;
    let mut buffer = [0; 2048];
    let got = socket.recv(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..got]).into_owned())
}

/// The answer has to come, from the server of this name; returns the address that the server saw.
#[track_caller]
pub fn answered<E: Debug>(answer: Result<String, E>, name: &str) -> String {
    let text = answer.unwrap_or_else(|error| panic!("{name} does not answer: {error:?}"));
    let (said, peer) = text.split_once(' ').unwrap_or((&text, ""));
    assert_eq!(said, name, "the answer came from another server");
    let address = peer.rsplit_once(':').map(|(address, _)| address);
    // An IPv4 client as a socket of both versions sees it, and an IPv6 address beside a port.
    let address = address.unwrap_or_default().trim_matches(['[', ']']);
    address.trim_start_matches("::ffff:").to_owned()
}

/// What busybox's httpd of an image sends for /, asked as an HTTP client of this thread's namespace does.
pub fn get(address: impl Into<IpAddr>, port: u16) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::new(address.into(), port), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /index.html HTTP/1.0\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text
        .rsplit("\r\n\r\n")
        .next()
        .unwrap_or_default()
        .to_owned())
}

/// Waits until something listens on a TCP port of a namespace.
#[track_caller]
pub fn wait_for_port(namespace: &str, port: u16) {
    wait_until(
        &format!("something listens on {port} in {namespace}"),
        || {
            let ending = format!(":{port:04X}");
            let table = in_netns(namespace, || {
                let read = |file| std::fs::read_to_string(file).unwrap_or_default();
                read("/proc/thread-self/net/tcp") + &read("/proc/thread-self/net/tcp6")
            });
            // State 0A is TCP_LISTEN (include/net/tcp_states.h).
            table.lines().any(|line| {
                let fields: Vec<&str> = line.split_whitespace().collect();
                fields.get(1).is_some_and(|local| local.ends_with(&ending))
                    && fields.get(3) == Some(&"0A")
            })
        },
    );
}
