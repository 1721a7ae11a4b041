//! What may come in: rules, and a small table of flows for the answers to what went out.
//!
//! Only a packet of ours ever makes an entry, so nobody outside can open a flow or fill the table. What comes in by a rule
//! needs no entry; our answer to it makes one that is marked as the remote's, so that it ends with its rule.

mod flow;
mod flows;
mod fragments;
mod rules;
#[cfg(test)]
mod tests;

use crate::packet::{Fragment, PacketView, Transport};
use flow::{ACK, Flow, Origin, RST, SYN, Stage};
use flows::{Flows, Key};
use fragments::Fragments;
use rules::Rules;
pub use rules::{FilterConfig, Rule, RuleProtocol};
use std::net::IpAddr;

const ICMP_HEADER: usize = 8;

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
    rules: Rules,
    flows: Flows,
    fragments: Fragments,
}

/// Ports as our end sees them: local, remote, and the flags of TCP.
struct Ports {
    local: u16,
    remote: u16,
    flags: Option<u8>,
}

impl Ports {
    fn of(view: &PacketView, outbound: bool) -> Option<Self> {
        let (source, destination, flags) = match view.transport {
            Transport::Tcp { source, destination, flags } => (source, destination, Some(flags)),
            Transport::Udp { source, destination } => (source, destination, None),
            Transport::Other => (0, 0, None),
            Transport::Icmp { .. } => return None,
        };
        let (local, remote) = if outbound { (source, destination) } else { (destination, source) };
        Some(Self { local, remote, flags })
    }

    fn key(&self, view: &PacketView, outbound: bool) -> Key {
        let (local, remote) = if outbound {
            (view.source, view.destination)
        } else {
            (view.destination, view.source)
        };
        Key::new((local, self.local), (remote, self.remote), view.protocol)
    }
}

impl Filter {
    pub fn new(config: &FilterConfig) -> Self {
        Self { rules: Rules::new(config), flows: Flows::new(), fragments: Fragments::new() }
    }

    /// Replaces the rules. Flows that we opened stay; those that an earlier rule let in and no rule does now are cut.
    pub fn set_config(&mut self, config: &FilterConfig) {
        self.rules = Rules::new(config);
        self.fragments = Fragments::new();
        let rules = &self.rules;
        self.flows.retain(|key, flow| {
            let allowed = rules.allow(key.protocol(), key.local_port(), key.remote());
            flow.origin = match (flow.origin, allowed) {
                (Origin::Remote, false) => Origin::Refused,
                (Origin::Refused | Origin::Unknown, true) => Origin::Remote,
                (origin, _) => origin,
            };
            true
        });
    }

    /// Notes a packet of ours, so that its answers come in.
    pub fn outbound(&mut self, view: &PacketView, now: u64) {
        if self.rules.open || matches!(view.fragment, Fragment::Later { .. }) {
            return;
        }
        let Some(ports) = Ports::of(view, true) else { return }; // echoes need no entry
        let key = ports.key(view, true);
        let opens = ports.flags.is_some_and(|flags| flags & (SYN | ACK | RST) == SYN);
        if let Some(flow) = self.flows.find(&key, now)
            && !opens
        {
            return flow.sent(ports.flags, now);
        }
        if ports.flags.is_some_and(|flags| flags & RST != 0) {
            return; // the end of what we know nothing of
        }
        let origin = match opens {
            true => Origin::Ours,
            false if self.rules.allow(view.protocol, ports.local, view.destination) => {
                Origin::Remote
            }
            false => Origin::Unknown,
        };
        self.flows.insert(key, Flow::new(origin, ports.flags, now), now);
    }

    /// Judges a packet from a peer whose source address has been checked; `packet` is what `view` was read from.
    pub fn inbound(&mut self, view: &PacketView, packet: &[u8], now: u64) -> Verdict {
        match view.fragment {
            _ if self.rules.open => Verdict::Pass,
            Fragment::Later { id } if self.fragments.knows(view, id, now) => Verdict::Pass,
            Fragment::Later { .. } => Verdict::StrayFragment,
            Fragment::Whole => self.judge(view, packet, now),
            Fragment::First { id } => {
                let verdict = self.judge(view, packet, now);
                if verdict.passes() {
                    self.fragments.remember(view, id, now);
                }
                verdict
            }
        }
    }

    /// Forgets the flows with addresses of a peer that is gone.
    pub fn drop_sources(&mut self, address: IpAddr, prefix: u8) {
        self.flows.forget(address, prefix);
        self.fragments = Fragments::new();
    }

    fn judge(&mut self, view: &PacketView, packet: &[u8], now: u64) -> Verdict {
        let (passes, port) = match Ports::of(view, false) {
            None => (self.control(view, packet, now), 0),
            Some(ports) => {
                let flow = self.flows.find(&ports.key(view, false), now);
                let known = flow.map(|flow| flow.received(ports.flags, now));
                if let Some(Stage::Refused) = known {
                    return Verdict::Refused;
                }
                (known == Some(Stage::Goes), ports.local)
            }
        };
        if passes || self.rules.allow(view.protocol, port, view.source) {
            Verdict::Pass
        } else {
            Verdict::Refused
        }
    }

    /// Echoes always, errors when they are about a packet that we sent.
    fn control(&mut self, view: &PacketView, packet: &[u8], now: u64) -> bool {
        match (view.transport, view.source) {
            (Transport::Icmp { kind: 0 | 8, .. }, IpAddr::V4(_)) => true,
            (Transport::Icmp { kind: 128 | 129, .. }, IpAddr::V6(_)) => true,
            (Transport::Icmp { kind: 3 | 11 | 12, .. }, IpAddr::V4(_))
            | (Transport::Icmp { kind: 1..=4, .. }, IpAddr::V6(_)) => {
                let quoted = packet.get(view.l4 + ICMP_HEADER..view.length);
                quoted
                    .and_then(PacketView::parse_quoted)
                    .is_some_and(|quoted| self.is_ours(&quoted, view, now))
            }
            _ => false,
        }
    }

    fn is_ours(&mut self, quoted: &PacketView, error: &PacketView, now: u64) -> bool {
        if quoted.source != error.destination {
            return false;
        }
        match (quoted.transport, quoted.source) {
            (Transport::Icmp { kind, .. }, IpAddr::V4(_)) => matches!(kind, 0 | 8),
            (Transport::Icmp { kind, .. }, IpAddr::V6(_)) => matches!(kind, 128 | 129),
            _ => Ports::of(quoted, true)
                .and_then(|ports| self.flows.find(&ports.key(quoted, true), now))
                .is_some_and(|flow| flow.origin != Origin::Refused),
        }
    }
}
