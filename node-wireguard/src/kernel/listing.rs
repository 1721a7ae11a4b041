//! What the kernel tells of a device.

use super::wire::{TYPE, allowed_ip, device, ip_address, peer, socket_address};
use crate::device::PublicKey;
use crate::io::netlink::message::attributes;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// A device as it is told, message by message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Zeros: it has no key.
    pub public_key: PublicKey,
    pub listen_port: u16,
    pub mark: u32,
    pub peers: Vec<ListedPeer>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListedPeer {
    pub public_key: PublicKey,
    pub has_preshared_key: bool,
    pub endpoint: Option<SocketAddr>,
    /// 0: off.
    pub keepalive_seconds: u16,
    /// Of the wall clock; none before the first.
    pub last_handshake: Option<Duration>,
    pub rx_bytes: u64,
    pub tx_bytes: u64,
    pub allowed_ips: Vec<(IpAddr, u8)>,
}

impl Listing {
    /// Takes one more message. What makes no sense in it is passed over.
    pub fn add(&mut self, message: &[u8]) {
        for (kind, value) in attributes(message) {
            match kind & TYPE {
                device::PUBLIC_KEY => self.public_key = exactly(value).unwrap_or_default(),
                device::LISTEN_PORT => self.listen_port = number(value, u16::from_ne_bytes),
                device::FWMARK => self.mark = number(value, u32::from_ne_bytes),
                device::PEERS => attributes(value).for_each(|(_, peer)| self.add_peer(peer)),
                _ => {}
            }
        }
    }

    /// One whose networks did not fit into a message goes on in the next, where nothing else is said of it.
    fn add_peer(&mut self, bytes: &[u8]) {
        let Some(read) = ListedPeer::read(bytes) else { return };
        match self.peers.last_mut() {
            Some(last) if last.public_key == read.public_key => {
                last.allowed_ips.extend(read.allowed_ips);
            }
            _ => self.peers.push(read),
        }
    }
}

impl ListedPeer {
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut found = Self::default();
        let mut named = false;
        for (kind, value) in attributes(bytes) {
            match kind & TYPE {
                peer::PUBLIC_KEY => {
                    found.public_key = exactly(value)?;
                    named = true;
                }
                peer::PRESHARED_KEY => {
                    found.has_preshared_key = value.iter().any(|byte| *byte != 0)
                }
                peer::ENDPOINT => found.endpoint = socket_address(value),
                peer::KEEPALIVE => found.keepalive_seconds = number(value, u16::from_ne_bytes),
                peer::LAST_HANDSHAKE => found.last_handshake = time(value),
                peer::RX_BYTES => found.rx_bytes = number(value, u64::from_ne_bytes),
                peer::TX_BYTES => found.tx_bytes = number(value, u64::from_ne_bytes),
                peer::ALLOWED_IPS => {
                    found
                        .allowed_ips
                        .extend(attributes(value).filter_map(|(_, item)| network(item)));
                }
                _ => {}
            }
        }
        named.then_some(found)
    }
}

fn exactly<const N: usize>(value: &[u8]) -> Option<[u8; N]> {
    value.try_into().ok()
}

fn number<T: Default, const N: usize>(value: &[u8], read: fn([u8; N]) -> T) -> T {
    exactly(value).map_or_else(T::default, read)
}

/// `struct __kernel_timespec`: seconds and nanoseconds, 64 bits each.
fn time(value: &[u8]) -> Option<Duration> {
    let (seconds, nanoseconds) = value.split_first_chunk::<8>()?;
    let seconds = u64::try_from(i64::from_ne_bytes(*seconds)).ok()?;
    let nanoseconds = u32::try_from(i64::from_ne_bytes(exactly(nanoseconds)?)).ok()?;
    let whole = nanoseconds < 1_000_000_000 && (seconds, nanoseconds) != (0, 0);
    whole.then(|| Duration::new(seconds, nanoseconds))
}

fn network(item: &[u8]) -> Option<(IpAddr, u8)> {
    let find = |wanted| attributes(item).find(|(kind, _)| kind & TYPE == wanted).map(|(_, v)| v);
    let family = u16::from_ne_bytes(exactly(find(allowed_ip::FAMILY)?)?);
    let address = ip_address(family, find(allowed_ip::ADDRESS)?)?;
    let [prefix] = exactly(find(allowed_ip::PREFIX)?)?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    (prefix <= most).then_some((address, prefix))
}
