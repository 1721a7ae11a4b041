//! An update as a tool would ask for it: what tests and fuzz targets hold the reader against.

use super::text::push_key;
use crate::device::{DeviceUpdate, PeerUpdate};

/// The request with its blank line.
pub fn spell(update: &DeviceUpdate) -> String {
    let mut out = "set=1\n".to_owned();
    key(&mut out, "private_key", update.private_key.as_ref());
    value(&mut out, "listen_port", update.listen_port);
    value(&mut out, "fwmark", update.mark);
    value(&mut out, "replace_peers", update.replace_peers.then_some("true"));
    for peer in &update.peers {
        spell_peer(&mut out, peer);
    }
    out.push('\n');
    out
}

fn spell_peer(out: &mut String, peer: &PeerUpdate) {
    key(out, "public_key", Some(&peer.public_key));
    value(out, "remove", peer.remove.then_some("true"));
    value(out, "update_only", peer.update_only.then_some("true"));
    key(out, "preshared_key", peer.preshared_key.as_ref());
    value(out, "endpoint", peer.endpoint);
    value(out, "persistent_keepalive_interval", peer.keepalive_seconds);
    value(out, "replace_allowed_ips", peer.replace_allowed_ips.then_some("true"));
    for allowed in &peer.allowed_ips {
        let sign = if allowed.remove { "-" } else { "" };
        value(out, "allowed_ip", Some(format!("{sign}{}/{}", allowed.address, allowed.prefix)));
    }
}

fn key(out: &mut String, word: &str, key: Option<&[u8; 32]>) {
    if let Some(key) = key {
        out.push_str(word);
        out.push('=');
        push_key(out, key);
        out.push('\n');
    }
}

fn value(out: &mut String, word: &str, value: Option<impl std::fmt::Display>) {
    if let Some(value) = value {
        out.push_str(&format!("{word}={value}\n"));
    }
}
