//! Four-tuples that rest after their end (TIME-WAIT, RFC 9293 §3.6.1): only the last acknowledgement is kept of them.

use super::key::FlowKey;
use super::segment::{RST, SYN, Segment};
use super::tcp::Micros;
use std::collections::{HashMap, VecDeque};

const MOST: usize = 16_384;
const REST: Micros = 10_000_000;

#[derive(Default)]
pub struct Resting {
    last: HashMap<FlowKey, (Micros, Vec<u8>)>,
    order: VecDeque<(Micros, FlowKey)>,
}

impl Resting {
    /// Lays one to rest; `frame` is what answers its peer if that did not hear us.
    pub fn add(&mut self, key: FlowKey, frame: Vec<u8>, now: Micros) {
        if self.order.len() >= MOST
            && let Some((at, oldest)) = self.order.pop_front()
        {
            self.remove(&oldest, at);
        }
        self.order.push_back((now, key));
        self.last.insert(key, (now, frame));
    }

    fn remove(&mut self, key: &FlowKey, at: Micros) {
        if self.last.get(key).is_some_and(|(since, _)| *since == at) {
            self.last.remove(key);
        }
    }

    pub fn holds(&self, key: &FlowKey) -> bool {
        self.last.contains_key(key)
    }

    /// What to answer to a segment of a resting flow. A new SYN ends the rest.
    pub fn answer(&mut self, key: &FlowKey, segment: &Segment) -> Option<&[u8]> {
        if segment.has(SYN) {
            self.last.remove(key);
            return None;
        }
        let (_, frame) = self.last.get(key)?;
        (segment.length() > 0 && !segment.has(RST)).then_some(frame)
    }

    /// Wakes those that have rested long enough; says when the next has.
    pub fn expire(&mut self, now: Micros) -> Option<Micros> {
        while let Some(&(at, key)) = self.order.front() {
            if at + REST > now {
                return Some(at + REST);
            }
            self.order.pop_front();
            self.remove(&key, at);
        }
        None
    }
}
