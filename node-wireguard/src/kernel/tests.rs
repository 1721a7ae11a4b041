//! What is written is read the same, however many messages it takes; and nothing that comes is too strange.

use super::listing::{ListedPeer, Listing};
use super::writing::messages;
use crate::device::{AllowedIpUpdate, DeviceError, DeviceUpdate, PeerUpdate};
use proptest::prelude::*;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

fn addresses() -> impl Strategy<Value = IpAddr> {
    prop_oneof![any::<[u8; 4]>().prop_map(IpAddr::from), any::<[u8; 16]>().prop_map(IpAddr::from)]
}

fn networks() -> impl Strategy<Value = AllowedIpUpdate> {
    (addresses(), 0..=128u8).prop_map(|(address, prefix)| {
        let prefix = if address.is_ipv4() { prefix.min(32) } else { prefix };
        AllowedIpUpdate { address, prefix, remove: false }
    })
}

/// Keys and secrets have no `Debug`; these have, and become updates in the test.
type PeerParts = ([u8; 32], [bool; 3], Options, Vec<AllowedIpUpdate>);
type Options = (Option<[u8; 32]>, Option<SocketAddr>, Option<u16>);
type Parts = (Option<[u8; 32]>, Option<u16>, Option<u32>, bool, Vec<PeerParts>);

fn peers() -> impl Strategy<Value = PeerParts> {
    let endpoint = (addresses(), any::<u16>()).prop_map(SocketAddr::from);
    let networks = prop::collection::vec(networks(), 0..900);
    let options = (any::<Option<[u8; 32]>>(), prop::option::of(endpoint), any::<Option<u16>>());
    (any::<[u8; 32]>(), any::<[bool; 3]>(), options, networks)
}

fn updates() -> impl Strategy<Value = Parts> {
    let peers = prop::collection::vec(peers(), 0..8);
    (any::<Option<[u8; 32]>>(), any::<Option<u16>>(), any::<Option<u32>>(), any::<bool>(), peers)
}

fn update((private_key, listen_port, mark, replace_peers, peers): Parts) -> DeviceUpdate {
    let peers = peers.into_iter().map(peer).collect();
    DeviceUpdate { private_key, listen_port, mark, replace_peers, peers }
}

fn peer((public_key, flags, options, allowed_ips): PeerParts) -> PeerUpdate {
    let [remove, update_only, replace_allowed_ips] = flags;
    let (preshared_key, endpoint, keepalive_seconds) = options;
    PeerUpdate {
        public_key,
        remove,
        update_only,
        preshared_key,
        endpoint,
        keepalive_seconds,
        replace_allowed_ips,
        allowed_ips,
    }
}

fn told(update: &PeerUpdate) -> ListedPeer {
    ListedPeer {
        public_key: update.public_key,
        has_preshared_key: update.preshared_key.is_some_and(|secret| secret != [0; 32]),
        endpoint: update.endpoint,
        keepalive_seconds: update.keepalive_seconds.unwrap_or_default(),
        allowed_ips: update.allowed_ips.iter().map(|each| (each.address, each.prefix)).collect(),
        ..ListedPeer::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_is_written_is_read_the_same(parts in updates()) {
        let update = update(parts);
        let written = messages(7, &update).unwrap();
        let mut listing = Listing::default();
        for message in &written {
            prop_assert!(message.len() <= 17 << 10, "{}", message.len());
            listing.add(message);
        }
        prop_assert_eq!(listing, Listing {
            listen_port: update.listen_port.unwrap_or_default(),
            mark: update.mark.unwrap_or_default(),
            peers: update.peers.iter().map(told).collect(),
            ..Listing::default()
        });
    }

    #[test]
    fn what_is_damaged_does_not_panic(
        parts in updates(),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..20),
    ) {
        for mut message in messages(7, &update(parts)).unwrap() {
            for (at, byte) in &cuts {
                let at = at.index(message.len());
                message[at] = *byte;
            }
            Listing::default().add(&message);
        }
    }

    #[test]
    fn arbitrary_messages_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        Listing::default().add(&bytes);
    }
}

#[test]
fn a_single_network_is_not_taken_away_and_no_prefix_is_too_long() {
    let with = |address: &str, prefix, remove| {
        let network = AllowedIpUpdate { address: address.parse().unwrap(), prefix, remove };
        let peer = PeerUpdate { allowed_ips: vec![network], ..PeerUpdate::default() };
        messages(7, &DeviceUpdate { peers: vec![peer], ..DeviceUpdate::default() })
    };
    assert!(with("10.0.0.0", 32, false).is_ok());
    assert!(matches!(with("10.0.0.0", 32, true), Err(DeviceError::Unsupported(_))));
    assert!(matches!(with("10.0.0.0", 33, false), Err(DeviceError::Invalid(_))));
    assert!(matches!(with("::", 129, false), Err(DeviceError::Invalid(_))));
}

/// What only the kernel writes.
#[test]
fn times_and_counters_are_read() {
    use crate::io::netlink::message::attribute;
    let time = [1_700_000_000i64.to_ne_bytes(), 250_000_000i64.to_ne_bytes()].concat();
    let peer = [
        attribute(1, &[5; 32]),
        attribute(2, &[0; 32]),
        attribute(6, &time),
        attribute(7, &148u64.to_ne_bytes()),
        attribute(8, &92u64.to_ne_bytes()),
        attribute(10, &1u32.to_ne_bytes()),
    ];
    let device = [attribute(4, &[9; 32]), attribute(8, &attribute(0, &peer.concat()))].concat();
    let mut listing = Listing::default();
    listing.add(&device);
    let expected = ListedPeer {
        public_key: [5; 32],
        last_handshake: Some(Duration::new(1_700_000_000, 250_000_000)),
        rx_bytes: 148,
        tx_bytes: 92,
        ..ListedPeer::default()
    };
    assert_eq!((listing.public_key, listing.peers), ([9; 32], vec![expected]));
}
