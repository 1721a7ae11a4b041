//! What JavaScript asks for, checked and in the engine's words.

use super::failure::Failure;
use super::value::{NativeEndpoint, key, prefixes, whole};
use crate::device::{
    FilterConfig, FilterProtocol, FilterRule, ForwardSession, MAX_SHARDS, PathConfig, PeerConfig,
    PublicKey, Schedule, SocketOptions,
};
use crate::rootless::BackendChoice;
use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;
use std::net::{IpAddr, SocketAddr};

pub const DEFAULT_MTU: f64 = 1_408.0;
/// Longest name of an interface that the kernel takes.
const NAME_BYTES: usize = 15;

#[napi(object, object_to_js = false)]
pub struct NativeDeviceOptions {
    pub private_key: Uint8Array,
    pub listen: Vec<NativeEndpoint>,
    pub fwmark: Option<f64>,
    pub bind_interface: Option<String>,
    pub interface: NativeInterface,
    pub uapi: Option<bool>,
    pub threads: Option<f64>,
}

#[napi(object, object_to_js = false)]
pub struct NativeInterface {
    pub tun: Option<NativeTun>,
    pub rootless: Option<NativeRootless>,
    /// Another call opens it; here it is one too many.
    pub kernel: Option<NativeTun>,
}

#[napi(object, object_to_js = false)]
pub struct NativeTun {
    pub name: String,
    pub mtu: Option<f64>,
    pub addresses: Vec<String>,
}

#[napi(object, object_to_js = false)]
pub struct NativeRootless {
    pub mtu: Option<f64>,
    pub addresses: Vec<String>,
    pub backend: Option<String>,
}

/// The same, checked.
pub struct Opening {
    pub private_key: [u8; 32],
    pub listen: Vec<SocketAddr>,
    pub sockets: SocketOptions,
    /// Name of a TUN of this machine, or which rootless backend.
    pub stack: Result<String, BackendChoice>,
    pub mtu: u16,
    pub addresses: Vec<(IpAddr, u8)>,
    /// Whether WireGuard's own tools find it.
    pub uapi: bool,
    pub shards: usize,
}

impl NativeDeviceOptions {
    pub fn parse(self) -> Result<Opening, Failure> {
        let NativeInterface { tun, rootless, kernel } = self.interface;
        let (stack, mtu, addresses) = match (tun, rootless, kernel) {
            (Some(tun), None, None) => {
                (Ok(interface_name(tun.name, "tun.name")?), tun.mtu, tun.addresses)
            }
            (None, Some(rootless), None) => {
                (Err(backend(rootless.backend.as_deref())?), rootless.mtu, rootless.addresses)
            }
            _ => {
                return Err(Failure::invalid(
                    "interface is one of { tun }, { rootless } and { kernel }",
                ));
            }
        };
        let uapi = self.uapi.unwrap_or(false);
        if uapi && stack.is_err() {
            return Err(Failure::invalid(
                "uapi: the tools find a device by its interface's name, which a rootless one has not",
            ));
        }
        let threads = whole(self.threads.unwrap_or(1.0), 1..=MAX_SHARDS as u32, "threads")?;
        let shards = threads as usize;
        if shards > 1 && stack.is_err() {
            return Err(Failure::invalid("threads: a rootless device has one"));
        }
        let bind = self.bind_interface.map(|name| interface_name(name, "bindInterface"));
        Ok(Opening {
            sockets: SocketOptions {
                mark: whole(self.fwmark.unwrap_or(0.0), 0..=u32::MAX, "fwmark")?,
                interface: bind.transpose()?,
                ..SocketOptions::default()
            },
            private_key: key(&self.private_key, "privateKey")?,
            listen: self.listen.iter().map(|at| at.parse("listen")).collect::<Result<_, _>>()?,
            stack,
            mtu: whole(mtu.unwrap_or(DEFAULT_MTU), 1_280..=9_000, "mtu")?,
            addresses: prefixes(&addresses, "addresses")?,
            uapi,
            shards,
        })
    }
}

pub fn interface_name(name: String, what: &str) -> Result<String, Failure> {
    if name.is_empty() || name.len() > NAME_BYTES || name.contains(['/', '\0', ' ', '%']) {
        return Err(Failure::invalid(format!("{what}: {name:?} is no interface name")));
    }
    Ok(name)
}

fn backend(name: Option<&str>) -> Result<BackendChoice, Failure> {
    match name.unwrap_or("auto") {
        "auto" => Ok(BackendChoice::Auto),
        "namespace" => Ok(BackendChoice::Namespace),
        "netstack" => Ok(BackendChoice::Netstack),
        other => {
            Err(Failure::invalid(format!("backend: {other:?} is not auto, namespace or netstack")))
        }
    }
}

#[napi(object, object_to_js = false)]
pub struct NativePeer {
    pub public_key: Uint8Array,
    pub allowed_ips: Vec<String>,
    pub preshared_key: Option<Uint8Array>,
    pub keepalive_seconds: Option<f64>,
    pub vanilla: Option<bool>,
    pub endpoint: Option<NativeEndpoint>,
}

/// Peers to set, and public keys of those to remove.
pub fn peer_changes(
    set: Vec<NativePeer>,
    removed: &[Uint8Array],
) -> Result<(Vec<PeerConfig>, Vec<PublicKey>), Failure> {
    let set = set.into_iter().map(NativePeer::parse).collect::<Result<_, _>>()?;
    let removed = removed.iter().map(|peer| key(peer, "removed")).collect::<Result<_, _>>()?;
    Ok((set, removed))
}

impl NativePeer {
    pub fn parse(self) -> Result<PeerConfig, Failure> {
        let seconds =
            self.keepalive_seconds.map(|seconds| whole(seconds, 0..=u16::MAX, "keepaliveSeconds"));
        Ok(PeerConfig {
            public_key: key(&self.public_key, "publicKey")?,
            allowed_ips: prefixes(&self.allowed_ips, "allowedIps")?,
            preshared_key: self.preshared_key.map(|psk| key(&psk, "presharedKey")).transpose()?,
            keepalive_seconds: seconds.transpose()?.filter(|seconds| *seconds > 0),
            vanilla: self.vanilla.unwrap_or(false),
            endpoint: self.endpoint.map(|endpoint| endpoint.parse("endpoint")).transpose()?,
        })
    }
}

#[napi(object, object_to_js = false)]
pub struct NativeSide {
    pub slot: f64,
    pub secret: Uint8Array,
}

#[napi(object, object_to_js = false)]
pub struct NativePath {
    pub id: f64,
    pub local: f64,
    pub remote: NativeEndpoint,
    pub session: Option<NativeSide>,
    pub cost_class: f64,
}

impl NativePath {
    pub fn parse(self) -> Result<PathConfig, Failure> {
        let session = |side: NativeSide| -> Result<ForwardSession, Failure> {
            let slot = whole(side.slot, 0..=u32::MAX, "session.slot")?;
            Ok(ForwardSession { slot, secret: key(&side.secret, "session.secret")? })
        };
        Ok(PathConfig {
            id: whole(self.id, 0..=(1 << 31) - 1, "path id")?,
            local: whole(self.local, 0..=u32::MAX, "path local")?,
            remote: self.remote.parse("path remote")?,
            session: self.session.map(session).transpose()?,
            cost_class: whole(self.cost_class, 0..=u8::MAX, "costClass")?,
        })
    }
}

pub fn schedule(mode: &str) -> Result<Schedule, Failure> {
    match mode {
        "latency" => Ok(Schedule::Latency),
        "redundant" => Ok(Schedule::Redundant),
        "balance" => Ok(Schedule::Balance),
        other => {
            Err(Failure::invalid(format!("mode: {other:?} is not latency, redundant or balance")))
        }
    }
}

#[napi(object, object_to_js = false)]
pub struct NativeRule {
    pub protocol: String,
    pub ports: Option<Vec<f64>>,
    pub sources: Option<Vec<String>>,
}

pub fn filter(rules: Vec<NativeRule>) -> Result<FilterConfig, Failure> {
    let allow = rules.into_iter().map(NativeRule::parse).collect::<Result<_, _>>()?;
    Ok(FilterConfig { allow, open: false })
}

impl NativeRule {
    fn parse(self) -> Result<FilterRule, Failure> {
        let protocol = match self.protocol.as_str() {
            "tcp" => FilterProtocol::Tcp,
            "udp" => FilterProtocol::Udp,
            "icmp" => FilterProtocol::Icmp,
            other => {
                return Err(Failure::invalid(format!(
                    "protocol: {other:?} is not tcp, udp or icmp"
                )));
            }
        };
        let ports = match self.ports.as_deref() {
            None => (0, u16::MAX),
            Some([low, high]) => {
                let low = whole(*low, 0..=u16::MAX, "ports")?;
                (low, whole(*high, low..=u16::MAX, "ports")?)
            }
            Some(_) => {
                return Err(Failure::invalid("ports: a rule has a lowest and a highest port"));
            }
        };
        Ok(FilterRule {
            protocol,
            ports,
            sources: prefixes(&self.sources.unwrap_or_default(), "sources")?,
        })
    }
}
