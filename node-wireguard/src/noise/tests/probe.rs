use super::end::{Link, local, wall};
use crate::noise::{NoiseError, StaticProbe};

#[test]
fn probes_of_a_session_have_counters_and_a_window_of_their_own() {
    let link = Link::established();
    let ours = link.a.protocol.session().sending(link.now).unwrap();
    let theirs = &link.b.sessions[&ours.remote_index];
    let data_sent = ours.sent();
    let mut first = [0; 5 + 16];
    let mut second = first;
    assert_eq!(ours.probe_seal(b"head", b"first", &mut first), Some(0));
    assert_eq!(ours.probe_seal(b"head", b"other", &mut second), Some(1));
    assert_eq!(ours.sent(), data_sent);
    assert_eq!(theirs.probe_open(1, b"head", &mut second), Ok(5));
    assert_eq!(theirs.probe_open(0, b"tail", &mut first.clone()), Err(NoiseError::Forged));
    assert_eq!(theirs.probe_open(0, b"head", &mut first.clone()), Ok(5));
    assert_eq!(theirs.probe_open(0, b"head", &mut first), Err(NoiseError::Replayed));
    assert_eq!(ours.probe_open(0, b"head", &mut first), Err(NoiseError::Forged), "own direction");
    assert_eq!(theirs.probe_open(9, b"", &mut []), Err(NoiseError::Forged));
}

#[test]
fn a_probe_before_the_session_is_read_once_in_any_order_and_by_the_peer_alone() {
    let (a, b, c) = (local(1), local(100), local(50));
    let mut ours = StaticProbe::new(&a, b.public()).unwrap();
    let mut theirs = StaticProbe::new(&b, a.public()).unwrap();
    let mut stranger = StaticProbe::new(&c, b.public()).unwrap();
    assert_eq!(ours.sending_hint, theirs.receiving_hint);
    assert_eq!(ours.receiving_hint, theirs.sending_hint);
    let mut seal = |plain: &[u8; 5]| {
        let mut out = [0; 5 + StaticProbe::OVERHEAD];
        ours.seal(wall(1), b"head", plain, &mut out).unwrap();
        out
    };
    let (first, second) = (seal(b"first"), seal(b"other"));
    assert_eq!(theirs.open(b"head", &mut second.clone()), Ok(&b"other"[..]));
    assert_eq!(theirs.open(b"head", &mut first.clone()), Ok(&b"first"[..]));
    assert_eq!(theirs.open(b"head", &mut first.clone()), Err(NoiseError::Replayed));
    assert_eq!(theirs.open(b"heap", &mut first.clone()), Err(NoiseError::Forged));
    assert_eq!(stranger.open(b"head", &mut first.clone()), Err(NoiseError::Forged));
    for _ in 0..70 {
        theirs.open(b"head", &mut seal(b"later")).unwrap();
    }
    assert_eq!(theirs.open(b"head", &mut second.clone()), Err(NoiseError::Replayed));
    assert_eq!(theirs.open(b"head", &mut [0; 51]), Err(NoiseError::Forged));
    assert_eq!(theirs.open(b"head", &mut [0; 39]), Err(NoiseError::Malformed));
    assert_eq!(theirs.open(b"head", &mut []), Err(NoiseError::Malformed));
}

#[test]
fn there_are_no_probe_keys_for_our_own_key_and_for_one_of_low_order() {
    let a = local(1);
    assert_eq!(StaticProbe::new(&a, a.public()).err(), Some(NoiseError::OwnKey));
    assert_eq!(StaticProbe::new(&a, &[0; 32].into()).err(), Some(NoiseError::ZeroResult));
}
