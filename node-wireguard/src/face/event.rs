use super::mailbox::Mailbox;
use super::status::state_name;
use super::value::NativeEndpoint;
use crate::device::{Event, PublicKey};
use crate::rootless::StreamEvent;
use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;

/// Something that the device or its network stack tells.
pub enum FaceEvent {
    Device(Event),
    Stream(StreamEvent),
    Lost(u64),
}

impl Mailbox<FaceEvent> {
    /// All that is in, and how many were lost if any were.
    pub fn take_all(&self) -> Vec<NativeEvent> {
        let events = self.take();
        let lost = Some(self.take_lost()).filter(|lost| *lost > 0).map(FaceEvent::Lost);
        events.into_iter().chain(lost).map(Into::into).collect()
    }
}

/// The fields of all events; `type` says which are set (`events.ts`).
#[napi(object, object_from_js = false)]
#[derive(Default)]
pub struct NativeEvent {
    #[napi(js_name = "type")]
    pub kind: &'static str,
    pub peer: Option<Uint8Array>,
    pub path: Option<u32>,
    pub previous: Option<u32>,
    pub socket: Option<u32>,
    pub stream: Option<f64>,
    pub state: Option<&'static str>,
    pub rtt_ms: Option<f64>,
    pub remote: Option<NativeEndpoint>,
    pub from: Option<NativeEndpoint>,
    pub bytes: Option<Uint8Array>,
    pub message: Option<String>,
    pub count: Option<f64>,
    pub on: Option<bool>,
}

impl NativeEvent {
    fn of(kind: &'static str) -> Self {
        Self { kind, ..Self::default() }
    }

    fn about(kind: &'static str, peer: PublicKey) -> Self {
        Self { peer: Some(peer.to_vec().into()), ..Self::of(kind) }
    }

    fn failure(message: String) -> Self {
        Self { message: Some(message), ..Self::of("error") }
    }
}

impl From<FaceEvent> for NativeEvent {
    fn from(event: FaceEvent) -> Self {
        match event {
            FaceEvent::Device(event) => event.into(),
            FaceEvent::Stream(StreamEvent::Reset { stream }) => {
                Self { stream: Some(stream as f64), ..Self::of("stream-reset") }
            }
            FaceEvent::Stream(StreamEvent::Panic { thread, message }) => {
                Self::failure(format!("thread {thread}: {message}"))
            }
            FaceEvent::Stream(StreamEvent::HelperEnded) => {
                Self::failure("the process that holds the private namespace has ended".into())
            }
            FaceEvent::Lost(count) => Self { count: Some(count as f64), ..Self::of("lost") },
        }
    }
}

impl From<Event> for NativeEvent {
    fn from(event: Event) -> Self {
        match event {
            Event::Handshake { peer } => Self::about("handshake", peer),
            Event::HandshakeFailed { peer } => Self::about("handshake-failed", peer),
            Event::PathState { peer, path, state, rtt_us } => Self {
                path: Some(path),
                state: Some(state_name(state)),
                rtt_ms: rtt_us.map(|micros| f64::from(micros) / 1_000.0),
                ..Self::about("path-state", peer)
            },
            Event::PathActive { peer, path, previous } => {
                Self { path, previous, ..Self::about("path-active", peer) }
            }
            Event::PathOffload { peer, path, on } => {
                Self { path: Some(path), on: Some(on), ..Self::about("path-offload", peer) }
            }
            Event::Endpoint { peer, remote } => {
                Self { remote: Some(remote.into()), ..Self::about("endpoint", peer) }
            }
            Event::NoPath { peer } => Self::about("no-path", peer),
            Event::NewRemote { peer, path, socket, remote } => Self {
                path: Some(path),
                socket: Some(socket),
                remote: Some(remote.into()),
                ..Self::about("new-remote", peer)
            },
            Event::Control { socket, from, bytes } => Self {
                socket: Some(socket),
                from: Some(from.into()),
                bytes: Some(bytes.into()),
                ..Self::of("control")
            },
            Event::SocketError { socket, message } => {
                Self { socket: Some(socket), message: Some(message), ..Self::of("socket-error") }
            }
            Event::Panic { thread, message } => {
                Self::failure(format!("thread {thread}: {message}"))
            }
        }
    }
}
