//! What the threads and the handle have in common.

use super::command::{Command, Commands};
use super::control::Control;
use super::inbox::{Inbox, Message};
use super::sockets::{Socket, Sockets};
use super::{Counters, DeviceError, Event, PublicKey, Sink};
use crate::io::Waker;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, mpsc};

enum Life {
    Running,
    Closed,
    Failed(String),
}

pub struct Shared {
    pub sink: Sink,
    pub counters: Arc<Counters>,
    /// The shard has its own copy and is told of a change.
    sockets: RwLock<Sockets>,
    /// To each shard.
    pub commands: Box<[Arc<Commands>]>,
    pub inbox: Inbox,
    /// Zeros while there is none.
    public_key: Mutex<PublicKey>,
    /// Rings when the threads are to end.
    pub stopped: Waker,
    life: Mutex<Life>,
    ended: Condvar,
}

impl Shared {
    pub fn new(sink: Sink, sockets: Sockets, shards: usize) -> std::io::Result<Self> {
        let commands: std::io::Result<_> =
            (0..shards).map(|_| Commands::new().map(Arc::new)).collect();
        Ok(Self {
            sink,
            counters: Arc::default(),
            sockets: RwLock::new(sockets),
            commands: commands?,
            inbox: Inbox::default(),
            public_key: Mutex::default(),
            stopped: Waker::new()?,
            life: Mutex::new(Life::Running),
            ended: Condvar::new(),
        })
    }

    pub fn public_key(&self) -> PublicKey {
        *self.public_key.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set_public_key(&self, key: PublicKey) {
        *self.public_key.lock().unwrap_or_else(PoisonError::into_inner) = key;
    }

    pub fn sockets(&self) -> Sockets {
        Arc::clone(&self.sockets.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn socket(&self, id: u32) -> Option<Socket> {
        self.sockets.read().unwrap_or_else(PoisonError::into_inner).get(id as usize).cloned()
    }

    /// These take the place of the sockets so far, everywhere.
    pub fn replace_sockets(&self, sockets: Sockets) {
        *self.sockets.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&sockets);
        self.command(Command::SetSockets(sockets));
    }

    /// Tells all shards.
    pub fn command(&self, command: Command) {
        let Some((first, others)) = self.commands.split_first() else { return };
        for shard in others {
            shard.push(command.clone());
        }
        first.push(command);
    }

    /// Has the control thread do something, and waits for the answer.
    pub fn call<R: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Control) -> R + Send + 'static,
    ) -> Result<R, DeviceError> {
        self.check_alive()?;
        let (answer, answered) = mpsc::sync_channel(1);
        self.inbox.push(Message::Call(Box::new(move |control| {
            let _ = answer.send(act(control)); // the caller waits below
        })));
        answered.recv().map_err(|_| self.death())
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

    /// Tells all threads to end.
    pub fn stop(&self) {
        self.command(Command::Stop);
        self.inbox.push(Message::Stop);
        self.stopped.wake();
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
        self.fail(thread, message);
    }

    /// The device cannot go on, or must not: all its threads end, and the world is told why.
    pub fn fail(&self, thread: &'static str, message: String) {
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
