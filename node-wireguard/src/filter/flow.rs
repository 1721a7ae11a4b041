//! One flow: who began it, how far it is, and how long it is remembered.

const FIN: u8 = 0x01;
pub const SYN: u8 = 0x02;
pub const RST: u8 = 0x04;
pub const ACK: u8 = 0x10;

const OPENING_MS: u64 = 2 * 60_000;
const ESTABLISHED_MS: u64 = 2 * 3_600_000;
const CLOSING_MS: u64 = 60_000;
const RESET_MS: u64 = 10_000;
const DATAGRAM_MS: u64 = 3 * 60_000;

/// Who began a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    Ours,
    /// It came in by a rule, and ends with it.
    Remote,
    /// We saw it from the middle (the engine is younger than the flow) and no rule lets it in.
    Unknown,
    /// Its rule is gone: nothing comes in, and what goes out does not open it again.
    Refused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Opening,
    Established,
    Closing,
    Reset,
    Datagram,
}

/// What an inbound packet means to its flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It belongs to the flow.
    Goes,
    /// It would open another in its place: rules decide.
    Opens,
    Refused,
}

/// What is known of a flow.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    pub origin: Origin,
    state: State,
    closed: [bool; 2], // a FIN from us, from the other end
    until: u64,
}

impl Flow {
    /// `flags` of the packet that opens it, if that is TCP.
    pub fn new(origin: Origin, flags: Option<u8>, now: u64) -> Self {
        let state = match flags {
            None => State::Datagram,
            Some(flags) if flags & SYN != 0 => State::Opening,
            Some(_) => State::Established,
        };
        let mut flow = Self { origin, state, closed: [false; 2], until: 0 };
        flow.step(flags, 0, now);
        flow
    }

    /// A packet of ours.
    pub fn sent(&mut self, flags: Option<u8>, now: u64) {
        if flags.is_some_and(|flags| flags & SYN != 0) {
            // The answer to another connection between the same ports.
            (self.state, self.closed) = (State::Opening, [false; 2]);
        }
        self.step(flags, 0, now);
    }

    /// A packet of the other end; one that is let in keeps the flow alive.
    pub fn received(&mut self, flags: Option<u8>, now: u64) -> Stage {
        if self.origin == Origin::Refused {
            return Stage::Refused;
        }
        // Both ends may open at once (RFC 9293, 3.5), but later a bare SYN is another connection.
        let opens = flags.is_some_and(|flags| flags & (SYN | ACK | RST) == SYN);
        if opens && self.state != State::Opening {
            return Stage::Opens;
        }
        if let (State::Opening, Some(flags)) = (self.state, flags)
            && flags & ACK != 0
        {
            self.state = State::Established;
        }
        self.step(flags, 1, now);
        Stage::Goes
    }

    fn step(&mut self, flags: Option<u8>, end: usize, now: u64) {
        if let Some(flags) = flags {
            self.closed[end] |= flags & FIN != 0;
            if flags & RST != 0 {
                self.state = State::Reset;
            } else if self.closed == [true; 2] && self.state != State::Reset {
                self.state = State::Closing;
            }
        }
        let lifetime = match self.state {
            State::Opening => OPENING_MS,
            State::Established => ESTABLISHED_MS,
            State::Closing => CLOSING_MS,
            State::Reset => RESET_MS,
            State::Datagram => DATAGRAM_MS,
        };
        self.until = now + lifetime;
    }

    pub fn is_alive(&self, now: u64) -> bool {
        now < self.until
    }

    /// The lowest is the first to go when a bucket is full.
    pub fn worth(&self, now: u64) -> (u8, u64) {
        let class = match (self.state, self.origin) {
            _ if self.until <= now => 0,
            (State::Reset | State::Closing, _) => 1,
            (State::Opening, _) => 2,
            (State::Datagram, Origin::Ours | Origin::Unknown) => 4,
            (State::Datagram, _) => 3,
            (State::Established, _) => 5,
        };
        (class, self.until)
    }
}
