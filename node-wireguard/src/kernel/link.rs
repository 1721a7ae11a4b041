//! One interface of the kernel's, asked and changed, by us and by the thread that looks after it.

use super::known::Known;
use super::listing::Listing;
use super::wire::{GET_DEVICE, SET_DEVICE, device};
use super::writing::messages;
use crate::device::{DeviceError, DeviceUpdate, Event, Sink};
use crate::io::netlink::message::attribute;
use crate::io::{Generic, Netlink};
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use zeroize::Zeroizing;

pub const THREAD: &str = "wireguard-linux";
/// The kernel tells nothing without being asked.
const LOOK_EVERY: Duration = Duration::from_secs(1);

pub struct Link {
    pub index: u32,
    pub name: String,
    pub work: Mutex<Work>,
    sink: Sink,
    state: Mutex<State>,
    bell: Condvar,
}

pub struct Work {
    pub generic: Generic,
    pub known: Known,
}

enum State {
    Open,
    Closed,
    Failed(String),
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn failed(doing: impl Into<String>) -> impl FnOnce(io::Error) -> DeviceError {
    let doing = doing.into();
    move |source| DeviceError::Io { doing, source }
}

impl Link {
    pub fn new(index: u32, name: String, work: Work, sink: Sink) -> Self {
        let (work, state) = (Mutex::new(work), Mutex::new(State::Open));
        Self { index, name, work, sink, state, bell: Condvar::new() }
    }

    /// Ends the thread; the interface is still there.
    pub fn close(&self) {
        *lock(&self.state) = State::Closed;
        self.bell.notify_all();
    }

    pub fn update(&self, update: &DeviceUpdate) -> Result<(), DeviceError> {
        self.check_alive()?;
        let generic = &mut lock(&self.work).generic;
        for message in messages(self.index, update)?.into_iter().map(Zeroizing::new) {
            let doing = failed(format!("changing the interface {}", self.name));
            generic.call(SET_DEVICE, &message).map_err(doing)?;
        }
        Ok(())
    }

    /// What the kernel tells now; events of what is new in it.
    pub fn look(&self) -> Result<Listing, DeviceError> {
        self.check_alive()?;
        let (listing, news) = {
            let Work { generic, known } = &mut *lock(&self.work);
            let about = attribute(device::IFINDEX, &self.index.to_ne_bytes());
            let doing = failed(format!("asking for the interface {}", self.name));
            let told = generic.list(GET_DEVICE, &about, Listing::default, Listing::add);
            let listing = told.map_err(doing)?;
            let news = known.update(&listing);
            (listing, news)
        };
        news.into_iter().for_each(|event| (self.sink)(event));
        Ok(listing)
    }

    fn check_alive(&self) -> Result<(), DeviceError> {
        match &*lock(&self.state) {
            State::Open => Ok(()),
            State::Closed => Err(DeviceError::Closed),
            State::Failed(message) => Err(DeviceError::Failed(message.clone())),
        }
    }

    /// The life of the thread: looks once a second, until the device is closed or the interface gone.
    pub fn watch(&self) {
        let mut state = lock(&self.state);
        while matches!(*state, State::Open) {
            drop(state);
            let told = self.look();
            state = lock(&self.state);
            match told {
                Err(DeviceError::Io { source, .. })
                    if source.raw_os_error() == Some(libc::ENODEV)
                        && matches!(*state, State::Open) =>
                {
                    let message = format!("somebody has removed the interface {}", self.name);
                    *state = State::Failed(message.clone());
                    drop(state);
                    return (self.sink)(Event::Panic { thread: THREAD, message });
                }
                _ => {}
            }
            if matches!(*state, State::Open) {
                let waited = self.bell.wait_timeout(state, LOOK_EVERY);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    }
}

/// Removes an interface when it is dropped.
pub struct Remover(pub u32);

impl Drop for Remover {
    fn drop(&mut self) {
        // Nobody is there to be told; `ip link` shows it.
        let _ = Netlink::open().and_then(|mut netlink| netlink.remove(self.0));
    }
}
