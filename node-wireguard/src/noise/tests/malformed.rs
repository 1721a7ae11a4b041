//! Whatever arrives, nothing panics and nothing changes.

use proptest::prelude::*;

use super::end::{End, Link, source};
use crate::noise::*;

impl End {
    /// As `receive`, for bytes that need not be a message of any kind.
    pub fn receive_anything(&mut self, datagram: &[u8], now: Millis) -> Vec<Vec<u8>> {
        match Kind::of(datagram) {
            None | Some(Kind::CookieReply { .. }) => Vec::new(),
            Some(_) => self.receive(datagram, now),
        }
    }
}

/// Every door that bytes of a stranger reach.
fn offer(end: &mut End, datagram: &[u8], now: Millis) {
    end.receive_anything(datagram, now);
    assert!(open_initiation(&end.local, datagram).is_err());
    assert!(end.protocol.on_response(datagram, now).is_err());
    assert!(end.protocol.on_cookie(datagram, now).is_err());
    assert!(!check_mac1(&end.local, datagram));
    for loaded in [false, true] {
        assert_eq!(end.checker.check(datagram, source(), loaded, now), Verdict::Drop);
    }
    let keypair = end.sessions.values().next().unwrap();
    assert!(keypair.open(7, &mut datagram.to_vec()).is_err());
    assert!(keypair.probe_open(7, datagram, &mut datagram.to_vec()).is_err());
    let peer = end.protocol.remote();
    let mut probe = StaticProbe::new(&end.local, peer).unwrap();
    assert!(probe.open(b"", &mut datagram.to_vec()).is_err());
    assert!(probe.seal(Timestamp::now(), b"", datagram, &mut []).is_err());
}

/// Bytes, half of them with the type and the length of a real message.
fn datagrams() -> impl Strategy<Value = Vec<u8>> {
    let lengths = prop_oneof![Just(148usize), Just(92), Just(64), Just(32), 0usize..200];
    (0u8..6, lengths, prop::collection::vec(any::<u8>(), 200)).prop_map(|(kind, length, bytes)| {
        let mut datagram = bytes[..length].to_vec();
        if kind < 5 {
            datagram.iter_mut().zip([kind, 0, 0, 0]).for_each(|(byte, value)| *byte = value);
        }
        datagram
    })
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_refused_at_every_door(
        datagrams in prop::collection::vec(datagrams(), 8),
    ) {
        let mut link = Link::established();
        let index = *link.b.sessions.keys().next().unwrap();
        for mut datagram in datagrams {
            offer(&mut link.b, &datagram, link.now);
            if datagram.len() >= 12 {
                datagram[4..8].copy_from_slice(&index.to_le_bytes()); // now it is for a session
                offer(&mut link.b, &datagram, link.now);
                datagram[8..12].copy_from_slice(&index.to_le_bytes());
                offer(&mut link.b, &datagram, link.now);
            }
        }
        link.send_a(&[8; 16]);
        link.send_b(&[9; 16]);
        prop_assert_eq!(link.b.got.len(), 2);
        prop_assert_eq!(link.a.got.len(), 1);
    }

    #[test]
    fn a_data_message_changed_anywhere_is_not_delivered(at in 0usize..48, bit in 0u8..8) {
        let mut link = Link::established();
        let mut message = link.a.send(&[8; 16], link.now).remove(0);
        message[at] ^= 1 << bit;
        link.b.receive_anything(&message, link.now);
        prop_assert_eq!(link.b.got.len(), 1);
    }
}
