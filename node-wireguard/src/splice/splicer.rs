use super::end::End;
use super::identity::Identity;
use super::outcome::{Fault, SpliceEvent};
use super::sealed::Request;
use super::session::Side;
use super::worker::Worker;
use crate::io::{Connection, Waker};
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle, available_parallelism};

/// More threads than this bring nothing: one moves gigabits.
const MOST_THREADS: usize = 4;

/// Told what becomes of streams, on the threads of the splicer.
pub type EventSink = Arc<dyn Fn(SpliceEvent) + Send + Sync>;

#[derive(Debug)]
pub enum SpliceError {
    /// The splicer is closed.
    Closed,
    Io(io::Error),
}

impl fmt::Display for SpliceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => write!(f, "the splicer is closed"),
            Self::Io(error) => write!(f, "cannot join connections: {error}"),
        }
    }
}

impl std::error::Error for SpliceError {}

/// Bytes of a stream in each direction: from the first connection to the second, or from the local one into TLS, and back.
#[derive(Default)]
pub struct Counts {
    forth: AtomicU64,
    back: AtomicU64,
}

impl Counts {
    pub fn add_forth(&self, count: usize) {
        self.forth.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub fn add_back(&self, count: usize) {
        self.back.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub fn now(&self) -> (u64, u64) {
        (self.forth.load(Ordering::Relaxed), self.back.load(Ordering::Relaxed))
    }
}

/// What the owner asks of a thread.
pub enum Command {
    Join {
        stream: u64,
        ends: [Connection; 2],
        first: [Vec<u8>; 2],
    },
    Secure {
        stream: u64,
        connection: Connection,
        head: Vec<u8>,
        side: Side,
        identity: Arc<Identity>,
    },
    Ask {
        stream: u64,
        request: Request,
    },
    Cut {
        stream: u64,
    },
}

/// What a thread and the owner both hold.
pub struct Shared {
    pub waker: Waker,
    pub stopping: AtomicBool,
    commands: Mutex<Vec<Command>>,
    streams: Mutex<HashMap<u64, Arc<Counts>>>,
    /// Our ends of pairs after a fault, until the owner has seen that: else it would take it for an end in order.
    held: Mutex<HashMap<u64, End>>,
    sink: EventSink,
}

impl Shared {
    pub fn take_commands(&self) -> Vec<Command> {
        std::mem::take(&mut *lock(&self.commands))
    }

    pub fn tell(&self, event: SpliceEvent) {
        (self.sink)(event);
    }

    /// None if the stream is over.
    pub fn counts(&self, stream: u64) -> Option<Arc<Counts>> {
        lock(&self.streams).get(&stream).cloned()
    }

    pub fn hold(&self, stream: u64, end: End) {
        lock(&self.held).insert(stream, end);
    }

    pub fn let_go(&self, stream: u64) {
        lock(&self.held).remove(&stream);
    }

    /// The last word about a stream, once.
    pub fn closed(&self, stream: u64, fault: Option<Fault>) {
        let Some(counts) = lock(&self.streams).remove(&stream) else { return };
        let (forth, back) = counts.now();
        self.tell(SpliceEvent::Closed { stream, forth, back, fault });
    }

    fn all_failed(&self, message: &str) {
        let streams: Vec<u64> = lock(&self.streams).keys().copied().collect();
        for stream in streams {
            self.closed(stream, Some(Fault::Failed(message.to_owned())));
        }
    }
}

/// Threads that move the bytes of any number of streams. Dropping it closes it.
pub struct Splicer {
    threads: Vec<Arc<Shared>>,
    handles: Mutex<Vec<JoinHandle<()>>>,
    next: AtomicU64,
}

impl Splicer {
    /// Starts the threads.
    ///
    /// # Errors
    /// The kernel has no thread or descriptor left.
    pub fn open(sink: EventSink) -> Result<Self, SpliceError> {
        let count = available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
        let mut splicer =
            Self { threads: Vec::new(), handles: Mutex::default(), next: AtomicU64::new(1) };
        for _ in 0..count {
            let shared = Arc::new(Shared {
                waker: Waker::new().map_err(SpliceError::Io)?,
                stopping: AtomicBool::new(false),
                commands: Mutex::default(),
                streams: Mutex::default(),
                held: Mutex::default(),
                sink: Arc::clone(&sink),
            });
            let worker = Worker::new(Arc::clone(&shared)).map_err(SpliceError::Io)?;
            let thread = Arc::clone(&shared);
            let builder = Builder::new().name("wireguard-joint".into());
            let handle = builder.spawn(move || run(worker, &thread)).map_err(SpliceError::Io)?;
            lock(&splicer.handles).push(handle);
            splicer.threads.push(shared);
        }
        Ok(splicer)
    }

    /// Joins two connections; `first` is written into each before anything else. Returns the stream's number.
    ///
    /// # Errors
    /// `Closed`.
    pub fn join(&self, ends: [Connection; 2], first: [Vec<u8>; 2]) -> Result<u64, SpliceError> {
        self.begin(|stream| Command::Join { stream, ends, first })
    }

    /// Begins TLS on a connection of which `head` was read before. `Secured` or `Closed` follows.
    ///
    /// # Errors
    /// `Closed`.
    pub fn secure(
        &self,
        connection: Connection,
        head: Vec<u8>,
        side: Side,
        identity: Arc<Identity>,
    ) -> Result<u64, SpliceError> {
        self.begin(|stream| Command::Secure { stream, connection, head, side, identity })
    }

    /// Asks something of a secured stream; one that is over is not asked.
    pub fn ask(&self, stream: u64, request: Request) {
        self.command(stream, Command::Ask { stream, request });
    }

    /// Breaks a stream off: `Closed` follows unless it has come already.
    pub fn cut(&self, stream: u64) {
        self.command(stream, Command::Cut { stream });
    }

    /// Bytes of a live stream in both directions.
    pub fn counts(&self, stream: u64) -> Option<(u64, u64)> {
        Some(lock(&self.thread(stream).streams).get(&stream)?.now())
    }

    /// Breaks all streams off and joins the threads. A second call does nothing.
    pub fn close(&self) {
        // All know before the first lets go: else another would take the end of its streams' far side for a fault.
        for thread in &self.threads {
            thread.stopping.store(true, Ordering::Release);
        }
        for thread in &self.threads {
            thread.waker.wake();
        }
        for handle in std::mem::take(&mut *lock(&self.handles)) {
            // what it panicked with, if it did, has been told already
            let _ = handle.join();
        }
    }

    fn begin(&self, command: impl FnOnce(u64) -> Command) -> Result<u64, SpliceError> {
        let stream = self.next.fetch_add(1, Ordering::Relaxed);
        let thread = self.thread(stream);
        if thread.stopping.load(Ordering::Acquire) {
            return Err(SpliceError::Closed);
        }
        lock(&thread.streams).insert(stream, Arc::default());
        self.command(stream, command(stream));
        Ok(stream)
    }

    fn command(&self, stream: u64, command: Command) {
        let thread = self.thread(stream);
        lock(&thread.commands).push(command);
        thread.waker.wake();
    }

    fn thread(&self, stream: u64) -> &Shared {
        &self.threads[(stream % self.threads.len() as u64) as usize]
    }
}

impl Drop for Splicer {
    fn drop(&mut self) {
        self.close();
    }
}

/// A panic costs the streams of this thread, no more.
fn run(mut worker: Worker, shared: &Arc<Shared>) {
    loop {
        let message = match catch_unwind(AssertUnwindSafe(|| worker.run())) {
            Ok(Ok(())) => {
                worker.break_off();
                return shared.all_failed("the splicer is closed");
            }
            Ok(Err(error)) => error.to_string(),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                text.or_else(|| panic.downcast_ref::<&str>().copied())
                    .unwrap_or("a panic")
                    .to_owned()
            }
        };
        worker.break_off();
        shared.all_failed(&message);
        match Worker::new(Arc::clone(shared)) {
            Ok(fresh) => worker = fresh,
            Err(error) => {
                shared.stopping.store(true, Ordering::Release);
                return shared.all_failed(&error.to_string());
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
