//! What strangers and peers say in WireGuard's own protocol.

use crate::noise::{
    CookieChecker, INITIATION, Keypair, Kind, Local, Millis, Protocol, ProtocolOptions, Source,
    StaticProbe, Timestamp, check_mac1, open_initiation,
};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

const NOW: Millis = 1_000_000;

struct World {
    local: Arc<Local>,
    ours: Protocol,
    initiation: [u8; INITIATION],
    checker: CookieChecker,
    probe: StaticProbe,
    receiving: Arc<Keypair>,
    sending: Arc<Keypair>,
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::new(world());
}

/// Two ends with a session, and a handshake of ours that is open.
#[expect(clippy::expect_used, reason = "fixed keys: a failure here is a failure of the target")]
fn world() -> World {
    let [local, remote] = [1, 2].map(|seed| Arc::new(Local::new([seed; 32])));
    let end = |own: &Arc<Local>, other: &Arc<Local>| {
        let remote = *other.public();
        let options = ProtocolOptions {
            remote,
            preshared_key: [0; 32],
            keepalive_seconds: 0,
            vanilla: false,
        };
        Protocol::new(Arc::clone(own), options, 0).expect("a protocol")
    };
    let (mut ours, mut theirs) = (end(&local, &remote), end(&remote, &local));
    let first = theirs.initiate(0, wall(0), 7).expect("an initiation");
    let opened = open_initiation(&local, &first).expect("to be opened");
    let (answer, receiving) = ours.on_initiation(opened, 8, 0).expect("an answer");
    let sending = theirs.on_response(&answer, 0).expect("a session");
    ours.initiate(NOW, wall(NOW), 9).expect("an open initiation");
    let probe = StaticProbe::new(&local, remote.public()).expect("a probe key");
    let checker = CookieChecker::new(&local);
    World { local, ours, initiation: first, checker, probe, receiving, sending }
}

fn wall(now: Millis) -> Timestamp {
    Timestamp::new(Duration::from_millis(200_000_000 + now))
}

/// Any bytes at every door; none of them may be taken for authentic.
pub fn datagrams(data: &[u8]) {
    WORLD.with_borrow_mut(|world| {
        let _ = Kind::of(data);
        assert!(open_initiation(&world.local, data).is_err());
        assert!(!check_mac1(&world.local, data));
        assert!(world.ours.on_response(data, NOW).is_err());
        assert!(world.ours.on_cookie(data, NOW).is_err());
        let source = Source::Direct(SocketAddr::from(([192, 0, 2, 1], 1)));
        for loaded in [false, true] {
            world.checker.check(data, source, loaded, NOW);
        }
        assert!(world.receiving.open(7, &mut data.to_vec()).is_err());
        assert!(world.receiving.probe_open(7, b"", &mut data.to_vec()).is_err());
        assert!(world.probe.open(b"", &mut data.to_vec()).is_err());
    });
}

/// Real messages with bytes changed: as an attacker on the way makes them. Changed ones are refused, others pass.
pub fn handshake(data: &[u8]) {
    WORLD.with_borrow_mut(|world| {
        let Some((kind, changes)) = data.split_first() else { return };
        match kind % 3 {
            0 => {
                let mut message = world.initiation;
                let changed = change(&mut message[..132], changes); // mac2 is not looked at here
                assert_eq!(open_initiation(&world.local, &message).is_err(), changed);
            }
            1 => {
                let plain = &changes[changes.len() / 2..];
                let mut sealed = vec![0; plain.len().next_multiple_of(16) + 16];
                world.sending.seal(5, plain, &mut sealed);
                let changed = change(&mut sealed, &changes[..changes.len() / 2]);
                let opened = world.receiving.open(5, &mut sealed);
                assert_eq!(opened.is_err(), changed);
                assert!(changed || sealed.starts_with(plain));
            }
            _ => {
                let mut sealed = vec![0; 48 + 16];
                let counter = world.sending.probe_seal(b"head", &[3; 48], &mut sealed);
                let Some(counter) = counter else { return };
                let changed = change(&mut sealed, changes);
                let opened = world.receiving.probe_open(counter, b"head", &mut sealed);
                assert_eq!(opened.is_err(), changed);
            }
        }
    });
}

/// Lays pairs of place and value over a message; whether it is another one now.
fn change(message: &mut [u8], changes: &[u8]) -> bool {
    let before = message.to_vec();
    for pair in changes.chunks_exact(2) {
        let at = usize::from(pair[0]) % message.len();
        message[at] ^= pair[1];
    }
    message != before.as_slice()
}
