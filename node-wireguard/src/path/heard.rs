//! What the table hears: answers, requests, round trips, refusals.

use super::Micros;
use super::choice::Health;
use super::table::PathTable;

/// What an answer says.
#[derive(Clone, Copy, Debug)]
pub struct Reply {
    pub sent: Micros,
    pub dwell: u32,
    pub size: u16,
    pub received: Option<u64>,
}

impl PathTable {
    /// An authentic answer to the probe of `size` bytes that left at `sent`; `received` is what the other end has counted.
    pub fn on_reply(&mut self, id: u32, reply: &Reply, now: Micros) {
        let active = self.active() == Some(id);
        let Some(path) = self.path(id) else { return };
        path.mtu.passed(reply.size, now);
        let sample = path.meter.answered(reply.sent, now, reply.dwell, reply.received);
        if sample.is_some() {
            path.answered(sample, now, active);
        }
    }

    /// A probe came from there: whoever does not work yet is asked at once, for the other end lives.
    pub fn on_request(&mut self, id: u32, now: Micros) {
        if let Some(path) = self.path(id).filter(|path| !path.works() && path.ready) {
            if path.health == Health::Down {
                path.refresh(now);
            }
            path.next = path.next.min(now);
        }
    }

    /// A handshake went there and back by this path.
    pub fn on_round_trip(&mut self, id: u32, rtt_us: u32, now: Micros) {
        let active = self.active() == Some(id);
        let Some(path) = self.path(id).filter(|path| !path.works()) else { return };
        path.meter.round_trip(rtt_us);
        path.answered(None, now, active);
    }

    /// The kernel would not send `size` bytes there.
    pub fn on_too_big(&mut self, id: u32, size: u16, now: Micros) {
        if let Some(path) = self.path(id) {
            path.mtu.refused(size, now);
            path.mtu.doubt();
        }
    }

    /// The kernel would not send there at all.
    pub fn on_unreachable(&mut self, id: u32, now: Micros) {
        let active = self.active() == Some(id);
        if let Some(path) = self.path(id).filter(|path| path.works()) {
            path.fail(now, active);
        }
    }

    /// Whatever this device was connected by has changed: everything is tried again, jittered by the allowance.
    pub fn refresh(&mut self, now: Micros) {
        self.paths.iter_mut().filter(|path| !path.works()).for_each(|path| path.refresh(now));
    }
}
