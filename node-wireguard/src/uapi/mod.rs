//! The configuration protocol of WireGuard's own tools (<https://www.wireguard.com/xplatform/>): lines `key=value`, a blank line
//! at the end, over a unix socket that `wg` finds by the interface's name.
//!
//! `request` reads a question, `report` writes the answer, `door` is the socket in the file system, `server` the thread behind it.

mod door;
mod errno;
mod report;
mod request;
mod server;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod spell;
#[cfg(test)]
mod tests;
mod text;

pub use door::{FOLDER, Where};
pub use errno::Errno;
pub use request::{MAX_REQUEST, Request, next_request, parse};
pub use server::Uapi;
