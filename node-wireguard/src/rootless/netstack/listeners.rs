//! TCP ports that listen.

use super::udp::{choose_port, unspecified};
use crate::rootless::{AcceptSink, RootlessError};
use std::collections::HashMap;
use std::net::SocketAddr;

const MOST: usize = 4096;

#[derive(Default)]
pub struct Listeners(HashMap<SocketAddr, AcceptSink>);

impl Listeners {
    /// Adds one; where it listens.
    pub fn add(
        &mut self,
        at: SocketAddr,
        start: u16,
        accept: AcceptSink,
    ) -> Result<SocketAddr, RootlessError> {
        if self.0.len() >= MOST {
            return Err(RootlessError::Busy);
        }
        let at = choose_port(at, &self.0, start)?;
        self.0.insert(at, accept);
        Ok(at)
    }

    pub fn remove(&mut self, at: &SocketAddr) {
        self.0.remove(at);
    }

    /// Who listens at this address of ours, or at all of them.
    pub fn sink(&self, local: &SocketAddr) -> Option<&AcceptSink> {
        self.0
            .get(local)
            .or_else(|| self.0.get(&SocketAddr::new(unspecified(local.ip()), local.port())))
    }

    pub fn accepts(&self, local: &SocketAddr) -> bool {
        self.sink(local).is_some()
    }
}
