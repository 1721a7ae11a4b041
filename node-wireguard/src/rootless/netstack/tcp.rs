//! smoltcp as the flows use it: one interface, one packet in or out at a time, and a faster clock.

use super::link::Link;
use ring::rand::{SecureRandom, SystemRandom};
use smoltcp::iface::{Config, Context, Interface, PollResult, SocketSet};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpCidr};
use std::net::IpAddr;

/// Microseconds since the stack began.
pub type Micros = u64;

/// smoltcp's clock runs so much faster than ours. Its least retransmission timeout is a second (RFC 6298); a quarter of
/// that is about what Linux takes, and round trips are measured finer.
const HASTE: u64 = 4;
/// What smoltcp may have to send before it looks at its timer.
const HURRIES: usize = 8;

pub struct Tcp {
    pub link: Link,
    interface: Interface,
    addresses: Vec<IpCidr>,
    random: SystemRandom,
}

impl Tcp {
    pub fn new(mut link: Link, addresses: &[(IpAddr, u8)]) -> Self {
        let addresses: Vec<IpCidr> =
            addresses.iter().map(|&(ip, prefix)| IpCidr::new(ip.into(), prefix)).collect();
        let random = SystemRandom::new();
        let interface = interface(&mut link, &addresses, seed(&random));
        Self { link, interface, addresses, random }
    }

    /// A number nobody can guess.
    pub fn seed(&self) -> u64 {
        seed(&self.random)
    }

    /// Does `act` with an interface whose first random number, which is a connection's initial sequence number, follows from
    /// `seed` alone: so a handshake can be repeated, and none can be guessed from another.
    pub fn with_seed<R>(&mut self, seed: u64, act: impl FnOnce(&mut Self) -> R) -> R {
        let seeded = interface(&mut self.link, &self.addresses, seed);
        let usual = std::mem::replace(&mut self.interface, seeded);
        let result = act(self);
        self.interface = usual;
        result
    }

    pub fn context(&mut self) -> &mut Context {
        self.interface.context()
    }

    /// Gives the sockets of `set` one packet.
    pub fn feed(&mut self, set: &mut SocketSet, packet: &[u8], now: Micros) {
        self.interface.poll_ingress_single(instant(now), &mut self.link.device(Some(packet)), set);
    }

    /// Lets them send one packet; says whether they did. smoltcp takes a timer that fires for done with even if the packet
    /// finds no room, so it is not asked then.
    pub fn poll(&mut self, set: &mut SocketSet, now: Micros) -> bool {
        if self.link.blocked() && !self.link.mute {
            return false;
        }
        let result = self.interface.poll_egress(instant(now), &mut self.link.device(None), set);
        result == PollResult::SocketStateChanged
    }

    /// Lets the retransmission timer of `set` fire before its time: what is sent again begins at `edge`.
    ///
    /// The clock is put forward to the timer and no further: smoltcp sets its next one from there.
    pub fn hurry(&mut self, set: &mut SocketSet, edge: u32, now: Micros) {
        for _ in 0..HURRIES {
            let Some(due) = self.due(set, now).filter(|_| !self.link.has_sent(edge)) else {
                return;
            };
            self.poll(set, due.max(now));
        }
    }

    /// When the sockets of `set` want their next turn; zero: at once.
    pub fn due(&mut self, set: &SocketSet, now: Micros) -> Option<Micros> {
        let at = self.interface.poll_at(instant(now), set)?;
        Some((at.total_micros().max(0) as u64).div_ceil(HASTE))
    }
}

fn instant(now: Micros) -> Instant {
    Instant::from_micros((now * HASTE) as i64)
}

fn interface(link: &mut Link, addresses: &[IpCidr], seed: u64) -> Interface {
    let mut config = Config::new(HardwareAddress::Ip);
    config.random_seed = seed;
    let mut interface = Interface::new(config, &mut link.device(None), Instant::ZERO);
    interface.update_ip_addrs(|list| {
        for address in addresses {
            let _ = list.push(*address); // at most 8, checked when the stack is opened
        }
    });
    interface
}

fn seed(random: &SystemRandom) -> u64 {
    let mut bytes = [0; 8];
    // Fails only where the kernel has no random numbers at all; no TLS or WireGuard session could exist then either.
    let _ = random.fill(&mut bytes);
    u64::from_ne_bytes(bytes)
}
