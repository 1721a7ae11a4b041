use super::command::Command;
use super::control::Control;
use super::inbox::Message;
use super::shard::{Shard, ShardOptions};
use super::shared::{Shared, Socket};
use super::{
    Counters, DeviceError, DeviceOptions, DeviceStatus, FilterConfig, InterfaceOptions, PathConfig,
    PeerConfig, PublicKey, Schedule, Sink, SocketInfo,
};
use crate::io::{Destination, SendError, Tun, Udp, UdpOptions};
use crate::noise::Local;
use crate::stun;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{Builder, JoinHandle};

const SHARD: &str = "wireguard-shard";
const CONTROL: &str = "wireguard-ctl";

/// A WireGuard device with its threads. Methods may be called from any thread but not from the event sink; they wait for the
/// control thread, at most for the time of a few handshakes. Dropping it closes it.
pub struct Device {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    public_key: PublicKey,
    interface: Option<String>,
    mtu: u16,
    addresses: Vec<(IpAddr, u8)>,
}

impl Device {
    /// Binds the sockets, makes the interface, starts the threads.
    ///
    /// # Errors
    /// `Invalid` for options that cannot be, `Io` when the kernel refuses the interface or a socket.
    pub fn open(options: DeviceOptions, sink: Sink) -> Result<Self, DeviceError> {
        let mut sockets = Vec::new();
        for (id, local) in (0..).zip(options.listen) {
            let doing = || format!("binding UDP {local}");
            let udp = Udp::bind(local, UdpOptions::default()).map_err(failed(doing()))?;
            let local = udp.local_address().map_err(failed(doing()))?;
            sockets.push(Socket { info: SocketInfo { id, local }, udp });
        }
        if sockets.is_empty() {
            return Err(DeviceError::Invalid("a device needs a socket to listen on".to_owned()));
        }
        let (tun, mtu, addresses, merge_udp) = open_interface(options.interface)?;
        if mtu < 576 {
            return Err(DeviceError::Invalid(format!("an MTU of {mtu} is below 576")));
        }
        let interface = tun.name().map(str::to_owned);
        let local = Arc::new(Local::new(options.private_key));
        let public_key = *local.public().as_bytes();
        let start = failed("starting the device".to_owned());
        let shared = Arc::new(Shared::new(sink, sockets).map_err(&start)?);
        let shard = Shard::new(Arc::clone(&shared), tun, &ShardOptions { mtu, merge_udp });
        let mut shard = shard.map_err(&start)?;
        let mut control = Control::new(Arc::clone(&shared), local, mtu);
        let device = Self {
            shared: Arc::clone(&shared),
            threads: Mutex::default(),
            public_key,
            interface,
            mtu,
            addresses,
        };
        device.start(SHARD, move || shard.run()).map_err(&start)?;
        device
            .start(CONTROL, move || {
                control.run();
                Ok(())
            })
            .map_err(&start)?;
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
        self.shared.sockets.iter().map(|socket| socket.info).collect()
    }

    /// Our public key.
    pub fn public_key(&self) -> PublicKey {
        self.public_key
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
        self.call(move |control| control.update_peers(set, &removed))?
    }

    /// Replaces the candidates of a peer. A path whose id and endpoint are known keeps its state; one that does not work is
    /// tried afresh, so calling this again is the way to ask for a new burst of probes.
    ///
    /// # Errors
    /// `UnknownPeer`, `Invalid` (unknown socket, id ≥ 2^31, a vanilla peer), `TooMany`, or the device is not alive.
    pub fn update_paths(&self, peer: PublicKey, paths: Vec<PathConfig>) -> Result<(), DeviceError> {
        self.call(move |control| control.update_paths(&peer, &paths))?
    }

    /// # Errors
    /// `UnknownPeer`, or the device is not alive.
    pub fn set_schedule(&self, peer: PublicKey, schedule: Schedule) -> Result<(), DeviceError> {
        self.call(move |control| control.set_schedule(&peer, schedule))?
    }

    /// Replaces the packet filter; a device starts with an empty one. Flows that are open stay open only as far as it allows.
    ///
    /// # Errors
    /// The device is not alive.
    pub fn set_filter(&self, filter: FilterConfig) -> Result<(), DeviceError> {
        self.shared.check_alive()?;
        self.shared.commands.push(Command::SetFilter(filter));
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
        match socket.udp.send(bytes, bytes.len(), &Destination::new(to)) {
            Ok(_) | Err(SendError::Dropped) => Ok(()), // as a wire would
            Err(SendError::TooBig) => Err(doing(io::ErrorKind::InvalidInput.into())),
            Err(SendError::Failed(error)) => Err(doing(error)),
        }
    }

    /// # Errors
    /// The device is not alive.
    pub fn status(&self) -> Result<DeviceStatus, DeviceError> {
        let peers = self.call(|control| control.report())?;
        Ok(DeviceStatus {
            public_key: self.public_key,
            interface: self.interface.clone(),
            mtu: self.mtu,
            addresses: self.addresses.clone(),
            sockets: self.sockets(),
            peers,
        })
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

    /// Has the control thread do something, and waits for the answer.
    pub(super) fn call<R: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Control) -> R + Send + 'static,
    ) -> Result<R, DeviceError> {
        self.shared.check_alive()?;
        let (answer, answered) = mpsc::sync_channel(1);
        self.shared.inbox.push(Message::Call(Box::new(move |control| {
            let _ = answer.send(act(control)); // the caller waits below
        })));
        answered.recv().map_err(|_| self.shared.death())
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.close();
    }
}

fn failed(doing: String) -> impl Fn(io::Error) -> DeviceError {
    move |source| DeviceError::Io { doing: doing.clone(), source }
}

type Interface = (Tun, u16, Vec<(IpAddr, u8)>, bool);

fn open_interface(options: InterfaceOptions) -> Result<Interface, DeviceError> {
    match options {
        InterfaceOptions::Tun { name, mtu, mut addresses } => {
            let doing = failed(format!("making the interface {name}"));
            let tun = Tun::open(&name, mtu, &addresses).map_err(doing)?;
            addresses.retain(|(address, _)| !tun.skipped().contains(address));
            let merge_udp = tun.takes_udp_super_frames();
            Ok((tun, mtu, addresses, merge_udp))
        }
        InterfaceOptions::Frames { fd, mtu, addresses, merge_udp } => {
            let tun =
                Tun::from_fd(fd).map_err(failed("taking the frames descriptor".to_owned()))?;
            let merge_udp = merge_udp && tun.takes_udp_super_frames();
            Ok((tun, mtu, addresses, merge_udp))
        }
    }
}
