//! What of a device can be changed while it runs.

use super::device::NativeDevice;
use super::failure::Failure;
use super::value::{key, whole};
use crate::device::DeviceUpdate;
use napi::Result;
use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;

impl NativeDevice {
    fn update(&self, update: DeviceUpdate) -> Result<()> {
        Ok(self.core()?.device.update(update).map_err(Failure::from)?)
    }
}

#[napi]
impl NativeDevice {
    #[napi(catch_unwind)]
    pub fn set_private_key(&self, private_key: Uint8Array) -> Result<()> {
        let private_key = Some(key(&private_key, "privateKey")?);
        self.update(DeviceUpdate { private_key, ..DeviceUpdate::default() })
    }

    #[napi(catch_unwind)]
    pub fn set_listen_port(&self, port: f64) -> Result<()> {
        let listen_port = Some(whole(port, 0..=u16::MAX, "port")?);
        self.update(DeviceUpdate { listen_port, ..DeviceUpdate::default() })
    }

    #[napi(catch_unwind)]
    pub fn set_fwmark(&self, mark: f64) -> Result<()> {
        let mark = Some(whole(mark, 0..=u32::MAX, "fwmark")?);
        self.update(DeviceUpdate { mark, ..DeviceUpdate::default() })
    }
}
