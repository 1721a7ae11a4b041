//! Two devices over loopback.

mod support;

use node_wireguard::device::{Event, PathState};
use support::*;

#[test]
fn the_first_packet_makes_a_session_and_arrives_and_so_does_the_answer() {
    let (a, b) = (Node::new(1), Node::new(2));
    introduce(&a, &b);
    deliver(&a, &b, b"first");
    a.wait_for("a handshake", |event| matches!(event, Event::Handshake { peer } if *peer == b.key));
    b.wait_for("a handshake", |event| matches!(event, Event::Handshake { peer } if *peer == a.key));
    deliver(&b, &a, b"answer");
    a.until_state(b.key, 1, PathState::Active);
    let path = a.path(b.key, 1).unwrap();
    assert!(path.rtt_us.is_some() && path.rx_bytes > 0 && path.tx_bytes > 0 && path.mtu == 1408);
}
