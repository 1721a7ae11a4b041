//! The candidate paths of a peer, and the bindings of the relayed ones.

use super::configure::new_bind;
use super::control::Control;
use super::counters::MAX_PATHS;
use super::{DeviceError, PathConfig, PublicKey};
use crate::path::{Candidate, Endpoint, FIRST_REFLEXIVE};

impl Control {
    pub(super) fn update_paths(
        &mut self,
        key: &PublicKey,
        paths: &[PathConfig],
    ) -> Result<(), DeviceError> {
        let id = self.find_peer(key)?;
        self.check_paths(paths)?;
        let now = self.now;
        let Some(peer) = self.peers.get_mut(id) else { return Ok(()) };
        if peer.config.vanilla {
            return Err(DeviceError::Invalid(
                "a vanilla peer has one endpoint, no paths".to_owned(),
            ));
        }
        let candidates: Vec<_> = paths.iter().map(candidate).collect();
        let mut old = std::mem::take(&mut peer.binds);
        for (path, candidate) in paths.iter().zip(&candidates) {
            let Some(session) = &path.session else { continue };
            let endpoint = candidate.endpoint;
            let same =
                old.iter().position(|b| b.endpoint == endpoint && b.secret == session.secret);
            peer.binds.push(match same {
                Some(index) => {
                    let mut bind = old.swap_remove(index);
                    bind.path = path.id;
                    bind
                }
                None => new_bind(path.id, endpoint, session.slot, session.secret),
            });
        }
        peer.table.set_candidates(&candidates, now);
        self.relayed.retain(|_, (owner, _)| *owner != id);
        for bind in &peer.binds {
            self.relayed.insert(bind.endpoint, (id, bind.path));
        }
        self.serve(id);
        self.repeat_offer(id);
        Ok(())
    }

    fn check_paths(&self, paths: &[PathConfig]) -> Result<(), DeviceError> {
        if paths.len() > self.path_blocks.left() {
            return Err(DeviceError::TooMany { what: "paths", limit: MAX_PATHS });
        }
        for (index, path) in paths.iter().enumerate() {
            let socket = self.shared.socket(path.local);
            let fault = if path.id >= FIRST_REFLEXIVE {
                "has an id that is not below 2^31"
            } else if paths[..index].iter().any(|other| other.id == path.id) {
                "has the id of another"
            } else if socket.is_none() {
                "leaves by a socket that does not exist"
            } else if socket
                .as_ref()
                .is_some_and(|s| s.info.local.is_ipv6() != path.remote.is_ipv6())
            {
                "leaves by a socket of the other address family"
            } else {
                continue;
            };
            return Err(DeviceError::Invalid(format!("path {} {fault}", path.id)));
        }
        Ok(())
    }
}

fn candidate(path: &PathConfig) -> Candidate {
    let slot = path.session.as_ref().map(|session| session.slot);
    let endpoint = Endpoint { socket: path.local, remote: path.remote, slot };
    Candidate { id: path.id, endpoint, cost_class: path.cost_class }
}
