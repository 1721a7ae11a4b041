use super::{Fault, Identity, Local, Request, Side, SpliceError, SpliceEvent, Splicer};
use crate::io::{Connection, stream_pair};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);
pub(super) const ONE: (&[u8], &[u8]) =
    (include_bytes!("testdata/one.crt.der"), include_bytes!("testdata/one.key.der"));
pub(super) const TWO: (&[u8], &[u8]) =
    (include_bytes!("testdata/two.crt.der"), include_bytes!("testdata/two.key.der"));

pub(super) fn identity((certificate, key): (&[u8], &[u8]), protocol: &str) -> Arc<Identity> {
    Arc::new(Identity::new(certificate, key, protocol.as_bytes()).unwrap())
}

/// A splicer and what it tells.
struct World {
    splicer: Splicer,
    told: Receiver<SpliceEvent>,
}

impl World {
    fn new() -> Self {
        let (tell, told) = channel();
        let tell = Mutex::new(tell);
        let sink = Arc::new(move |event| drop(tell.lock().unwrap().send(event)));
        Self { splicer: Splicer::open(sink).unwrap(), told }
    }

    fn next(&self) -> SpliceEvent {
        self.told.recv_timeout(LIMIT).unwrap()
    }

    /// The end of the one stream that is to end now.
    fn ended(&self) -> (u64, u64, u64, Option<Fault>) {
        match self.next() {
            SpliceEvent::Closed { stream, forth, back, fault } => (stream, forth, back, fault),
            other => panic!("{other:?}"),
        }
    }

    /// Both ends of one TLS connection, each secured: the streams of client and server.
    fn secured(&self, near: OwnedFd, far: OwnedFd) -> (u64, u64) {
        let connection = |fd| Connection::new(fd).unwrap();
        let (one, two) = (identity(ONE, "rope"), identity(TWO, "rope"));
        let client = self.splicer.secure(connection(near), vec![], Side::Client, one).unwrap();
        let server = self.splicer.secure(connection(far), vec![], Side::Server, two).unwrap();
        for _ in 0..2 {
            match self.next() {
                SpliceEvent::Secured { stream, certificate } => {
                    assert_eq!(certificate, if stream == client { TWO.0 } else { ONE.0 });
                }
                other => panic!("{other:?}"),
            }
        }
        (client, server)
    }

    fn attach(&self, stream: u64, head: &[u8], first: &[u8]) -> UnixStream {
        let (here, there) = stream_pair().unwrap();
        let (connection, is_pair) = (Connection::new(there).unwrap(), true);
        let (head, first) = (head.to_vec(), first.to_vec());
        let local = Local { connection, is_pair, head, first };
        self.splicer.ask(stream, Request::Join(local));
        blocking(here)
    }
}

fn blocking(fd: OwnedFd) -> UnixStream {
    let stream = UnixStream::from(fd);
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

fn pair() -> (UnixStream, OwnedFd) {
    let (here, there) = stream_pair().unwrap();
    (blocking(here), there)
}

fn tcp() -> (TcpStream, OwnedFd) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let there = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (listener.accept().unwrap().0, there.into())
}

fn reset(socket: TcpStream) {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    // SAFETY: the option is a whole `linger`, readable for as long as the call lasts.
    let set = unsafe {
        let value = (&raw const linger).cast();
        let size = size_of::<libc::linger>() as u32;
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_LINGER, value, size)
    };
    assert_eq!(set, 0);
}

fn joined(world: &World, a: OwnedFd, b: OwnedFd, first: [&[u8]; 2]) -> u64 {
    let ends = [Connection::new(a).unwrap(), Connection::new(b).unwrap()];
    world.splicer.join(ends, first.map(<[u8]>::to_vec)).unwrap()
}

/// Bytes that tell where they stand.
fn pattern(count: usize) -> Vec<u8> {
    (0..count as u32 / 4).flat_map(|word| word.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

fn all(mut stream: UnixStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

/// Writes all into one end and reads all at the other, both ways at once.
fn exchange(a: &UnixStream, b: &UnixStream, bytes: &[u8]) {
    thread::scope(|scope| {
        for (from, to) in [(a, b), (b, a)] {
            scope.spawn(move || {
                let mut from = from;
                from.write_all(bytes).unwrap();
                from.shutdown(Shutdown::Write).unwrap();
            });
            let got = scope.spawn(|| all(to.try_clone().unwrap()));
            scope.spawn(move || assert!(got.join().unwrap() == bytes));
        }
    });
}

#[test]
fn two_connections_become_one_with_their_greetings_and_both_ends() {
    let world = World::new();
    let ((mut a, near), (mut b, far)) = (pair(), pair());
    let stream = joined(&world, near, far, [b"to a ", b"to b "]);
    a.write_all(b"from a").unwrap();
    a.shutdown(Shutdown::Write).unwrap();
    assert_eq!(all(b.try_clone().unwrap()), b"to b from a");
    assert_eq!(world.splicer.counts(stream), Some((6, 0)));
    b.write_all(b"still here").unwrap(); // one direction has ended, the other has not
    drop(b);
    assert_eq!(all(a), b"to a still here");
    assert!(matches!(world.ended(), (ended, 6, 10, None) if ended == stream));
    assert_eq!(world.splicer.counts(stream), None);
}

#[test]
fn nothing_is_lost_both_ways_at_once() {
    let world = World::new();
    let ((a, near), (b, far)) = (pair(), pair());
    joined(&world, near, far, [b"", b""]);
    exchange(&a, &b, &pattern(32 << 20));
    drop((a, b));
    assert!(matches!(world.ended(), (_, 33_554_432, 33_554_432, None)));
}

#[test]
fn a_reset_is_noticed_though_nothing_can_be_moved() {
    let world = World::new();
    let ((a, near), (_b, far)) = (tcp(), tcp());
    let stream = joined(&world, near, far, [b"", b""]);
    a.set_nonblocking(true).unwrap();
    let bytes = vec![0; 1 << 20];
    let mut quiet = 0;
    // until everything on the way is full: nobody reads b
    while quiet < 5 {
        match (&a).write(&bytes) {
            Ok(_) => quiet = 0,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                quiet += 1;
                thread::sleep(Duration::from_millis(20));
            }
            Err(error) => panic!("{error}"),
        }
    }
    reset(a);
    assert!(matches!(world.ended(), (ended, _, 0, Some(Fault::Reset(_))) if ended == stream));
}

#[test]
fn an_order_to_break_off_is_told_once_and_closing_tells_of_all() {
    let world = World::new();
    let pairs: Vec<_> = (0..3).map(|_| (pair(), pair())).collect();
    let mut kept = Vec::new();
    let mut streams = Vec::new();
    for ((a, near), (b, far)) in pairs {
        streams.push(joined(&world, near, far, [b"", b""]));
        kept.push((a, b));
    }
    world.splicer.cut(streams[0]);
    world.splicer.cut(streams[0]);
    assert!(matches!(world.ended(), (ended, 0, 0, Some(Fault::Cut)) if ended == streams[0]));
    world.splicer.close();
    let mut rest = vec![world.ended().0, world.ended().0];
    rest.sort_unstable();
    assert_eq!(rest, streams[1..]);
    let ends = [pair().1, pair().1].map(|fd| Connection::new(fd).unwrap());
    assert!(matches!(world.splicer.join(ends, [vec![], vec![]]), Err(SpliceError::Closed)));
}

#[test]
fn tls_proves_both_talks_and_then_carries_a_stream() {
    let world = World::new();
    let (near, far) = stream_pair().unwrap();
    let (client, server) = world.secured(near, far);
    world.splicer.ask(client, Request::Send(b"a question".to_vec()));
    world.splicer.ask(server, Request::Receive);
    match world.next() {
        SpliceEvent::Received { stream, bytes } => {
            assert_eq!((stream, &*bytes), (server, &b"a question"[..]));
        }
        other => panic!("{other:?}"),
    }
    // what was received too early is given back, and what was read too early goes first
    let mut b = world.attach(server, &[0, 0, 0, 2, 1, 2], b"first ");
    let a = world.attach(client, b"", b"\x03");
    let mut got = [0; 3];
    b.read_exact(&mut got).unwrap();
    assert_eq!(got, [1, 2, 3]);
    b.write_all(b"then").unwrap();
    for end in [&a, &b] {
        end.shutdown(Shutdown::Write).unwrap();
    }
    assert_eq!(all(a), b"first then");
    assert_eq!(all(b), b"");
    for _ in 0..2 {
        assert!(matches!(world.ended(), (.., None)));
    }
}

#[test]
fn what_closing_breaks_off_does_not_look_as_if_it_had_ended() {
    let world = World::new();
    let (near, far) = stream_pair().unwrap();
    let (client, server) = world.secured(near, far);
    let (a, b) = (world.attach(client, b"", b""), world.attach(server, b"", b""));
    world.splicer.close();
    for _ in 0..2 {
        assert!(matches!(world.ended(), (.., Some(Fault::Failed(_)))));
    }
    for mut end in [a, b] {
        end.set_nonblocking(true).unwrap();
        let error = end.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "not an end");
    }
}

#[test]
fn a_stream_inside_tls_loses_nothing_and_ends_as_it_should() {
    let world = World::new();
    let (near, far) = stream_pair().unwrap();
    let (client, server) = world.secured(near, far);
    let (a, b) = (world.attach(client, b"", b""), world.attach(server, b"", b""));
    exchange(&a, &b, &pattern(32 << 20));
    for _ in 0..2 {
        assert!(matches!(world.ended(), (_, 33_554_432, 33_554_432, None)));
    }
}

/// A relay's place between two ends of a TLS connection: what it may do, and what the ends make of it.
fn in_the_middle(
    attack: impl FnOnce(&mut UnixStream, &mut UnixStream),
) -> (World, [UnixStream; 2], Fault) {
    let world = World::new();
    let ((mut left, near), (mut right, far)) = (pair(), pair());
    let connection = |fd| Connection::new(fd).unwrap();
    let (one, two) = (identity(ONE, "rope"), identity(TWO, "rope"));
    let client = world.splicer.secure(connection(near), vec![], Side::Client, one).unwrap();
    let server = world.splicer.secure(connection(far), vec![], Side::Server, two).unwrap();
    let mut secured = 0;
    for stream in [&left, &right] {
        stream.set_nonblocking(true).unwrap();
    }
    let mut buffer = vec![0; 65_536];
    while secured < 2 {
        for (from, to) in [(&left, &right), (&right, &left)] {
            if let Ok(count) = { from }.read(&mut buffer) {
                { to }.write_all(&buffer[..count]).unwrap();
            }
        }
        secured += world.told.try_iter().count();
    }
    for stream in [&left, &right] {
        stream.set_nonblocking(false).unwrap();
    }
    let mut a = world.attach(client, b"", b"");
    let b = world.attach(server, b"", b"");
    a.write_all(b"the whole file").unwrap();
    attack(&mut left, &mut right);
    let fault = loop {
        match world.next() {
            SpliceEvent::Closed { stream, fault, .. } if stream == server => break fault.unwrap(),
            _ => {}
        }
    };
    (world, [a, b], fault)
}

#[test]
fn an_end_that_somebody_forges_is_not_the_end_of_the_stream() {
    let (world, [_a, mut b], fault) = in_the_middle(|left, right| {
        let mut buffer = [0; 4096];
        let count = left.read(&mut buffer).unwrap();
        right.write_all(&buffer[..count]).unwrap();
        right.shutdown(Shutdown::Write).unwrap();
    });
    assert!(matches!(fault, Fault::CutShort), "{fault:?}");
    let mut got = [0; 14];
    b.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"the whole file");
    // our end does not look as if all had been said, until the owner has seen the fault
    b.set_nonblocking(true).unwrap();
    assert_eq!(b.read(&mut got).unwrap_err().kind(), ErrorKind::WouldBlock);
    world.splicer.cut(2);
    b.set_nonblocking(false).unwrap();
    assert_eq!(b.read(&mut got).unwrap(), 0);
}

#[test]
fn a_changed_repeated_or_invented_record_ends_it() {
    for attack in 0..3 {
        let (_world, _, fault) = in_the_middle(|left, right| {
            let mut buffer = [0; 4096];
            let count = left.read(&mut buffer).unwrap();
            match attack {
                0 => buffer[count - 1] ^= 1,
                1 => right.write_all(&buffer[..count]).unwrap(),
                _ => buffer[..5].copy_from_slice(&[23, 3, 3, 0xff, 0xff]),
            }
            right.write_all(&buffer[..count]).unwrap();
        });
        assert!(matches!(fault, Fault::Tls(_)), "{attack}: {fault:?}");
    }
}

#[test]
fn a_stream_that_is_no_stream_of_segments_ends() {
    let world = World::new();
    let (near, far) = stream_pair().unwrap();
    let (client, server) = world.secured(near, far);
    let _local = world.attach(server, b"", b"");
    world.splicer.ask(client, Request::Send(vec![0xff; 64]));
    assert!(matches!(world.ended(), (ended, 0, 0, Some(Fault::Malformed(_))) if ended == server));
}

#[test]
fn parting_says_the_last_word_and_waits_until_the_other_goes() {
    let world = World::new();
    let (near, far) = stream_pair().unwrap();
    let (client, server) = world.secured(near, far);
    world.splicer.ask(server, Request::Part(b"refused".to_vec()));
    world.splicer.ask(client, Request::Receive);
    assert!(matches!(world.next(), SpliceEvent::Received { bytes, .. } if bytes == b"refused"));
    world.splicer.ask(client, Request::Part(vec![]));
    for _ in 0..2 {
        assert!(matches!(world.ended(), (_, 0, 0, None)));
    }
}

#[test]
fn who_speaks_another_protocol_or_shows_no_key_is_refused() {
    let world = World::new();
    let (near, far) = stream_pair().unwrap();
    let connection = |fd| Connection::new(fd).unwrap();
    let (one, two) = (identity(ONE, "rope"), identity(TWO, "walk"));
    world.splicer.secure(connection(near), vec![], Side::Client, one).unwrap();
    world.splicer.secure(connection(far), vec![], Side::Server, two).unwrap();
    for _ in 0..2 {
        let (.., fault) = world.ended();
        assert!(
            matches!(fault, Some(Fault::Tls(_) | Fault::Reset(_) | Fault::CutShort)),
            "{fault:?}"
        );
    }
    assert!(Identity::new(ONE.0, TWO.1, b"rope").is_err());
    assert!(Identity::new(ONE.0, b"no key", b"rope").is_err());
}
