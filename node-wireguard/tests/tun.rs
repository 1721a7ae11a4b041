//! Two devices with a kernel TUN each, in network namespaces that end with the test: needs root, or user namespaces.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Once;

/// The example, built as this test is; a plain `cargo test` has done it already.
fn node() -> PathBuf {
    static BUILT: Once = Once::new();
    BUILT.call_once(|| {
        let profile: &[&str] = if cfg!(debug_assertions) { &[] } else { &["--release"] };
        let mut cargo = Command::new(env!("CARGO"));
        let cargo = cargo.args(["build", "--quiet", "--locked", "--example", "node"]).args(profile);
        assert!(cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success());
    });
    let test = std::env::current_exe().unwrap();
    test.parent().and_then(|deps| deps.parent()).unwrap().join("examples/node")
}

fn unshare() -> Command {
    let mut command = Command::new("unshare");
    command.args(["-Urnmpf", "--mount-proc", "--kill-child", "sh"]);
    command
}

fn run(cable: u16) {
    let able =
        unshare().args(["-ec", "test -c /dev/net/tun; ip link; command -v iperf3 ping"]).output();
    if !able.as_ref().is_ok_and(|output| output.status.success()) {
        println!(
            "SKIPPED: a TUN in namespaces needs unshare, ip, ping, iperf3 and the right to use them: {able:?}"
        );
        return;
    }
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/tun.sh");
    let output = unshare().arg(script).arg(node()).arg(cable.to_string()).output().unwrap();
    let [said, complained] =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    println!("{said}{complained}");
    assert!(output.status.success() && said.contains("both ended by themselves"));
}

#[test]
fn pings_and_tcp_pass_between_two_kernels() {
    run(1500);
}

#[test]
fn and_over_a_cable_that_is_too_small_for_the_mtu_inside() {
    run(1320);
}
