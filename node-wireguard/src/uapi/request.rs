//! What a tool asks for. A request is read whole before any of it is done.

use super::errno::Errno;
use super::text::{endpoint, key, network, number};
use crate::device::{AllowedIpUpdate, DeviceUpdate, PeerUpdate};

/// Longest request, bytes. The largest that makes sense names 4,096 peers with some twenty networks each.
pub const MAX_REQUEST: usize = 4 << 20;

/// One question.
#[derive(Clone, PartialEq, Eq)]
pub enum Request {
    /// How the device is set, secrets included.
    Get,
    /// Changes, in their order.
    Set(Box<DeviceUpdate>),
}

/// The first whole request in `bytes` without its blank line, and how many bytes it takes with it. Blank lines before it are
/// part of it. Nothing while its end has not come.
pub fn next_request(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let begin = bytes.iter().position(|byte| *byte != b'\n')?;
    let length = bytes[begin..].windows(2).position(|pair| pair == b"\n\n")?;
    Some((&bytes[begin..begin + length], begin + length + 2))
}

/// Reads one request as [`next_request`] gives it.
///
/// # Errors
/// `INVALID` for unknown words, values that cannot be, peers' words before a peer's key.
pub fn parse(request: &[u8]) -> Result<Request, Errno> {
    read(request).ok_or(Errno::INVALID)
}

fn read(request: &[u8]) -> Option<Request> {
    let mut lines = std::str::from_utf8(request).ok()?.split('\n');
    match lines.next()? {
        "get=1" => lines.next().is_none().then_some(Request::Get),
        "set=1" => {
            let mut update = DeviceUpdate::default();
            for line in lines {
                let (word, value) = line.split_once('=')?;
                set(&mut update, word, value)?;
            }
            Some(Request::Set(Box::new(update)))
        }
        _ => None,
    }
}

fn set(update: &mut DeviceUpdate, word: &str, value: &str) -> Option<()> {
    if word == "public_key" {
        update.peers.push(PeerUpdate { public_key: key(value)?, ..PeerUpdate::default() });
        return Some(());
    }
    match update.peers.last_mut() {
        Some(peer) => set_peer(peer, word, value),
        None => set_device(update, word, value),
    }
}

fn set_device(update: &mut DeviceUpdate, word: &str, value: &str) -> Option<()> {
    match word {
        "private_key" => update.private_key = Some(key(value)?),
        "listen_port" => update.listen_port = Some(number(value)?.try_into().ok()?),
        "fwmark" => update.mark = Some(number(value)?),
        "replace_peers" => update.replace_peers = yes(value)?,
        _ => return None,
    }
    Some(())
}

fn set_peer(peer: &mut PeerUpdate, word: &str, value: &str) -> Option<()> {
    match word {
        "remove" => peer.remove = yes(value)?,
        "update_only" => peer.update_only = yes(value)?,
        "preshared_key" => peer.preshared_key = Some(key(value)?),
        "endpoint" => peer.endpoint = Some(endpoint(value)?),
        "persistent_keepalive_interval" => {
            peer.keepalive_seconds = Some(number(value)?.try_into().ok()?);
        }
        "replace_allowed_ips" => {
            peer.replace_allowed_ips = yes(value)?;
            peer.allowed_ips.clear();
        }
        "allowed_ip" => {
            let (remove, text) =
                value.strip_prefix('-').map_or((false, value), |text| (true, text));
            let (address, prefix) = network(text)?;
            peer.allowed_ips.push(AllowedIpUpdate { address, prefix, remove });
        }
        "protocol_version" => return (value == "1").then_some(()),
        _ => return None,
    }
    Some(())
}

fn yes(value: &str) -> Option<bool> {
    (value == "true").then_some(true)
}
