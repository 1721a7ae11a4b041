//! What the threads and the handle have in common.

use super::command::{Command, Commands};
use super::inbox::{Inbox, Message};
use super::{Counters, DeviceError, Event, Sink, SocketInfo};
use crate::io::Udp;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

enum Life {
    Running,
    Closed,
    Failed(String),
}

pub struct Socket {
    pub info: SocketInfo,
    pub udp: Udp,
}

pub struct Shared {
    pub sink: Sink,
    pub counters: Arc<Counters>,
    pub sockets: Vec<Socket>,
    pub commands: Commands,
    pub inbox: Inbox,
    life: Mutex<Life>,
}

impl Shared {
    pub fn new(sink: Sink, sockets: Vec<Socket>) -> std::io::Result<Self> {
        Ok(Self {
            sink,
            counters: Arc::default(),
            sockets,
            commands: Commands::new()?,
            inbox: Inbox::default(),
            life: Mutex::new(Life::Running),
        })
    }

    pub fn socket(&self, id: u32) -> Option<&Socket> {
        self.sockets.get(id as usize)
    }

    pub fn check_alive(&self) -> Result<(), DeviceError> {
        match &*self.life.lock().unwrap_or_else(PoisonError::into_inner) {
            Life::Running => Ok(()),
            Life::Closed => Err(DeviceError::Closed),
            Life::Failed(message) => Err(DeviceError::Failed(message.clone())),
        }
    }

    /// Tells both threads to end.
    pub fn stop(&self) {
        self.commands.push(Command::Stop);
        self.inbox.push(Message::Stop);
    }

    pub fn close(&self) {
        let mut life = self.life.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*life, Life::Running) {
            *life = Life::Closed;
        }
        drop(life);
        self.stop();
    }

    /// Runs the life of a thread. If that ends with an error or a panic, the device has failed: the world is told, every
    /// method answers with it, and the other thread ends as well.
    pub fn guard(&self, thread: &'static str, life: impl FnOnce() -> std::io::Result<()>) {
        let message = match catch_unwind(AssertUnwindSafe(life)) {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(panic) => words_of(&*panic),
        };
        let mut life = self.life.lock().unwrap_or_else(PoisonError::into_inner);
        let told = !matches!(*life, Life::Running);
        if !told {
            *life = Life::Failed(format!("{thread}: {message}"));
        }
        drop(life);
        self.stop();
        if !told {
            // A sink that panics must not take the process along.
            let _ =
                catch_unwind(AssertUnwindSafe(|| (self.sink)(Event::Panic { thread, message })));
        }
    }
}

fn words_of(panic: &(dyn Any + Send)) -> String {
    let words = panic.downcast_ref::<&str>().map(|words| (*words).to_owned());
    words
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic".to_owned())
}
