//! The WireGuard protocol without I/O, by the rules of the Linux kernel (paper, 5 and 6; `drivers/net/wireguard`).
//!
//! `Protocol` is the state machine of one peer and belongs to the control thread. It shares a `Session` (keys and
//! timers) with the shards, which seal and open packets by `Keypair` alone. The clock is passed in everywhere.
//! Before a message reaches a `Protocol`: `Kind::of`, then `CookieChecker::check`, then for an initiation
//! `open_initiation`, which tells whose it is.

mod action;
pub mod constants;
mod cookie;
mod error;
mod handshake;
mod key;
mod keypair;
mod limiter;
mod message;
mod probe;
mod protocol;
mod replay;
mod session;
mod slots;
mod symmetric;
mod timers;
mod timestamp;

pub use action::Action;
pub use constants::Millis;
pub use cookie::{CookieChecker, Verdict};
pub use error::NoiseError;
pub use handshake::{OpenedInitiation, check_mac1, open_initiation};
pub use key::{Local, PublicKey};
pub use keypair::Keypair;
pub use limiter::{RateLimiter, Source};
pub use message::{
    COOKIE_REPLY, DATA_HEADER, DATA_OVERHEAD, INITIATION, Kind, RESPONSE, TYPE_COOKIE_REPLY,
    TYPE_DATA, TYPE_INITIATION, TYPE_RESPONSE, padded,
};
pub use probe::StaticProbe;
pub use protocol::{Protocol, ProtocolOptions};
pub use replay::{ReplayWindow, VANILLA_WINDOW_BITS, WINDOW_BITS};
pub use session::{Received, Session};
pub use slots::KeypairSlots;
pub use timers::Timers;
pub use timestamp::Timestamp;

#[cfg(test)]
mod tests;
