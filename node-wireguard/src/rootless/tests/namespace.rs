//! The private namespace against a netstack. Left out, loudly, where this machine forbids one.

use super::pump::Way;
use super::streams::exchange;
use super::*;

/// A namespace and a netstack; nothing where namespaces are forbidden or the helper is not built.
pub(in crate::rootless) fn world(test: &str) -> Option<World> {
    match World::of(BackendChoice::Namespace, BackendChoice::Netstack, Way::default()) {
        Ok(world) => Some(world),
        Err(RootlessError::Forbidden(why)) => {
            eprintln!("SKIPPED {test}: {why}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn megabytes_go_between_the_kernel_and_the_netstack() {
    let Some(world) = world("megabytes_go_between_the_kernel_and_the_netstack") else { return };
    assert_eq!((world.a.backend(), world.b.backend()), (Backend::Namespace, Backend::Netstack));
    for (a, b) in [(A[0], B[0]), (A[1], B[1])] {
        let (near, far) = connect(&world.a, &world.b, address(b, 0));
        exchange(near, far, 8 << 20);
        let (near, far) = connect(&world.b, &world.a, address(a, 0));
        exchange(near, far, 8 << 20);
    }
}

#[test]
fn the_kernels_errors_are_the_same_errors() {
    let Some(world) = world("the_kernels_errors_are_the_same_errors") else { return };
    let refused = world.a.dial_tcp(address(B[0], 9), 5 * SECOND).unwrap_err();
    assert!(matches!(refused, RootlessError::Refused), "{refused}");
    let refused = world.b.dial_tcp(address(A[1], 9), 5 * SECOND).unwrap_err();
    assert!(matches!(refused, RootlessError::Refused), "{refused}");
    let none = world.a.listen_tcp(address("100.88.9.9", 80), Arc::new(drop));
    assert!(matches!(none, Err(RootlessError::NoAddress)));
    let (listener, _accepted) = listen(&world.a, address("0.0.0.0", 80)); // no right is needed for a low port
    let twice = world.a.listen_tcp(listener.local(), Arc::new(drop));
    assert!(matches!(twice, Err(RootlessError::AddressInUse)));
    world.pump.silent.store(true, Ordering::SeqCst);
    let late = world.a.dial_tcp(address(B[1], 9), Duration::from_millis(300)).unwrap_err();
    assert!(matches!(late, RootlessError::TimedOut), "{late}");
}

#[test]
fn datagrams_and_echoes_cross_between_the_backends() {
    let Some(world) = world("datagrams_and_echoes_cross_between_the_backends") else { return };
    datagrams::datagrams_go_and_come(&world);
    datagrams::echoes_come_back(&world);
}

#[test]
fn half_a_close_and_a_reset_cross_between_the_backends() {
    let Some(world) = world("half_a_close_and_a_reset_cross_between_the_backends") else { return };
    let (mut near, mut far) = connect(&world.a, &world.b, address(B[0], 0));
    near.put(b"question");
    near.end();
    assert_eq!(far.rest(), b"question");
    far.put(b"answer");
    far.end();
    assert_eq!(near.rest(), b"answer");

    let (listener, accepted) = listen(&world.b, address(B[1], 0));
    let mut near = Pipe::of(world.a.dial_tcp(listener.local(), 5 * SECOND).unwrap());
    let far = accepted.recv_timeout(PATIENCE).unwrap();
    world.b.reset(far.id);
    let error = near.read(&mut [0; 1]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn the_helper_ends_with_the_stack_and_its_end_is_told() {
    let Some(world) = world("the_helper_ends_with_the_stack_and_its_end_is_told") else { return };
    let pid = world.a.namespace_pid().unwrap();
    let alive = || std::path::Path::new(&format!("/proc/{pid}")).exists();
    assert!(alive());
    world.a.close();
    assert!(!alive());
    assert!(matches!(world.a.dial_tcp(address(B[0], 9), SECOND), Err(RootlessError::Closed)));
    assert!(world.events.try_recv().is_err(), "an end that was asked for is no event");
}

#[test]
fn without_a_helper_auto_takes_the_netstack_and_says_why() {
    let mut auto = options(A, BackendChoice::Auto);
    auto.helper = "/nowhere/node-wireguard-namespace".into();
    let (rootless, _fd) = Rootless::open(auto, Arc::new(drop)).unwrap();
    assert_eq!(rootless.backend(), Backend::Netstack);
    assert!(rootless.fallback().unwrap().contains("/nowhere"));
}
