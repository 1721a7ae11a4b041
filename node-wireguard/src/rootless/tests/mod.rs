//! The two backends against each other, over a pump that stands for two engines and the way between them.

mod datagrams;
mod namespace;
mod pump;
mod speed;
mod streams;
mod wild;

use super::*;
use pump::Pump;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// Two stacks that reach each other.
pub(super) struct World {
    pub a: Rootless,
    pub b: Rootless,
    pub pump: Pump,
    pub events: Receiver<StreamEvent>,
}

pub(super) const A: [&str; 2] = ["100.88.0.1", "fd77::1"];
pub(super) const B: [&str; 2] = ["100.88.0.2", "fd77::2"];

pub(super) fn address(text: &str, port: u16) -> SocketAddr {
    SocketAddr::new(text.parse().unwrap(), port)
}

/// The helper program, built here: cargo builds it for tests of another kind only.
fn helper() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        let mut cargo = std::process::Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--bin", "node-wireguard-namespace"]);
        cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
        if !cfg!(debug_assertions) {
            cargo.arg("--release");
        }
        assert!(cargo.status().unwrap().success(), "the helper cannot be built");
        std::env::current_exe().unwrap().with_file_name("../node-wireguard-namespace")
    };
    BUILT.get_or_init(build).clone()
}

fn options(addresses: [&str; 2], backend: BackendChoice) -> RootlessOptions {
    RootlessOptions {
        backend,
        mtu: 1408,
        addresses: vec![(addresses[0].parse().unwrap(), 16), (addresses[1].parse().unwrap(), 48)],
        name: "rope0".to_string(),
        helper: if backend == BackendChoice::Netstack { PathBuf::new() } else { helper() },
    }
}

impl World {
    pub fn netstacks() -> Self {
        Self::of(BackendChoice::Netstack, BackendChoice::Netstack, pump::Way::default()).unwrap()
    }

    pub fn over(way: pump::Way) -> Self {
        Self::of(BackendChoice::Netstack, BackendChoice::Netstack, way).unwrap()
    }

    pub fn of(a: BackendChoice, b: BackendChoice, way: pump::Way) -> Result<Self, RootlessError> {
        let (tell, events) = channel();
        let sink: EventSink = Arc::new(move |event| drop(tell.send(event)));
        let (a, one) = Rootless::open(options(A, a), Arc::clone(&sink))?;
        let (b, two) = Rootless::open(options(B, b), sink)?;
        Ok(Self { a, b, pump: Pump::start(one, two, way), events })
    }
}

/// The bytes of a stream, blocking: a unix socket or a TCP one reads and writes the same.
pub(super) struct Pipe(TcpStream);

impl Pipe {
    pub fn of(stream: Stream) -> Self {
        let pipe = TcpStream::from(stream.fd);
        pipe.set_nonblocking(false).unwrap();
        pipe.set_read_timeout(Some(PATIENCE)).unwrap();
        pipe.set_write_timeout(Some(PATIENCE)).unwrap();
        Self(pipe)
    }

    pub fn end(&self) {
        self.0.shutdown(std::net::Shutdown::Write).unwrap();
    }

    pub fn try_clone(&self) -> Self {
        Self(self.0.try_clone().unwrap())
    }

    pub fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.0.read_to_end(&mut bytes).unwrap();
        bytes
    }

    pub fn put(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    pub fn get(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A listener whose connections come out of a channel.
pub(super) fn listen(on: &Rootless, at: SocketAddr) -> (Listener, Receiver<Stream>) {
    let (tell, accepted) = channel();
    let listener = on.listen_tcp(at, Arc::new(move |stream| drop(tell.send(stream)))).unwrap();
    (listener, accepted)
}

/// A connection, both ends.
pub(super) fn connect(from: &Rootless, to: &Rootless, at: SocketAddr) -> (Pipe, Pipe) {
    let (listener, accepted) = listen(to, at);
    let dialled = from.dial_tcp(listener.local(), 5 * SECOND).unwrap();
    let met = accepted.recv_timeout(PATIENCE).unwrap();
    assert_eq!((dialled.local, dialled.remote), (met.remote, met.local));
    (Pipe::of(dialled), Pipe::of(met))
}

/// Bytes that repeat nowhere nearby.
pub(super) fn noise(count: usize, mut seed: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(count + 8);
    while bytes.len() < count {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        bytes.extend_from_slice(&seed.to_le_bytes());
    }
    bytes.truncate(count);
    bytes
}

pub(super) fn sha256(bytes: &[u8]) -> Vec<u8> {
    ring::digest::digest(&ring::digest::SHA256, bytes).as_ref().to_vec()
}

/// The descriptor of a netstack's stream is a unix socket.
#[test]
fn a_netstack_stream_is_a_unix_socket_that_does_not_block() {
    let world = World::netstacks();
    let (listener, _accepted) = listen(&world.b, address(B[0], 0));
    let stream = world.a.dial_tcp(listener.local(), 5 * SECOND).unwrap();
    let mut unix = UnixStream::from(stream.fd);
    assert_eq!(unix.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::WouldBlock);
}
