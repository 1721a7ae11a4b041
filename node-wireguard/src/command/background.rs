//! Starts the same program again, without a terminal, and waits until it serves.

use super::AWAITED;
use std::env;
use std::io::{self, Read};
use std::process::{Command, Stdio};

/// What the process in the background says when the interface can be set up.
pub const READY: &[u8] = b"ready\n";

/// Returns when the interface is there. What goes wrong before is said by that process on our standard error.
pub fn start(interface: &str, threads: usize) -> io::Result<()> {
    let mut child = Command::new(env::current_exe()?)
        .args([interface, "--threads", &threads.to_string()])
        .env(AWAITED, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut said = Vec::new();
    if let Some(output) = child.stdout.take() {
        output.take(READY.len() as u64).read_to_end(&mut said)?;
    }
    if said == READY {
        return Ok(());
    }
    let status = child.wait()?;
    Err(io::Error::other(format!("the process in the background ended ({status})")))
}
