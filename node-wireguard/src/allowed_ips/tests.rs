//! Held against a table that is searched from end to end.

use super::*;
use proptest::prelude::*;

fn table(prefixes: &[(&str, u8, u32)]) -> AllowedIps<u32> {
    let mut table = AllowedIps::new();
    for &(address, prefix, value) in prefixes {
        table.insert(address.parse().unwrap(), prefix, value);
    }
    table
}

fn at(table: &AllowedIps<u32>, address: &str) -> Option<u32> {
    table.lookup(address.parse().unwrap()).copied()
}

#[test]
fn the_longest_prefix_wins_in_either_order_of_insertion() {
    let mut prefixes =
        [("10.0.0.0", 8, 1), ("10.1.0.0", 16, 2), ("10.1.2.3", 32, 3), ("0.0.0.0", 0, 4)];
    for _ in 0..2 {
        let table = table(&prefixes);
        assert_eq!(at(&table, "10.1.2.3"), Some(3));
        assert_eq!(at(&table, "10.1.2.4"), Some(2));
        assert_eq!(at(&table, "10.2.0.1"), Some(1));
        assert_eq!(at(&table, "192.0.2.1"), Some(4));
        prefixes.reverse();
    }
}

#[test]
fn families_do_not_meet() {
    let table = table(&[("::", 0, 6), ("10.0.0.0", 8, 4)]);
    assert_eq!(at(&table, "a00::1"), Some(6));
    assert_eq!(at(&table, "11.0.0.1"), None);
}

#[test]
fn a_prefix_moves_to_the_peer_that_claims_it_last() {
    let mut table = table(&[("fd00::1", 128, 1)]);
    assert_eq!(table.insert("fd00::1".parse().unwrap(), 128, 2), Some(1));
    assert_eq!(at(&table, "fd00::1"), Some(2));
    assert_eq!(table.iter().count(), 1);
}

#[test]
fn bits_behind_the_prefix_are_ignored() {
    let mut table = table(&[("10.1.2.3", 8, 1)]);
    assert_eq!(at(&table, "10.9.9.9"), Some(1));
    assert_eq!(table.remove("10.7.7.7".parse().unwrap(), 8), Some(1));
    assert_eq!(at(&table, "10.1.2.3"), None);
}

/// Few distinct bits, so that prefixes nest and meet.
fn address() -> impl Strategy<Value = IpAddr> {
    let close = prop::sample::select(vec![0u8, 1, 2, 0x80, 0xff]);
    prop_oneof![
        prop::array::uniform4(close.clone()).prop_map(|octets| Ipv4Addr::from(octets).into()),
        prop::array::uniform4(close).prop_map(|[a, b, c, d]| {
            Ipv6Addr::from([a, b, 0, 0, 0, 0, 0, 0, c, 0, 0, 0, 0, 0, 0, d]).into()
        }),
    ]
}

#[derive(Clone, Debug)]
enum Step {
    Insert(IpAddr, u8, u8),
    Remove(IpAddr, u8),
    RemovePeer(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (address(), 0u8..=130, 0u8..6).prop_map(|(a, length, value)| Step::Insert(a, length, value)),
        2 => (address(), 0u8..=130).prop_map(|(a, length)| Step::Remove(a, length)),
        1 => (0u8..6).prop_map(Step::RemovePeer),
    ]
}

type Naive = Vec<(IpAddr, u8, u8)>;

fn same_prefix(a: (IpAddr, u8), b: (IpAddr, u8)) -> bool {
    let length = a.1.min(width(a.0));
    a.0.is_ipv4() == b.0.is_ipv4()
        && length == b.1.min(width(b.0))
        && (key(a.0) ^ key(b.0)).leading_zeros() >= length as u32
}

fn naive_lookup(naive: &Naive, address: IpAddr) -> Option<u8> {
    let holds = |entry: &&(IpAddr, u8, u8)| same_prefix((entry.0, entry.1), (address, entry.1));
    naive.iter().filter(holds).max_by_key(|entry| entry.1.min(width(entry.0))).map(|entry| entry.2)
}

proptest! {
    #[test]
    fn it_answers_as_a_naive_table_does(
        steps in prop::collection::vec(step(), 1..60),
        probes in prop::collection::vec(address(), 1..30),
    ) {
        let (mut table, mut naive) = (AllowedIps::new(), Naive::new());
        for step in steps {
            match step {
                Step::Insert(address, length, value) => {
                    let at = naive.iter().position(|entry| same_prefix((entry.0, entry.1), (address, length)));
                    let before = at.map(|at| naive.swap_remove(at).2);
                    naive.push((address, length, value));
                    prop_assert_eq!(table.insert(address, length, value), before);
                }
                Step::Remove(address, length) => {
                    let at = naive.iter().position(|entry| same_prefix((entry.0, entry.1), (address, length)));
                    let before = at.map(|at| naive.swap_remove(at).2);
                    prop_assert_eq!(table.remove(address, length), before);
                }
                Step::RemovePeer(peer) => {
                    table.retain(|&value| value != peer);
                    naive.retain(|entry| entry.2 != peer);
                }
            }
            prop_assert_eq!(table.iter().count(), naive.len());
            for trie in [&table.v4, &table.v6] {
                let (live, values) = (trie.nodes.len() - trie.free.len(), trie.iter().count());
                prop_assert!(live <= (2 * values).saturating_sub(1), "{live} nodes for {values} prefixes");
            }
        }
        for probe in probes {
            prop_assert_eq!(table.lookup(probe).copied(), naive_lookup(&naive, probe));
        }
        for (address, length, &value) in table.iter() {
            let listed = |entry: &(IpAddr, u8, u8)| {
                same_prefix((entry.0, entry.1), (address, length)) && entry.2 == value
            };
            prop_assert!(naive.iter().any(listed));
        }
    }
}
