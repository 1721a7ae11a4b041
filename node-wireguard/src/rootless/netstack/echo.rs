//! ICMP echo: our own pings, and the answers to others.

use super::frames::Frames;
use super::headers;
use crate::packet::PacketView;
use crate::rootless::RootlessError;
use crate::rootless::pings::{ECHO, ECHO_REPLY, ECHO_REPLY_V6, ECHO_V6, PAYLOAD, Pings};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

pub struct Echo {
    frames: Arc<Frames>,
    pub pings: Pings,
}

impl Echo {
    pub fn new(frames: Arc<Frames>, start: u32) -> Self {
        Self { frames, pings: Pings::new(start) }
    }

    /// Sends one echo request and waits for its answer.
    pub fn ping(&self, to: IpAddr, timeout: Duration) -> Result<Duration, RootlessError> {
        let from = self.frames.source_for(to).ok_or(RootlessError::NoAddress)?;
        let kind = if to.is_ipv4() { ECHO } else { ECHO_V6 };
        self.pings.ping(to, timeout, |number| {
            self.frames.send_or_drop(&headers::icmp(from, to, kind, number, &PAYLOAD), to);
            Ok(())
        })
    }

    /// Takes an ICMP message: an answer to us, or a request to answer. `message` begins with its type.
    pub fn receive(&self, packet: &PacketView, message: &[u8]) {
        let Some((head, rest)) = message.split_first_chunk::<8>() else { return };
        let kind = match ([head[0], head[1]], packet.source.is_ipv4()) {
            (ECHO, true) => ECHO_REPLY,
            (ECHO_V6, false) => ECHO_REPLY_V6,
            _ => return self.pings.receive(packet.source, message),
        };
        let word = [head[4], head[5], head[6], head[7]];
        let frame = headers::icmp(packet.destination, packet.source, kind, word, rest);
        self.frames.send_or_drop(&frame, packet.source);
    }
}
