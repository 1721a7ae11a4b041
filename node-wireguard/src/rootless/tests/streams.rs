//! TCP, netstack to netstack.

use super::pump::Way;
use super::*;
use std::thread;

/// Both send, both check what came.
pub(in crate::rootless) fn exchange(mut near: Pipe, mut far: Pipe, count: usize) {
    let (out, back) = (noise(count, 11), noise(count, 13));
    let hashes = (sha256(&out), sha256(&back));
    let (mut near_reader, mut far_reader) = (near.try_clone(), far.try_clone());
    let tasks = [
        thread::spawn(move || {
            near.put(&out);
            near.end();
        }),
        thread::spawn(move || {
            far.put(&back);
            far.end();
        }),
        thread::spawn(move || assert_eq!(sha256(&far_reader.rest()), hashes.0)),
        thread::spawn(move || assert_eq!(sha256(&near_reader.rest()), hashes.1)),
    ];
    for task in tasks {
        task.join().unwrap();
    }
}

#[test]
fn megabytes_arrive_whole_both_ways_at_once() {
    let world = World::netstacks();
    for to in B {
        let (near, far) = connect(&world.a, &world.b, address(to, 0));
        exchange(near, far, 8 << 20);
    }
}

#[test]
fn megabytes_arrive_whole_when_super_frames_are_cut() {
    let world = World::over(Way { cut: true, ..Way::default() });
    for to in B {
        let (near, far) = connect(&world.a, &world.b, address(to, 0));
        exchange(near, far, 4 << 20);
    }
}

#[test]
fn megabytes_arrive_whole_over_a_way_that_loses_packets() {
    let world = World::over(Way { cut: true, lose_one_in: 200, ..Way::default() });
    let (near, far) = connect(&world.a, &world.b, address(B[1], 0));
    exchange(near, far, 2 << 20);
}

#[test]
fn half_a_close_leaves_the_other_half_open() {
    let world = World::netstacks();
    let (mut near, mut far) = connect(&world.a, &world.b, address(B[0], 0));
    near.put(b"question");
    near.end();
    assert_eq!(far.rest(), b"question");
    for part in [&b"a long "[..], b"answer"] {
        far.put(part);
        assert_eq!(near.get(part.len()), part);
    }
    far.end();
    assert_eq!(near.rest(), b"");
}

#[test]
fn a_reset_comes_as_an_event_before_the_end() {
    let world = World::netstacks();
    let (listener, accepted) = listen(&world.b, address(B[0], 0));
    let near = world.a.dial_tcp(listener.local(), 5 * SECOND).unwrap();
    let far = accepted.recv_timeout(PATIENCE).unwrap();
    let id = near.id;
    let mut pipe = Pipe::of(near);
    pipe.put(b"never read");
    world.b.reset(far.id);
    assert_eq!(world.events.recv_timeout(PATIENCE).unwrap(), StreamEvent::Reset { stream: id });
    let end = pipe.read(&mut [0; 1]); // a unix socket is reset only when bytes to it were unread
    assert!(
        matches!(end, Ok(0)) || end.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset)
    );
}

#[test]
fn a_program_that_closes_without_reading_resets_its_peer() {
    let world = World::netstacks();
    let (listener, accepted) = listen(&world.b, address(B[1], 0));
    let near = world.a.dial_tcp(listener.local(), 5 * SECOND).unwrap();
    let id = near.id;
    let mut pipe = Pipe::of(near);
    let mut far = Pipe::of(accepted.recv_timeout(PATIENCE).unwrap());
    pipe.put(&noise(100_000, 3));
    far.get(1);
    drop(far);
    assert_eq!(world.events.recv_timeout(PATIENCE).unwrap(), StreamEvent::Reset { stream: id });
}

#[test]
fn a_port_where_nobody_listens_refuses() {
    let world = World::netstacks();
    for to in B {
        let refused = world.a.dial_tcp(address(to, 9), 5 * SECOND).unwrap_err();
        assert!(matches!(refused, RootlessError::Refused), "{refused}");
    }
    let (listener, accepted) = listen(&world.b, address(B[0], 0));
    world.a.dial_tcp(listener.local(), 5 * SECOND).unwrap();
    accepted.recv_timeout(PATIENCE).unwrap();
    listener.close();
    let refused = world.a.dial_tcp(listener.local(), 5 * SECOND).unwrap_err();
    assert!(matches!(refused, RootlessError::Refused), "{refused}");
}

#[test]
fn a_silent_way_times_out_in_the_callers_time() {
    let world = World::netstacks();
    world.pump.silent.store(true, Ordering::SeqCst);
    let before = std::time::Instant::now();
    let late = world.a.dial_tcp(address(B[0], 9), Duration::from_millis(400)).unwrap_err();
    assert!(matches!(late, RootlessError::TimedOut), "{late}");
    assert!((400..3000).contains(&before.elapsed().as_millis()));
}

#[test]
fn a_program_that_does_not_read_holds_its_peer_back() {
    let world = World::netstacks();
    let (near, mut far) = connect(&world.a, &world.b, address(B[0], 0));
    near.0.set_nonblocking(true).unwrap();
    let (mut near, mut sent, chunk) = (near, 0usize, noise(64 << 10, 5));
    let mut all = Vec::new();
    let mut last = std::time::Instant::now();
    while last.elapsed() < Duration::from_millis(500) {
        match near.write(&chunk) {
            Ok(count) => {
                all.extend_from_slice(&chunk[..count]);
                (sent, last) = (sent + count, std::time::Instant::now());
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                thread::yield_now();
            }
        }
    }
    assert!((1 << 20..5 << 20).contains(&sent), "{sent} bytes were taken");
    near.0.set_nonblocking(false).unwrap();
    let reader = thread::spawn(move || sha256(&far.rest()));
    near.end();
    assert_eq!(reader.join().unwrap(), sha256(&all));
}

#[test]
fn five_hundred_streams_at_once_carry_their_own_bytes() {
    let World { a, b, pump: _pump, events: _events } = World::netstacks();
    let (a, (listener, accepted)) = (Arc::new(a), listen(&b, address(B[0], 0)));
    let echo = thread::spawn(move || {
        for _ in 0..500 {
            let mut pipe = Pipe::of(accepted.recv_timeout(PATIENCE).unwrap());
            thread::spawn(move || {
                let bytes = pipe.get(20_000);
                pipe.put(&bytes);
                pipe.end();
            });
        }
    });
    let to = listener.local();
    let dial = |seed: u64| {
        let a = Arc::clone(&a);
        move || {
            let mut pipes: Vec<_> =
                (0..25).map(|_| Pipe::of(a.dial_tcp(to, PATIENCE).unwrap())).collect();
            for (i, pipe) in pipes.iter_mut().enumerate() {
                pipe.put(&noise(20_000, seed * 100 + i as u64 + 1));
            }
            for (i, pipe) in pipes.iter_mut().enumerate() {
                assert_eq!(pipe.rest(), noise(20_000, seed * 100 + i as u64 + 1));
            }
        }
    };
    let dialers: Vec<_> = (0..20).map(|seed| thread::spawn(dial(seed))).collect();
    for dialer in dialers {
        dialer.join().unwrap();
    }
    echo.join().unwrap();
}

#[test]
fn a_stack_reaches_itself() {
    let world = World::netstacks();
    let (near, far) = connect(&world.a, &world.a, address(A[0], 0));
    exchange(near, far, 1 << 20);
    world.a.ping(A[1].parse().unwrap(), SECOND).unwrap();
}

#[test]
fn an_address_that_is_not_ours_cannot_be_listened_on_and_a_port_only_once() {
    let world = World::netstacks();
    let none = world.a.listen_tcp(address("100.88.9.9", 80), Arc::new(drop));
    assert!(matches!(none, Err(RootlessError::NoAddress)));
    let (listener, _accepted) = listen(&world.a, address("0.0.0.0", 0));
    let twice = world.a.listen_tcp(address(A[0], listener.local().port()), Arc::new(drop));
    assert!(matches!(twice, Err(RootlessError::AddressInUse)));
    let other_family = world.a.listen_tcp(address("::", listener.local().port()), Arc::new(drop));
    assert!(other_family.is_ok());
}

#[test]
fn a_closed_stack_says_so_and_ends_its_streams() {
    let world = World::netstacks();
    let (mut near, mut far) = connect(&world.a, &world.b, address(B[0], 0));
    near.put(b"x");
    far.get(1);
    world.b.close();
    world.b.close();
    assert_eq!(far.rest(), b"");
    assert!(matches!(world.b.dial_tcp(address(A[0], 1), SECOND), Err(RootlessError::Closed)));
    assert!(matches!(world.events.recv_timeout(PATIENCE).unwrap(), StreamEvent::Reset { .. }));
    assert_eq!(near.rest(), b"");
}
