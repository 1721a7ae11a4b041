//! The state of a device or a forwarder, as `status.ts` describes it.

use super::value::{NativeEndpoint, prefix_text};
use crate::device::{DeviceStatus, PathState, PathStatus, PeerStatus, SocketInfo};
use crate::forwarder::{ForwarderStatus, SessionStatus, SideStatus, TotalsStatus};
use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;

#[napi(object, object_from_js = false)]
pub struct NativeSocket {
    pub id: u32,
    pub address: String,
    pub port: u32,
}

impl From<SocketInfo> for NativeSocket {
    fn from(SocketInfo { id, local }: SocketInfo) -> Self {
        Self { id, address: local.ip().to_string(), port: local.port().into() }
    }
}

#[napi(object, object_from_js = false)]
pub struct NativeDeviceStatus {
    pub public_key: Uint8Array,
    pub mtu: u32,
    pub fwmark: u32,
    pub addresses: Vec<String>,
    pub sockets: Vec<NativeSocket>,
    pub peers: Vec<NativePeerStatus>,
}

#[napi(object, object_from_js = false)]
pub struct NativePeerStatus {
    pub public_key: Uint8Array,
    pub vanilla: bool,
    pub last_handshake_ms: Option<f64>,
    pub rx_bytes: f64,
    pub tx_bytes: f64,
    pub counters: u32,
    pub allowed_ips: Vec<String>,
    pub keepalive_seconds: Option<u32>,
    pub has_preshared_key: bool,
    pub paths: Vec<NativePathStatus>,
}

#[napi(object, object_from_js = false)]
pub struct NativePathStatus {
    pub id: u32,
    pub local: u32,
    pub remote: NativeEndpoint,
    pub relayed: bool,
    pub cost_class: u32,
    pub state: &'static str,
    pub active: bool,
    pub rtt_ms: Option<f64>,
    pub jitter_ms: f64,
    pub loss_ratio: f64,
    pub mtu: u32,
    pub offload: bool,
    pub rx_bytes: f64,
    pub tx_bytes: f64,
    pub counters: u32,
}

pub fn state_name(state: PathState) -> &'static str {
    match state {
        PathState::Probing => "probing",
        PathState::Active => "active",
        PathState::Standby => "standby",
        PathState::Suspect => "suspect",
        PathState::Down => "down",
    }
}

fn milliseconds(micros: u32) -> f64 {
    f64::from(micros) / 1_000.0
}

impl From<DeviceStatus> for NativeDeviceStatus {
    fn from(status: DeviceStatus) -> Self {
        Self {
            public_key: status.public_key.to_vec().into(),
            mtu: status.mtu.into(),
            fwmark: status.mark,
            addresses: status.addresses.iter().map(prefix_text).collect(),
            sockets: status.sockets.into_iter().map(Into::into).collect(),
            peers: status.peers.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<PeerStatus> for NativePeerStatus {
    fn from(peer: PeerStatus) -> Self {
        Self {
            public_key: peer.public_key.to_vec().into(),
            vanilla: peer.vanilla,
            last_handshake_ms: peer.last_handshake_ms.map(|ms| ms as f64),
            rx_bytes: peer.rx_bytes as f64,
            tx_bytes: peer.tx_bytes as f64,
            counters: peer.counters as u32,
            allowed_ips: peer.allowed_ips.iter().map(prefix_text).collect(),
            keepalive_seconds: peer.keepalive_seconds.map(Into::into),
            has_preshared_key: peer.has_preshared_key,
            paths: peer.paths.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<PathStatus> for NativePathStatus {
    fn from(path: PathStatus) -> Self {
        Self {
            id: path.id,
            local: path.local,
            remote: path.remote.into(),
            relayed: path.relayed,
            cost_class: path.cost_class.into(),
            state: state_name(path.state),
            active: path.active,
            rtt_ms: path.rtt_us.map(milliseconds),
            jitter_ms: milliseconds(path.jitter_us),
            loss_ratio: path.loss.into(),
            mtu: path.mtu.into(),
            offload: path.offload,
            rx_bytes: path.rx_bytes as f64,
            tx_bytes: path.tx_bytes as f64,
            counters: path.counters as u32,
        }
    }
}

#[napi(object, object_from_js = false)]
pub struct NativeForwarderStatus {
    pub sessions: Vec<NativeSessionStatus>,
    pub totals: NativeTotals,
}

#[napi(object, object_from_js = false)]
pub struct NativeSessionStatus {
    pub id: String,
    pub left_ms: f64,
    pub quota_left_bytes: Option<f64>,
    pub a: NativeSideStatus,
    pub b: NativeSideStatus,
}

#[napi(object, object_from_js = false)]
pub struct NativeSideStatus {
    pub slot: u32,
    pub bound: Option<NativeEndpoint>,
    pub packets: f64,
    pub bytes: f64,
    pub dropped: f64,
}

#[napi(object, object_from_js = false)]
pub struct NativeTotals {
    pub packets: f64,
    pub bytes: f64,
    pub dropped: f64,
    pub stun: f64,
    pub cookies: f64,
    pub bound: f64,
    pub refused: f64,
    pub limited: f64,
    pub ignored: f64,
}

impl From<ForwarderStatus> for NativeForwarderStatus {
    fn from(status: ForwarderStatus) -> Self {
        Self {
            sessions: status.sessions.into_iter().map(Into::into).collect(),
            totals: status.totals.into(),
        }
    }
}

impl From<SessionStatus> for NativeSessionStatus {
    fn from(session: SessionStatus) -> Self {
        let [a, b] = session.sides.map(Into::into);
        let quota_left_bytes = session.quota_left.map(|bytes| bytes as f64);
        Self { id: session.id, left_ms: session.left_ms as f64, quota_left_bytes, a, b }
    }
}

impl From<SideStatus> for NativeSideStatus {
    fn from(side: SideStatus) -> Self {
        Self {
            slot: side.slot,
            bound: side.bound.map(Into::into),
            packets: side.packets as f64,
            bytes: side.bytes as f64,
            dropped: side.dropped as f64,
        }
    }
}

impl From<TotalsStatus> for NativeTotals {
    fn from(totals: TotalsStatus) -> Self {
        Self {
            packets: totals.packets as f64,
            bytes: totals.bytes as f64,
            dropped: totals.dropped as f64,
            stun: totals.stun as f64,
            cookies: totals.cookies as f64,
            bound: totals.bound as f64,
            refused: totals.refused as f64,
            limited: totals.limited as f64,
            ignored: totals.ignored as f64,
        }
    }
}
