use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::error::ForwarderError;
use super::limiter::{Millis, Rate};
use super::pump::Pump;
use super::session::{SessionConfig, SessionStatus};
use super::table::Table;
use super::totals::{Totals, TotalsStatus};
use crate::io::clock::boottime_us;
use crate::io::{Udp, UdpOptions, Waker};

/// What strangers of one IPv4 address or IPv6 /64 may ask.
pub const STRANGERS: Rate = Rate { per_second: 50, burst: 200 };

pub struct ForwarderOptions {
    /// Local addresses to bind; port 0 takes a free one.
    pub listen: Vec<SocketAddr>,
    /// Whether it answers STUN on the same sockets.
    pub stun: bool,
    /// Usually `STRANGERS`.
    pub strangers: Rate,
}

/// Told once, when the thread has panicked or its sockets have failed for good.
pub type FailureSink = Arc<dyn Fn(&str) + Send + Sync>;

#[derive(Clone, Debug)]
pub struct ForwarderStatus {
    pub sessions: Vec<SessionStatus>,
    pub totals: TotalsStatus,
}

/// A forwarder with its thread. Dropping it closes it.
pub struct Forwarder {
    shared: Arc<Shared>,
    addresses: Vec<SocketAddr>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What the thread and its owner both hold.
pub(super) struct Shared {
    pub table: Mutex<Table>,
    pub totals: Totals,
    pub waker: Waker,
    pub stopping: AtomicBool,
    failure: Mutex<Option<String>>,
}

impl Forwarder {
    /// Binds the sockets and starts the thread.
    ///
    /// # Errors
    /// `NoAddress` without one, `Io` when the kernel refuses a socket or the thread.
    pub fn open(options: ForwarderOptions, sink: FailureSink) -> Result<Self, ForwarderError> {
        if options.listen.is_empty() {
            return Err(ForwarderError::NoAddress);
        }
        let mut sockets = Vec::new();
        let mut addresses = Vec::new();
        for local in &options.listen {
            let io = |source| ForwarderError::Io { doing: format!("cannot bind {local}"), source };
            let socket = Udp::bind(*local, UdpOptions::default()).map_err(io)?;
            addresses.push(socket.local_address().map_err(io)?);
            sockets.push(socket);
        }
        let io = |source| ForwarderError::Io { doing: "cannot start the forwarder".into(), source };
        let shared = Arc::new(Shared {
            table: Mutex::default(),
            totals: Totals::default(),
            waker: Waker::new().map_err(io)?,
            stopping: AtomicBool::new(false),
            failure: Mutex::default(),
        });
        let pump = Pump::new(sockets, &options, Arc::clone(&shared)).map_err(io)?;
        let thread = {
            let shared = Arc::clone(&shared);
            let run = move || run(pump, &shared, &sink);
            std::thread::Builder::new().name("wireguard-fwd".into()).spawn(run).map_err(io)?
        };
        Ok(Self { shared, addresses, thread: Mutex::new(Some(thread)) })
    }

    /// Where it listens, in the order of the options, with the ports that it got.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Removes sessions, then adds others, all or nothing. When it returns, no datagram of a removed session goes on any more.
    /// Adding a session whose id, slots and secrets are known prolongs it and sets its quota anew.
    ///
    /// # Errors
    /// `SlotTaken`, `Lifetime`, `TooMany`, or the forwarder is not alive.
    pub fn set_sessions(
        &self,
        add: Vec<SessionConfig>,
        remove: &[String],
    ) -> Result<(), ForwarderError> {
        self.live_table()?.update(add, remove, self.shared.now())
    }

    /// # Errors
    /// The forwarder is not alive.
    pub fn status(&self) -> Result<ForwarderStatus, ForwarderError> {
        let sessions = self.live_table()?.status(self.shared.now());
        Ok(ForwarderStatus { sessions, totals: self.shared.totals.status() })
    }

    /// Stops and joins the thread, closes the sockets. A second call does nothing.
    pub fn close(&self) {
        self.shared.stopping.store(true, Ordering::Release);
        self.shared.waker.wake();
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread {
            // What it panicked with, if it did, has been told already.
            let _ = thread.join();
        }
    }

    fn live_table(&self) -> Result<MutexGuard<'_, Table>, ForwarderError> {
        if self.shared.stopping.load(Ordering::Acquire) {
            return Err(ForwarderError::Closed);
        }
        match &*lock(&self.shared.failure) {
            Some(message) => Err(ForwarderError::Failed(message.clone())),
            None => Ok(lock(&self.shared.table)),
        }
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    /// Milliseconds since the machine was started, its sleep included.
    pub fn now(&self) -> Millis {
        boottime_us() / 1_000
    }
}

/// A panic elsewhere leaves the data whole enough to be told; who needs more asks `failure`.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run(mut pump: Pump, shared: &Shared, sink: &FailureSink) {
    let message = match catch_unwind(AssertUnwindSafe(|| pump.run())) {
        Ok(Ok(())) => return,
        Ok(Err(error)) => format!("the forwarder's sockets failed: {error}"),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            format!("the forwarder's thread panicked: {}", text.unwrap_or("without a word"))
        }
    };
    *lock(&shared.failure) = Some(message.clone());
    sink(&message);
}
