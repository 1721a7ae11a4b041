use super::failure::Failure;
use super::options::NativeSide;
use super::status::NativeForwarderStatus;
use super::value::{NativeEndpoint, key, whole};
use super::work::promise;
use crate::forwarder::{Forwarder, ForwarderOptions, Rate, SessionConfig, SideConfig};
use napi::bindgen_prelude::{FnArgs, Object};
use napi::threadsafe_function::{
    ThreadsafeFunction, ThreadsafeFunctionCallMode, UnknownReturnValue,
};
use napi::{Env, Result, Status};
use napi_derive::napi;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// What a network may ask at once, in seconds of its rate.
const BURST_SECONDS: u32 = 4;
const ID_BYTES: usize = 128;

type Alarm = ThreadsafeFunction<
    FnArgs<(String,)>,
    UnknownReturnValue,
    FnArgs<(String,)>,
    Status,
    false,
    false,
>;

#[napi(object, object_to_js = false)]
pub struct NativeForwarderOptions {
    pub listen: Vec<NativeEndpoint>,
    pub stun: bool,
    pub strangers_per_second: f64,
}

#[napi(object, object_to_js = false)]
pub struct NativeSession {
    pub id: String,
    pub a: NativeSide,
    pub b: NativeSide,
    pub expires_at_ms: f64,
    pub quota_bytes: Option<f64>,
}

impl NativeSession {
    fn parse(self) -> std::result::Result<SessionConfig, Failure> {
        if self.id.is_empty() || self.id.len() > ID_BYTES {
            return Err(Failure::invalid(format!(
                "id: a session's name has 1 to {ID_BYTES} bytes"
            )));
        }
        let side = |side: NativeSide| -> std::result::Result<SideConfig, Failure> {
            Ok(SideConfig {
                slot: whole(side.slot, 0..=u32::MAX, "slot")?,
                secret: key(&side.secret, "secret")?,
            })
        };
        let quota =
            self.quota_bytes.map(|bytes| whole(bytes, 0..=u64::MAX, "quotaBytes")).transpose()?;
        let now =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis() as u64);
        let ends = whole(self.expires_at_ms.floor(), 0..=u64::MAX, "expiresAtMs")?;
        Ok(SessionConfig {
            id: self.id,
            sides: [side(self.a)?, side(self.b)?],
            lasts_ms: ends.saturating_sub(now),
            quota_bytes: quota,
        })
    }
}

#[napi]
pub struct NativeForwarder {
    /// Taken out when it is closed, so that nothing of it lives until JavaScript's next garbage collection.
    core: Mutex<Option<Arc<Core>>>,
}

struct Core {
    forwarder: Forwarder,
    /// Keeps the process alive until it is let go.
    alarm: Arc<Mutex<Option<Alarm>>>,
}

#[napi(catch_unwind)]
pub fn open_forwarder(
    env: &Env,
    options: NativeForwarderOptions,
    failed: Alarm,
) -> Result<Object<'_>> {
    let per_second = whole(options.strangers_per_second, 1..=1_000_000, "strangersPerSecond")?;
    let options = ForwarderOptions {
        listen: options
            .listen
            .iter()
            .map(|at| at.parse("listen"))
            .collect::<std::result::Result<_, _>>()?,
        stun: options.stun,
        strangers: Rate { per_second, burst: per_second * BURST_SECONDS },
    };
    let open = move || {
        let alarm = Arc::new(Mutex::new(Some(failed)));
        let sink = Arc::clone(&alarm);
        let sink = Arc::new(move |message: &str| {
            if let Some(alarm) = &*sink.lock().unwrap_or_else(PoisonError::into_inner) {
                alarm.call(
                    FnArgs::from((message.to_owned(),)),
                    ThreadsafeFunctionCallMode::NonBlocking,
                );
            }
        });
        Ok(Core { forwarder: Forwarder::open(options, sink)?, alarm })
    };
    promise(env, open, |core| Ok(NativeForwarder { core: Mutex::new(Some(Arc::new(core))) }))
}

impl NativeForwarder {
    fn core(&self) -> std::result::Result<Arc<Core>, Failure> {
        let core = self.core.lock().unwrap_or_else(PoisonError::into_inner);
        core.clone().ok_or_else(|| Failure::closed("the forwarder is closed"))
    }
}

#[napi]
impl NativeForwarder {
    #[napi(catch_unwind)]
    pub fn addresses(&self) -> Result<Vec<NativeEndpoint>> {
        Ok(self.core()?.forwarder.addresses().iter().map(|address| (*address).into()).collect())
    }

    #[napi(catch_unwind)]
    pub fn set_sessions(&self, add: Vec<NativeSession>, remove: Vec<String>) -> Result<()> {
        let add =
            add.into_iter().map(NativeSession::parse).collect::<std::result::Result<_, _>>()?;
        Ok(self.core()?.forwarder.set_sessions(add, &remove).map_err(Failure::from)?)
    }

    #[napi(catch_unwind)]
    pub fn status(&self) -> Result<NativeForwarderStatus> {
        Ok(self.core()?.forwarder.status().map_err(Failure::from)?.into())
    }

    #[napi(catch_unwind)]
    pub fn close<'env>(&self, env: &'env Env) -> Result<Object<'env>> {
        let core = self.core.lock().unwrap_or_else(PoisonError::into_inner).take();
        let close = move || {
            if let Some(core) = core {
                core.forwarder.close();
                core.alarm.lock().unwrap_or_else(PoisonError::into_inner).take();
            }
            Ok(())
        };
        promise(env, close, Ok)
    }
}
