//! A device of Linux's own WireGuard.

use super::event::{FaceEvent, NativeEvent};
use super::failure::Failure;
use super::mailbox::{Bell, Mailbox};
use super::options::{DEFAULT_MTU, NativePeer, NativeTun, interface_name, peer_changes};
use super::settings;
use super::status::{NativeDeviceStatus, NativeSocket};
use super::value::{NativeEndpoint, key, prefixes, whole};
use super::work::promise;
use crate::device::DeviceUpdate;
use crate::io::shared_words;
use crate::kernel::{KernelDevice, KernelOptions};
use napi::bindgen_prelude::{BigUint64Array, Object, Uint8Array};
use napi::{Env, Result};
use napi_derive::napi;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Events that wait for JavaScript; more are dropped and counted.
const EVENTS: usize = 8_192;

#[napi(object, object_to_js = false)]
pub struct NativeKernelOptions {
    pub private_key: Uint8Array,
    pub listen: Vec<NativeEndpoint>,
    pub fwmark: Option<f64>,
    pub bind_interface: Option<String>,
    pub uapi: Option<bool>,
    pub interface: NativeKernelInterface,
}

#[napi(object, object_to_js = false)]
pub struct NativeKernelInterface {
    pub kernel: NativeTun,
}

impl NativeKernelOptions {
    fn parse(self) -> std::result::Result<KernelOptions, Failure> {
        let NativeTun { name, mtu, addresses } = self.interface.kernel;
        if self.bind_interface.is_some() {
            return Err(Failure::invalid("bindInterface: Linux's WireGuard uses every interface"));
        }
        if self.uapi.unwrap_or(false) {
            return Err(Failure::invalid(
                "uapi: WireGuard's tools find a device of the kernel's by themselves",
            ));
        }
        let listen: Vec<_> = self
            .listen
            .iter()
            .map(|at| at.parse("listen"))
            .collect::<std::result::Result<_, _>>()?;
        Ok(KernelOptions {
            private_key: key(&self.private_key, "privateKey")?,
            listen_port: port(&listen)?,
            mark: whole(self.fwmark.unwrap_or(0.0), 0..=u32::MAX, "fwmark")?,
            name: interface_name(name, "kernel.name")?,
            mtu: whole(mtu.unwrap_or(DEFAULT_MTU), 1_280..=9_000, "mtu")?,
            addresses: prefixes(&addresses, "addresses")?,
        })
    }
}

/// It has one port for both families and no say in the addresses.
fn port(listen: &[SocketAddr]) -> std::result::Result<u16, Failure> {
    match listen {
        [one, other]
            if one.ip().is_unspecified()
                && other.ip().is_unspecified()
                && one.is_ipv4() != other.is_ipv4()
                && one.port() == other.port() =>
        {
            Ok(one.port())
        }
        _ => Err(Failure::invalid(
            "listen: Linux's WireGuard listens at 0.0.0.0 and :: with one port: name both",
        )),
    }
}

#[napi]
pub struct NativeKernelDevice {
    /// Taken out when it is closed.
    device: Mutex<Option<Arc<KernelDevice>>>,
    events: Arc<Mailbox<FaceEvent>>,
}

#[napi(catch_unwind)]
pub fn open_kernel_device(
    env: &Env,
    options: NativeKernelOptions,
    wake: Bell<false>,
) -> Result<Object<'_>> {
    let options = options.parse()?;
    let events = Arc::new(Mailbox::new(wake, EVENTS));
    let (sink, told) = (Arc::clone(&events), Arc::clone(&events));
    let open = move || {
        let sink = Arc::new(move |event| sink.put(FaceEvent::Device(event)));
        KernelDevice::open(options, sink).map_err(Failure::from).inspect_err(|_| told.silence())
    };
    promise(env, open, |device| {
        Ok(NativeKernelDevice { device: Mutex::new(Some(Arc::new(device))), events })
    })
}

impl NativeKernelDevice {
    fn device(&self) -> std::result::Result<Arc<KernelDevice>, Failure> {
        let device = self.device.lock().unwrap_or_else(PoisonError::into_inner);
        device.clone().ok_or_else(|| Failure::closed("the device is closed"))
    }

    fn update(&self, update: DeviceUpdate) -> Result<()> {
        Ok(self.device()?.update(&update).map_err(Failure::from)?)
    }
}

#[napi]
impl NativeKernelDevice {
    #[napi(catch_unwind)]
    pub fn sockets(&self) -> Result<Vec<NativeSocket>> {
        let sockets = self.device()?.sockets().map_err(Failure::from)?;
        Ok(sockets.into_iter().map(Into::into).collect())
    }

    /// To be called once: the array and the engine share one piece of memory.
    #[napi(catch_unwind)]
    pub fn counters(&self) -> Result<BigUint64Array> {
        Ok(shared_words(self.device()?.counters(), |counters| counters.words()))
    }

    #[napi(catch_unwind)]
    pub fn take_events(&self) -> Vec<NativeEvent> {
        self.events.take_all()
    }

    #[napi(catch_unwind)]
    pub fn update_peers(&self, set: Vec<NativePeer>, removed: Vec<Uint8Array>) -> Result<()> {
        let (set, removed) = peer_changes(set, &removed)?;
        Ok(self.device()?.update_peers(set, removed).map_err(Failure::from)?)
    }

    #[napi(catch_unwind)]
    pub fn set_private_key(&self, private_key: Uint8Array) -> Result<()> {
        self.update(settings::private_key(&private_key)?)
    }

    #[napi(catch_unwind)]
    pub fn set_listen_port(&self, port: f64) -> Result<()> {
        self.update(settings::listen_port(port)?)
    }

    #[napi(catch_unwind)]
    pub fn set_fwmark(&self, mark: f64) -> Result<()> {
        self.update(settings::mark(mark)?)
    }

    #[napi(catch_unwind)]
    pub fn status(&self) -> Result<NativeDeviceStatus> {
        Ok(self.device()?.status().map_err(Failure::from)?.into())
    }

    #[napi(catch_unwind)]
    pub fn close<'env>(&self, env: &'env Env) -> Result<Object<'env>> {
        let device = self.device.lock().unwrap_or_else(PoisonError::into_inner).take();
        let events = Arc::clone(&self.events);
        let close = move || {
            if let Some(device) = device {
                device.close();
            }
            events.silence();
            Ok(())
        };
        promise(env, close, Ok)
    }
}
