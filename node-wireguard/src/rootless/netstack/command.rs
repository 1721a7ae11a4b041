//! What the handle asks of the thread.

use crate::rootless::{AcceptSink, RootlessError, Stream};
use std::net::SocketAddr;
use std::sync::mpsc::Sender;
use std::time::Duration;

pub type DialReply = Sender<Result<Stream, RootlessError>>;

pub enum Command {
    Dial { to: SocketAddr, timeout: Duration, reply: DialReply },
    Listen { at: SocketAddr, accept: AcceptSink, reply: Sender<Result<SocketAddr, RootlessError>> },
    Unlisten { at: SocketAddr },
    Reset { stream: u64 },
    Close,
}
