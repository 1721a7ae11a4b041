//! The device as the protocol writes it down.

use super::text::{of_endpoint, push_key};
use crate::device::{Configuration, PeerConfiguration};
use std::fmt::Write;
use zeroize::Zeroizing;

/// All of it, without the `errno` at the end. It holds secrets.
pub fn report(device: &Configuration) -> Zeroizing<String> {
    // Room enough at once, or growing would leave copies of secrets behind.
    let networks: usize = device.peers.iter().map(|peer| peer.allowed_ips.len()).sum();
    let mut out =
        Zeroizing::new(String::with_capacity(256 + 512 * device.peers.len() + 64 * networks));
    if *device.private_key != [0; 32] {
        line(&mut out, "private_key", |out| push_key(out, &device.private_key));
    }
    number(&mut out, "listen_port", device.listen_port.into());
    if device.mark != 0 {
        number(&mut out, "fwmark", device.mark.into());
    }
    device.peers.iter().for_each(|peer| report_peer(&mut out, peer));
    out
}

fn report_peer(out: &mut String, peer: &PeerConfiguration) {
    line(out, "public_key", |out| push_key(out, &peer.public_key));
    line(out, "preshared_key", |out| push_key(out, &peer.preshared_key));
    number(out, "protocol_version", 1);
    if let Some(endpoint) = peer.endpoint {
        line(out, "endpoint", |out| out.push_str(&of_endpoint(endpoint)));
    }
    let met = peer.last_handshake.unwrap_or_default();
    number(out, "last_handshake_time_sec", met.as_secs());
    number(out, "last_handshake_time_nsec", met.subsec_nanos().into());
    number(out, "tx_bytes", peer.tx_bytes);
    number(out, "rx_bytes", peer.rx_bytes);
    number(out, "persistent_keepalive_interval", peer.keepalive_seconds.into());
    for (address, prefix) in &peer.allowed_ips {
        line(out, "allowed_ip", |out| {
            let _ = write!(out, "{address}/{prefix}"); // a string takes everything
        });
    }
}

fn number(out: &mut String, word: &str, value: u64) {
    line(out, word, |out| {
        let _ = write!(out, "{value}");
    });
}

fn line(out: &mut String, word: &str, value: impl FnOnce(&mut String)) {
    out.push_str(word);
    out.push('=');
    value(out);
    out.push('\n');
}
