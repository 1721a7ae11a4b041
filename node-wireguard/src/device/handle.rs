use super::{
    Counters, DeviceError, DeviceOptions, DeviceStatus, FilterConfig, PathConfig, PeerConfig,
    PublicKey, Schedule, Sink, SocketInfo,
};
use std::net::SocketAddr;
use std::sync::Arc;

/// A WireGuard device with its threads. Methods may be called from any thread; they wait for the control thread, at most for
/// the time of one handshake. Dropping it closes it.
pub struct Device {
    counters: Arc<Counters>,
}

impl Device {
    /// Binds the sockets, makes the interface, starts the threads.
    ///
    /// # Errors
    /// `Invalid` for options that cannot be, `Io` when the kernel refuses the interface or a socket.
    pub fn open(_options: DeviceOptions, _sink: Sink) -> Result<Self, DeviceError> {
        Err(DeviceError::Closed)
    }

    /// The local sockets, with the ports that they got.
    pub fn sockets(&self) -> Vec<SocketInfo> {
        Vec::new()
    }

    /// Adds or changes the peers in `set`, then cuts those in `removed` (unknown keys are ignored). Our own key is ignored as a peer.
    ///
    /// # Errors
    /// `Invalid`, `TooMany`, or the device is not alive.
    pub fn update_peers(
        &self,
        _set: Vec<PeerConfig>,
        _removed: Vec<PublicKey>,
    ) -> Result<(), DeviceError> {
        Err(DeviceError::Closed)
    }

    /// Replaces the candidates of a peer. A path whose id is known keeps its state if nothing but its cost class changed.
    ///
    /// # Errors
    /// `UnknownPeer`, `Invalid` (unknown socket, id ≥ 2^31, a vanilla peer), `TooMany`, or the device is not alive.
    pub fn update_paths(
        &self,
        _peer: PublicKey,
        _paths: Vec<PathConfig>,
    ) -> Result<(), DeviceError> {
        Err(DeviceError::Closed)
    }

    /// # Errors
    /// `UnknownPeer`, or the device is not alive.
    pub fn set_schedule(&self, _peer: PublicKey, _schedule: Schedule) -> Result<(), DeviceError> {
        Err(DeviceError::Closed)
    }

    /// Replaces the packet filter; a device starts with an empty one. Flows that are open stay open only as far as it allows.
    ///
    /// # Errors
    /// The device is not alive.
    pub fn set_filter(&self, _filter: FilterConfig) -> Result<(), DeviceError> {
        Err(DeviceError::Closed)
    }

    /// Sends a STUN message (at most 1,280 bytes) by a socket of the device.
    ///
    /// # Errors
    /// `Invalid` when it is none or the socket unknown, `Io` when the kernel refuses it.
    pub fn send_control(
        &self,
        _socket: u32,
        _to: SocketAddr,
        _bytes: &[u8],
    ) -> Result<(), DeviceError> {
        Err(DeviceError::Closed)
    }

    /// # Errors
    /// The device is not alive.
    pub fn status(&self) -> Result<DeviceStatus, DeviceError> {
        Err(DeviceError::Closed)
    }

    /// The shared counters, readable after the device has gone.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// Stops and joins the threads, closes sockets and interface. A second call does nothing.
    pub fn close(&self) {}
}
