//! The congestion window of one flow, kept outside of smoltcp and told to it as the peer's window.
//!
//! smoltcp's own controllers grow by one segment per acknowledgement; one acknowledgement covers a whole super-frame
//! here, so they would crawl. This one counts bytes (RFC 9438, RFC 6582), and sees losses by what leaves twice.

use super::alarm::Alarm;
use super::segment::{FIN, RST, SYN, Segment, after};

/// RFC 6928: ten segments.
const INITIAL_SEGMENTS: f64 = 10.0;
const LARGEST_WINDOW: f64 = (8 << 20) as f64;
const BETA: f64 = 0.7;
/// C of RFC 9438, in segments per second³.
const CUBIC: f64 = 0.4;
const IDLE_MICROS: u64 = 1_000_000;
/// After so many holes in one window, all that follows is sent again instead of one segment per round trip.
const HOLES: u32 = 3;

/// What the socket must be made to do after an acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Nothing,
    /// A partial acknowledgement: the segment at its edge is lost too. Send it again now.
    ResendHead,
    /// Too many holes: send everything from the edge again, as after a timeout.
    ResendAll,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Recovery {
    None,
    /// Until `end` is acknowledged; `holes` partial acknowledgements so far.
    Fast {
        end: u32,
        holes: u32,
    },
    Timeout {
        end: u32,
    },
}

#[derive(Debug)]
pub struct Governor {
    pub alarm: Alarm,
    mss: f64,
    window: f64,
    threshold: f64,
    recovery: Recovery,
    /// The cubic curve: its plateau, when it began (µs), and RFC 9438's W_est.
    plateau: f64,
    epoch: Option<u64>,
    reno: f64,
    scale: u8,
    unacknowledged: u32,
    highest: u32,
    /// The window that smoltcp was told last, in bytes, and whether it was ours rather than the peer's.
    told: u64,
    ours: bool,
    /// The peer's own window, in bytes.
    real: u64,
    last_sent: u64,
}

impl Governor {
    /// `scale` is the peer's window shift, `initial` our initial sequence number.
    pub fn new(mss: u16, scale: u8, initial: u32) -> Self {
        let mss = f64::from(mss.max(1));
        Self {
            alarm: Alarm::default(),
            mss,
            window: INITIAL_SEGMENTS * mss,
            threshold: f64::INFINITY,
            recovery: Recovery::None,
            plateau: 0.0,
            epoch: None,
            reno: 0.0,
            scale,
            unacknowledged: initial.wrapping_add(1),
            highest: initial.wrapping_add(1),
            told: 0,
            ours: false,
            real: 0,
            last_sent: 0,
        }
    }

    /// Our SYN leaves with this sequence number.
    pub fn restart(&mut self, initial: u32) {
        if self.flight() == 0 {
            self.unacknowledged = initial.wrapping_add(1);
            self.highest = self.unacknowledged;
        }
    }

    /// Lowers the window of the peer's SYN, which is never scaled.
    pub fn opening(&mut self, segment: &mut Segment, bytes: &mut [u8]) {
        let window = self.whole_segments().min(u64::from(segment.window)) as u16;
        self.ours = window < segment.window;
        (self.told, self.real) = (window.into(), segment.window.into());
        segment.set_window(bytes, window);
    }

    /// What the peer has acknowledged.
    pub fn acknowledged(&self) -> u32 {
        self.unacknowledged
    }

    /// Bytes sent and not acknowledged.
    pub fn flight(&self) -> u32 {
        self.highest.wrapping_sub(self.unacknowledged)
    }

    /// Is this sequence number one that is in flight? (RFC 5927: only such a one makes an ICMP error believable.)
    pub fn in_flight(&self, sequence: u32) -> bool {
        sequence.wrapping_sub(self.unacknowledged) < self.flight()
    }

    /// May the socket send, by what it was told last?
    pub fn open(&self) -> bool {
        self.told > 0
    }

    /// Notes what leaves, the sequence space of a FIN included.
    pub fn sent(&mut self, sequence: u32, length: u32, now: u64) {
        if length == 0 || self.told == 0 {
            return; // the second is a probe of a closed window
        }
        if after(self.highest, sequence) {
            self.lost(now);
            self.alarm.sent_again();
        } else if self.flight() == 0 && now.saturating_sub(self.last_sent) > IDLE_MICROS {
            // RFC 2861: what was learned an idle second ago is half believed.
            self.window = (self.window / 2.0).max(INITIAL_SEGMENTS * self.mss).min(self.window);
        }
        self.last_sent = now;
        let end = sequence.wrapping_add(length);
        if after(end, self.highest) {
            self.highest = end;
            self.alarm.sent(end, now);
        }
    }

    fn lost(&mut self, now: u64) {
        if self.recovery == Recovery::None {
            self.cut(now);
            self.window = self.threshold;
            self.recovery = Recovery::Fast { end: self.highest, holes: 0 };
        }
    }

    fn cut(&mut self, now: u64) {
        self.plateau = self.window;
        self.threshold = (f64::from(self.flight()) * BETA).max(2.0 * self.mss);
        self.epoch = Some(now);
        self.reno = self.threshold;
    }

    /// All that is in flight is about to be sent again. Returns the window to tell the socket first, as a header field, so that
    /// it does not send a whole old window at once.
    pub fn timeout(&mut self, now: u64) -> u16 {
        if !matches!(self.recovery, Recovery::Timeout { .. }) {
            self.cut(now);
        }
        self.recovery = Recovery::Timeout { end: self.highest };
        self.window = 2.0 * self.mss;
        self.alarm.went_off(now);
        self.tell((self.window as u64).min(self.real))
    }

    /// Is this only an acknowledgement that came before?
    pub fn is_repeated(&self, segment: &Segment) -> bool {
        let control = segment.flags & (SYN | FIN | RST) != 0;
        let known = segment.acknowledged == self.unacknowledged;
        known && segment.payload == 0 && !control && self.flight() > 0
    }

    /// Takes an incoming segment's acknowledgement, and lowers its window field to ours.
    pub fn received(&mut self, segment: &mut Segment, bytes: &mut [u8], now: u64) -> Verdict {
        let real = u64::from(segment.window) << self.scale;
        self.real = real;
        let acknowledged = segment.acknowledged.wrapping_sub(self.unacknowledged);
        let verdict = if after(segment.acknowledged, self.unacknowledged) {
            if after(segment.acknowledged, self.highest) {
                self.highest = segment.acknowledged; // a probe of a closed window was taken
            }
            self.advance(acknowledged, now)
        } else {
            Verdict::Nothing
        };
        // A changed window would make a repeated acknowledgement look like news to smoltcp (RFC 5681 §2).
        let repeated = self.is_repeated(segment);
        let own = self.whole_segments();
        let allowed =
            if repeated && self.ours && self.told <= real { self.told } else { own.min(real) };
        self.ours = own < real;
        let field = self.tell(allowed);
        segment.set_window(bytes, field);
        verdict
    }

    fn whole_segments(&self) -> u64 {
        ((self.window / self.mss).floor().max(1.0) * self.mss) as u64
    }

    fn tell(&mut self, window: u64) -> u16 {
        let field = (window.div_ceil(1 << self.scale)).min(u64::from(u16::MAX)) as u16;
        self.told = u64::from(field) << self.scale;
        field
    }

    fn advance(&mut self, acknowledged: u32, now: u64) -> Verdict {
        let before = f64::from(self.flight());
        self.unacknowledged = self.unacknowledged.wrapping_add(acknowledged);
        let edge = self.unacknowledged;
        let reached = |end: u32| !after(end, edge);
        self.alarm.advanced(reached, now);
        match self.recovery {
            Recovery::Fast { end, .. } if reached(end) => {
                self.recovery = Recovery::None;
                self.window = self.threshold;
            }
            Recovery::Fast { holes, .. } if holes >= HOLES => {
                self.recovery = Recovery::Timeout { end: self.highest };
                return Verdict::ResendAll;
            }
            Recovery::Fast { end, holes } => {
                self.recovery = Recovery::Fast { end, holes: holes + 1 };
                return Verdict::ResendHead;
            }
            Recovery::Timeout { end } if reached(end) => self.recovery = Recovery::None,
            Recovery::Timeout { .. } | Recovery::None => {}
        }
        if before * 2.0 >= self.window {
            self.grow(f64::from(acknowledged), now); // only what was used may grow (RFC 7661)
        }
        Verdict::Nothing
    }

    fn grow(&mut self, acknowledged: f64, now: u64) {
        if self.window < self.threshold {
            self.window = (self.window + acknowledged).min(LARGEST_WINDOW);
            return;
        }
        let epoch = *self.epoch.get_or_insert(now);
        if self.plateau < self.mss {
            (self.plateau, self.reno) = (self.window, self.window);
        }
        let seconds = now.saturating_sub(epoch) as f64 / 1e6;
        let rise = (self.plateau * (1.0 - BETA) / (CUBIC * self.mss)).cbrt();
        let cubic = CUBIC * self.mss * (seconds - rise).powi(3) + self.plateau;
        self.reno += 3.0 * (1.0 - BETA) / (1.0 + BETA) * self.mss * acknowledged / self.window;
        let target = cubic.max(self.reno).clamp(self.window, 1.5 * self.window);
        self.window =
            (self.window + (target - self.window) * acknowledged / self.window).min(LARGEST_WINDOW);
    }
}
