use super::Side;
use super::session::Session;
use super::tests::{ONE, TWO, identity};
use proptest::prelude::*;

/// A session of each side that have agreed.
fn agreed() -> (Session, Session) {
    let (one, two) = (identity(ONE, "rope"), identity(TWO, "rope"));
    let mut sides = [
        (Session::new(Side::Client, &one).unwrap(), Vec::new()),
        (Session::new(Side::Server, &two).unwrap(), Vec::new()),
    ];
    for turn in 0..8 {
        let [(client, to_client), (server, to_server)] = &mut sides;
        let (session, incoming, out) = if turn % 2 == 0 {
            (client, to_client, to_server)
        } else {
            (server, to_server, to_client)
        };
        let taken = session.open(incoming, &mut |_| {}, out).unwrap();
        incoming.drain(..taken);
    }
    let [(client, _), (server, _)] = sides;
    assert!(client.secured && server.secured);
    (client, server)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn no_handshake_breaks_a_session(
        server in any::<bool>(),
        kind in 20..25u8,
        body in prop::collection::vec(any::<u8>(), 0..300),
        rest in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let side = if server { Side::Server } else { Side::Client };
        let mut session = Session::new(side, &identity(ONE, "rope")).unwrap();
        let length = (body.len() as u16).to_be_bytes();
        let mut input = [&[kind, 3, 3], &length[..], &body, &rest].concat();
        let (mut plain, mut out) = (Vec::new(), Vec::new());
        let taken = session.open(&mut input, &mut |bytes| plain.extend_from_slice(bytes), &mut out);
        prop_assert!(plain.is_empty() && !session.secured);
        prop_assert!(taken.unwrap_or(0) <= input.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_record_but_the_others_own_is_opened(
        plain in prop::collection::vec(any::<u8>(), 1..400),
        at in any::<prop::sample::Index>(),
        flip in 1..=255u8,
        cut in any::<prop::sample::Index>(),
    ) {
        let (mut client, mut server) = agreed();
        let (mut sealed, mut out) = (vec![0; 4096], Vec::new());
        let count = client.seal(&plain, &mut [], &mut out, &mut sealed).unwrap();
        prop_assert!(out.is_empty());
        sealed.truncate(count);
        let mut forged = sealed.clone();
        forged[at.index(count)] ^= flip;
        let mut got = Vec::new();
        // a length that grew waits for more; everything else is refused
        let _ = agreed().1.open(&mut forged, &mut |bytes| got.extend_from_slice(bytes), &mut out);
        prop_assert!(got.is_empty());
        // the true one is opened however it is cut
        let cut = cut.index(count);
        let mut part = sealed[..cut].to_vec();
        let taken = server.open(&mut part, &mut |bytes| got.extend_from_slice(bytes), &mut out).unwrap();
        let mut rest = sealed[taken..].to_vec();
        server.open(&mut rest, &mut |bytes| got.extend_from_slice(bytes), &mut out).unwrap();
        prop_assert_eq!(got, plain);
    }
}
