//! A handshake with fixed keys, computed by a reference that was written from the Noise specification and the paper
//! apart from this code; the reference reproduces the published IKpsk2 vector of the `cacophony` collection.

use crate::crypto::Secret;
use crate::noise::cookie::MacStamper;
use crate::noise::handshake::{Initiator, Opening};
use crate::noise::key::Remote;
use crate::noise::{
    COOKIE_REPLY, INITIATION, Keypair, Local, RESPONSE, Timestamp, open_initiation,
};

const INITIATION_HEX: &str = "\
    0100000044332211d0aedccc625b1e68424d072caaed3ed4f14f8a2ae750cd6496d7cef73e0f4c573afc59f8bd604786419b87247b446f1b\
    074a005e2571d7340dbe554d6adc83642cdcc346b9d9436c312c0630b26f47bd965fb731eef32ed39c14054d6edc2465a2cee193174c0b5e\
    11a0694724f44fdbadafbd18acbbfaa6fcf6e7484d46610d70a5ef89c61699eab1e58454";
const RESPONSE_HEX: &str = "\
    0200000088776655443322117890c67126fa46e52c889003250d3c4f988e0c4a29226d208306141fbf2b2832253518cc36c078ca3af14cd2\
    aa2e21e57e9b970f4a1274f18a8c0c7fc20e663a00000000000000000000000000000000";
const INITIATOR_DATA_HEX: &str = "04000000887766550500000000000000aa52e55f37e22c1fd9519374d60d61e57eab5c5596bf9a22b4e23d81893471f7";
const RESPONDER_DATA_HEX: &str = "040000004433221109000000000000003b0f0df579df813ded3f13e852b939683e44eebe0ea0f86e05970f0e9479a90b";
const PROBE_HEX: &str = "8382539754d7ec6992457c2bb38bec8ceed2f780f2";

fn key(seed: u8) -> [u8; 32] {
    std::array::from_fn(|at| seed.wrapping_add(at as u8 * 7))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A stamper that holds the cookie 00 01 … 0f, as the reference does.
fn stamper_with_cookie(remote: &Local) -> MacStamper {
    let mut stamper = MacStamper::new(remote.public());
    let mut first = [0; INITIATION];
    stamper.stamp(&mut first, 7, 0);
    let mac1 = &first[INITIATION - 32..INITIATION - 16];
    let mut reply = [0; COOKIE_REPLY];
    (reply[0], reply[4]) = (3, 7);
    let mut cookie: [u8; 16] = std::array::from_fn(|at| at as u8);
    let tag = crate::crypto::seal_long(&remote.public().cookie_key(), &[0; 24], mac1, &mut cookie);
    reply[32..48].copy_from_slice(&cookie);
    reply[48..].copy_from_slice(&tag);
    stamper.take(&reply, 0).unwrap();
    stamper
}

#[test]
fn fixed_keys_make_the_reference_transcript() {
    let (alice, bob) = (Local::new(key(1)), Local::new(key(100)));
    let to_bob = Remote::new(&alice, *bob.public(), key(200)).unwrap();
    let to_alice = Remote::new(&bob, *alice.public(), key(200)).unwrap();

    let timestamp = Timestamp([0x40, 0, 0, 0, 0x60, 0, 0, 10, 1, 0, 0, 0]);
    let opening = Opening { ephemeral: Secret::new(key(50)), index: 0x1122_3344, timestamp };
    let (initiator, mut initiation) = Initiator::start(&alice, &to_bob, opening).unwrap();
    stamper_with_cookie(&bob).stamp(&mut initiation, initiator.index, 0);
    assert_eq!(hex(&initiation), INITIATION_HEX);

    let mut opened = open_initiation(&bob, &initiation).unwrap();
    assert_eq!(opened.remote, *alice.public());
    assert_eq!(opened.prove(&to_alice), Ok(timestamp));
    let ephemeral = Secret::new(key(150));
    let (answered, mut response) = opened.answer(&to_alice, ephemeral, 0x5566_7788).unwrap();
    MacStamper::new(alice.public()).stamp(&mut response, 0x5566_7788, 0);
    assert_eq!(hex(&response), RESPONSE_HEX);
    assert_eq!(response.len(), RESPONSE);

    let finished = initiator.finish(&alice, &to_bob, &response).unwrap();
    let ours = Keypair::new(&finished, 0, 128);
    let theirs = Keypair::new(&answered, 0, 128);
    let mut message = [0; 48];
    ours.seal_message(5, b"ropewalk", &mut message);
    assert_eq!(hex(&message), INITIATOR_DATA_HEX);
    theirs.seal_message(9, b"ropewalk", &mut message);
    assert_eq!(hex(&message), RESPONDER_DATA_HEX);
    assert_eq!(ours.open(9, &mut message[16..]), Ok(16));
    let mut probe = [0; 21];
    assert_eq!(ours.probe_seal(b"header12", b"probe", &mut probe), Some(0));
    assert_eq!(hex(&probe), PROBE_HEX);
    assert_eq!(theirs.probe_open(0, b"header12", &mut probe), Ok(5));
}
