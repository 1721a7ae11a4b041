//! What is done about losses that smoltcp does not see.

use super::{Flow, Phase};
use crate::io::offload::VNET;
use crate::rootless::netstack::headers::{self, TcpHeader};
use crate::rootless::netstack::segment::{ACK, FIN};
use crate::rootless::netstack::tcp::{Micros, Tcp};

impl Flow {
    /// Before smoltcp's retransmission timer fires, tells the socket a small window: it would send a whole old one at once.
    pub(super) fn brace(&mut self, tcp: &mut Tcp, now: Micros) {
        let due = tcp.due(&self.set, now).is_some_and(|at| at > 0 && at <= now);
        let Some(governor) = &mut self.governor else { return };
        if due && governor.flight() > 0 && governor.open() && self.phase == Phase::Open {
            let window = governor.timeout(now);
            self.pretend(window, tcp, now);
        }
    }

    /// When the alarm has gone off: makes smoltcp send again, whatever has become of its timer.
    ///
    /// Call when smoltcp has nothing to send: then it has acknowledged all, and takes what it is fed for in order.
    pub(super) fn recover(&mut self, tcp: &mut Tcp, now: Micros) {
        let waits = self.unfinished();
        let only_fin = self.socket().send_queue() == 0;
        let Some(governor) = &mut self.governor else { return };
        if !waits || now < governor.alarm.due() {
            return;
        }
        let (edge, open) = (governor.acknowledged(), governor.open());
        let window = governor.timeout(now);
        if only_fin {
            self.repeat_fin(edge, tcp);
        } else if open {
            self.resend(edge, window, tcp, now);
        } else {
            // Starts smoltcp's probes of a closed window if they do not run, and sends one if it has doubled their time.
            self.pretend(0, tcp, now);
            if let Some(due) = tcp.due(&self.set, now) {
                tcp.poll(&mut self.set, due.max(now));
                self.note(tcp, now);
            }
        }
    }

    /// Everything from `edge` on, as after a timeout.
    fn resend(&mut self, edge: u32, window: u16, tcp: &mut Tcp, now: Micros) {
        // Two changes of the window end smoltcp's count of repeated acknowledgements; three repetitions then make it send
        // the first segment (RFC 5681), and that starts its timer, which is made to fire.
        for window in [window + 1, window, window, window, window] {
            self.pretend(window, tcp, now);
        }
        tcp.poll(&mut self.set, now);
        self.note(tcp, now);
        tcp.hurry(&mut self.set, edge, now);
        self.note(tcp, now);
    }

    /// smoltcp cannot be made to send a FIN again once its timer has stopped.
    fn repeat_fin(&self, edge: u32, tcp: &Tcp) {
        let header = TcpHeader {
            sequence: edge,
            acknowledged: self.expected,
            flags: FIN | ACK,
            window: self.offered,
        };
        tcp.link
            .send(&headers::tcp(self.key.local, self.key.remote, &header), self.key.remote.ip());
    }

    /// Feeds the socket an acknowledgement of what is acknowledged already, with that window.
    fn pretend(&mut self, window: u16, tcp: &mut Tcp, now: Micros) {
        let Some(governor) = &self.governor else { return };
        let header = TcpHeader {
            sequence: self.expected,
            acknowledged: governor.acknowledged(),
            flags: ACK,
            window,
        };
        let segment = headers::from_peer(&self.key, &header);
        tcp.feed(&mut self.set, &segment[VNET..], now);
        self.note(tcp, now);
    }
}
