//! Whose an inner network is. Each belongs to one peer: whoever is given it last.

use super::DeviceError;
use super::command::Command;
use super::control::Control;
use super::slab::PeerId;
use std::collections::HashSet;
use std::net::IpAddr;

/// Address and prefix length; nothing behind the prefix.
type Network = (IpAddr, u8);

impl Control {
    /// These networks, and no others, are the peer's.
    pub(super) fn allow(&mut self, id: PeerId, networks: &[Network]) {
        let kept: HashSet<_> = networks.iter().copied().collect();
        let Some(peer) = self.peers.get_mut(id) else { return };
        let (kept, gone) = peer.config.allowed_ips.drain(..).partition(|n| kept.contains(n));
        peer.config.allowed_ips = kept;
        let gone: Vec<Network> = gone;
        for network in gone {
            self.take_back(id, network);
        }
        for network in networks {
            self.give(id, *network);
        }
    }

    /// What another had goes over to the peer.
    pub(super) fn give(&mut self, id: PeerId, network: Network) {
        let before = self.owners.insert(network, id);
        if before == Some(id) {
            return;
        }
        if let Some(other) = before.and_then(|other| self.peers.get_mut(other)) {
            other.config.allowed_ips.retain(|its| *its != network);
        }
        if let Some(peer) = self.peers.get_mut(id) {
            peer.config.allowed_ips.push(network);
        }
        self.command(Command::Allow(id, network.0, network.1));
    }

    /// Takes one from the peer, if it is the peer's.
    pub(super) fn forbid(&mut self, id: PeerId, network: Network) {
        if let Some(peer) = self.peers.get_mut(id) {
            peer.config.allowed_ips.retain(|its| *its != network);
        }
        self.take_back(id, network);
    }

    /// The same, where the peer's own list is dealt with.
    pub(super) fn take_back(&mut self, id: PeerId, network: Network) {
        if self.owners.get(&network) == Some(&id) {
            self.owners.remove(&network);
            self.command(Command::Forbid(network.0, network.1));
        }
    }
}

/// Whether the prefix is as long as an address at most.
pub fn check_network((address, prefix): &Network) -> Result<(), DeviceError> {
    if *prefix <= if address.is_ipv4() { 32 } else { 128 } {
        return Ok(());
    }
    Err(DeviceError::Invalid(format!("{address}/{prefix} is no network")))
}

/// The address with the bits behind the prefix cleared.
pub fn network(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32u32.saturating_sub(prefix.into())).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128u32.saturating_sub(prefix.into())).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & mask).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_behind_the_prefix_do_not_count() {
        let network = |text: &str, prefix| network(text.parse().unwrap(), prefix).to_string();
        assert_eq!(network("10.1.2.3", 8), "10.0.0.0");
        assert_eq!(
            (network("10.1.2.3", 0), network("10.1.2.3", 32)),
            ("0.0.0.0".into(), "10.1.2.3".into())
        );
        assert_eq!(
            (network("fd00::1", 64), network("fd00::1", 128)),
            ("fd00::".into(), "fd00::1".into())
        );
    }
}
