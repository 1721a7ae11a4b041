//! Peers by a number that is used again, and a generation that is not.

/// Names a peer between the threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId {
    pub slot: u32,
    generation: u32,
}

pub struct Slab<T> {
    entries: Vec<(u32, Option<T>)>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    pub fn insert(&mut self, make: impl FnOnce(PeerId) -> T) -> PeerId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.entries.push((0, None));
            self.entries.len() as u32 - 1
        });
        let entry = &mut self.entries[slot as usize];
        let id = PeerId { slot, generation: entry.0 };
        entry.1 = Some(make(id));
        id
    }

    pub fn get(&self, id: PeerId) -> Option<&T> {
        self.entries.get(id.slot as usize).filter(|entry| entry.0 == id.generation)?.1.as_ref()
    }

    pub fn get_mut(&mut self, id: PeerId) -> Option<&mut T> {
        let entry = self.entries.get_mut(id.slot as usize)?;
        if entry.0 == id.generation { entry.1.as_mut() } else { None }
    }

    pub fn remove(&mut self, id: PeerId) -> Option<T> {
        let entry =
            self.entries.get_mut(id.slot as usize).filter(|entry| entry.0 == id.generation)?;
        let value = entry.1.take()?;
        entry.0 = entry.0.wrapping_add(1);
        self.free.push(id.slot);
        Some(value)
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().filter_map(|entry| entry.1.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_one_who_is_gone_finds_nobody() {
        let mut slab = Slab::default();
        let first = slab.insert(|_| 'a');
        assert_eq!(slab.remove(first), Some('a'));
        let second = slab.insert(|_| 'b');
        assert_eq!(second.slot, first.slot);
        assert!(
            slab.get(first).is_none()
                && slab.get_mut(first).is_none()
                && slab.remove(first).is_none()
        );
        assert_eq!((slab.get(second), slab.iter().count()), (Some(&'b'), 1));
    }
}
