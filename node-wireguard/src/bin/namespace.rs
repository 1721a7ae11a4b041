//! `node-wireguard-namespace NAME MTU ADDRESS/PREFIX…`: holds a private user and network namespace with a TUN for the
//! process that started it, whose unix socket is standard input. It needs no rights and ends with its parent.

use node_wireguard::rootless::namespace::{Setup, control, serve};
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(setup) = Setup::parse(std::env::args().skip(1)) else {
        eprintln!("node-wireguard-namespace is started by node-wireguard, not by hand");
        return ExitCode::from(2);
    };
    match control().and_then(|control| serve(control, &setup)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("node-wireguard-namespace: {error}");
            ExitCode::FAILURE
        }
    }
}
