//! Each body on bytes of its own, without a fuzzer: so many that it is held at every run of the tests.

use super::{TARGETS, byte};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// Bytes, many of which begin as something that is meant: types, versions and lengths of the messages that we read.
fn almost_anything() -> impl Strategy<Value = Vec<u8>> {
    let starts: Vec<&[u8]> = vec![
        &[],
        &[1, 0, 0, 0],
        &[2, 0, 0, 0],
        &[3, 0, 0, 0],
        &[4, 0, 0, 0],
        b"\x80RWK\x0a\0\0\0",
        b"\x84RWK\x0a\0\0\0",
        b"\x86RWK\x0a\0\0\0",
        &[0, 1, 0, 44, 0x21, 0x12, 0xa4, 0x42],
        &[1, 1, 0, 44, 0x21, 0x12, 0xa4, 0x42],
        &[0x45, 0, 0, 64, 0, 0, 0, 0, 64, 6],
        &[0x45, 0, 0, 64, 0, 0, 0, 0, 64, 17],
        &[0x60, 0, 0, 0, 0, 24, 6, 64],
        &[0x60, 0, 0, 0, 0, 24, 44, 64],
        b"set=1\nlisten_port=1\n\n",
        b"set=1\nreplace_peers=true\n",
        &[36, 0, 0, 0, 2, 0, 0, 0, 7, 0, 0, 0],
    ];
    let lengths = prop_oneof![Just(64usize), Just(148), Just(92), Just(48), 0usize..300];
    (prop::sample::select(starts), lengths, prop::collection::vec(any::<u8>(), 300)).prop_map(
        |(start, length, mut bytes)| {
            bytes[..start.len()].copy_from_slice(start);
            bytes.truncate(length);
            bytes
        },
    )
}

#[test]
fn no_target_falls_over_random_bytes() {
    for (name, body) in TARGETS {
        let mut runner = TestRunner::new(Config { cases: 2_000, ..Config::default() });
        let held = runner.run(&almost_anything(), |bytes| {
            body(&bytes);
            Ok(())
        });
        assert!(held.is_ok(), "{name}: {held:?}");
    }
}

#[test]
fn every_target_has_its_program_and_no_other_has_one() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/fuzz_targets");
    let mut programs: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    programs.sort();
    assert_eq!(programs, TARGETS.map(|(name, _)| name));
}

#[test]
fn bytes_are_zero_when_there_are_none() {
    let mut data: &[u8] = &[7];
    assert_eq!((byte(&mut data), byte(&mut data)), (7, 0));
}
