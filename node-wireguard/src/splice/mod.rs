//! Joins two connections on threads of its own, so that JavaScript sees no byte of what runs through: raw to raw in the
//! middle of a tunnel, TLS 1.3 to raw at its ends. Back-pressure, half-close and resets pass through exactly.

mod end;
mod identity;
mod outcome;
mod plain;
mod sealed;
pub(crate) mod segment;
mod session;
#[cfg(test)]
mod session_tests;
mod splicer;
#[cfg(test)]
mod tests;
mod worker;

pub use identity::{Identity, IdentityError};
pub use outcome::{Fault, SpliceEvent};
pub use sealed::{Local, Request};
pub use session::Side;
pub use splicer::{EventSink, SpliceError, Splicer};
