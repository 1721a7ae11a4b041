//! What the threads and the handle have in common.

use super::command::{Command, Commands};
use super::inbox::{Inbox, Message};
use super::{Counters, DeviceError, Event, Sink, SocketInfo};
use crate::io::Udp;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

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
    ended: Condvar,
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
            ended: Condvar::new(),
        })
    }

    pub fn socket(&self, id: u32) -> Option<&Socket> {
        self.sockets.get(id as usize)
    }

    pub fn check_alive(&self) -> Result<(), DeviceError> {
        why(&self.life()).map_or(Ok(()), Err)
    }

    /// Why a thread gave no answer. One that panics lets go of its caller before the reason is written down, so this waits
    /// for that.
    pub fn death(&self) -> DeviceError {
        let running = |life: &mut Life| matches!(life, Life::Running);
        let life = self.ended.wait_while(self.life(), running);
        why(&life.unwrap_or_else(PoisonError::into_inner)).unwrap_or(DeviceError::Closed)
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes down how it ended, once; false if that was known already.
    fn end(&self, how: Life) -> bool {
        let mut life = self.life();
        let first = matches!(*life, Life::Running);
        if first {
            *life = how;
            self.ended.notify_all();
        }
        first
    }

    /// Tells both threads to end.
    pub fn stop(&self) {
        self.commands.push(Command::Stop);
        self.inbox.push(Message::Stop);
    }

    pub fn close(&self) {
        self.end(Life::Closed);
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
        let first = self.end(Life::Failed(format!("{thread}: {message}")));
        self.stop();
        if first {
            // A sink that panics must not take the process along.
            let _ =
                catch_unwind(AssertUnwindSafe(|| (self.sink)(Event::Panic { thread, message })));
        }
    }
}

fn why(life: &Life) -> Option<DeviceError> {
    match life {
        Life::Running => None,
        Life::Closed => Some(DeviceError::Closed),
        Life::Failed(message) => Some(DeviceError::Failed(message.clone())),
    }
}

fn words_of(panic: &(dyn Any + Send)) -> String {
    let words = panic.downcast_ref::<&str>().map(|words| (*words).to_owned());
    words
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic".to_owned())
}
