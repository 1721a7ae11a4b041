//! The process that carries the packets.

use super::background::READY;
use crate::device::{
    Device, DeviceError, DeviceOptions, Event, FilterConfig, InterfaceOptions, Sink, SocketOptions,
};
use crate::io::{
    EndSignals, Events, Interest, Poller, Waker, interface_index, leave_session, let_go_of_streams,
};
use crate::uapi::{FOLDER, Uapi, Where};
use std::env;
use std::error::Error;
use std::io::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// For WireGuard over IPv6 in Ethernet, as all implementations have it until it is set.
const MTU: u16 = 1420;
/// How often it is looked whether the socket is still there.
const LOOK: Duration = Duration::from_secs(1);
const SIGNAL: u64 = 0;
const DEATH: u64 = 1;

/// Serves until the end. `awaited`: somebody reads from our standard output whether we are ready.
pub fn serve(interface: &str, threads: usize, awaited: bool) -> Result<(), Box<dyn Error>> {
    if awaited {
        leave_session()?;
        env::set_current_dir("/")?;
    }
    let verbose = matches!(env::var("LOG_LEVEL").as_deref(), Ok("verbose" | "debug"));
    let silent = matches!(env::var("LOG_LEVEL").as_deref(), Ok("silent"));
    let signals = EndSignals::take()?; // before there are threads
    let death = Arc::new(Death { waker: Waker::new()?, message: Mutex::default() });
    let device = Arc::new(open(interface, threads, sink(interface, verbose, Arc::clone(&death)))?);
    device.set_filter(FilterConfig { open: true, ..FilterConfig::default() })?;
    let place = Where { folder: Path::new(FOLDER), interface };
    let uapi = Uapi::open(Arc::clone(&device), place)?;
    if awaited {
        io::stdout().write_all(READY)?;
        io::stdout().flush()?;
        let_go_of_streams(verbose && !silent)?;
    }
    let (poller, mut events) = (Poller::new()?, Events::new());
    poller.add(&signals, SIGNAL, Interest::Read)?;
    poller.add(&death.waker, DEATH, Interest::Read)?;
    while uapi.is_reachable() && signals.next().is_none() {
        let message = death.message.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(message) = message {
            // Who deletes the interface wants the end of this.
            return if interface_index(interface).is_some() { Err(message.into()) } else { Ok(()) };
        }
        poller.wait(&mut events, Some(LOOK))?;
    }
    uapi.close();
    device.close();
    Ok(())
}

/// How the device failed, if it did.
struct Death {
    waker: Waker,
    message: Mutex<Option<String>>,
}

/// Both families at one port; only IPv4 where the machine has no IPv6.
fn open(interface: &str, threads: usize, sink: Sink) -> Result<Device, DeviceError> {
    let both = [(Ipv4Addr::UNSPECIFIED, 0).into(), (Ipv6Addr::UNSPECIFIED, 0).into()];
    let attempt = |listen: &[_]| {
        let options = DeviceOptions {
            private_key: [0; 32],
            listen: listen.to_vec(),
            sockets: SocketOptions { fragment: true, one_port: true, ..SocketOptions::default() },
            interface: InterfaceOptions::Plain { name: interface.to_owned(), mtu: MTU },
            shards: threads,
        };
        Device::open(options, Arc::clone(&sink))
    };
    match attempt(&both) {
        Err(DeviceError::Io { source, .. })
            if [Some(libc::EAFNOSUPPORT), Some(libc::EADDRNOTAVAIL)]
                .contains(&source.raw_os_error()) =>
        {
            attempt(&both[..1])
        }
        other => other,
    }
}

fn sink(interface: &str, verbose: bool, death: Arc<Death>) -> Sink {
    let interface = interface.to_owned();
    Arc::new(move |event| {
        if let Event::Panic { thread, message } = &event {
            let mut known = death.message.lock().unwrap_or_else(PoisonError::into_inner);
            known.get_or_insert_with(|| format!("{thread}: {message}"));
            drop(known);
            death.waker.wake();
        }
        if verbose && let Some(words) = words(&event) {
            let _ = writeln!(io::stderr(), "node-wireguard: {interface}: {words}");
        }
    })
}

/// What an event says to a person; nothing for those of the mesh.
fn words(event: &Event) -> Option<String> {
    let name = |key: &[u8; 32]| format!("{:?}", crate::noise::PublicKey(*key));
    Some(match event {
        Event::Handshake { peer } => format!("a session with peer {} is in use", name(peer)),
        Event::HandshakeFailed { peer } => {
            format!("peer {} has not answered for 90 s; what waited for it is dropped", name(peer))
        }
        Event::Endpoint { peer, remote } => format!("peer {} is at {remote} now", name(peer)),
        Event::NoPath { peer } => format!("no endpoint of peer {} is known", name(peer)),
        Event::SocketError { message, .. } => format!("socket: {message}"),
        Event::Panic { thread, message } => format!("{thread} has ended: {message}"),
        _ => return None,
    })
}
