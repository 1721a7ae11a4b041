//! The netstack: TCP, UDP and ICMP echo over frames, without any help of the kernel.
//!
//! smoltcp holds the state of each TCP connection; around it stand what it lacks: a table from four-tuples to connections,
//! a queue of handshakes, congestion control that knows super-frames, and a rest after the end. Not here: IP fragments
//! (both ways), options beyond TCP's, multicast.

mod alarm;
mod answers;
mod command;
mod echo;
mod flow;
mod flows;
mod frames;
mod governor;
mod handshakes;
pub(crate) mod headers;
mod key;
mod link;
mod listeners;
mod receive;
mod resting;
pub(crate) mod segment;
mod stack;
mod tcp;
mod turns;
mod udp;

use super::{AcceptSink, DatagramSink, EventSink, RootlessError, Stream, StreamEvent};
use crate::io::fd::seqpacket_pair;
use crate::io::{Tun, Waker};
use command::Command;
use echo::Echo;
use frames::Frames;
use link::Link;
use ring::rand::{SecureRandom, SystemRandom};
use stack::{Shared, Stack};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tcp::Tcp;

const MOST_ADDRESSES: usize = 8;
/// The thread answers within the caller's time; this much later it must be gone.
const GRACE: Duration = Duration::from_secs(5);

/// The handle of a running netstack.
pub struct Netstack {
    shared: Arc<Shared>,
    commands: Sender<Command>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Netstack {
    /// Starts the thread. The descriptor is the engine's end.
    pub fn open(
        mtu: u16,
        addresses: &[(IpAddr, u8)],
        events: EventSink,
    ) -> Result<(Self, OwnedFd), RootlessError> {
        let fits = |(address, prefix): &(IpAddr, u8)| {
            !address.is_unspecified()
                && !address.is_multicast()
                && *prefix <= if address.is_ipv4() { 32 } else { 128 }
        };
        if addresses.is_empty() || addresses.len() > MOST_ADDRESSES || !addresses.iter().all(fits) {
            return Err(RootlessError::NoAddress);
        }
        if !(1280..=9000).contains(&mtu) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the MTU is not in 1280..=9000",
            )
            .into());
        }
        let (ours, engines) = seqpacket_pair()?;
        let waker = Arc::new(Waker::new()?);
        let own = addresses.iter().map(|(address, _)| *address).collect();
        let frames = Arc::new(Frames::new(Tun::from_fd(ours)?, own, Arc::clone(&waker)));
        let tcp = Tcp::new(Link::new(Arc::clone(&frames), mtu), addresses);
        let shared = Arc::new(Shared {
            endpoints: udp::Endpoints::new(Arc::clone(&frames), mtu),
            echo: Echo::new(Arc::clone(&frames), tcp.seed() as u32),
            frames,
            waker,
            events,
        });
        let (commands, orders) = channel();
        let stack = Stack::new(Arc::clone(&shared), orders, tcp)?;
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("netstack".to_string())
            .spawn(move || live(stack, &of_thread))?;
        Ok((Self { shared, commands, thread: Mutex::new(Some(thread)) }, engines))
    }

    fn tell(&self, command: Command) -> Result<(), RootlessError> {
        self.commands.send(command).map_err(|_| RootlessError::Closed)?;
        self.shared.waker.wake();
        Ok(())
    }

    pub fn dial_tcp(&self, to: SocketAddr, timeout: Duration) -> Result<Stream, RootlessError> {
        let (reply, answer) = channel();
        self.tell(Command::Dial { to, timeout, reply })?;
        wait(&answer, timeout + GRACE)
    }

    pub fn listen_tcp(
        &self,
        at: SocketAddr,
        accept: AcceptSink,
    ) -> Result<SocketAddr, RootlessError> {
        let (reply, answer) = channel();
        self.tell(Command::Listen { at, accept, reply })?;
        wait(&answer, GRACE)
    }

    pub fn unlisten(&self, at: SocketAddr) {
        let _ = self.tell(Command::Unlisten { at }); // a closed stack listens nowhere
    }

    pub fn reset(&self, stream: u64) {
        let _ = self.tell(Command::Reset { stream }); // a closed stack has reset all
    }

    pub fn bind_udp(
        &self,
        at: SocketAddr,
        receive: DatagramSink,
    ) -> Result<SocketAddr, RootlessError> {
        let mut start = [0; 2];
        let _ = SystemRandom::new().fill(&mut start); // a port that is easier to guess harms nobody
        self.shared.endpoints.bind(at, u16::from_ne_bytes(start), receive)
    }

    pub fn send_udp(
        &self,
        from: SocketAddr,
        to: SocketAddr,
        bytes: &[u8],
    ) -> Result<(), RootlessError> {
        self.shared.endpoints.send(from, to, bytes)
    }

    pub fn unbind_udp(&self, at: SocketAddr) {
        self.shared.endpoints.unbind(&at);
    }

    pub fn ping(&self, to: IpAddr, timeout: Duration) -> Result<Duration, RootlessError> {
        self.shared.echo.ping(to, timeout)
    }

    pub fn close(&self) {
        let _ = self.tell(Command::Close); // fails when the thread has ended already
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join(); // its panics are caught and told inside
        }
    }
}

fn wait<T>(
    answer: &Receiver<Result<T, RootlessError>>,
    patience: Duration,
) -> Result<T, RootlessError> {
    match answer.recv_timeout(patience) {
        Ok(result) => result,
        Err(RecvTimeoutError::Timeout) => Err(RootlessError::TimedOut),
        Err(RecvTimeoutError::Disconnected) => Err(RootlessError::Closed),
    }
}

/// The thread's life: a panic becomes an event, and the end ends all who wait.
fn live(mut stack: Stack, shared: &Shared) {
    match catch_unwind(AssertUnwindSafe(|| stack.run())) {
        Ok(_) => stack.abort_all(), // closed by us or by the engine
        Err(panic) => {
            let message = turns::words_of(&*panic);
            (shared.events)(StreamEvent::Panic { thread: "netstack", message });
        }
    }
    shared.endpoints.clear();
    shared.echo.pings.close();
}
