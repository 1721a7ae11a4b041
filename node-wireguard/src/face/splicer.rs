use super::failure::Failure;
use super::mailbox::{Bell, Mailbox};
use super::value::whole;
use super::work::promise;
use crate::io::{Connection, stream_pair};
use crate::splice::{Identity, Local, Request, Side, SpliceEvent, Splicer};
use napi::bindgen_prelude::{Object, Uint8Array};
use napi::{Env, Result};
use napi_derive::napi;
use std::os::fd::IntoRawFd;
use std::sync::{Arc, Mutex, PoisonError};

/// No event may be lost, and there are a few for each stream at most.
const EVENTS: usize = usize::MAX;

/// A certificate and its key, for TLS.
#[napi]
pub struct NativeIdentity {
    identity: Arc<Identity>,
}

#[napi(catch_unwind)]
pub fn make_identity(
    certificate: Uint8Array,
    private_key: Uint8Array,
    protocol: String,
) -> Result<NativeIdentity> {
    let identity = Identity::new(&certificate, &private_key, protocol.as_bytes());
    let identity = Arc::new(identity.map_err(Failure::invalid)?);
    Ok(NativeIdentity { identity })
}

/// The fields of all events; `type` says which are set (`splicer.ts`).
#[napi(object, object_from_js = false)]
#[derive(Default)]
pub struct NativeSpliceEvent {
    #[napi(js_name = "type")]
    pub kind: &'static str,
    pub stream: f64,
    pub bytes: Option<Uint8Array>,
    pub forth: Option<f64>,
    pub back: Option<f64>,
    pub fault: Option<&'static str>,
    pub message: Option<String>,
}

impl From<SpliceEvent> for NativeSpliceEvent {
    fn from(event: SpliceEvent) -> Self {
        let about = |kind, stream: u64| Self { kind, stream: stream as f64, ..Self::default() };
        match event {
            SpliceEvent::Secured { stream, certificate } => {
                Self { bytes: Some(certificate.into()), ..about("secured", stream) }
            }
            SpliceEvent::Received { stream, bytes } => {
                Self { bytes: Some(bytes.into()), ..about("received", stream) }
            }
            SpliceEvent::Closed { stream, forth, back, fault } => Self {
                forth: Some(forth as f64),
                back: Some(back as f64),
                fault: fault.as_ref().map(|fault| fault.code()),
                message: fault.map(|fault| fault.to_string()),
                ..about("closed", stream)
            },
        }
    }
}

#[napi]
pub struct NativeSplicer {
    /// Taken out when it is closed, so that nothing of it lives until JavaScript's next garbage collection.
    splicer: Mutex<Option<Arc<Splicer>>>,
    events: Arc<Mailbox<SpliceEvent>>,
}

#[napi(catch_unwind)]
pub fn open_splicer(wake: Bell<false>) -> Result<NativeSplicer> {
    let events = Arc::new(Mailbox::new(wake, EVENTS));
    let sink = Arc::clone(&events);
    let splicer = Splicer::open(Arc::new(move |event| sink.put(event))).map_err(Failure::from)?;
    Ok(NativeSplicer { splicer: Mutex::new(Some(Arc::new(splicer))), events })
}

impl NativeSplicer {
    fn splicer(&self) -> std::result::Result<Arc<Splicer>, Failure> {
        let splicer = self.splicer.lock().unwrap_or_else(PoisonError::into_inner);
        splicer.clone().ok_or_else(|| Failure::closed("the splicer is closed"))
    }

    fn ask(&self, stream: f64, request: Request) -> Result<()> {
        self.splicer()?.ask(number(stream)?, request);
        Ok(())
    }
}

#[napi]
impl NativeSplicer {
    #[napi(catch_unwind)]
    pub fn join(&self, a: i32, b: i32, to_a: Uint8Array, to_b: Uint8Array) -> Result<f64> {
        let ends = [duplicate(a)?, duplicate(b)?];
        let first = [to_a.to_vec(), to_b.to_vec()];
        let stream = self.splicer()?.join(ends, first).map_err(Failure::from)?;
        Ok(stream as f64)
    }

    #[napi(catch_unwind)]
    pub fn secure(
        &self,
        fd: i32,
        head: Uint8Array,
        is_server: bool,
        identity: &NativeIdentity,
    ) -> Result<f64> {
        let side = if is_server { Side::Server } else { Side::Client };
        let (connection, identity) = (duplicate(fd)?, Arc::clone(&identity.identity));
        let secured = self.splicer()?.secure(connection, head.to_vec(), side, identity);
        Ok(secured.map_err(Failure::from)? as f64)
    }

    #[napi(catch_unwind)]
    pub fn send(&self, stream: f64, bytes: Uint8Array) -> Result<()> {
        self.ask(stream, Request::Send(bytes.to_vec()))
    }

    #[napi(catch_unwind)]
    pub fn receive(&self, stream: f64) -> Result<()> {
        self.ask(stream, Request::Receive)
    }

    #[napi(catch_unwind)]
    pub fn part(&self, stream: f64, bytes: Uint8Array) -> Result<()> {
        self.ask(stream, Request::Part(bytes.to_vec()))
    }

    /// `head` is what was received of the stream before, `first` what goes into it before the connection's bytes.
    #[napi(catch_unwind)]
    pub fn attach(&self, stream: f64, fd: i32, head: Uint8Array, first: Uint8Array) -> Result<()> {
        let (connection, is_pair) = (duplicate(fd)?, false);
        let (head, first) = (head.to_vec(), first.to_vec());
        self.ask(stream, Request::Join(Local { connection, is_pair, head, first }))
    }

    /// Joins the stream to one end of a pair; the other is the caller's.
    #[napi(catch_unwind)]
    pub fn attach_pair(&self, stream: f64, head: Uint8Array) -> Result<i32> {
        let no_pair = |error| Failure::io("no socket pair to be had", &error);
        let (here, there) = stream_pair().map_err(no_pair)?;
        let (connection, is_pair) = (Connection::new(here).map_err(no_pair)?, true);
        let (head, first) = (head.to_vec(), Vec::new());
        self.ask(stream, Request::Join(Local { connection, is_pair, head, first }))?;
        Ok(there.into_raw_fd())
    }

    #[napi(catch_unwind)]
    pub fn cut(&self, stream: f64) -> Result<()> {
        let number = number(stream)?;
        if let Ok(splicer) = self.splicer() {
            splicer.cut(number); // a closed one has broken all off
        }
        Ok(())
    }

    /// Nothing when the stream is over.
    #[napi(catch_unwind)]
    pub fn counts(&self, stream: f64) -> Result<Option<Vec<f64>>> {
        let number = number(stream)?;
        let counts = self.splicer().ok().and_then(|splicer| splicer.counts(number));
        Ok(counts.map(|(forth, back)| vec![forth as f64, back as f64]))
    }

    #[napi(catch_unwind)]
    pub fn take_events(&self) -> Vec<NativeSpliceEvent> {
        self.events.take().into_iter().map(Into::into).collect()
    }

    #[napi(catch_unwind)]
    pub fn close<'env>(&self, env: &'env Env) -> Result<Object<'env>> {
        let splicer = self.splicer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let events = Arc::clone(&self.events);
        let close = move || {
            if let Some(splicer) = splicer {
                splicer.close();
                events.silence();
            }
            Ok(())
        };
        promise(env, close, Ok)
    }
}

fn number(stream: f64) -> std::result::Result<u64, Failure> {
    whole(stream, 1..=u64::MAX, "stream")
}

fn duplicate(fd: i32) -> std::result::Result<Connection, Failure> {
    Connection::duplicate(fd)
        .map_err(|error| Failure::io("the connection cannot be taken over", &error))
}
