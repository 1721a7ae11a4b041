use super::known::Known;
use super::link::{Link, Remover, THREAD, Work, failed, lock};
use super::listing::Listing;
use super::wire::FAMILY;
use crate::device::counters::{Counters, MAX_PEERS};
use crate::device::{
    AllowedIpUpdate, DeviceError, DeviceStatus, DeviceUpdate, PeerConfig, PeerUpdate, PublicKey,
    Sink, SocketInfo,
};
use crate::io::{Generic, Netlink};
use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};

const MISSING: &str = "this kernel has no WireGuard, and no module for it: load it by `modprobe wireguard`, or open the \
                       device with `interface: { tun: … }`";

/// What a device of the kernel's is opened with.
pub struct KernelOptions {
    /// Zeros: none yet.
    pub private_key: [u8; 32],
    /// UDP, at all local addresses of both families; 0 takes a free one.
    pub listen_port: u16,
    pub mark: u32,
    pub name: String,
    pub mtu: u16,
    pub addresses: Vec<(IpAddr, u8)>,
}

/// A network interface of Linux's own WireGuard. Methods may be called from any thread but not from the event sink. Closing
/// or dropping it removes the interface; a killed process leaves it behind.
pub struct KernelDevice {
    link: Arc<Link>,
    counters: Arc<Counters>,
    mtu: u16,
    addresses: Vec<(IpAddr, u8)>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl KernelDevice {
    /// Makes the interface, sets it up and brings it up.
    ///
    /// # Errors
    /// `Unsupported` where the kernel has no WireGuard, `Io` when it refuses something else.
    pub fn open(options: KernelOptions, sink: Sink) -> Result<Self, DeviceError> {
        let KernelOptions { private_key, listen_port, mark, name, mtu, mut addresses } = options;
        let missing = || DeviceError::Unsupported(MISSING.to_owned());
        let opening = failed("asking the kernel for WireGuard");
        let generic = Generic::open(FAMILY).map_err(opening)?.ok_or_else(missing)?;
        let mut netlink = Netlink::open().map_err(failed("opening netlink"))?;
        let link = netlink.make(&name, FAMILY, mtu).map_err(|error| match error.kind() {
            io::ErrorKind::Unsupported => missing(),
            _ => failed(format!("making the interface {name}"))(error),
        })?;
        let remover = Remover(link);
        let doing = failed(format!("giving the interface {name} its addresses"));
        let skipped = netlink.add_addresses(link, &addresses).map_err(doing)?;
        addresses.retain(|(address, _)| !skipped.contains(address));
        let bringing = failed(format!("bringing the interface {name} up"));
        let known = Known::default();
        let counters = Arc::clone(&known.counters);
        let inner = Arc::new(Link::new(link, name, Work { generic, known }, sink));
        inner.update(&DeviceUpdate {
            private_key: Some(private_key),
            listen_port: Some(listen_port),
            mark: Some(mark),
            ..DeviceUpdate::default()
        })?;
        netlink.up(link).map_err(bringing)?; // now it binds the port
        let set = addresses.iter().map(|(address, _)| *address);
        netlink.settle(set).map_err(failed("waiting for the addresses"))?;
        let watcher = Arc::clone(&inner);
        let thread = Builder::new()
            .name(THREAD.to_owned())
            .spawn(move || watcher.watch())
            .map_err(failed("starting the device"))?;
        std::mem::forget(remover);
        Ok(Self { link: inner, counters, mtu, addresses, thread: Mutex::new(Some(thread)) })
    }

    /// One for each family, with the port that the kernel uses.
    ///
    /// # Errors
    /// As of [`Self::status`].
    pub fn sockets(&self) -> Result<Vec<SocketInfo>, DeviceError> {
        Ok(sockets(self.link.look()?.listen_port))
    }

    /// Adds or changes the peers in `set`, then cuts those in `removed` (unknown keys are ignored). A peer without an endpoint
    /// keeps the one that it was heard from.
    ///
    /// # Errors
    /// `Unsupported` for a peer that is not vanilla, `TooMany`, `Invalid`, `Io`, or the device is not alive.
    pub fn update_peers(
        &self,
        set: Vec<PeerConfig>,
        removed: Vec<PublicKey>,
    ) -> Result<(), DeviceError> {
        if set.iter().any(|peer| !peer.vanilla) {
            let words = "Linux's WireGuard has one path for each peer and no probes: it takes only peers with `vanilla: true`";
            return Err(DeviceError::Unsupported(words.to_owned()));
        }
        {
            let known = &mut lock(&self.link.work).known;
            let fresh: HashSet<_> =
                set.iter().map(|peer| peer.public_key).filter(|key| !known.has(key)).collect();
            if fresh.len() > known.room() {
                return Err(DeviceError::TooMany { what: "peers", limit: MAX_PEERS });
            }
            for peer in &set {
                if let Some(endpoint) = peer.endpoint {
                    known.set_endpoint(peer.public_key, endpoint);
                }
            }
        }
        let cut = |public_key| PeerUpdate { public_key, remove: true, ..PeerUpdate::default() };
        let peers = set.into_iter().map(whole).chain(removed.into_iter().map(cut)).collect();
        self.link.update(&DeviceUpdate { peers, ..DeviceUpdate::default() })?;
        self.link.look().map(drop)
    }

    /// Carries out a change of key, port, mark or peers.
    ///
    /// # Errors
    /// `Io` when the kernel refuses it, or the device is not alive.
    pub fn update(&self, update: &DeviceUpdate) -> Result<(), DeviceError> {
        self.link.update(update)
    }

    /// Asks the kernel.
    ///
    /// # Errors
    /// `Io` when it does not tell, or the device is not alive.
    pub fn status(&self) -> Result<DeviceStatus, DeviceError> {
        let Listing { public_key, listen_port, mark, peers } = self.link.look()?;
        let known = &lock(&self.link.work).known;
        Ok(DeviceStatus {
            public_key,
            interface: Some(self.link.name.clone()),
            mtu: self.mtu,
            mark,
            addresses: self.addresses.clone(),
            sockets: sockets(listen_port),
            peers: peers.into_iter().map(|peer| known.report(peer, self.mtu)).collect(),
        })
    }

    /// As of the last look: once a second, and at each status. Packets are not counted.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// Removes the interface. A second call does nothing.
    pub fn close(&self) {
        let Some(thread) = lock(&self.thread).take() else { return };
        self.link.close();
        let _ = thread.join(); // it panics nowhere
        drop(Remover(self.link.index));
    }
}

impl Drop for KernelDevice {
    fn drop(&mut self) {
        self.close();
    }
}

fn sockets(port: u16) -> Vec<SocketInfo> {
    let local = |ip: IpAddr| SocketAddr::new(ip, port);
    vec![
        SocketInfo { id: 0, local: local(Ipv4Addr::UNSPECIFIED.into()) },
        SocketInfo { id: 1, local: local(Ipv6Addr::UNSPECIFIED.into()) },
    ]
}

/// All that is said of a peer, and nothing of what was said before.
fn whole(config: PeerConfig) -> PeerUpdate {
    let allow = |(address, prefix)| AllowedIpUpdate { address, prefix, remove: false };
    PeerUpdate {
        public_key: config.public_key,
        preshared_key: Some(config.preshared_key.unwrap_or_default()),
        endpoint: config.endpoint,
        keepalive_seconds: Some(config.keepalive_seconds.unwrap_or_default()),
        replace_allowed_ips: true,
        allowed_ips: config.allowed_ips.into_iter().map(allow).collect(),
        ..PeerUpdate::default()
    }
}
