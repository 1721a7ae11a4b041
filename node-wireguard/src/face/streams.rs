use super::failure::Failure;
use super::mailbox::Mailbox;
use super::value::NativeEndpoint;
use crate::rootless::{Datagrams, Listener, Stream};
use napi::Result;
use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;
use std::net::SocketAddr;
use std::os::fd::IntoRawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Connections that wait for JavaScript; more are closed at once.
pub const ACCEPTED: usize = 1_024;
/// Datagrams that wait for JavaScript; more are dropped, as a full socket does.
pub const DATAGRAMS: usize = 4_096;

/// A connection; its descriptor belongs to JavaScript from here on.
#[napi(object, object_from_js = false)]
pub struct NativeStream {
    pub id: f64,
    pub fd: i32,
    pub local: NativeEndpoint,
    pub remote: NativeEndpoint,
}

impl From<Stream> for NativeStream {
    fn from(Stream { id, fd, local, remote }: Stream) -> Self {
        Self { id: id as f64, fd: fd.into_raw_fd(), local: local.into(), remote: remote.into() }
    }
}

#[napi]
pub struct NativeListener {
    local: SocketAddr,
    /// Taken out when it is closed: it holds on to the whole network stack.
    listener: Mutex<Option<Listener>>,
    accepted: Arc<Mailbox<Stream>>,
}

impl NativeListener {
    pub fn new(listener: Listener, accepted: Arc<Mailbox<Stream>>) -> Self {
        Self { local: listener.local(), listener: Mutex::new(Some(listener)), accepted }
    }
}

#[napi]
impl NativeListener {
    #[napi(catch_unwind)]
    pub fn local(&self) -> NativeEndpoint {
        self.local.into()
    }

    #[napi(catch_unwind)]
    pub fn take(&self) -> Vec<NativeStream> {
        self.accepted.take().into_iter().map(Into::into).collect()
    }

    #[napi(catch_unwind)]
    pub fn close(&self) {
        lock(&self.listener).take();
        self.accepted.silence();
    }
}

#[napi(object, object_from_js = false)]
pub struct NativeDatagram {
    pub from: NativeEndpoint,
    pub bytes: Uint8Array,
}

/// A datagram and its sender.
pub type Arrived = (SocketAddr, Vec<u8>);

#[napi]
pub struct NativeDatagrams {
    local: SocketAddr,
    /// As with listeners.
    datagrams: Mutex<Option<Datagrams>>,
    arrived: Arc<Mailbox<Arrived>>,
}

impl NativeDatagrams {
    pub fn new(datagrams: Datagrams, arrived: Arc<Mailbox<Arrived>>) -> Self {
        Self { local: datagrams.local(), datagrams: Mutex::new(Some(datagrams)), arrived }
    }
}

#[napi]
impl NativeDatagrams {
    #[napi(catch_unwind)]
    pub fn local(&self) -> NativeEndpoint {
        self.local.into()
    }

    #[napi(catch_unwind)]
    pub fn take(&self) -> Vec<NativeDatagram> {
        let datagram =
            |(from, bytes): Arrived| NativeDatagram { from: from.into(), bytes: bytes.into() };
        self.arrived.take().into_iter().map(datagram).collect()
    }

    #[napi(catch_unwind)]
    pub fn send(&self, to: NativeEndpoint, bytes: Uint8Array) -> Result<()> {
        let to = to.parse("destination")?;
        let datagrams = lock(&self.datagrams);
        let open = datagrams.as_ref().ok_or_else(|| Failure::closed("the socket is closed"))?;
        Ok(open.send(to, &bytes).map_err(Failure::from)?)
    }

    #[napi(catch_unwind)]
    pub fn close(&self) {
        lock(&self.datagrams).take();
        self.arrived.silence();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
