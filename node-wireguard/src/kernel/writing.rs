//! A change of the device in the kernel's words.

use super::wire::{NESTED, allowed_ip, device, peer, socket_address_bytes};
use crate::device::{AllowedIpUpdate, DeviceError, DeviceUpdate, PeerUpdate};
use crate::io::netlink::message::attribute;
use std::net::IpAddr;

/// Attributes of one message; lengths are 16 bits, and the kernel wants a message in one piece.
const MOST: usize = 16 << 10;

/// The attributes of the messages that carry out a change, one after the other. A peer with many networks is cut: the next
/// message begins with it again, and adds.
///
/// # Errors
/// `Invalid` for a prefix that is too long, `Unsupported` for a network that is taken from a peer by itself.
pub fn messages(link: u32, update: &DeviceUpdate) -> Result<Vec<Vec<u8>>, DeviceError> {
    let mut head = attribute(device::IFINDEX, &link.to_ne_bytes());
    let mut add = |kind, value: &[u8]| head.extend(attribute(kind, value));
    if let Some(key) = &update.private_key {
        add(device::PRIVATE_KEY, key);
    }
    if let Some(port) = update.listen_port {
        add(device::LISTEN_PORT, &port.to_ne_bytes());
    }
    if let Some(mark) = update.mark {
        add(device::FWMARK, &mark.to_ne_bytes());
    }
    if update.replace_peers {
        add(device::FLAGS, &device::REPLACE_PEERS.to_ne_bytes());
    }
    let mut writer = Writer { link, done: Vec::new(), head, peers: Vec::new() };
    update.peers.iter().try_for_each(|peer| writer.peer(peer))?;
    writer.flush();
    Ok(writer.done)
}

struct Writer {
    link: u32,
    done: Vec<Vec<u8>>,
    /// What is not about peers, of the message that is being written.
    head: Vec<u8>,
    peers: Vec<u8>,
}

impl Writer {
    fn peer(&mut self, update: &PeerUpdate) -> Result<(), DeviceError> {
        let key = attribute(peer::PUBLIC_KEY, &update.public_key);
        let mut about = [key.clone(), about(update)].concat();
        let mut networks = Vec::new();
        if self.length() + about.len() > MOST {
            self.flush();
        }
        for network in &update.allowed_ips {
            let network = allowed(network)?;
            if self.length() + about.len() + networks.len() + network.len() > MOST {
                self.close(&about, &networks);
                self.flush();
                (about, networks) = (key.clone(), Vec::new());
            }
            networks.extend(network);
        }
        self.close(&about, &networks);
        Ok(())
    }

    fn length(&self) -> usize {
        self.head.len() + self.peers.len() + 16 // headers of what it is wrapped in
    }

    fn close(&mut self, about: &[u8], networks: &[u8]) {
        let mut whole = about.to_vec();
        if !networks.is_empty() {
            whole.extend(attribute(peer::ALLOWED_IPS | NESTED, networks));
        }
        self.peers.extend(attribute(NESTED, &whole)); // an item of a list has no type of its own
    }

    fn flush(&mut self) {
        let fresh = attribute(device::IFINDEX, &self.link.to_ne_bytes());
        let mut message = std::mem::replace(&mut self.head, fresh);
        let peers = std::mem::take(&mut self.peers);
        if !peers.is_empty() {
            message.extend(attribute(device::PEERS | NESTED, &peers));
        }
        self.done.push(message);
    }
}

fn about(update: &PeerUpdate) -> Vec<u8> {
    let flag = |set: bool, flag: u32| if set { flag } else { 0 };
    let flags = flag(update.remove, peer::REMOVE)
        | flag(update.replace_allowed_ips, peer::REPLACE_ALLOWED_IPS)
        | flag(update.update_only, peer::UPDATE_ONLY);
    let mut bytes = Vec::new();
    let mut add = |kind, value: &[u8]| bytes.extend(attribute(kind, value));
    if flags != 0 {
        add(peer::FLAGS, &flags.to_ne_bytes());
    }
    if let Some(secret) = &update.preshared_key {
        add(peer::PRESHARED_KEY, secret);
    }
    if let Some(endpoint) = update.endpoint {
        add(peer::ENDPOINT, &socket_address_bytes(endpoint));
    }
    if let Some(seconds) = update.keepalive_seconds {
        add(peer::KEEPALIVE, &seconds.to_ne_bytes());
    }
    bytes
}

fn allowed(network: &AllowedIpUpdate) -> Result<Vec<u8>, DeviceError> {
    let AllowedIpUpdate { address, prefix, remove } = *network;
    if remove {
        let words = "Linux's WireGuard takes no single network from a peer: set the peer anew";
        return Err(DeviceError::Unsupported(words.to_owned()));
    }
    let (family, octets) = match address {
        IpAddr::V4(v4) => (libc::AF_INET, v4.octets().to_vec()),
        IpAddr::V6(v6) => (libc::AF_INET6, v6.octets().to_vec()),
    };
    if usize::from(prefix) > octets.len() * 8 {
        return Err(DeviceError::Invalid(format!("{address}/{prefix} is no network")));
    }
    let parts = [
        attribute(allowed_ip::FAMILY, &(family as u16).to_ne_bytes()),
        attribute(allowed_ip::ADDRESS, &octets),
        attribute(allowed_ip::PREFIX, &[prefix]),
    ];
    Ok(attribute(NESTED, &parts.concat()))
}
