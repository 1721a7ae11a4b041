//! The openings, compiled: by protocol, with a trie of sources each.

use crate::allowed_ips::AllowedIps;
use crate::packet::{ICMP, ICMPV6, TCP, UDP};
use std::net::IpAddr;

/// Protocols that a rule can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleProtocol {
    Tcp,
    Udp,
    /// Every message of ICMP and ICMPv6; echoes come in without a rule.
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
    /// Everything comes in and no flow is noted: somebody else filters.
    pub open: bool,
    pub allow: Vec<Rule>,
}

struct Opening {
    low: u16,
    high: u16,
    sources: Option<AllowedIps<()>>, // nothing: anybody
}

#[derive(Default)]
pub struct Rules {
    pub open: bool,
    tcp: Vec<Opening>,
    udp: Vec<Opening>,
    icmp: Vec<Opening>,
}

impl Rules {
    pub fn new(config: &FilterConfig) -> Self {
        let mut rules = Self { open: config.open, ..Self::default() };
        for Rule { protocol, ports, sources } in &config.allow {
            let (list, (low, high)) = match protocol {
                RuleProtocol::Tcp => (&mut rules.tcp, *ports),
                RuleProtocol::Udp => (&mut rules.udp, *ports),
                RuleProtocol::Icmp => (&mut rules.icmp, (0, 0)),
            };
            let mut table = AllowedIps::new();
            for &(address, prefix) in sources {
                table.insert(address, prefix, ());
            }
            list.push(Opening { low, high, sources: (!sources.is_empty()).then_some(table) });
        }
        rules
    }

    /// Whether a packet of this protocol number may come from `source` to the local port, whatever went before.
    pub fn allow(&self, protocol: u8, port: u16, source: IpAddr) -> bool {
        let list = match (protocol, source) {
            (TCP, _) => &self.tcp,
            (UDP, _) => &self.udp,
            (ICMP, IpAddr::V4(_)) | (ICMPV6, IpAddr::V6(_)) => &self.icmp,
            _ => return false,
        };
        list.iter().any(|opening| {
            let from = opening.sources.as_ref();
            (opening.low..=opening.high).contains(&port)
                && from.is_none_or(|from| from.lookup(source).is_some())
        })
    }
}
