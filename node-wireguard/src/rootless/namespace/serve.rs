//! The helper's life: make the namespaces and the TUN, hand it over, then make sockets until the parent is gone.

use super::wire::{FAILED, LONGEST, READY, REFUSED, Request, Setup};
use crate::io::Tun;
use crate::io::fd::{recv_fd, send_fd};
use crate::io::namespace::{die_with_parent, enter_empty_network, enter_private};
use crate::io::netlink::Netlink;
use crate::io::socket::{socket, wait_readable};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};

/// Runs the helper on `control`, its end of the socket to the parent. The process must have one thread only.
///
/// # Errors
/// The socket fails; what the machine refuses is told to the parent instead.
pub fn serve(control: OwnedFd, setup: &Setup) -> io::Result<()> {
    let mut answers = File::from(control.try_clone()?);
    let tun = match prepare(setup) {
        Ok(tun) => tun,
        Err(sentence) => {
            let mut message = vec![FAILED];
            message.extend(sentence.bytes().take(LONGEST - 1));
            return answers.write_all(&message);
        }
    };
    send_fd(&control, &[READY], &tun)?;
    drop(tun);
    let mut bytes = [0; LONGEST];
    loop {
        wait_readable(&control, None)?;
        let (length, _) = recv_fd(&control, &mut bytes)?;
        if length == 0 {
            return Ok(()); // the parent is gone
        }
        let made = Request::decode(&bytes[..length])
            .ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))
            .and_then(|request| socket(request.kind, request.v6));
        match made {
            Ok(fd) => send_fd(&control, &[READY], &fd)?,
            Err(error) => {
                let code = error.raw_os_error().unwrap_or(libc::EIO).to_le_bytes();
                answers.write_all(&[REFUSED, code[0], code[1], code[2], code[3]])?;
            }
        }
    }
}

/// Enters the namespaces and makes the TUN. An error is a sentence that names the step.
fn prepare(setup: &Setup) -> Result<Tun, String> {
    let at = |step: &str| {
        let step = step.to_string();
        move |error: io::Error| format!("{step}: {error}")
    };
    // Root may be allowed a network namespace where user namespaces are forbidden.
    enter_private()
        .or_else(|error| enter_empty_network().map_err(|_| error))
        .map_err(at("user and network namespaces are not allowed"))?;
    die_with_parent().map_err(at("the parent's end cannot be watched"))?;
    // Some containers start new namespaces without IPv6; failing is told by the addresses.
    let _ = fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "0");
    let mut netlink = Netlink::open().map_err(at("netlink"))?;
    let loopback = netlink.index("lo").map_err(at("loopback"))?;
    netlink.up(loopback).map_err(at("loopback"))?;
    let tun = Tun::open(&setup.name, false, setup.mtu, &setup.addresses).map_err(at("TUN"))?;
    let link = netlink.index(tun.name().unwrap_or(&setup.name)).map_err(at("TUN"))?;
    let set = |v6: bool| {
        let usable = |address: &std::net::IpAddr| !tun.skipped().contains(address);
        setup.addresses.iter().any(|(address, _)| address.is_ipv6() == v6 && usable(address))
    };
    for v6 in [false, true] {
        if set(v6) {
            netlink.add_default_route(link, v6).map_err(at("routes"))?;
        }
    }
    Ok(tun)
}

/// The helper's end of the socket: its standard input.
///
/// # Errors
/// Standard input is closed.
pub fn control() -> io::Result<OwnedFd> {
    io::stdin().as_fd().try_clone_to_owned()
}
