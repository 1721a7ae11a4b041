//! Keys, addresses and networks as the protocol spells them.

use crate::io::{interface_index, interface_name};
use std::net::{IpAddr, SocketAddr, SocketAddrV6};

/// Sixty-four hexadecimal digits.
pub fn key(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut key = [0; 32];
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = [pair[0], pair[1]].map(|digit| char::from(digit).to_digit(16));
        *byte = (high? << 4 | low?) as u8;
    }
    Some(key)
}

/// The same the other way, added to `out`.
pub fn push_key(out: &mut String, key: &[u8; 32]) {
    for byte in key {
        for digit in [byte >> 4, byte & 15] {
            out.push(char::from_digit(digit.into(), 16).unwrap_or('0'));
        }
    }
}

/// `192.0.2.1:51820`, `[2001:db8::1]:51820`, `[fe80::1%eth0]:51820` with the name or the number of an interface.
pub fn endpoint(text: &str) -> Option<SocketAddr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let (address, port) = text.strip_prefix('[')?.split_once("]:")?;
    let (address, zone) = address.split_once('%')?;
    let (address, port) = (address.parse().ok()?, port.parse().ok()?);
    Some(SocketAddrV6::new(address, port, 0, interface_index(zone)?).into())
}

/// The same the other way: a zone by its interface's name, as long as there is one.
pub fn of_endpoint(endpoint: SocketAddr) -> String {
    if let SocketAddr::V6(v6) = endpoint
        && let Some(zone) = Some(v6.scope_id()).filter(|zone| *zone > 0).and_then(interface_name)
    {
        return format!("[{}%{zone}]:{}", v6.ip(), v6.port());
    }
    endpoint.to_string()
}

/// `10.0.0.0/8`; without a length it is one address.
pub fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(number(prefix)?)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let prefix = prefix.map_or(Some(longest), |prefix| u8::try_from(prefix).ok())?;
    (prefix <= longest).then_some((address, prefix))
}

/// Decimal digits and nothing else.
pub fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}
