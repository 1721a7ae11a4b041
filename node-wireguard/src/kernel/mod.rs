//! Linux's own WireGuard behind the device's face: the kernel moves the packets, this sets it up and asks it.
//!
//! It has one path for each peer, the one that it is heard from, and no filter. See `docs/decisions/0022-kernel-backend.md`.

mod handle;
mod known;
mod link;
pub(crate) mod listing;
#[cfg(test)]
mod tests;
mod wire;
pub(crate) mod writing;

pub use handle::{KernelDevice, KernelOptions};
