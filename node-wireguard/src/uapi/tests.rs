//! The protocol by itself, and a real device behind its socket.

use super::spell::spell;
use super::*;
use crate::device::{
    AllowedIpUpdate, Device, DeviceOptions, DeviceUpdate, InterfaceOptions, PeerUpdate,
    SocketOptions,
};
use crate::io::fd::seqpacket_pair;
use proptest::prelude::*;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

fn allowed_ip() -> impl Strategy<Value = AllowedIpUpdate> {
    (any::<IpAddr>(), 0u8..=128, any::<bool>()).prop_map(|(address, prefix, remove)| {
        let prefix = prefix.min(if address.is_ipv4() { 32 } else { 128 });
        AllowedIpUpdate { address, prefix, remove }
    })
}

/// The same for a peer.
struct Secretive(PeerUpdate);

impl std::fmt::Debug for Secretive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a peer")
    }
}

fn peer() -> impl Strategy<Value = Secretive> {
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    let endpoint = prop::option::of((any::<IpAddr>(), any::<u16>()).prop_map(SocketAddr::from));
    let ips = prop::collection::vec(allowed_ip(), 0..4);
    (any::<[u8; 32]>(), flags, any::<Option<[u8; 32]>>(), endpoint, any::<Option<u16>>(), ips)
        .prop_map(|(public_key, flags, preshared_key, endpoint, keepalive_seconds, allowed_ips)| {
            let (remove, update_only, replace_allowed_ips) = flags;
            Secretive(PeerUpdate {
                public_key,
                remove,
                update_only,
                preshared_key,
                endpoint,
                keepalive_seconds,
                replace_allowed_ips,
                allowed_ips,
            })
        })
}

/// An update that a failing test may print, since none of its keys is anybody's.
struct Meant(DeviceUpdate);

impl std::fmt::Debug for Meant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&spell(&self.0))
    }
}

fn update() -> impl Strategy<Value = Meant> {
    let device =
        (any::<Option<[u8; 32]>>(), any::<Option<u16>>(), any::<Option<u32>>(), any::<bool>());
    (device, prop::collection::vec(peer(), 0..4)).prop_map(|(device, peers)| {
        let (private_key, listen_port, mark, replace_peers) = device;
        let peers = peers.into_iter().map(|peer| peer.0).collect();
        Meant(DeviceUpdate { private_key, listen_port, mark, replace_peers, peers })
    })
}

fn set(text: &str) -> Result<DeviceUpdate, Errno> {
    match parse(text.as_bytes())? {
        Request::Set(update) => Ok(*update),
        Request::Get => panic!("{text} is no get"),
    }
}

proptest! {
    #[test]
    fn a_request_is_read_as_it_was_meant(update in update()) {
        let text = spell(&update.0);
        let (request, length) = next_request(text.as_bytes()).unwrap();
        prop_assert_eq!(length, text.len());
        let read = match parse(request) {
            Ok(Request::Set(read)) => *read,
            _ => return Err(TestCaseError::fail(text)),
        };
        prop_assert!(read == update.0);
    }

    #[test]
    fn half_a_request_is_none(update in update(), cut in any::<prop::sample::Index>()) {
        let text = spell(&update.0);
        prop_assert!(next_request(&text.as_bytes()[..cut.index(text.len())]).is_none());
    }

    #[test]
    fn a_spoilt_line_spoils_the_request_or_changes_it(update in update(), cut in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = spell(&update.0).into_bytes();
        let at = cut.index(bytes.len());
        bytes[at] = byte;
        let mut rest = &bytes[..];
        while let Some((request, length)) = next_request(rest) {
            let _ = parse(request);
            rest = &rest[length..];
        }
    }
}

#[test]
fn words_that_cannot_be_are_refused() {
    let key = "ab".repeat(32);
    for text in [
        "set=2",
        "set=1\nlisten_port",
        "set=1\nlisten_port=",
        "set=1\nlisten_port=65536",
        "set=1\nlisten_port=+1",
        "set=1\nfwmark=0x10",
        "set=1\nprivate_key=ab",
        "set=1\nreplace_peers=false",
        "set=1\nfrob=1",
        "set=1\nallowed_ip=10.0.0.0/8",
        "get=1\nlisten_port=1",
        "frob=1",
    ] {
        assert!(parse(text.as_bytes()) == Err(Errno::INVALID), "{text}");
    }
    for line in [
        "allowed_ip=10.0.0.0/33",
        "allowed_ip=10.0.0/8",
        "allowed_ip=::/129",
        "allowed_ip=",
        "endpoint=192.0.2.1",
        "endpoint=name:1",
        "endpoint=[fe80::1%no-such-one]:1",
        "persistent_keepalive_interval=off",
        "protocol_version=2",
        "private_key=ab",
        "listen_port=1",
    ] {
        let text = format!("set=1\npublic_key={key}\n{line}");
        assert!(parse(text.as_bytes()) == Err(Errno::INVALID), "{text}");
    }
    let zone = set(&format!("set=1\npublic_key={key}\nendpoint=[fe80::1%lo]:7")).unwrap();
    assert!(
        zone.peers[0]
            .endpoint
            .is_some_and(|at| matches!(at, SocketAddr::V6(v6) if v6.scope_id() > 0))
    );
    let replaced = format!(
        "set=1\npublic_key={key}\nallowed_ip=1.2.3.4\nreplace_allowed_ips=true\nallowed_ip=-::/0"
    );
    let gone = AllowedIpUpdate { address: "::".parse().unwrap(), prefix: 0, remove: true };
    assert_eq!(set(&replaced).unwrap().peers[0].allowed_ips, [gone]);
}

/// A device with its socket in a folder of its own.
struct Served {
    uapi: Uapi,
    device: Arc<Device>,
    folder: PathBuf,
    _frames: OwnedFd,
}

impl Served {
    fn start(name: &str) -> Self {
        let (inner, frames) = seqpacket_pair().unwrap();
        let options = DeviceOptions {
            private_key: [0; 32],
            listen: vec![(Ipv4Addr::LOCALHOST, 0).into()],
            sockets: SocketOptions::default(),
            shards: 1,
            interface: InterfaceOptions::Frames {
                fd: inner,
                mtu: 1408,
                addresses: vec![],
                merge_udp: false,
            },
        };
        let device = Arc::new(Device::open(options, Arc::new(|_| ())).unwrap());
        let folder = std::env::temp_dir().join(format!("uapi-{name}-{}", std::process::id()));
        let uapi = Uapi::open(Arc::clone(&device), place(&folder)).unwrap();
        Self { uapi, device, folder, _frames: frames }
    }

    fn knock(&self) -> UnixStream {
        let stream = UnixStream::connect(self.folder.join("wg0.sock")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.uapi.close();
        self.device.close();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn place(folder: &std::path::Path) -> Where<'_> {
    Where { folder, interface: "wg0" }
}

/// What comes up to the blank line.
fn answer(stream: &mut UnixStream) -> String {
    let (mut bytes, mut byte) = (Vec::new(), [0]);
    while !bytes.ends_with(b"\n\n") {
        stream.read_exact(&mut byte).unwrap();
        bytes.extend(byte);
    }
    String::from_utf8(bytes).unwrap()
}

fn ask(stream: &mut UnixStream, text: &str) -> String {
    stream.write_all(text.as_bytes()).unwrap();
    answer(stream)
}

#[test]
fn a_device_is_set_and_tells_how_it_is_set() {
    let served = Served::start("set");
    let mode = std::fs::metadata(served.folder.join("wg0.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut tool = served.knock();
    let port = served.device.sockets()[0].local.port();
    assert_eq!(ask(&mut tool, "get=1\n\n"), format!("listen_port={port}\nerrno=0\n\n"));
    let (private, public, psk) = ("78".repeat(32), "ab".repeat(32), "cd".repeat(32));
    let peer = format!(
        "public_key={public}\npreshared_key={psk}\nendpoint=192.0.2.7:51820\npersistent_keepalive_interval=25\nreplace_allowed_ips=true\nallowed_ip=10.1.2.3/8\nallowed_ip=fd00::1/128\n"
    );
    assert_eq!(ask(&mut tool, &format!("set=1\nprivate_key={private}\n{peer}\n")), "errno=0\n\n");
    let told = format!(
        "private_key={private}\nlisten_port={port}\npublic_key={public}\npreshared_key={psk}\nprotocol_version=1\nendpoint=192.0.2.7:51820\nlast_handshake_time_sec=0\nlast_handshake_time_nsec=0\ntx_bytes=0\nrx_bytes=0\npersistent_keepalive_interval=25\nallowed_ip=10.0.0.0/8\nallowed_ip=fd00::1/128\nerrno=0\n\n"
    );
    let said = ask(&mut tool, "get=1\n\n");
    // An initiation may be on its way already.
    let said = said
        .split('\n')
        .map(|line| if line.starts_with("tx_bytes=") { "tx_bytes=0" } else { line });
    assert_eq!(said.collect::<Vec<_>>().join("\n"), told);
    assert_eq!(
        ask(&mut tool, &format!("set=1\npublic_key={public}\nremove=true\n\n")),
        "errno=0\n\n"
    );
    assert!(!ask(&mut tool, "get=1\n\n").contains("public_key"));
}

#[test]
fn a_bad_request_changes_nothing_and_the_next_is_heard() {
    let served = Served::start("bad");
    let mut tool = served.knock();
    let key = "ab".repeat(32);
    let before = ask(&mut tool, "get=1\n\n");
    let invalid = format!("errno={}\n\n", -libc::EINVAL);
    assert_eq!(
        ask(&mut tool, &format!("set=1\npublic_key={key}\nallowed_ip=10.0.0.0/33\n\n")),
        invalid
    );
    assert_eq!(ask(&mut tool, "\n\nset=1\nfrob=1\n\n"), invalid);
    let taken = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let in_use = format!("errno={}\n\n", -libc::EADDRINUSE);
    let text = format!("set=1\nlisten_port={port}\npublic_key={key}\n\n");
    assert_eq!(ask(&mut tool, &text), in_use);
    assert_eq!(ask(&mut tool, "get=1\n\n"), before);
}

#[test]
fn half_a_request_holds_up_nobody_and_is_done_when_it_is_whole() {
    let served = Served::start("half");
    let (mut slow, mut quick) = (served.knock(), served.knock());
    let key = "ab".repeat(32);
    slow.write_all(format!("set=1\npublic_key={key}\n").as_bytes()).unwrap();
    assert!(!ask(&mut quick, "get=1\n\n").contains(&key));
    slow.write_all(b"\n").unwrap();
    assert_eq!(answer(&mut slow), "errno=0\n\n");
    assert!(ask(&mut quick, "get=1\n\n").contains(&key));
    let pipelined = "get=1\n\n".repeat(2_000);
    let mut writer = quick.try_clone().unwrap();
    let asks = std::thread::spawn(move || writer.write_all(pipelined.as_bytes()).unwrap());
    for _ in 0..2_000 {
        assert!(answer(&mut quick).ends_with("errno=0\n\n"));
    }
    asks.join().unwrap();
}

#[test]
fn what_never_ends_is_refused_and_too_many_tools_push_out_the_silent_one() {
    let served = Served::start("many");
    let mut endless = served.knock();
    let mut reader = endless.try_clone().unwrap();
    let flood = std::thread::spawn(move || {
        let chunk = [b'x'; 1 << 16];
        // Until the other end hangs up.
        while endless.write_all(&chunk).is_ok() {}
    });
    assert_eq!(answer(&mut reader), format!("errno={}\n\n", -libc::E2BIG));
    drop(reader);
    flood.join().unwrap();
    let mut first = served.knock();
    let mut others: Vec<UnixStream> = (0..32).map(|_| served.knock()).collect();
    for other in &mut others {
        assert!(ask(other, "get=1\n\n").contains("listen_port="));
    }
    assert_eq!(first.read(&mut [0]).unwrap(), 0, "it has been cut");
}

#[test]
fn a_socket_is_taken_over_from_the_dead_only_and_goes_with_its_device() {
    let served = Served::start("door");
    let path = served.folder.join("wg0.sock");
    let again = Uapi::open(Arc::clone(&served.device), place(&served.folder));
    assert_eq!(again.err().map(|error| error.kind()), Some(ErrorKind::AddrInUse));
    assert!(served.uapi.is_reachable());
    std::fs::remove_file(&path).unwrap();
    assert!(!served.uapi.is_reachable());
    // What a killed process leaves behind.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let next = Uapi::open(Arc::clone(&served.device), place(&served.folder)).unwrap();
    served.uapi.close();
    assert!(next.is_reachable(), "another's socket is left alone");
    next.close();
    drop(next);
    let left: Vec<_> = std::fs::read_dir(&served.folder).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}
