use super::PublicKey;
use std::net::{IpAddr, SocketAddr};

pub use crate::path::PathState;

/// A local UDP socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketInfo {
    pub id: u32,
    pub local: SocketAddr,
}

/// The device at one moment.
#[derive(Clone, Debug)]
pub struct DeviceStatus {
    pub public_key: PublicKey,
    /// The name of the network interface; none if the frames descriptor is a socket.
    pub interface: Option<String>,
    pub mtu: u16,
    /// Of the sockets' packets (SO_MARK); 0: none.
    pub mark: u32,
    pub addresses: Vec<(IpAddr, u8)>,
    pub sockets: Vec<SocketInfo>,
    pub peers: Vec<PeerStatus>,
}

#[derive(Clone, Debug)]
pub struct PeerStatus {
    pub public_key: PublicKey,
    pub vanilla: bool,
    /// Milliseconds since the last completed handshake.
    pub last_handshake_ms: Option<u64>,
    /// Bytes of UDP payload that carried authentic messages of this peer, and that were sent to it.
    pub rx_bytes: u64,
    pub tx_bytes: u64,
    /// Where its block stands in `Device::counters`, in words.
    pub counters: usize,
    /// Networks that are its own now, in the order in which it was given them.
    pub allowed_ips: Vec<(IpAddr, u8)>,
    pub keepalive_seconds: Option<u16>,
    pub has_preshared_key: bool,
    pub paths: Vec<PathStatus>,
}

#[derive(Clone, Debug)]
pub struct PathStatus {
    pub id: u32,
    pub local: u32,
    pub remote: SocketAddr,
    pub relayed: bool,
    pub cost_class: u8,
    pub state: PathState,
    pub active: bool,
    /// Smoothed round trip and its variation, microseconds.
    pub rtt_us: Option<u32>,
    pub jitter_us: u32,
    /// Share of lost probes and packets, 0 to 1.
    pub loss: f32,
    /// Largest inner packet that goes through, bytes.
    pub mtu: u16,
    /// Whether batches leave in one call; false after they were lost where single datagrams get through.
    pub offload: bool,
    pub rx_bytes: u64,
    pub tx_bytes: u64,
    /// Where its block stands in `Device::counters`, in words.
    pub counters: usize,
}
