use super::event::{FaceEvent, NativeEvent};
use super::failure::Failure;
use super::mailbox::{Bell, Mailbox};
use super::options::{
    NativeDeviceOptions, NativePath, NativePeer, NativeRule, Opening, filter, peer_changes,
    schedule,
};
use super::status::{NativeDeviceStatus, NativeSocket};
use super::streams::{ACCEPTED, Arrived, DATAGRAMS, NativeDatagrams, NativeListener, NativeStream};
use super::value::{NativeEndpoint, address, key, whole};
use super::work::promise;
use crate::device::{Device, DeviceError, DeviceOptions, InterfaceOptions};
use crate::io::shared_words;
use crate::rootless::{Backend, Rootless, RootlessOptions, Stream};
use crate::uapi::{FOLDER, Uapi, Where};
use napi::bindgen_prelude::{BigUint64Array, Object, Uint8Array};
use napi::{Env, Result};
use napi_derive::napi;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Events that wait for JavaScript; more are dropped and counted.
const EVENTS: usize = 8_192;
const LONGEST_WAIT_MS: u32 = 600_000;
/// Name of the TUN inside a private namespace.
const PRIVATE_NAME: &str = "rope0";

#[napi]
pub struct NativeDevice {
    /// Taken out when it is closed, so that nothing of it lives until JavaScript's next garbage collection.
    core: Mutex<Option<Arc<Core>>>,
    events: Arc<Mailbox<FaceEvent>>,
}

pub(super) struct Core {
    pub(super) device: Arc<Device>,
    uapi: Option<Uapi>,
    rootless: Option<Rootless>,
    events: Arc<Mailbox<FaceEvent>>,
}

#[napi(catch_unwind)]
pub fn open_device(
    env: &Env,
    options: NativeDeviceOptions,
    helper: String,
    wake: Bell<false>,
) -> Result<Object<'_>> {
    let opening = options.parse()?;
    let events = Arc::new(Mailbox::new(wake, EVENTS));
    let open = move || {
        Core::open(opening, helper.into(), Arc::clone(&events)).inspect_err(|_| events.silence())
    };
    promise(env, open, |core| {
        let events = Arc::clone(&core.events);
        Ok(NativeDevice { core: Mutex::new(Some(Arc::new(core))), events })
    })
}

impl Core {
    fn open(
        opening: Opening,
        helper: PathBuf,
        events: Arc<Mailbox<FaceEvent>>,
    ) -> std::result::Result<Self, Failure> {
        let Opening { private_key, listen, sockets, stack, mtu, addresses, uapi, shards } = opening;
        let (rootless, interface) = match stack {
            Ok(name) => (None, InterfaceOptions::Tun { name, mtu, addresses }),
            Err(backend) => {
                let name = PRIVATE_NAME.into();
                let options =
                    RootlessOptions { backend, mtu, addresses: addresses.clone(), name, helper };
                let sink = Arc::clone(&events);
                let (rootless, fd) = Rootless::open(
                    options,
                    Arc::new(move |event| sink.put(FaceEvent::Stream(event))),
                )?;
                let merge_udp = rootless.backend() == Backend::Namespace;
                (Some(rootless), InterfaceOptions::Frames { fd, mtu, addresses, merge_udp })
            }
        };
        let sink = Arc::clone(&events);
        let sink = Arc::new(move |event| sink.put(FaceEvent::Device(event)));
        let options = DeviceOptions { private_key, listen, sockets, interface, shards };
        let device = Arc::new(Device::open(options, sink)?);
        let uapi = uapi.then(|| serve(&device)).transpose()?;
        Ok(Self { device, uapi, rootless, events })
    }

    fn close(&self) {
        self.stop();
        self.events.silence();
    }

    /// Joins the threads.
    fn stop(&self) {
        if let Some(uapi) = &self.uapi {
            uapi.close();
        }
        if let Some(rootless) = &self.rootless {
            rootless.close();
        }
        self.device.close();
    }

    fn rootless(&self) -> std::result::Result<&Rootless, Failure> {
        self.rootless.as_ref().ok_or_else(Failure::not_rootless)
    }
}

/// By the name that the interface got.
fn serve(device: &Arc<Device>) -> std::result::Result<Uapi, Failure> {
    let interface = device.interface().unwrap_or_default().to_owned();
    let place = Where { folder: Path::new(FOLDER), interface: &interface };
    Uapi::open(Arc::clone(device), place).map_err(|source| {
        DeviceError::Io { doing: format!("making the socket for wg in {FOLDER}"), source }.into()
    })
}

fn wait(timeout_ms: f64) -> std::result::Result<Duration, Failure> {
    whole(timeout_ms, 1..=LONGEST_WAIT_MS, "timeoutMs").map(|ms| Duration::from_millis(ms.into()))
}

/// A worker that is terminated takes its device along at once: a call that still waits would else keep it.
impl Drop for NativeDevice {
    fn drop(&mut self) {
        let core = self.core.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(core) = core {
            core.stop();
        }
    }
}

impl NativeDevice {
    pub(super) fn core(&self) -> std::result::Result<Arc<Core>, Failure> {
        let core = self.core.lock().unwrap_or_else(PoisonError::into_inner);
        core.clone().ok_or_else(|| Failure::closed("the device is closed"))
    }
}

#[napi]
impl NativeDevice {
    #[napi(catch_unwind)]
    pub fn sockets(&self) -> Result<Vec<NativeSocket>> {
        Ok(self.core()?.device.sockets().into_iter().map(Into::into).collect())
    }

    #[napi(catch_unwind)]
    pub fn backend(&self) -> Result<&'static str> {
        Ok(match self.core()?.rootless.as_ref().map(Rootless::backend) {
            None => "tun",
            Some(Backend::Namespace) => "namespace",
            Some(Backend::Netstack) => "netstack",
        })
    }

    #[napi(catch_unwind)]
    pub fn fallback(&self) -> Result<Option<String>> {
        Ok(self.core()?.rootless.as_ref().and_then(Rootless::fallback).map(Into::into))
    }

    #[napi(catch_unwind)]
    pub fn namespace_pid(&self) -> Result<Option<u32>> {
        Ok(self.core()?.rootless.as_ref().and_then(Rootless::namespace_pid))
    }

    /// To be called once: the array and the engine share one piece of memory.
    #[napi(catch_unwind)]
    pub fn counters(&self) -> Result<BigUint64Array> {
        Ok(shared_words(self.core()?.device.counters(), |counters| counters.words()))
    }

    #[napi(catch_unwind)]
    pub fn take_events(&self) -> Vec<NativeEvent> {
        self.events.take_all()
    }

    #[napi(catch_unwind)]
    pub fn update_peers(&self, set: Vec<NativePeer>, removed: Vec<Uint8Array>) -> Result<()> {
        let (set, removed) = peer_changes(set, &removed)?;
        Ok(self.core()?.device.update_peers(set, removed).map_err(Failure::from)?)
    }

    #[napi(catch_unwind)]
    pub fn update_paths(&self, peer: Uint8Array, paths: Vec<NativePath>) -> Result<()> {
        let paths =
            paths.into_iter().map(NativePath::parse).collect::<std::result::Result<_, _>>()?;
        Ok(self
            .core()?
            .device
            .update_paths(key(&peer, "publicKey")?, paths)
            .map_err(Failure::from)?)
    }

    #[napi(catch_unwind)]
    pub fn set_schedule(&self, peer: Uint8Array, mode: String) -> Result<()> {
        let schedule = schedule(&mode)?;
        Ok(self
            .core()?
            .device
            .set_schedule(key(&peer, "publicKey")?, schedule)
            .map_err(Failure::from)?)
    }

    #[napi(catch_unwind)]
    pub fn set_filter(&self, allow: Vec<NativeRule>) -> Result<()> {
        Ok(self.core()?.device.set_filter(filter(allow)?).map_err(Failure::from)?)
    }

    #[napi(catch_unwind)]
    pub fn send_control(&self, socket: f64, to: NativeEndpoint, bytes: Uint8Array) -> Result<()> {
        let socket = whole(socket, 0..=u32::MAX, "socket")?;
        let to = to.parse("destination")?;
        Ok(self.core()?.device.send_control(socket, to, &bytes).map_err(Failure::from)?)
    }

    #[napi(catch_unwind)]
    pub fn status(&self) -> Result<NativeDeviceStatus> {
        Ok(self.core()?.device.status().map_err(Failure::from)?.into())
    }

    #[napi(catch_unwind)]
    pub fn dial_tcp<'env>(
        &self,
        env: &'env Env,
        to: NativeEndpoint,
        timeout_ms: f64,
    ) -> Result<Object<'env>> {
        let (to, timeout) = (to.parse("destination")?, wait(timeout_ms)?);
        let core = self.core()?;
        promise(
            env,
            move || Ok(core.rootless()?.dial_tcp(to, timeout)?),
            |stream| Ok(NativeStream::from(stream)),
        )
    }

    #[napi(catch_unwind)]
    pub fn listen_tcp<'env>(
        &self,
        env: &'env Env,
        at: NativeEndpoint,
        wake: Bell<true>,
    ) -> Result<Object<'env>> {
        let at = at.parse("address")?;
        let core = self.core()?;
        let accepted = Arc::new(Mailbox::new(wake, ACCEPTED));
        let sink = Arc::clone(&accepted);
        let accept = Arc::new(move |stream: Stream| sink.put(stream));
        let wrap = |listener| Ok(NativeListener::new(listener, accepted));
        promise(env, move || Ok(core.rootless()?.listen_tcp(at, accept)?), wrap)
    }

    #[napi(catch_unwind)]
    pub fn open_udp<'env>(
        &self,
        env: &'env Env,
        at: NativeEndpoint,
        wake: Bell<true>,
    ) -> Result<Object<'env>> {
        let at = at.parse("address")?;
        let core = self.core()?;
        let arrived: Arc<Mailbox<Arrived>> = Arc::new(Mailbox::new(wake, DATAGRAMS));
        let sink = Arc::clone(&arrived);
        let receive = Arc::new(move |from, bytes: &[u8]| sink.put((from, bytes.to_vec())));
        let wrap = |datagrams| Ok(NativeDatagrams::new(datagrams, arrived));
        promise(env, move || Ok(core.rootless()?.open_udp(at, receive)?), wrap)
    }

    #[napi(catch_unwind)]
    pub fn ping<'env>(&self, env: &'env Env, to: String, timeout_ms: f64) -> Result<Object<'env>> {
        let (to, timeout) = (address(&to, "address")?, wait(timeout_ms)?);
        let core = self.core()?;
        promise(
            env,
            move || Ok(core.rootless()?.ping(to, timeout)?),
            |rtt| Ok(rtt.as_secs_f64() * 1_000.0),
        )
    }

    #[napi(catch_unwind)]
    pub fn reset(&self, stream: f64) {
        if let Some(core) = &*self.core.lock().unwrap_or_else(PoisonError::into_inner)
            && let Some(rootless) = &core.rootless
        {
            rootless.reset(stream as u64);
        }
    }

    #[napi(catch_unwind)]
    pub fn close<'env>(&self, env: &'env Env) -> Result<Object<'env>> {
        let core = self.core.lock().unwrap_or_else(PoisonError::into_inner).take();
        let close = move || {
            if let Some(core) = core {
                core.close();
            }
            Ok(())
        };
        promise(env, close, Ok)
    }
}
