//! Messages of equal size side by side for one destination, so that the kernel can cut them apart again.

use super::udp::{BATCH_BYTES, BATCH_MESSAGES, Destination};

/// Bytes that a forwarder's path puts in front of every message.
pub const PREFIX: usize = 8;

/// Messages side by side, all of one size but for a shorter last one. Each may stand behind a gap with a prefix in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Messages<'a> {
    bytes: &'a [u8],
    /// Bytes of a message, without the gap.
    pub stride: usize,
    gap: usize,
}

impl<'a> Messages<'a> {
    /// Without gaps.
    pub fn new(bytes: &'a [u8], stride: usize) -> Self {
        Self { bytes, stride, gap: 0 }
    }

    /// The messages, without gaps.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        let gap = self.gap;
        self.bytes.chunks(self.gap + self.stride).map(move |message| &message[gap..])
    }

    /// The messages with this prefix (or none) before each, as they lie here; nothing if they do not lie like that.
    pub fn as_laid(&self, prefix: Option<&[u8; PREFIX]>) -> Option<&'a [u8]> {
        let laid = match prefix {
            None => self.gap == 0,
            Some(prefix) => self.gap == PREFIX && self.bytes.starts_with(prefix),
        };
        laid.then_some(self.bytes)
    }

    /// The same in runs of at most so many messages.
    pub fn runs(&self, most: usize) -> impl Iterator<Item = Self> {
        let Self { stride, gap, .. } = *self;
        self.bytes.chunks(most * (gap + stride)).map(move |bytes| Self { bytes, stride, gap })
    }

    /// How many they are.
    pub fn count(&self) -> usize {
        self.bytes.len().div_ceil(self.gap + self.stride)
    }

    /// Bytes of all messages, without gaps.
    pub fn payload(&self) -> usize {
        self.bytes.len() - self.count() * self.gap
    }
}

/// Equal messages and at most one shorter at the end: what one `sendmsg` with `UDP_SEGMENT` can carry.
/// The destination's prefix stands before each message already, since to lay it between them at the last moment costs the
/// kernel's copy half of its speed. The same messages can leave by other paths without it.
pub struct Batch {
    buffer: Box<[u8]>,
    to: Option<Destination>,
    used: usize,
    stride: usize,
    count: usize,
    closed: bool, // a shorter message is the last one that a batch can take
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}

impl Batch {
    pub fn new() -> Self {
        let buffer = vec![0; BATCH_BYTES].into();
        Self { buffer, to: None, used: 0, stride: 0, count: 0, closed: false }
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many messages are in it.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Where it goes to.
    pub fn to(&self) -> Option<&Destination> {
        self.to.as_ref()
    }

    /// Whether a message of `length` bytes (without prefix) for `to` can be added. An empty batch takes whatever fits
    /// one datagram.
    pub fn has_room_for(&self, to: &Destination, length: usize) -> bool {
        if self.count == 0 {
            return length <= BATCH_BYTES - PREFIX;
        }
        !self.closed
            && length <= self.stride
            && self.count < BATCH_MESSAGES
            && self.used + length + to.prefix.map_or(0, |prefix| prefix.len()) <= BATCH_BYTES
            && self.to.as_ref() == Some(to)
    }

    /// Nothing of this length can follow, so waiting for more would only delay the others.
    pub fn is_full(&self) -> bool {
        self.to.as_ref().is_some_and(|to| !self.has_room_for(to, self.stride))
    }

    /// Room for one message, to be filled by the caller; only after [`Batch::has_room_for`] said yes.
    pub fn add(&mut self, to: &Destination, length: usize) -> &mut [u8] {
        if self.count == 0 {
            (self.stride, self.to) = (length, Some(*to));
        }
        self.closed = length < self.stride;
        self.count += 1;
        let mut at = self.used;
        if let Some(prefix) = &to.prefix {
            self.buffer[at..at + PREFIX].copy_from_slice(prefix);
            at += PREFIX;
        }
        self.used = at + length;
        &mut self.buffer[at..self.used]
    }

    /// Gives back the room of the message added last, as it turned out not to be sent.
    pub fn take_back(&mut self, length: usize) {
        self.used = self.used.saturating_sub(length + self.gap());
        self.count = self.count.saturating_sub(1);
        self.closed = false;
    }

    /// The messages and the destination, to be sent; the batch is empty again.
    pub fn take(&mut self) -> Option<(Messages<'_>, Destination)> {
        let (used, gap) = (std::mem::take(&mut self.used), self.gap());
        self.count = 0;
        self.closed = false;
        let to = self.to.take()?;
        let messages = Messages { bytes: &self.buffer[..used], stride: self.stride, gap };
        (used > 0).then_some((messages, to))
    }

    fn gap(&self) -> usize {
        self.to.and_then(|to| to.prefix).map_or(0, |prefix| prefix.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destination(prefix: Option<[u8; PREFIX]>) -> Destination {
        Destination { prefix, ..Destination::new("192.0.2.1:51820".parse().unwrap()) }
    }

    fn count_of(to: &Destination, length: usize) -> usize {
        let mut batch = Batch::new();
        (0..).take_while(|_| !batch.is_full() && !batch.add(to, length).is_empty()).count()
    }

    #[test]
    fn a_shorter_message_is_the_last_one() {
        let (mut batch, to) = (Batch::new(), destination(None));
        batch.add(&to, 100).fill(1);
        assert!(batch.has_room_for(&to, 100) && !batch.has_room_for(&to, 101));
        batch.add(&to, 96).fill(2);
        assert!(!batch.has_room_for(&to, 96) && batch.is_full());
        assert_eq!(batch.take().map(|(all, _)| (all.payload(), all.stride)), Some((196, 100)));
        assert!(batch.take().is_none() && batch.has_room_for(&to, 1452));
    }

    #[test]
    fn forty_five_full_messages_fill_it() {
        assert_eq!(count_of(&destination(None), 1452), 45);
        assert_eq!(
            count_of(&destination(Some([0; PREFIX])), 1440),
            45,
            "the MTU of 1408 behind a forwarder"
        );
    }

    #[test]
    fn prefixes_count_against_the_room() {
        assert_eq!(count_of(&destination(Some([0; PREFIX])), 1452), 44);
        assert_eq!(count_of(&destination(None), 32), BATCH_MESSAGES);
    }

    #[test]
    fn another_destination_does_not_fit() {
        let (mut batch, to) = (Batch::new(), destination(None));
        batch.add(&to, 100);
        assert!(!batch.has_room_for(&destination(Some([1; PREFIX])), 100));
        assert!(!batch.has_room_for(&Destination::new("192.0.2.2:51820".parse().unwrap()), 100));
    }

    #[test]
    fn what_is_taken_back_is_not_sent() {
        let (mut batch, to) = (Batch::new(), destination(None));
        batch.add(&to, 100);
        batch.add(&to, 60);
        batch.take_back(60);
        assert!(batch.has_room_for(&to, 100));
        assert_eq!(batch.take().map(|(all, _)| all.payload()), Some(100));
    }

    #[test]
    fn a_prefix_stands_before_each_message_and_can_be_left_out() {
        let (mut batch, to) = (Batch::new(), destination(Some([9; PREFIX])));
        for (value, length) in [(1, 100), (2, 100), (3, 60), (4, 50)] {
            batch.add(&to, length).fill(value);
        }
        batch.take_back(50);
        let (all, _) = batch.take().unwrap();
        assert_eq!((all.count(), all.payload(), all.stride), (3, 260, 100));
        let lengths: Vec<(u8, usize)> = all.iter().map(|one| (one[0], one.len())).collect();
        assert_eq!(lengths, [(1, 100), (2, 100), (3, 60)]);
        let laid = all.as_laid(Some(&[9; PREFIX])).unwrap();
        assert_eq!((laid.len(), &laid[108..117]), (284, &[9, 9, 9, 9, 9, 9, 9, 9, 2][..]));
        assert_eq!((all.as_laid(None), all.as_laid(Some(&[8; PREFIX]))), (None, None));
        assert_eq!(all.runs(2).map(|run| run.count()).collect::<Vec<_>>(), [2, 1]);
    }
}
