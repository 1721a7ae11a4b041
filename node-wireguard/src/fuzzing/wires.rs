//! Messages of our own, of STUN, of the kernel, of the helper and of splices.

use crate::device::{AllowedIpUpdate, DeviceUpdate, PeerUpdate};
use crate::io::netlink::message::answers;
use crate::kernel::listing::{ListedPeer, Listing};
use crate::kernel::writing::messages;
use crate::path::wire::{Probe, parse_header};
use crate::rootless::namespace::wire::{Request as NamespaceRequest, Setup};
use crate::splice::segment::Segments;
use crate::stun as rfc8489;
use crate::uapi::spell::spell;
use crate::uapi::{Request, next_request, parse};
use std::net::SocketAddr;

/// The header and the body of a probe. What is read is written the same.
pub fn probe(data: &[u8]) {
    parse_header(data);
    if let Some(probe) = Probe::parse(data) {
        assert_eq!(Probe::parse(&probe.encode()), Some(probe));
    }
}

/// STUN from both ends; an answer is never longer than its question.
pub fn stun(data: &[u8]) {
    rfc8489::read_answer(data);
    for source in [SocketAddr::from(([192, 0, 2, 1], 9)), SocketAddr::from(([1; 16], 9))] {
        let Some(answer) = rfc8489::answer(data, source) else { continue };
        assert!(answer.len() <= data.len() && rfc8489::is_stun(&answer));
    }
}

/// Requests of WireGuard's tools, one after the other. What is read is spelled and read the same.
pub fn uapi(data: &[u8]) {
    let mut rest = data;
    while let Some((request, length)) = next_request(rest) {
        assert!(length > request.len() && length <= rest.len());
        rest = &rest[length..];
        let Ok(Request::Set(update)) = parse(request) else { continue };
        let text = spell(&update);
        let again = next_request(text.as_bytes()).and_then(|(again, _)| parse(again).ok());
        assert!(again == Some(Request::Set(update)), "{text}");
    }
}

/// What the kernel answers; the walk ends.
pub fn netlink(data: &[u8]) {
    assert!(answers(data, 7).count() <= data.len());
    answers(data, 0).for_each(drop);
}

/// What the kernel tells of a WireGuard device. What is read is written, and then read the same.
pub fn kernel(data: &[u8]) {
    let mut listing = Listing::default();
    listing.add(data);
    let update = |peer: &ListedPeer| PeerUpdate {
        public_key: peer.public_key,
        preshared_key: peer.has_preshared_key.then_some([1; 32]),
        endpoint: peer.endpoint,
        keepalive_seconds: Some(peer.keepalive_seconds),
        allowed_ips: peer
            .allowed_ips
            .iter()
            .map(|&(address, prefix)| AllowedIpUpdate { address, prefix, remove: false })
            .collect(),
        ..PeerUpdate::default()
    };
    let peers = listing.peers.iter().map(update).collect();
    let written = messages(1, &DeviceUpdate { peers, ..DeviceUpdate::default() });
    let mut again = Listing::default();
    written.iter().flatten().for_each(|message| again.add(message));
    for peer in &mut listing.peers {
        (peer.last_handshake, peer.rx_bytes, peer.tx_bytes) = (None, 0, 0);
    }
    assert_eq!(again.peers, listing.peers);
}

/// What a rootless device and its helper say to each other.
pub fn namespace(data: &[u8]) {
    if let Some(request) = NamespaceRequest::decode(data) {
        assert_eq!(request.encode(), data);
    }
    let text = String::from_utf8_lossy(data).into_owned();
    if let Some(setup) = Setup::parse(text.split('\0').map(str::to_string)) {
        let again = setup.arguments().into_iter().filter_map(|word| word.into_string().ok());
        assert_eq!(Setup::parse(again), Some(setup));
    }
}

/// Segments of a splice: however they are cut, the same comes of them.
pub fn segments(data: &[u8]) {
    let Some((&step, stream)) = data.split_first() else { return };
    let (mut whole, mut plain) = (Segments::default(), Vec::new());
    let outcome = whole.read(stream, &mut plain);
    let (mut pieces, mut again) = (Segments::default(), Vec::new());
    let mut chunks = stream.chunks(usize::from(step).max(1));
    let other = chunks.try_for_each(|chunk| pieces.read(chunk, &mut again));
    assert_eq!((outcome, whole.ended(), &plain), (other, pieces.ended(), &again));
    assert!(plain.len() <= stream.len());
}
