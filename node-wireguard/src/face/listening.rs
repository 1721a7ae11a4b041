use super::failure::Failure;
use super::value::NativeEndpoint;
use crate::io::socket::{Kind, bind, listen, socket, tie_to_device};
use napi::Result;
use napi_derive::napi;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{IntoRawFd, OwnedFd};

const BACKLOG: u16 = 511;

/// A descriptor that is the caller's to close.
#[napi(catch_unwind)]
pub fn listen_on_device(device: String, at: NativeEndpoint) -> Result<i32> {
    let address = at.parse("the address")?;
    let failed = |error: io::Error| Failure::io(format!("{address} on {device}: {error}"), &error);
    Ok(listening(&device, address).map_err(failed)?.into_raw_fd())
}

fn listening(device: &str, address: SocketAddr) -> io::Result<OwnedFd> {
    let fd = socket(Kind::Tcp, address.is_ipv6())?;
    tie_to_device(&fd, device)?;
    bind(&fd, Kind::Tcp, address)?;
    listen(&fd, BACKLOG)?;
    Ok(fd)
}
