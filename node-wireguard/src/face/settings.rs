//! What of a device can be changed while it runs, ours or the kernel's.

use super::device::NativeDevice;
use super::failure::Failure;
use super::value::{key, whole};
use crate::device::DeviceUpdate;
use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;

pub(super) fn private_key(private_key: &Uint8Array) -> Result<DeviceUpdate, Failure> {
    Ok(DeviceUpdate {
        private_key: Some(key(private_key, "privateKey")?),
        ..DeviceUpdate::default()
    })
}

pub(super) fn listen_port(port: f64) -> Result<DeviceUpdate, Failure> {
    let listen_port = Some(whole(port, 0..=u16::MAX, "port")?);
    Ok(DeviceUpdate { listen_port, ..DeviceUpdate::default() })
}

pub(super) fn mark(mark: f64) -> Result<DeviceUpdate, Failure> {
    Ok(DeviceUpdate { mark: Some(whole(mark, 0..=u32::MAX, "fwmark")?), ..DeviceUpdate::default() })
}

impl NativeDevice {
    fn update(&self, update: DeviceUpdate) -> napi::Result<()> {
        Ok(self.core()?.device.update(update).map_err(Failure::from)?)
    }
}

#[napi]
impl NativeDevice {
    #[napi(catch_unwind)]
    pub fn set_private_key(&self, private_key: Uint8Array) -> napi::Result<()> {
        self.update(self::private_key(&private_key)?)
    }

    #[napi(catch_unwind)]
    pub fn set_listen_port(&self, port: f64) -> napi::Result<()> {
        self.update(listen_port(port)?)
    }

    #[napi(catch_unwind)]
    pub fn set_fwmark(&self, mark: f64) -> napi::Result<()> {
        self.update(self::mark(mark)?)
    }
}
