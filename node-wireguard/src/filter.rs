//! What may come in: rules, and a small table of flows for the answers to what went out.

use crate::packet::PacketView;
use std::net::IpAddr;

/// Protocols that a rule can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleProtocol {
    Tcp,
    Udp,
    Icmp,
}

/// One opening: a protocol, a range of local ports (both ends included; unused for ICMP), and from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub protocol: RuleProtocol,
    pub ports: (u16, u16),
    /// Prefixes of members; empty: any member.
    pub sources: Vec<(IpAddr, u8)>,
}

/// All openings. None: only echoes and answers come in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilterConfig {
    pub allow: Vec<Rule>,
}

/// What becomes of an inbound packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    /// Neither a rule nor a flow of ours.
    Refused,
    /// A later fragment whose first one was not seen or not let in.
    StrayFragment,
}

impl Verdict {
    pub fn passes(self) -> bool {
        self == Self::Pass
    }
}

/// Rules and flows of one shard. Times are milliseconds of one clock that does not go back.
pub struct Filter {
    config: FilterConfig,
}

impl Filter {
    pub fn new(config: &FilterConfig) -> Self {
        Self { config: config.clone() }
    }

    /// Replaces the rules. Flows that we opened stay; those that an earlier rule let in and no rule does now are cut.
    pub fn set_config(&mut self, config: &FilterConfig) {
        self.config = config.clone();
    }

    /// Notes a packet of ours, so that its answers come in.
    pub fn outbound(&mut self, view: &PacketView, now: u64) {
        let _ = (view, now);
    }

    /// Judges a packet from a peer; `packet` is what `view` was read from.
    pub fn inbound(&mut self, view: &PacketView, packet: &[u8], now: u64) -> Verdict {
        let _ = (view, packet, now, &self.config);
        Verdict::Refused
    }

    /// Forgets the flows with addresses of a peer that is gone.
    pub fn drop_sources(&mut self, address: IpAddr, prefix: u8) {
        let _ = (address, prefix);
    }
}
