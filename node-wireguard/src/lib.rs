//! A userspace WireGuard engine with many paths per peer.
//!
//! `noise` is the protocol without I/O, `path` the choice among paths, `packet` what is inside, `io` the kernel's
//! descriptors; `device` and `forwarder` put them together on threads; `kernel` leaves it all to Linux; `splice` joins
//! connections beside them; `uapi` is what WireGuard's own tools see, `command` a program with it; `face` is what Node sees.

pub mod allowed_ips;
pub mod command;
pub mod crypto;
pub mod device;
#[cfg_attr(test, allow(dead_code))]
// in unit tests there is no registration with N-API: all of it looks unused
mod face;
pub mod filter;
pub mod forwarder;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod io;
pub mod kernel;
pub mod noise;
pub mod packet;
pub mod path;
pub mod rootless;
pub mod splice;
pub mod stun;
pub mod uapi;
