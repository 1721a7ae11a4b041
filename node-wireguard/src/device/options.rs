use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

pub use super::sockets::SocketOptions;
pub use crate::path::Schedule;

/// An X25519 public key; it names a peer everywhere in this face.
pub type PublicKey = [u8; 32];

/// What a device is opened with.
pub struct DeviceOptions {
    /// Zeros: none yet. No handshake is made or taken until there is one.
    pub private_key: [u8; 32],
    /// Local addresses to bind, one UDP socket each, in the order of `Device::sockets`; port 0 takes a free one.
    pub listen: Vec<SocketAddr>,
    pub sockets: SocketOptions,
    pub interface: InterfaceOptions,
    /// Threads that move packets, 1 to `MAX_SHARDS`; more than one only with a kernel TUN. One peer's packets come in by one of
    /// them; what goes out is spread by flows.
    pub shards: usize,
}

/// More threads than this wait for each other.
pub const MAX_SHARDS: usize = 8;

/// Where inner packets come from and go to.
pub enum InterfaceOptions {
    /// A kernel TUN made and configured by this device; needs CAP_NET_ADMIN.
    Tun { name: String, mtu: u16, addresses: Vec<(IpAddr, u8)> },
    /// A kernel TUN that is only made: addresses and "up" are somebody else's business, who may also change its MTU.
    Plain { name: String, mtu: u16 },
    /// Frames (10-byte vnet header and packet) on a descriptor that somebody else made: a TUN from another namespace,
    /// or one end of a datagram socket pair whose other end is a network stack.
    Frames {
        fd: OwnedFd,
        mtu: u16,
        addresses: Vec<(IpAddr, u8)>,
        /// Whether the other end understands UDP super-frames (a TUN does, a small stack does not).
        merge_udp: bool,
    },
}

/// One peer, whole: what is not said is not there any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerConfig {
    pub public_key: PublicKey,
    /// Inner networks whose packets go to this peer and may come from it: address and prefix length.
    pub allowed_ips: Vec<(IpAddr, u8)>,
    pub preshared_key: Option<[u8; 32]>,
    /// Seconds between keepalives while nothing else is sent; none: off.
    pub keepalive_seconds: Option<u16>,
    /// Another implementation: no probes, one path, classic roaming.
    pub vanilla: bool,
    /// Where a vanilla peer is at first; ours get their paths by `Device::update_paths`.
    pub endpoint: Option<SocketAddr>,
}

/// A candidate way to a peer. The engine probes it and decides when to use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathConfig {
    /// The caller's name for it, below 2^31 (the engine numbers those it finds itself from there).
    pub id: u32,
    /// The id of the local socket it leaves by.
    pub local: u32,
    pub remote: SocketAddr,
    /// Set when `remote` is a forwarder: what it prefixes and proves.
    pub session: Option<ForwardSession>,
    /// 0 for direct; a path of a lower class is preferred as long as it works.
    pub cost_class: u8,
}

/// Our half of a session at a forwarder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardSession {
    /// Our slot, which the forwarder knows this half by.
    pub slot: u32,
    pub secret: [u8; 32],
}
