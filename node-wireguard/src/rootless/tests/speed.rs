//! Not tests but measurements: `cargo test --release rootless::tests::speed -- --ignored --nocapture`.

use super::pump::Way;
use super::*;
use std::thread;
use std::time::Instant;

fn measure(name: &str, near: Pipe, far: Pipe) {
    measure_bytes(name, 2 << 30, near, far);
}

fn measure_bytes(name: &str, total: usize, mut near: Pipe, mut far: Pipe) {
    let began = Instant::now();
    let sender = thread::spawn(move || {
        let chunk = vec![7; 1 << 20];
        for _ in 0..total / chunk.len() {
            near.put(&chunk);
        }
        near.end();
    });
    let (mut buffer, mut arrived) = (vec![0; 1 << 20], 0);
    loop {
        match far.read(&mut buffer).unwrap() {
            0 => break,
            count => arrived += count,
        }
    }
    sender.join().unwrap();
    assert_eq!(arrived, total);
    let seconds = began.elapsed().as_secs_f64();
    println!("{name}: {:.2} Gbit/s", total as f64 * 8.0 / seconds / 1e9);
}

#[test]
#[ignore = "a measurement"]
fn netstack_to_netstack() {
    for (name, way) in
        [("super-frames", Way::default()), ("cut to packets", Way { cut: true, ..Way::default() })]
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

#[test]
#[ignore = "a measurement"]
fn a_long_way_that_loses() {
    for (delay_ms, lose_one_in, megabytes) in [
        (10, 0, 256),
        (10, 10_000, 64),
        (10, 1000, 32),
        (10, 100, 8),
        (50, 0, 128),
        (50, 10_000, 32),
    ] {
        let world = World::over(Way { cut: true, lose_one_in, delay_ms });
        let (near, far) = connect(&world.a, &world.b, address(B[0], 0));
        let name = format!("{delay_ms} ms one way, one lost in {lose_one_in}");
        measure_bytes(&name, megabytes << 20, near, far);
    }
}

#[test]
#[ignore = "a measurement"]
fn thousands_of_idle_streams() {
    let resident = || {
        let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
        pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4
    };
    let ticks = || {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
        let fields: Vec<u64> =
            stat.split(' ').skip(13).take(2).map(|field| field.parse().unwrap()).collect();
        fields[0] + fields[1]
    };
    let world = World::netstacks();
    let (listener, accepted) = listen(&world.b, address(B[0], 0));
    let (before, began) = (resident(), Instant::now());
    let mut streams = Vec::new();
    for _ in 0..3000 {
        let Ok(near) = world.a.dial_tcp(listener.local(), 5 * SECOND) else { break };
        streams.push((near, accepted.recv_timeout(PATIENCE).unwrap()));
    }
    let each = (resident() - before) / (streams.len() as u64 * 2);
    println!(
        "{} streams in {:.2} s, {each} KiB resident for each end",
        streams.len(),
        began.elapsed().as_secs_f64()
    );
    let before = ticks();
    thread::sleep(5 * SECOND);
    println!("{} ticks of CPU in 5 s of idleness", ticks() - before);
}
