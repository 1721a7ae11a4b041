//! The blind packet forwarder: two members that cannot reach each other send their datagrams here, and each leaves
//! for the other's proven address with four header bytes changed. It holds no key that opens them.
//!
//! `wire` is the codec, `proof` the MACs, `bind_client` the end of a member (pure, used by the device); `cookie`,
//! `limiter`, `door` answer strangers, `table` keeps the sessions (all pure); `pump` is the thread, `handle` its owner.

mod bind_client;
mod cookie;
mod door;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod handle;
mod limiter;
mod proof;
mod pump;
mod session;
mod table;
mod totals;
mod wire;

pub use bind_client::{BindClient, BindState};
pub use error::ForwarderError;
pub use handle::{FailureSink, Forwarder, ForwarderOptions, ForwarderStatus, STRANGERS};
pub use limiter::Rate;
pub(crate) use limiter::{Bucket, Limiter};
pub use session::{SessionConfig, SessionStatus, SideConfig, SideStatus};
pub use table::{LONGEST_SESSION_MS, MAX_SESSIONS};
pub use totals::TotalsStatus;
pub use wire::{BIND_LENGTH, HEADER_LENGTH, Kind, Refusal, header, is_bind, slot_of};

#[cfg(test)]
mod loopback_tests;
#[cfg(test)]
mod tests;
