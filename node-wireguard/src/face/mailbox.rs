use napi::Status;
use napi::threadsafe_function::{
    ThreadsafeFunction, ThreadsafeFunctionCallMode, UnknownReturnValue,
};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A JavaScript function that is called from any thread. A weak one does not keep the process alive.
pub type Bell<const WEAK: bool> =
    ThreadsafeFunction<(), UnknownReturnValue, (), Status, false, WEAK>;

/// Things for JavaScript, put in by any thread. One ring of the bell stands for all that is in when JavaScript looks, so
/// however fast they come, it is called no more than once a turn.
pub struct Mailbox<T> {
    waiting: Mutex<VecDeque<T>>,
    limit: usize,
    lost: AtomicU64,
    rung: AtomicBool,
    bell: Mutex<Option<Box<dyn Fn() + Send + Sync>>>,
}

impl<T> Mailbox<T> {
    /// Holds `limit` things; what comes then is dropped and counted.
    pub fn new<const WEAK: bool>(bell: Bell<WEAK>, limit: usize) -> Self {
        let ring = move || {
            bell.call((), ThreadsafeFunctionCallMode::NonBlocking);
        };
        Self {
            waiting: Mutex::default(),
            limit,
            lost: AtomicU64::new(0),
            rung: AtomicBool::new(false),
            bell: Mutex::new(Some(Box::new(ring))),
        }
    }

    pub fn put(&self, thing: T) {
        {
            let mut waiting = lock(&self.waiting);
            if waiting.len() >= self.limit {
                self.lost.fetch_add(1, Ordering::Relaxed);
            } else {
                waiting.push_back(thing);
            }
        }
        if !self.rung.swap(true, Ordering::AcqRel)
            && let Some(ring) = &*lock(&self.bell)
        {
            ring();
        }
    }

    /// All that is in. The bell may ring again from here on, so what comes later is not missed.
    pub fn take(&self) -> VecDeque<T> {
        self.rung.store(false, Ordering::Release);
        std::mem::take(&mut *lock(&self.waiting))
    }

    /// How many were dropped since the last question.
    pub fn take_lost(&self) -> u64 {
        self.lost.swap(0, Ordering::Relaxed)
    }

    /// Lets the function go: it no longer keeps the process alive. What is in can still be taken.
    pub fn silence(&self) {
        lock(&self.bell).take();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
