use super::command::Command;
use super::control::{Control, ControlOptions};
use super::flood::Defence;
use super::identity::{identity, no_randomness};
use super::interface::{Interface, open_interface};
use super::link;
use super::shard::{Shard, ShardOptions};
use super::shared::Shared;
use super::sockets;
use super::ways::Ways;
use super::{
    Configuration, Counters, DeviceError, DeviceOptions, DeviceStatus, DeviceUpdate, FilterConfig,
    MAX_SHARDS, PathConfig, PeerConfig, PublicKey, Schedule, Sink, SocketInfo, SocketOptions,
};
use crate::filter::Filter;
use crate::io::{Destination, SendError, Tun};
use crate::stun;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

const SHARD: &str = "wireguard-shard";
const CONTROL: &str = "wireguard-ctl";
const LINK: &str = "wireguard-link";

/// A WireGuard device with its threads. Methods may be called from any thread but not from the event sink; they wait for the
/// control thread, at most for the time of a few handshakes. Dropping it closes it.
pub struct Device {
    pub(super) shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    interface: Option<String>,
    addresses: Vec<(IpAddr, u8)>,
}

impl Device {
    /// Binds the sockets, makes the interface, starts the threads.
    ///
    /// # Errors
    /// `Invalid` for options that cannot be, `Io` when the kernel refuses the interface or a socket.
    pub fn open(options: DeviceOptions, sink: Sink) -> Result<Self, DeviceError> {
        let shards = options.shards;
        if !(1..=MAX_SHARDS).contains(&shards) {
            return Err(DeviceError::Invalid(format!(
                "{shards} shards: 1 to {MAX_SHARDS} there are"
            )));
        }
        let how = SocketOptions { shards, ..options.sockets };
        let sockets = sockets::bind_all(&options.listen, &how)?;
        if sockets.is_empty() {
            return Err(DeviceError::Invalid("a device needs a socket to listen on".to_owned()));
        }
        let (local, keyless) = identity(options.private_key)?;
        let Interface { queues, mtu, addresses, merge_udp, mut watch } =
            open_interface(options.interface, shards)?;
        if mtu < 576 {
            return Err(DeviceError::Invalid(format!("an MTU of {mtu} is below 576")));
        }
        let interface = queues.first().and_then(Tun::name).map(str::to_owned);
        let start = failed("starting the device".to_owned());
        let shared = Arc::new(Shared::new(sink, sockets.into(), shards).map_err(&start)?);
        if !keyless {
            shared.set_public_key(*local.public().as_bytes());
        }
        let filter = Arc::new(Mutex::new(Filter::new(&FilterConfig::default())));
        let shard = |(number, tun)| {
            let (filter, local) = (Arc::clone(&filter), Arc::clone(&local));
            let options = ShardOptions { number, mtu, merge_udp, filter, local };
            Shard::new(Arc::clone(&shared), tun, options)
        };
        let all: io::Result<Vec<Shard>> = queues.into_iter().enumerate().map(shard).collect();
        let all = all.map_err(&start)?;
        let link_up = watch.is_none();
        let ways = watch.is_some().then(Ways::open).transpose().map_err(&start)?;
        let sockets = how;
        let defence = Defence::new().map_err(no_randomness)?;
        let options = ControlOptions { mtu, keyless, link_up, sockets, ways, defence };
        let mut control = Control::new(Arc::clone(&shared), local, options);
        let device =
            Self { shared: Arc::clone(&shared), threads: Mutex::default(), interface, addresses };
        for mut shard in all {
            device.start(SHARD, move || shard.run()).map_err(&start)?;
        }
        device
            .start(CONTROL, move || {
                control.run();
                Ok(())
            })
            .map_err(&start)?;
        if let Some(mut link) = watch.take() {
            let shared = Arc::clone(&shared);
            device.start(LINK, move || link::watch(&shared, &mut link)).map_err(&start)?;
        }
        Ok(device)
    }

    fn start(
        &self,
        name: &'static str,
        life: impl FnOnce() -> io::Result<()> + Send + 'static,
    ) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let thread = Builder::new().name(name.to_owned()).spawn(move || {
            shared.guard(name, life);
            if name == CONTROL {
                shared.inbox.close();
            }
        })?;
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        Ok(())
    }

    /// The local sockets, with the ports that they got.
    pub fn sockets(&self) -> Vec<SocketInfo> {
        self.shared.sockets().iter().map(|socket| socket.info).collect()
    }

    /// The name of the network interface; none if the frames descriptor is a socket.
    pub fn interface(&self) -> Option<&str> {
        self.interface.as_deref()
    }

    /// Our public key; zeros while there is none.
    pub fn public_key(&self) -> PublicKey {
        self.shared.public_key()
    }

    /// Carries out a change, all of it or nothing.
    ///
    /// # Errors
    /// `Invalid`, `TooMany`, `Io` when the port is taken or the mark forbidden, or the device is not alive.
    pub fn update(&self, update: DeviceUpdate) -> Result<(), DeviceError> {
        self.shared.call(move |control| control.update(update))?
    }

    /// Adds or changes the peers in `set`, then cuts those in `removed` (unknown keys are ignored). Our own key is ignored as a
    /// peer. A network that two peers claim belongs to the later one.
    ///
    /// # Errors
    /// `Invalid`, `TooMany`, or the device is not alive.
    pub fn update_peers(
        &self,
        set: Vec<PeerConfig>,
        removed: Vec<PublicKey>,
    ) -> Result<(), DeviceError> {
        self.shared.call(move |control| control.update_peers(set, &removed))?
    }

    /// Replaces the candidates of a peer. A path whose id and endpoint are known keeps its state; one that does not work is
    /// tried afresh, so calling this again is the way to ask for a new burst of probes.
    ///
    /// # Errors
    /// `UnknownPeer`, `Invalid` (unknown socket, id ≥ 2^31, a vanilla peer), `TooMany`, or the device is not alive.
    pub fn update_paths(&self, peer: PublicKey, paths: Vec<PathConfig>) -> Result<(), DeviceError> {
        self.shared.call(move |control| control.update_paths(&peer, &paths))?
    }

    /// # Errors
    /// `UnknownPeer`, or the device is not alive.
    pub fn set_schedule(&self, peer: PublicKey, schedule: Schedule) -> Result<(), DeviceError> {
        self.shared.call(move |control| control.set_schedule(&peer, schedule))?
    }

    /// Replaces the packet filter; a device starts with an empty one. Flows that are open stay open only as far as it allows.
    ///
    /// # Errors
    /// The device is not alive.
    pub fn set_filter(&self, filter: FilterConfig) -> Result<(), DeviceError> {
        self.shared.check_alive()?;
        self.shared.command(Command::SetFilter(filter));
        Ok(())
    }

    /// Sends a STUN message (at most 1,280 bytes) by a socket of the device.
    ///
    /// # Errors
    /// `Invalid` when it is none or the socket unknown, `Io` when the kernel refuses it.
    pub fn send_control(
        &self,
        socket: u32,
        to: SocketAddr,
        bytes: &[u8],
    ) -> Result<(), DeviceError> {
        self.shared.check_alive()?;
        let invalid = |words: &str| DeviceError::Invalid(words.to_owned());
        if bytes.len() > stun::MAX_LENGTH || !stun::is_stun(bytes) {
            return Err(invalid("only STUN messages of at most 1280 bytes are sent"));
        }
        let socket = self.shared.socket(socket).ok_or_else(|| invalid("no such socket"))?;
        let doing = failed(format!("sending to {to}"));
        match socket.of(0).send(bytes, bytes.len(), &Destination::new(to)) {
            Ok(_) | Err(SendError::Dropped) => Ok(()), // as a wire would
            Err(SendError::TooBig) => Err(doing(io::ErrorKind::InvalidInput.into())),
            Err(SendError::Failed(error)) => Err(doing(error)),
        }
    }

    /// # Errors
    /// The device is not alive.
    pub fn status(&self) -> Result<DeviceStatus, DeviceError> {
        let (peers, mtu, mark) = self
            .shared
            .call(|control| (control.report(), control.mtu, control.socket_options.mark))?;
        Ok(DeviceStatus {
            public_key: self.public_key(),
            interface: self.interface.clone(),
            mtu,
            mark,
            addresses: self.addresses.clone(),
            sockets: self.sockets(),
            peers,
        })
    }

    /// How it is set, secrets included.
    ///
    /// # Errors
    /// The device is not alive.
    pub fn configuration(&self) -> Result<Configuration, DeviceError> {
        self.shared.call(|control| control.configuration())
    }

    /// The shared counters, readable after the device has gone.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.shared.counters)
    }

    /// Stops and joins the threads, and closes the interface with them. A second call does nothing.
    pub fn close(&self) {
        self.shared.close();
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // Its panic, if it had one, has been told.
            let _ = thread.join();
        }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.close();
    }
}

pub(super) fn failed(doing: String) -> impl Fn(io::Error) -> DeviceError {
    move |source| DeviceError::Io { doing: doing.clone(), source }
}
