//! The longest match, held against a table that is searched from end to end.

use super::byte;
use crate::allowed_ips::AllowedIps;
use std::net::IpAddr;

/// What the bytes ask for: put in, take out, let a peer's go, look up.
pub fn allowed_ips(mut data: &[u8]) {
    let (mut trie, mut naive) = (AllowedIps::new(), Vec::<(IpAddr, u8, u8)>::new());
    while !data.is_empty() {
        let (what, bits, value) = (byte(&mut data), byte(&mut data), byte(&mut data) % 8);
        let (address, width) = address(what & 0x80 != 0, &mut data);
        let prefix = bits % (width + 1);
        let same = |entry: &(IpAddr, u8, u8)| entry.1 == prefix && within(entry.0, prefix, address);
        match what % 8 {
            0..=3 => {
                let before = naive.iter().position(same).map(|at| naive.swap_remove(at).2);
                assert_eq!(trie.insert(address, prefix, value), before);
                naive.push((address, prefix, value));
            }
            4 => {
                let before = naive.iter().position(same).map(|at| naive.swap_remove(at).2);
                assert_eq!(trie.remove(address, prefix), before);
            }
            5 => {
                trie.retain(|kept| *kept != value);
                naive.retain(|entry| entry.2 != value);
            }
            _ => {
                let holds = |entry: &&(IpAddr, u8, u8)| within(entry.0, entry.1, address);
                let longest = naive.iter().filter(holds).max_by_key(|entry| entry.1);
                assert_eq!(trie.lookup(address).copied(), longest.map(|entry| entry.2));
            }
        }
        assert_eq!(trie.iter().count(), naive.len());
    }
}

/// Addresses that often share their first bits.
fn address(v6: bool, data: &mut &[u8]) -> (IpAddr, u8) {
    if v6 {
        let mut octets = [0; 16];
        octets[0] = byte(data) & 3;
        octets[15] = byte(data);
        (octets.into(), 128)
    } else {
        ([byte(data) & 3, 0, byte(data), byte(data)].into(), 32)
    }
}

fn within(network: IpAddr, prefix: u8, address: IpAddr) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    };
    let differ = (bits(network) ^ bits(address)).checked_shr(128 - u32::from(prefix)).unwrap_or(0);
    network.is_ipv4() == address.is_ipv4() && differ == 0
}
