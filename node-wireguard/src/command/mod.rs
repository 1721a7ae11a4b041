//! The command `node-wireguard`: a WireGuard interface for this machine, set by `wg` and `ip` or by `wg-quick`. It takes the words
//! of wireguard-go, so that it can stand in its place.

mod background;
mod serve;
mod words;

pub use words::{HELP, Words};

use std::env;
use std::process::ExitCode;

/// Set for the process in the background by the one that waits for it.
const AWAITED: &str = "NODE_WIREGUARD_AWAITED";

/// Runs the command with the words of the command line, without its own name.
pub fn run(words: impl Iterator<Item = String>) -> ExitCode {
    match Words::parse(words) {
        Ok(Words::Help) => print!("{HELP}"),
        Ok(Words::Version) => println!("node-wireguard {}", env!("CARGO_PKG_VERSION")),
        Ok(Words::Serve { interface, foreground, threads }) => {
            let foreground =
                foreground || env::var("WG_PROCESS_FOREGROUND").is_ok_and(|set| set == "1");
            let awaited = env::var_os(AWAITED).is_some();
            let done = match foreground || awaited {
                true => serve::serve(&interface, threads, awaited),
                false => background::start(&interface, threads).map_err(Into::into),
            };
            if let Err(error) = done {
                eprintln!("node-wireguard: {interface}: {error}");
                return ExitCode::FAILURE;
            }
        }
        Err(error) => {
            eprintln!("node-wireguard: {error}; --help says more");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}
