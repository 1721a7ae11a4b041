//! Client, door and table together, without a network.

use std::net::SocketAddr;
use std::time::Instant;

use proptest::prelude::*;

use super::bind_client::{BindClient, BindState};
use super::door::{Door, Outcome};
use super::limiter::Rate;
use super::session::{Origin, SessionConfig, SideConfig};
use super::table::Table;
use super::wire::{self, BIND_LENGTH, Kind, Refusal};
use super::{ForwarderError, LONGEST_SESSION_MS, MAX_SESSIONS, STRANGERS};

const START: u64 = 1_000_000;
const WALL: u64 = 1_790_000_000_000;
const VIA: Origin = Origin { socket: 0, local: None };

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn sides(a: u32, b: u32) -> [SideConfig; 2] {
    [SideConfig { slot: a, secret: [1; 32] }, SideConfig { slot: b, secret: [2; 32] }]
}

fn session(id: &str, a: u32, b: u32) -> SessionConfig {
    SessionConfig { id: id.into(), sides: sides(a, b), lasts_ms: 600_000, quota_bytes: None }
}

struct World {
    door: Door,
    table: Table,
}

impl World {
    fn new() -> Self {
        let mut table = Table::default();
        table.update(vec![session("s", 10, 20)], &[], START).unwrap();
        let rate = Rate { per_second: 1_000, burst: 1_000 };
        Self { door: Door::new(true, rate, || Ok([9; 32]), START).unwrap(), table }
    }

    fn ask(&mut self, datagram: &[u8], from: SocketAddr, now: u64) -> Outcome {
        self.door.answer(datagram, from, VIA, &mut self.table, now)
    }

    /// Lets a client talk to the door until it has nothing to say at `now`.
    fn converse(&mut self, client: &mut BindClient, from: SocketAddr, now: u64) -> BindState {
        while let Some(message) = client.poll(now) {
            if let Some(answer) = bytes(self.ask(&message, from, now)) {
                client.on_message(&answer, now);
            }
        }
        client.state(now)
    }

    fn bind(&mut self, slot: u32, secret: u8, from: SocketAddr) -> BindState {
        self.converse(&mut BindClient::new(slot, [secret; 32], WALL), from, START)
    }

    fn bind_both(&mut self) -> (SocketAddr, SocketAddr) {
        let (a, b) = (address("192.0.2.1:1111"), address("[2001:db8::2]:2222"));
        assert!(matches!(self.bind(10, 1, a), BindState::Bound { .. }));
        assert!(matches!(self.bind(20, 2, b), BindState::Bound { .. }));
        (a, b)
    }
}

fn bytes(outcome: Outcome) -> Option<Vec<u8>> {
    match outcome {
        Outcome::Stun(bytes)
        | Outcome::Cookie(bytes)
        | Outcome::Bound(bytes)
        | Outcome::Refused(bytes) => Some(bytes),
        Outcome::Limited | Outcome::Ignored => None,
    }
}

const DATA: &[u8] = &[4, 0, 0, 0, 1, 2, 3, 4];

#[test]
fn two_bound_members_reach_each_other_under_the_receivers_slot() {
    let mut world = World::new();
    let (a, b) = world.bind_both();
    let there = world.table.route(10, a, DATA, START).unwrap();
    assert_eq!((there.slot, there.to), (20, b));
    let back = world.table.route(20, b, DATA, START).unwrap();
    assert_eq!((back.slot, back.to), (10, a));
}

#[test]
fn data_from_anywhere_but_the_proven_address_is_dropped() {
    let mut world = World::new();
    let (a, b) = world.bind_both();
    assert_eq!(world.table.route(10, address("192.0.2.1:1112"), DATA, START), None);
    assert_eq!(world.table.route(10, b, DATA, START), None);
    assert_eq!(world.table.route(11, a, DATA, START), None);
}

#[test]
fn nothing_passes_before_both_are_bound() {
    let mut world = World::new();
    let a = address("192.0.2.1:1111");
    world.bind(10, 1, a);
    assert_eq!(world.table.route(10, a, DATA, START), None);
    assert_eq!(world.table.status(START)[0].sides[0].dropped, 1);
}

#[test]
fn a_wrong_secret_and_an_unknown_slot_are_refused_and_asked_again_slowly() {
    let mut world = World::new();
    let from = address("192.0.2.1:1111");
    assert_eq!(world.bind(10, 7, from), BindState::Refused(Refusal::WrongProof));
    let mut client = BindClient::new(77, [7; 32], WALL);
    assert_eq!(world.converse(&mut client, from, START), BindState::Refused(Refusal::UnknownSlot));
    let due = client.deadline();
    assert!(due > START && due <= START + 5_000);
    world.table.update(vec![session("late", 77, 78)], &[], START).unwrap();
    // The secret is another one now, yet the session is known: the refusal changes with it.
    assert_eq!(world.converse(&mut client, from, due), BindState::Refused(Refusal::WrongProof));
}

#[test]
fn a_confirm_from_another_source_or_played_again_is_refused() {
    let mut world = World::new();
    let (here, thief) = (address("192.0.2.1:1111"), address("203.0.113.9:666"));
    let mut client = BindClient::new(10, [1; 32], WALL);
    let request = client.poll(START).unwrap();
    client.on_message(&bytes(world.ask(&request, here, START)).unwrap(), START);
    let confirm = client.poll(START).unwrap();
    let refusal = |outcome| {
        let Outcome::Refused(answer) = outcome else { panic!("{outcome:?}") };
        wire::read_verdict(wire::open(&answer).unwrap().2).unwrap().outcome.unwrap_err()
    };
    assert_eq!(refusal(world.ask(&confirm, thief, START)), Refusal::StaleCookie);
    assert!(matches!(world.ask(&confirm, here, START), Outcome::Bound(_)));
    assert_eq!(refusal(world.ask(&confirm, here, START)), Refusal::StaleCounter);
    // A thief who can show a cookie of his own still cannot make the proof that covers it.
    let stolen = bytes(world.ask(&request, thief, START)).unwrap();
    let (_, cookie, _) = wire::read_cookie(wire::open(&stolen).unwrap().2).unwrap();
    let mut forged = confirm;
    forged[32..48].copy_from_slice(&cookie);
    forged[24] += 1;
    assert_eq!(refusal(world.ask(&forged, thief, START)), Refusal::WrongProof);
}

#[test]
fn a_member_that_moves_is_found_at_its_new_address_at_once() {
    let mut world = World::new();
    let (old, b) = world.bind_both();
    let new = address("198.51.100.4:4444");
    let mut client = BindClient::new(10, [1; 32], WALL + 60);
    world.converse(&mut client, new, START);
    assert_eq!(world.table.route(20, b, DATA, START).unwrap().to, new);
    assert_eq!(world.table.route(10, old, DATA, START), None);
}

#[test]
fn a_rebinding_nat_is_noticed_by_the_stale_cookie() {
    let mut world = World::new();
    let (old, new) = (address("192.0.2.1:1111"), address("192.0.2.1:2222"));
    let mut client = BindClient::new(10, [1; 32], WALL);
    world.converse(&mut client, old, START);
    let mut now = client.deadline();
    assert!(now <= START + 30_000, "renewed before a NAT forgets");
    for _ in 0..3 {
        world.converse(&mut client, new, now);
        now += 500;
    }
    assert!(client.is_bound(now));
    assert_eq!(world.table.status(now)[0].sides[0].bound, Some(new));
}

#[test]
fn lost_messages_are_repeated_and_a_silent_forwarder_is_asked_ever_more_slowly() {
    let mut client = BindClient::new(10, [1; 32], WALL);
    let mut now = START;
    let mut waits = Vec::new();
    for _ in 0..8 {
        assert!(client.poll(now).is_some());
        assert!(client.poll(now).is_none());
        waits.push(client.deadline() - now);
        now = client.deadline();
    }
    assert_eq!(waits, [250, 500, 1_000, 2_000, 4_000, 5_000, 5_000, 5_000]);
}

#[test]
fn answers_of_strangers_change_nothing() {
    let mut client = BindClient::new(10, [1; 32], WALL);
    let request = client.poll(START).unwrap();
    let nonce = wire::read_request(wire::open(&request).unwrap().2).unwrap();
    let lie = wire::Verdict { nonce, outcome: Ok(60), mac: [0; 16] };
    assert_eq!(client.on_message(&wire::write_verdict(10, &lie), START), BindState::Binding);
    let guess = wire::write_cookie(10, &[0; 16], &[0; 16], address("192.0.2.1:1"));
    client.on_message(&guess, START);
    assert!(client.poll(START).is_none(), "a cookie for another nonce is not taken");
}

#[test]
fn a_session_ends_on_time() {
    let mut world = World::new();
    let (a, b) = world.bind_both();
    let end = START + 600_000;
    for now in [START + 60_000, end - 1] {
        world.converse(&mut BindClient::new(10, [1; 32], WALL + now), a, now);
        world.converse(&mut BindClient::new(20, [2; 32], WALL + now), b, now);
        assert!(world.table.route(10, a, DATA, now).is_some());
    }
    assert_eq!(world.table.route(10, a, DATA, end), None);
    let mut client = BindClient::new(10, [1; 32], WALL + end);
    assert_eq!(world.converse(&mut client, a, end), BindState::Refused(Refusal::Expired));
    world.table.sweep(end + 60_000);
    assert!(world.table.status(end).is_empty());
}

#[test]
fn a_removed_session_is_cut_at_once() {
    let mut world = World::new();
    let (a, _) = world.bind_both();
    world.table.update(vec![], &["s".into()], START).unwrap();
    assert_eq!(world.table.route(10, a, DATA, START), None);
}

#[test]
fn a_renewed_session_keeps_bindings_and_figures_and_a_changed_one_does_not() {
    let mut world = World::new();
    let (a, _) = world.bind_both();
    world.table.route(10, a, DATA, START).unwrap();
    world.table.update(vec![session("s", 10, 20)], &[], START + 9).unwrap();
    assert!(world.table.route(10, a, DATA, START + 9).is_some());
    assert_eq!(world.table.status(START + 9)[0].sides[0].packets, 2);
    world.table.update(vec![session("s", 10, 21)], &[], START + 9).unwrap();
    assert_eq!(world.table.route(10, a, DATA, START + 9), None);
}

#[test]
fn slots_are_unique_and_sessions_short_and_a_refused_update_changes_nothing() {
    let mut world = World::new();
    let mut refuse = |add: Vec<SessionConfig>, remove: &[String]| {
        let refusal = world.table.update(add, remove, START).unwrap_err();
        assert_eq!(world.table.status(START).len(), 1);
        refusal
    };
    let clash = vec![session("fine", 30, 40), session("clash", 50, 20)];
    assert!(matches!(refuse(clash, &[]), ForwarderError::SlotTaken(20)));
    let twice = vec![session("fine", 30, 40), session("twice", 60, 60)];
    assert!(matches!(refuse(twice, &["s".into()]), ForwarderError::SlotTaken(60)));
    let long = SessionConfig { lasts_ms: LONGEST_SESSION_MS + 1, ..session("long", 30, 40) };
    assert!(matches!(refuse(vec![long], &[]), ForwarderError::Lifetime(_)));
    let heir = vec![session("heir", 50, 20)];
    world.table.update(heir, &["s".into()], START).unwrap();
    assert_eq!(world.table.status(START)[0].id, "heir");
}

#[test]
fn the_quota_counts_both_ways_and_stops_data() {
    let mut world = World::new();
    let limited = SessionConfig { quota_bytes: Some(20), ..session("s", 10, 20) };
    world.table.update(vec![limited], &[], START).unwrap();
    let (a, b) = world.bind_both();
    assert!(world.table.route(10, a, DATA, START).is_some());
    assert!(world.table.route(20, b, DATA, START).is_some());
    assert_eq!(world.table.route(10, a, DATA, START), None);
    assert!(world.table.route(10, a, &DATA[..4], START).is_some());
    let mut client = BindClient::new(10, [1; 32], WALL + 60);
    let state = world.converse(&mut client, a, START);
    assert_eq!(state, BindState::Refused(Refusal::QuotaSpent));
}

#[test]
fn a_flood_of_handshakes_is_limited_per_session_and_data_is_not() {
    let mut world = World::new();
    let (a, _) = world.bind_both();
    let initiation = [&[1, 0, 0, 0][..], &[0; 144]].concat();
    let passed = (0..1_000).filter(|_| world.table.route(10, a, &initiation, START).is_some());
    assert_eq!(passed.count(), 80);
    assert!((0..1_000).all(|_| world.table.route(10, a, DATA, START).is_some()));
}

#[test]
fn a_network_that_asks_too_often_is_not_answered() {
    let rate = Rate { per_second: 10, burst: 5 };
    let mut door = Door::new(true, rate, || Ok([9; 32]), START).unwrap();
    let mut table = Table::default();
    let request = crate::stun::write_request([1; 12], 64);
    let mut ask = |from: &str| door.answer(&request, address(from), VIA, &mut table, START);
    let answered = (0..20).filter(|_| matches!(ask("192.0.2.1:7"), Outcome::Stun(_))).count();
    assert_eq!(answered, 5);
    assert_eq!(ask("192.0.2.1:8"), Outcome::Limited);
    assert!(matches!(ask("192.0.2.2:8"), Outcome::Stun(_)));
}

proptest! {
    #[test]
    fn no_datagram_panics_or_is_answered_by_more_bytes(
        mut datagram in proptest::collection::vec(any::<u8>(), 0..100),
        kind in prop::sample::select(vec![0u8, 0x80, 0x81, 0x84, 0x85, 0x86, 0x87]),
        whole: bool,
    ) {
        let mut world = World::new();
        let (a, _) = world.bind_both();
        if whole {
            datagram.resize(BIND_LENGTH, 3);
        }
        if kind != 0 && datagram.len() >= 8 {
            datagram[..8].copy_from_slice(&wire::header(Kind::Forward, 10));
            datagram[0] = kind;
        }
        let mut client = BindClient::new(10, [1; 32], WALL);
        client.poll(START);
        client.on_message(&datagram, START);
        let answer = bytes(world.ask(&datagram, a, START));
        prop_assert!(answer.is_none_or(|answer| answer.len() <= datagram.len()));
        if let Some((slot, payload)) = wire::slot_of(&datagram) {
            world.table.route(slot, a, payload, START);
        }
    }
}

#[test]
fn a_change_costs_by_its_own_size_and_not_by_the_tables() {
    let mut table = Table::default();
    let named = |n: u32| session(&n.to_string(), 2 * n, 2 * n + 1);
    let start = Instant::now();
    table.update((0..50_000).map(named).collect(), &[], START).unwrap();
    let all = start.elapsed();
    let start = Instant::now();
    for n in 0..1_000 {
        table.update(vec![named(50_000 + n)], &[n.to_string()], START).unwrap();
    }
    assert!(start.elapsed() < all, "a fiftieth of the sessions: {:?}, {all:?}", start.elapsed());
}

#[test]
fn the_table_has_room_for_as_many_as_it_says_whoever_leaves_comes_or_stays() {
    let mut table = Table::default();
    let named = |n: usize| session(&n.to_string(), 2 * n as u32, 2 * n as u32 + 1);
    table.update((0..MAX_SESSIONS).map(named).collect(), &[], START).unwrap();
    let new = MAX_SESSIONS;
    let gone: [String; 3] = ["7".into(), "7".into(), "nobody".into()];
    let full = table.update(vec![named(new)], &[], START);
    assert!(matches!(full, Err(ForwarderError::TooMany)));
    let two = table.update(vec![named(new), named(new + 1)], &gone, START);
    assert!(matches!(two, Err(ForwarderError::TooMany)), "one leaves, however often it is named");
    let back = table.update(vec![named(7), named(new)], &gone, START);
    assert!(matches!(back, Err(ForwarderError::TooMany)), "who leaves and comes back stays");
    table.update(vec![named(new), named(8)], &gone, START).unwrap();
}

/// Many members behind one address, each with many sessions: in all `count` slots.
fn site(count: u32) -> (World, Vec<(BindClient, SocketAddr)>) {
    let mut world = World::new();
    world.door = Door::new(true, STRANGERS, random, START).unwrap();
    let named = |n: u32| session(&format!("site {n}"), 100 + 2 * n, 101 + 2 * n);
    world.table.update((0..count).map(named).collect(), &[], START).unwrap();
    let client = |n: u32| {
        let from = SocketAddr::from(([192, 0, 2, 1], 10_000 + n as u16 % 20));
        (BindClient::new(100 + 2 * n, [1; 32], WALL), from)
    };
    (world, (0..count).map(client).collect())
}

fn random() -> std::io::Result<[u8; 32]> {
    crate::crypto::random().map_err(|_| std::io::ErrorKind::Other.into())
}

#[test]
fn a_site_of_many_bound_members_keeps_all_its_bindings() {
    let (mut world, mut clients) = site(2_000);
    let (mut bound, mut lost) = (vec![false; clients.len()], 0);
    // Past two changes of the secret that makes cookies.
    for now in (START..START + 280_000).step_by(250) {
        for ((client, from), bound) in clients.iter_mut().zip(&mut bound) {
            if client.deadline() <= now {
                world.converse(client, *from, now);
            }
            let is = client.is_bound(now);
            lost += u32::from(*bound && !is);
            *bound = is;
        }
    }
    let bound = bound.iter().filter(|bound| **bound).count();
    assert_eq!((bound, lost), (2_000, 0));
}

#[test]
fn who_only_claims_to_be_a_member_is_limited_as_a_stranger() {
    let (mut world, mut clients) = site(1);
    let (client, from) = &mut clients[0];
    world.converse(client, *from, START);
    assert!(client.is_bound(START));
    let request = BindClient::new(100, [7; 32], WALL).poll(START).unwrap();
    let mut confirm = request;
    confirm[..8].copy_from_slice(&wire::header(Kind::Confirm, 100));
    for message in [request, confirm] {
        let ask = |_: &u32| world.ask(&message, *from, START) != Outcome::Limited;
        let answered = (0..2_000).filter(ask).count();
        assert!(answered <= 220, "from the member's own address: {answered}");
        let stranger = address("203.0.113.9:666");
        let ask = |_: &u32| world.ask(&message, stranger, START) != Outcome::Limited;
        let answered = (0..2_000).filter(ask).count();
        assert!(answered <= 200, "from elsewhere: {answered}");
    }
}
