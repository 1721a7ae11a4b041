//! Not tests but measurements: `cargo test --release rootless::tests::speed -- --ignored --nocapture`.

use super::pump::Way;
use super::*;
use std::thread;
use std::time::Instant;

fn measure(name: &str, mut near: Pipe, mut far: Pipe) {
    const TOTAL: usize = 2 << 30;
    let began = Instant::now();
    let sender = thread::spawn(move || {
        let chunk = vec![7; 1 << 20];
        for _ in 0..TOTAL / chunk.len() {
            near.put(&chunk);
        }
        near.end();
    });
    let (mut buffer, mut total) = (vec![0; 1 << 20], 0);
    loop {
        match far.read(&mut buffer).unwrap() {
            0 => break,
            count => total += count,
        }
    }
    sender.join().unwrap();
    assert_eq!(total, TOTAL);
    let seconds = began.elapsed().as_secs_f64();
    println!("{name}: {:.2} Gbit/s", total as f64 * 8.0 / seconds / 1e9);
}

#[test]
#[ignore = "a measurement"]
fn netstack_to_netstack() {
    for (name, way) in
        [("super-frames", Way::default()), ("cut to packets", Way { cut: true, lose_one_in: 0 })]
    {
        let world = World::over(way);
        let (near, far) = connect(&world.a, &world.b, address(B[0], 0));
        measure(&format!("netstack to netstack, {name}"), near, far);
    }
}

#[test]
#[ignore = "a measurement"]
fn namespace_and_netstack() {
    let Some(world) = namespace::world("namespace_and_netstack") else { return };
    let (near, far) = connect(&world.a, &world.b, address(B[0], 0));
    measure("namespace to netstack", near, far);
    let (near, far) = connect(&world.b, &world.a, address(A[0], 0));
    measure("netstack to namespace", near, far);
}

#[test]
#[ignore = "a measurement"]
fn netstack_round_trips() {
    let world = World::netstacks();
    let (mut near, mut far) = connect(&world.a, &world.b, address(B[0], 0));
    let echo = thread::spawn(move || {
        for _ in 0..20_000 {
            let byte = far.get(1);
            far.put(&byte);
        }
    });
    let began = Instant::now();
    for _ in 0..20_000 {
        near.put(b"x");
        near.get(1);
    }
    println!("one byte there and back: {:.1} µs", began.elapsed().as_secs_f64() * 1e6 / 20_000.0);
    echo.join().unwrap();
}
