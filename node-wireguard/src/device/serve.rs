//! What a peer asks for when its time has come: bindings, probes, handshakes.

use super::Event;
use super::control::Control;
use super::counters::path_word;
use super::slab::PeerId;
use crate::noise::{Action, Millis};
use crate::path::{Change, Micros, PathState};
use std::sync::atomic::Ordering::Relaxed;

impl Control {
    /// Does what is due for a peer, and sets when to look again. To be called after every change.
    pub(super) fn serve(&mut self, id: PeerId) {
        let binds = self.serve_binds(id);
        let paths = self.serve_paths(id);
        let protocol = self.serve_protocol(id);
        self.schedule(id, binds.min(paths).min(protocol).max(self.now + 1));
    }

    fn serve_binds(&mut self, id: PeerId) -> Micros {
        let (now, now_ms) = (self.now, self.now / 1_000);
        let Some(peer) = self.peers.get_mut(id) else { return Micros::MAX };
        let (mut next, mut out) = (Millis::MAX / 1_000, Vec::new());
        for bind in &mut peer.binds {
            if let Some(message) = bind.client.poll(now_ms) {
                out.push((bind.endpoint, message));
            }
            peer.table.set_ready(bind.path, bind.client.is_bound(now_ms), now);
            next = next.min(bind.client.deadline());
        }
        for (mut endpoint, message) in out {
            endpoint.slot = None; // what binds the slot does not pass through it
            let _ = self.send(&endpoint, None, &message);
        }
        next.saturating_mul(1_000)
    }

    fn serve_paths(&mut self, id: PeerId) -> Micros {
        let now = self.now;
        let Self { peers, shared, path_blocks, .. } = self;
        let Some(peer) = peers.get_mut(id) else { return Micros::MAX };
        let paths: Vec<u32> = peer.path_counters.keys().copied().collect();
        for path in paths {
            if let Some(traffic) = peer.traffic(&shared.counters, path) {
                peer.table.set_traffic(path, traffic, now);
            }
        }
        let (mut due, mut changes) = (Vec::new(), Vec::new());
        let next = peer.table.poll(now, &mut due, &mut changes);
        let sending = peer.table.is_sending(now);
        if !sending {
            peer.busy.store(false, Relaxed);
        }
        if let Some(command) = peer.route_command(&shared.counters, path_blocks) {
            shared.command(command);
        }
        for view in peer.table.views() {
            if let Some(block) = peer.path_counters.get(&view.candidate.id) {
                let rtt = view.rtt_us.unwrap_or(0).into();
                shared.counters.set(block + path_word::RTT_US, rtt);
            }
        }
        for due in due {
            self.probe(id, &due);
        }
        for change in changes {
            self.changed(id, change);
        }
        next
    }

    fn changed(&mut self, id: PeerId, change: Change) {
        let Some(peer) = self.peers.get_mut(id) else { return };
        let key = peer.config.public_key;
        match change {
            Change::State { path, state, rtt_us } => {
                if let Some(bind) = peer.binds.iter_mut().find(|bind| bind.path == path) {
                    match state {
                        PathState::Active | PathState::Standby => bind.worked = true,
                        // Perhaps our address has changed, and the forwarder takes nothing from the new one.
                        PathState::Down if bind.worked => {
                            bind.worked = false;
                            bind.client.source_changed(self.now / 1_000);
                            self.schedule(id, self.now + 1);
                        }
                        _ => {}
                    }
                }
                self.tell(Event::PathState { peer: key, path, state, rtt_us });
            }
            Change::Offload { path, on } => self.tell(Event::PathOffload { peer: key, path, on }),
            Change::Active { path, previous } => {
                self.tell(Event::PathActive { peer: key, path, previous });
                if path.is_some() {
                    self.repeat_offer(id);
                }
            }
        }
    }

    fn serve_protocol(&mut self, id: PeerId) -> Micros {
        let now = self.now / 1_000;
        let mut actions = Vec::new();
        loop {
            let Some(peer) = self.peers.get_mut(id) else { return Micros::MAX };
            let next = peer.protocol.poll(now, &mut actions);
            if actions.is_empty() {
                return next.saturating_mul(1_000);
            }
            let began = actions.contains(&Action::Initiate);
            for action in actions.drain(..) {
                self.act(id, action);
            }
            if !began {
                return next.saturating_mul(1_000);
            }
        }
    }
}
