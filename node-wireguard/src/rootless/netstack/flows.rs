//! The connections: by number, by four-tuple, and by the time of their next turn.

use super::flow::Flow;
use super::key::FlowKey;
use super::tcp::Micros;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::{IpAddr, SocketAddr};

/// Connections at once. Each takes two descriptors of this process.
pub const MOST: usize = 16_384;
/// The ports that dialled connections take, as Linux has them.
const PORTS: std::ops::Range<u16> = 32_768..60_999;

#[derive(Default)]
struct Slot {
    generation: u32,
    flow: Option<Flow>,
    /// In the queue of those that have something to do.
    queued: bool,
    /// The earliest entry in the heap of timers.
    timer: Option<Micros>,
}

#[derive(Default)]
pub struct Flows {
    slots: Vec<Slot>,
    free: Vec<u32>,
    by_key: HashMap<FlowKey, u32>,
    queue: Vec<u32>,
    timers: BinaryHeap<Reverse<(Micros, u32, u32)>>,
    port: u16,
}

impl Flows {
    pub fn count(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Adds one, if there is room; its number, which is never used twice.
    pub fn add(&mut self, flow: Flow) -> Option<u64> {
        if self.count() >= MOST {
            return None;
        }
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() as u32 - 1
        });
        let slot = &mut self.slots[index as usize];
        slot.generation += 1;
        self.by_key.insert(flow.key, index);
        slot.flow = Some(flow);
        self.queue(index);
        Some(id(slot_generation(&self.slots, index), index))
    }

    /// The connection of that number, if it lives, to be given something to do.
    pub fn by_id(&mut self, id: u64) -> Option<&mut Flow> {
        let index = id as u32;
        let slot = self.slots.get_mut(index as usize)?;
        if u64::from(slot.generation) != id >> 32 || slot.flow.is_none() {
            return None;
        }
        self.queue(index);
        self.slots[index as usize].flow.as_mut()
    }

    /// The connection of that four-tuple, to be given something to do.
    pub fn by_key(&mut self, key: &FlowKey) -> Option<(u64, &mut Flow)> {
        let index = *self.by_key.get(key)?;
        self.queue(index);
        let slot = &mut self.slots[index as usize];
        Some((id(slot.generation, index), slot.flow.as_mut()?))
    }

    pub fn has(&self, key: &FlowKey) -> bool {
        self.by_key.contains_key(key)
    }

    fn queue(&mut self, index: u32) {
        if !std::mem::replace(&mut self.slots[index as usize].queued, true) {
            self.queue.push(index);
        }
    }

    pub fn busy(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Takes the numbers of those that have something to do.
    pub fn take_queue(&mut self) -> Vec<u64> {
        let queue = std::mem::take(&mut self.queue);
        for &index in &queue {
            self.slots[index as usize].queued = false;
        }
        queue.into_iter().map(|index| id(slot_generation(&self.slots, index), index)).collect()
    }

    /// Takes one out for its turn; put it back with `put`.
    pub fn take(&mut self, id: u64) -> Option<Flow> {
        let slot = self.slots.get_mut(id as u32 as usize)?;
        if u64::from(slot.generation) == id >> 32 { slot.flow.take() } else { None }
    }

    /// Puts one back after its turn, to come again at `next`.
    pub fn put(&mut self, id: u64, flow: Flow, next: Option<Micros>) {
        let index = id as u32;
        let slot = &mut self.slots[index as usize];
        slot.flow = Some(flow);
        if let Some(at) = next
            && slot.timer.is_none_or(|timer| at < timer)
        {
            slot.timer = Some(at);
            self.timers.push(Reverse((at, index, slot.generation)));
        }
    }

    /// The same, to come again at once.
    pub fn put_again(&mut self, id: u64, flow: Flow) {
        self.put(id, flow, None);
        self.queue(id as u32);
    }

    /// Frees the place of one that was taken out.
    pub fn remove(&mut self, id: u64, key: &FlowKey) {
        self.release_key(id, key);
        let slot = &mut self.slots[id as u32 as usize];
        (slot.flow, slot.timer) = (None, None);
        self.free.push(id as u32);
    }

    /// Frees its four-tuple only.
    pub fn release_key(&mut self, id: u64, key: &FlowKey) {
        if self.by_key.get(key) == Some(&(id as u32)) {
            self.by_key.remove(key);
        }
    }

    /// Queues those whose time has come; says when the next one's will.
    pub fn expire(&mut self, now: Micros) -> Option<Micros> {
        while let Some(&Reverse((at, index, generation))) = self.timers.peek() {
            if at > now {
                return Some(at);
            }
            self.timers.pop();
            let slot = &mut self.slots[index as usize];
            if slot.generation == generation && slot.timer == Some(at) {
                slot.timer = None;
                if slot.flow.is_some() {
                    self.queue(index);
                }
            }
        }
        None
    }

    /// A local port that is free for this remote address.
    pub fn free_port(
        &mut self,
        local: IpAddr,
        remote: SocketAddr,
        start: u16,
        taken: impl Fn(&FlowKey) -> bool,
    ) -> Option<FlowKey> {
        let count = PORTS.len() as u32;
        let start = self.port.wrapping_add(start);
        let key = |step: u32| {
            let port = PORTS.start + ((u32::from(start) + step) % count) as u16;
            FlowKey { local: SocketAddr::new(local, port), remote }
        };
        let found = (0..count).map(key).find(|key| !self.has(key) && !taken(key))?;
        self.port = self.port.wrapping_add(1);
        Some(found)
    }

    /// Takes all out, at the end.
    pub fn drain(&mut self) -> impl Iterator<Item = Flow> + '_ {
        self.by_key.clear();
        self.slots.iter_mut().filter_map(|slot| slot.flow.take())
    }
}

fn slot_generation(slots: &[Slot], index: u32) -> u32 {
    slots[index as usize].generation
}

fn id(generation: u32, index: u32) -> u64 {
    u64::from(generation) << 32 | u64::from(index)
}
