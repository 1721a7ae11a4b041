//! A peer's paths in a world of their own: what leaves comes back after the path's delay, or not.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Clone, Copy)]
struct Wire {
    delay: Micros, // there and back
    alive: bool,
    largest: u16,
    delivers: bool, // data, not only probes
    batches: bool,  // and of data also what leaves in one call
}

struct World {
    table: PathTable,
    wires: BTreeMap<u32, Wire>,
    flying: Vec<(Micros, u32, Reply)>,
    now: Micros,
    sending: bool,
    sent: BTreeMap<u32, Traffic>,
    changes: Vec<(Micros, Change)>,
    probes: Vec<(Micros, u32, bool)>, // when, which, whether the path worked
}

fn endpoint(id: u32, slot: Option<u32>) -> Endpoint {
    Endpoint { socket: 0, remote: ([192, 0, 2, id as u8], 1).into(), slot }
}

fn candidate(id: u32, cost_class: u8) -> Candidate {
    Candidate { id, endpoint: endpoint(id, None), cost_class }
}

impl World {
    fn new(wires: &[(u32, u8, Wire)]) -> Self {
        let mut table = PathTable::new(1408, 7, 0);
        let candidates: Vec<_> = wires.iter().map(|&(id, class, _)| candidate(id, class)).collect();
        table.set_candidates(&candidates, 0);
        Self {
            table,
            wires: wires.iter().map(|&(id, _, wire)| (id, wire)).collect(),
            flying: Vec::new(),
            now: 0,
            sending: false,
            sent: BTreeMap::new(),
            changes: Vec::new(),
            probes: Vec::new(),
        }
    }

    fn run(&mut self, until: Micros) {
        while self.now < until {
            let (mut due, mut changes) = (Vec::new(), Vec::new());
            let next = self.table.poll(self.now, &mut due, &mut changes);
            self.changes.extend(changes.into_iter().map(|change| (self.now, change)));
            for due in due {
                let works = self.works(due.path);
                self.probes.push((self.now, due.path, works));
                let Some(wire) = self.wires.get(&due.path).copied() else { continue };
                let size = due.padded.unwrap_or(80);
                if wire.alive && size <= wire.largest {
                    let received = self.sent.get(&due.path).map(|traffic| traffic.received);
                    let reply = Reply { sent: self.now, dwell: 0, size, received };
                    self.flying.push((self.now + wire.delay, due.path, reply));
                }
            }
            self.flying.sort_by_key(|(at, ..)| *at);
            let arrival = self.flying.first().map_or(Micros::MAX, |(at, ..)| *at);
            self.now = next.min(arrival).min(until).min(if self.sending {
                self.now + 5_000
            } else {
                next
            });
            while self.flying.first().is_some_and(|(at, ..)| *at <= self.now) {
                let (_, path, reply) = self.flying.remove(0);
                self.table.on_reply(path, &reply, self.now);
            }
            if self.sending {
                self.send();
            }
        }
    }

    fn send(&mut self) {
        let route = self.table.route().clone();
        for id in route.primary.into_iter().chain(route.copy) {
            let view = self.table.views().find(|view| view.candidate.id == id);
            let singly = view.is_some_and(|view| view.singly);
            let arrives = self
                .wires
                .get(&id)
                .is_some_and(|wire| wire.alive && wire.delivers && (wire.batches || singly));
            let traffic = self.sent.entry(id).or_default();
            traffic.sent += 10;
            traffic.received += if arrives { 10 } else { 0 };
            self.table.set_traffic(id, *traffic, self.now);
        }
    }

    fn state(&self, id: u32) -> Option<PathState> {
        self.table.views().find(|view| view.candidate.id == id).map(|view| view.state)
    }

    fn works(&self, id: u32) -> bool {
        matches!(self.state(id), Some(PathState::Active | PathState::Standby | PathState::Suspect))
    }

    fn switched_to(&self, id: u32) -> Option<Micros> {
        self.changes.iter().find_map(|(at, change)| {
            matches!(change, Change::Active { path, .. } if *path == Some(id)).then_some(*at)
        })
    }
}

const GOOD: Wire =
    Wire { delay: 20_000, alive: true, largest: 1500, delivers: true, batches: true };
const DEAD: Wire = Wire { alive: false, ..GOOD };
const S: Micros = 1_000_000;

#[test]
fn the_relay_carries_first_and_the_direct_path_takes_over_when_it_answers() {
    let slow = Wire { delay: 90_000, ..GOOD };
    let mut world = World::new(&[(1, 1, GOOD), (2, 0, slow), (3, 0, DEAD)]);
    world.run(S);
    assert_eq!(world.switched_to(1), Some(20_000));
    assert_eq!(world.switched_to(2), Some(90_000));
    assert_eq!(
        (world.state(1), world.state(2)),
        (Some(PathState::Standby), Some(PathState::Active))
    );
    world.run(10 * S);
    assert_eq!(world.state(3), Some(PathState::Down));
}

#[test]
fn while_sending_a_death_is_doubled_at_once_and_left_within_a_quarter_second() {
    let mut world = World::new(&[(1, 0, GOOD), (2, 1, GOOD)]);
    world.sending = true;
    world.run(5 * S);
    assert_eq!(world.table.route().copy, None);
    world.wires.insert(1, DEAD);
    world.run(5 * S + 125_000);
    assert_eq!(world.state(1), Some(PathState::Suspect));
    assert_eq!((world.table.route().primary, world.table.route().copy), (Some(1), Some(2)));
    world.run(5 * S + 270_000);
    assert_eq!((world.state(1), world.state(2)), (Some(PathState::Down), Some(PathState::Active)));
    world.wires.insert(1, GOOD);
    world.run(7 * S);
    assert_eq!(world.state(1), Some(PathState::Standby), "well again, but on probation");
    world.run(12 * S);
    assert_eq!(world.state(1), Some(PathState::Active));
}

#[test]
fn an_idle_death_is_noticed_and_the_last_path_is_never_given_up() {
    let mut world = World::new(&[(1, 0, GOOD)]);
    world.run(2 * S);
    world.wires.insert(1, DEAD);
    world.run(12 * S);
    assert_eq!(world.state(1), Some(PathState::Down));
    assert_eq!(world.table.route().primary, Some(1));
    world.wires.insert(1, GOOD);
    world.run(18 * S);
    assert_eq!(world.state(1), Some(PathState::Active));
}

#[test]
fn a_path_that_answers_probes_but_loses_all_data_is_left() {
    let mut world = World::new(&[(1, 0, GOOD), (2, 1, GOOD)]);
    world.sending = true;
    world.run(3 * S);
    world.wires.insert(1, Wire { delivers: false, ..GOOD });
    world.run(4 * S);
    assert_eq!(world.table.route().primary, Some(2));
}

#[test]
fn a_path_that_loses_batches_is_kept_without_them_within_a_second() {
    let mut world = World::new(&[(1, 0, GOOD)]);
    world.sending = true;
    world.run(3 * S);
    world.wires.insert(1, Wire { batches: false, ..GOOD });
    world.run(4 * S);
    let off = Change::Offload { path: 1, on: false };
    let when = |world: &World, change: Change| {
        world.changes.iter().filter(|(_, c)| *c == change).map(|(at, _)| *at).collect::<Vec<_>>()
    };
    assert_eq!(when(&world, off).len(), 1);
    assert_eq!((world.state(1), world.table.route().primary), (Some(PathState::Active), Some(1)));
    // It is tried again, and given up again; once the path is well, it stays.
    world.run(66 * S);
    assert_eq!(
        (when(&world, off).len(), when(&world, Change::Offload { path: 1, on: true }).len()),
        (2, 1)
    );
    world.wires.insert(1, GOOD);
    world.run(200 * S);
    assert_eq!(
        (when(&world, off).len(), when(&world, Change::Offload { path: 1, on: true }).len()),
        (2, 2)
    );
    assert!(world.table.views().all(|view| !view.singly));
}

#[test]
fn idle_paths_are_probed_rarely_and_busy_ones_often() {
    let mut world = World::new(&[(1, 0, GOOD), (2, 0, GOOD), (3, 1, GOOD), (4, 1, GOOD)]);
    world.run(10 * S);
    let start = world.probes.len();
    world.run(110 * S);
    let count = |id| world.probes[start..].iter().filter(|(_, path, _)| *path == id).count();
    assert!((16..=26).contains(&count(1)) && (16..=26).contains(&count(2)), "{}", count(1));
    assert!((4..=7).contains(&count(4)), "{}", count(4));
    world.sending = true;
    let start = world.probes.len();
    world.run(111 * S);
    let active = world.table.route().primary.unwrap();
    let count = world.probes[start..].iter().filter(|(_, path, _)| *path == active).count();
    assert!((30..=60).contains(&count), "{count}");
}

#[test]
fn the_mtu_of_a_narrow_path_is_found() {
    let mut world = World::new(&[(1, 0, Wire { largest: 1360 - 28, ..GOOD })]);
    world.run(5 * S);
    assert_eq!(world.table.route().inner_mtu, 1360 - 28 - 32);
    let mut world = World::new(&[(1, 0, GOOD)]);
    world.run(S);
    assert_eq!(world.table.route().inner_mtu, 1408);
}

#[test]
fn a_relayed_path_waits_for_its_binding() {
    let mut world = World::new(&[]);
    let relayed = Candidate { id: 1, endpoint: endpoint(1, Some(9)), cost_class: 1 };
    world.table.set_candidates(&[relayed], 0);
    world.wires.insert(1, GOOD);
    world.run(S);
    assert!(world.probes.is_empty());
    world.table.set_ready(1, true, world.now);
    world.run(2 * S);
    assert_eq!(world.state(1), Some(PathState::Active));
    world.table.set_ready(1, false, world.now);
    world.run(3 * S);
    assert_eq!(world.state(1), Some(PathState::Down));
}

#[test]
fn a_path_that_was_found_becomes_the_configured_one_and_keeps_its_state() {
    let mut world = World::new(&[]);
    let id = world.table.add_reflexive(endpoint(5, None), 0, 0).unwrap();
    world.wires.insert(id, GOOD);
    world.run(S);
    assert_eq!(world.state(id), Some(PathState::Active));
    world.wires.insert(5, GOOD);
    world.table.set_candidates(&[candidate(5, 0)], world.now);
    world.run(S + 1_000);
    assert_eq!((world.state(5), world.state(id)), (Some(PathState::Active), None));
    for other in 10..30 {
        world.table.add_reflexive(endpoint(other, None), 0, world.now);
    }
    assert!(world.table.views().count() <= 9);
}

#[test]
fn schedules_lay_packets_on_more_paths() {
    let mut world = World::new(&[(1, 0, GOOD), (2, 0, GOOD), (3, 1, GOOD)]);
    world.table.set_schedule(Schedule::Redundant);
    world.run(S);
    assert!(world.table.route().copy.is_some());
    world.table.set_schedule(Schedule::Balance);
    world.run(7 * S);
    let mut spread = world.table.route().spread.clone();
    spread.sort();
    assert_eq!(spread, [1, 2]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn whatever_fails_packets_are_on_a_living_path_soon(
        classes in proptest::collection::vec(0..3u8, 1..5),
        faults in proptest::collection::vec((0..5usize, any::<bool>(), 1_000..120_000u64), 1..8),
        sending: bool,
    ) {
        let wires: Vec<_> = classes.iter().enumerate().map(|(i, class)| (i as u32, *class, GOOD)).collect();
        let mut world = World::new(&wires);
        world.sending = sending;
        world.run(2 * S);
        for (index, alive, delay) in faults {
            let id = (index % classes.len()) as u32;
            world.wires.insert(id, Wire { alive, delay, ..GOOD });
            let (start, at) = (world.probes.len(), world.now);
            // An idle peer notices with its next probe; a busy one at once; what was given up is asked again rarely.
            world.run(at + 45 * S);
            let living: Vec<_> = world.wires.iter().filter(|(_, wire)| wire.alive).map(|(id, _)| *id).collect();
            let primary = world.table.route().primary;
            prop_assert!(living.is_empty() || primary.is_some_and(|id| living.contains(&id)), "{:?} of {:?}", primary, living);
            let idle = world.probes[start..].iter().filter(|(_, _, works)| !works).count() as u64;
            prop_assert!(idle <= 45 * 20 + 12, "{} probes", idle);
        }
    }
}
