//! Which backend, and how to try one after the other.

use super::namespace::{Namespace, Setup};
use super::netstack::Netstack;
use super::{Backend, BackendChoice, EventSink, RootlessError, RootlessOptions};
use ring::rand::{SecureRandom, SystemRandom};
use std::os::fd::OwnedFd;

pub(super) enum Running {
    Namespace(Namespace),
    Netstack(Netstack),
}

impl Running {
    pub fn backend(&self) -> Backend {
        match self {
            Self::Namespace(_) => Backend::Namespace,
            Self::Netstack(_) => Backend::Netstack,
        }
    }

    pub fn close(&self) {
        match self {
            Self::Namespace(namespace) => namespace.close(),
            Self::Netstack(netstack) => netstack.close(),
        }
    }
}

/// What runs, the engine's descriptor, and why it is not the namespace.
type Opened = (Running, OwnedFd, Option<String>);

pub(super) fn open(options: RootlessOptions, events: EventSink) -> Result<Opened, RootlessError> {
    let mut fallback = None;
    if options.backend != BackendChoice::Netstack {
        match open_namespace(&options, EventSink::clone(&events)) {
            Ok((namespace, fd)) => return Ok((Running::Namespace(namespace), fd, None)),
            Err(error) if options.backend == BackendChoice::Namespace => return Err(error),
            Err(error) => fallback = Some(error.to_string()),
        }
    }
    let (netstack, fd) = Netstack::open(options.mtu, &options.addresses, events)?;
    Ok((Running::Netstack(netstack), fd, fallback))
}

fn open_namespace(
    options: &RootlessOptions,
    events: EventSink,
) -> Result<(Namespace, OwnedFd), RootlessError> {
    let setup = Setup {
        name: options.name.clone(),
        mtu: options.mtu,
        addresses: options.addresses.clone(),
    };
    let mut first = [0; 4];
    let _ = SystemRandom::new().fill(&mut first); // a ping's number that is easier to guess harms nobody
    Namespace::open(options.helper.clone(), setup, u32::from_ne_bytes(first), events)
}
