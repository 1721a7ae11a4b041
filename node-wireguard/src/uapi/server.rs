//! One thread for all tools that ask. Nobody waits for another: what is half said is kept until the rest comes, and answers that
//! are not fetched wait in their own connection.

use super::door::{Door, Where};
use super::errno::Errno;
use super::report::report;
use super::request::{MAX_REQUEST, Request, next_request, parse};
use crate::device::Device;
use crate::io::{Events, Interest, Poller, Waker};
use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// Tools at one time; one more, and the one that has been silent longest has to go.
const CONNECTIONS: usize = 32;
/// How long half a request, or an answer that is not fetched, is kept.
const PATIENCE: Duration = Duration::from_secs(60);
const CHUNK: usize = 16 << 10;
const LISTENER: u64 = 0;
const STOP: u64 = 1;
const FIRST: u64 = 2;

/// The device's socket for WireGuard's tools. Dropping it removes the socket.
pub struct Uapi {
    stop: Arc<Waker>,
    door: Arc<Door>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Uapi {
    /// Listens at `INTERFACE.sock` in the folder.
    ///
    /// # Errors
    /// `AddrInUse` if another process serves that name; else what the machine says.
    pub fn open(device: Arc<Device>, place: Where<'_>) -> io::Result<Self> {
        let (stop, poller) = (Arc::new(Waker::new()?), Poller::new()?);
        let door = Arc::new(Door::open(place)?);
        poller.add(&door.listener, LISTENER, Interest::Read)?;
        poller.add(&*stop, STOP, Interest::Read)?;
        let (at, connections) = (Arc::clone(&door), HashMap::new());
        let mut server = Server { device, door: at, poller, connections, next: FIRST };
        let thread =
            Builder::new().name("wireguard-uapi".to_owned()).spawn(move || server.run())?;
        Ok(Self { stop, door, thread: Mutex::new(Some(thread)) })
    }

    /// Whether tools can still find it: removing the socket is a way to ask for the end of the device.
    pub fn is_reachable(&self) -> bool {
        self.door.is_there()
    }

    /// Ends all connections. A second call does nothing.
    pub fn close(&self) {
        self.stop.wake();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join(); // it never panics on purpose, and nobody is to be told here
        }
    }
}

impl Drop for Uapi {
    fn drop(&mut self) {
        self.close();
    }
}

struct Server {
    device: Arc<Device>,
    door: Arc<Door>,
    poller: Poller,
    connections: HashMap<u64, Connection>,
    next: u64,
}

/// A tool.
struct Connection {
    stream: UnixStream,
    input: Zeroizing<Vec<u8>>,
    output: Zeroizing<Vec<u8>>,
    written: usize,
    /// It will say no more.
    ended: bool,
    heard: Instant,
}

impl Server {
    fn run(&mut self) {
        let mut events = Events::new();
        loop {
            let wait = (!self.connections.is_empty()).then_some(PATIENCE);
            if self.poller.wait(&mut events, wait).is_err() {
                return;
            }
            for event in events.iter() {
                match event.token {
                    STOP => return,
                    LISTENER => self.accept(),
                    id => self.serve(id),
                }
            }
            self.connections.retain(|_, each| each.is_idle() || each.heard.elapsed() < PATIENCE);
        }
    }

    fn accept(&mut self) {
        while let Ok((stream, _)) = self.door.listener.accept() {
            if self.connections.len() >= CONNECTIONS {
                let silent = self.connections.iter().min_by_key(|(_, each)| each.heard);
                if let Some(id) = silent.map(|(id, _)| *id) {
                    self.connections.remove(&id);
                }
            }
            let added = stream.set_nonblocking(true);
            if added.and_then(|()| self.poller.add(&stream, self.next, Interest::Read)).is_ok() {
                self.connections.insert(self.next, Connection::new(stream));
                self.next += 1;
            }
        }
    }

    fn serve(&mut self, id: u64) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let interest = connection.go_on(&self.device).ok().flatten();
        let goes_on = interest
            .is_some_and(|interest| self.poller.modify(&connection.stream, id, interest).is_ok());
        if !goes_on {
            self.connections.remove(&id);
        }
    }
}

impl Connection {
    fn new(stream: UnixStream) -> Self {
        let (input, output) = Default::default();
        Self { stream, input, output, written: 0, ended: false, heard: Instant::now() }
    }

    /// It owes us nothing and we owe it nothing.
    fn is_idle(&self) -> bool {
        self.input.is_empty() && self.output.is_empty()
    }

    /// Reads, does and answers as far as that goes; then what to wait for, or nothing when it is over.
    fn go_on(&mut self, device: &Device) -> io::Result<Option<Interest>> {
        self.heard = Instant::now();
        loop {
            if !self.write()? {
                return Ok(Some(Interest::Write)); // nothing more is read before it has fetched that
            }
            if self.answer(device) {
                continue;
            }
            if self.ended {
                return Ok(None);
            }
            if self.input.len() > MAX_REQUEST {
                self.say(Errno::TOO_BIG);
                self.write()?;
                return Ok(None);
            }
            if !self.read()? {
                return Ok(Some(Interest::Read));
            }
        }
    }

    /// False when nothing has come.
    fn read(&mut self) -> io::Result<bool> {
        let mut chunk = Zeroizing::new([0; CHUNK]);
        match self.stream.read(&mut *chunk) {
            Ok(0) => self.ended = true,
            Ok(count) => grow(&mut self.input, &chunk[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    /// False when not all could be written.
    fn write(&mut self) -> io::Result<bool> {
        while self.written < self.output.len() {
            match self.stream.write(&self.output[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        (self.output, self.written) = (Zeroizing::default(), 0);
        Ok(true)
    }

    /// Does the next request, if it is whole.
    fn answer(&mut self, device: &Device) -> bool {
        let Some((request, length)) = next_request(&self.input) else { return false };
        let request = parse(request);
        let rest = Zeroizing::new(self.input[length..].to_vec());
        self.input = rest;
        let done = match request {
            Err(errno) => errno,
            Ok(Request::Set(update)) => errno_of(device.update(*update)),
            Ok(Request::Get) => errno_of(device.configuration().map(|device| {
                self.output = Zeroizing::new(std::mem::take(&mut *report(&device)).into_bytes());
            })),
        };
        self.say(done);
        true
    }

    fn say(&mut self, errno: Errno) {
        grow(&mut self.output, format!("{errno}\n\n").as_bytes());
    }
}

fn errno_of(done: Result<(), crate::device::DeviceError>) -> Errno {
    done.map_or_else(|error| Errno::from(&error), |()| Errno::OK)
}

/// Appends; what has to move leaves no copy behind.
fn grow(bytes: &mut Zeroizing<Vec<u8>>, more: &[u8]) {
    if bytes.capacity() - bytes.len() < more.len() {
        let mut larger = Vec::with_capacity(2 * (bytes.len() + more.len()));
        larger.extend_from_slice(bytes);
        *bytes = Zeroizing::new(larger);
    }
    bytes.extend_from_slice(more);
}
