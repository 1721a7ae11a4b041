//! One path of a peer.

use super::choice::{Health, Standing, score};
use super::meter::{Meter, Sample};
use super::mtu::MtuSearch;
use super::offload::Offload;
use super::pace::{FRESH_TRIES, Role, Scene, floors, interval};
use super::table::Candidate;
use super::{Micros, Traffic, wire};

/// How long a path is not chosen again after it failed in use, at first and at most.
const PENALTY: (Micros, Micros) = (2_000_000, 60_000_000);
/// Working this long pays the penalty back.
const FORGIVEN_AFTER: Micros = 60_000_000;
/// So much data lost in this time, while probes come through, is as bad as silence.
const DARK_FOR: Micros = 500_000;
const DARK_LOSS: f32 = 0.9;
/// Losing more than this may mean that large packets do not fit any more.
const DOUBTFUL_LOSS: f32 = 0.3;

pub struct Path {
    pub candidate: Candidate,
    pub health: Health,
    pub meter: Meter,
    pub mtu: MtuSearch,
    pub offload: Offload,
    /// Whether datagrams can go by it at all: a relayed one must be bound first.
    pub ready: bool,
    pub traffic: Traffic,
    pub tries: u32, // since it last answered, or was fresh
    pub next: Micros,
    pub probed_at: Micros,
    pub down_since: Micros,
    penalty: Micros,
    barred_until: Micros,
    dark_since: Option<Micros>,
    working_since: Micros,
}

impl Path {
    pub fn new(candidate: Candidate, inner_mtu: u16, now: Micros) -> Self {
        let relayed = candidate.endpoint.slot.is_some();
        Self {
            mtu: MtuSearch::new(inner_mtu, &candidate.endpoint.remote, relayed),
            health: Health::Probing,
            meter: Meter::default(),
            offload: Offload::default(),
            ready: !relayed,
            traffic: Traffic::default(),
            tries: 0,
            next: now,
            probed_at: 0,
            down_since: now,
            penalty: 0,
            barred_until: 0,
            dark_since: None,
            working_since: 0,
            candidate,
        }
    }

    pub fn works(&self) -> bool {
        matches!(self.health, Health::Working | Health::Suspect)
    }

    /// Starts anew with a burst, as a path that was never tried.
    pub fn refresh(&mut self, now: Micros) {
        (self.health, self.tries, self.next) = (Health::Probing, 0, now);
        self.meter.forget_outstanding();
    }

    /// Takes the time that passed into account.
    pub fn age(&mut self, now: Micros, active: bool, scene: Scene) {
        self.offload.age(now);
        match self.health {
            Health::Probing if self.ready && self.tries >= FRESH_TRIES && now >= self.next => {
                (self.health, self.tries, self.down_since) = (Health::Down, 0, now);
            }
            Health::Working | Health::Suspect => {
                let (suspect, down) = floors(scene);
                let Some((since, count)) = self.meter.silent_since() else { return };
                let silence = now.saturating_sub(since);
                if count >= 3 && silence > self.meter.down_after(down) {
                    self.fail(now, active);
                } else if silence > self.meter.suspect_after(suspect) {
                    if self.health == Health::Working {
                        self.next = now;
                    }
                    self.health = Health::Suspect;
                }
            }
            _ => {}
        }
    }

    /// It is dead from now on, and costs a penalty if packets were on it.
    pub fn fail(&mut self, now: Micros, active: bool) {
        if active {
            self.penalty = (2 * self.penalty).clamp(PENALTY.0, PENALTY.1);
            self.barred_until = now + self.penalty;
        }
        (self.health, self.tries, self.dark_since) = (Health::Down, 0, None);
        (self.next, self.down_since) = (now + 100_000, now);
        self.meter.forget_outstanding();
    }

    /// The other end proved that it got what we sent by this path.
    pub fn answered(&mut self, sample: Option<Sample>, now: Micros, active: bool) {
        if !self.works() {
            // Being well again must last as long as the penalty.
            self.barred_until = if self.penalty > 0 { now + self.penalty } else { 0 };
            (self.next, self.working_since) = (now, now);
        }
        if now.saturating_sub(self.working_since) > FORGIVEN_AFTER {
            self.penalty = 0;
        }
        (self.health, self.tries) = (Health::Working, 0);
        let data_loss = sample.and_then(|sample| sample.data_loss);
        if let Some(loss) = data_loss {
            self.offload.report(loss, now);
        }
        match data_loss {
            Some(loss) if loss > DARK_LOSS => {
                let since = *self.dark_since.get_or_insert(now);
                self.mtu.doubt();
                if now.saturating_sub(since) > DARK_FOR {
                    self.fail(now, active);
                }
            }
            Some(loss) => {
                self.dark_since = None;
                if loss > DOUBTFUL_LOSS {
                    self.mtu.doubt();
                }
            }
            None => {}
        }
    }

    pub fn standing(&self, now: Micros) -> Standing {
        Standing {
            id: self.candidate.id,
            cost_class: self.candidate.cost_class,
            score: score(
                self.meter.srtt().unwrap_or(u32::MAX / 4),
                self.meter.variation(),
                self.meter.loss(),
            ),
            health: self.health,
            barred: now < self.barred_until,
        }
    }

    /// Counts a probe as sent and sets the time of the next one.
    pub fn probed(&mut self, now: Micros, wait: Micros) {
        self.meter.sent(now, self.traffic.sent);
        self.tries = self.tries.saturating_add(1);
        (self.probed_at, self.next) = (now, now + wait);
    }

    pub fn interval(&self, role: Role, scene: Scene) -> Micros {
        interval(self.health, role, self.tries, scene)
    }

    /// When something is to be done with it.
    pub fn deadline(&self, scene: Scene) -> Micros {
        let (suspect, down) = floors(scene);
        let silence = self.meter.silent_since().filter(|_| self.works()).map(|(since, _)| {
            if self.health == Health::Working {
                since + self.meter.suspect_after(suspect) + 1
            } else {
                since + self.meter.down_after(down) + 1
            }
        });
        let mtu = if self.health == Health::Working { self.mtu.deadline() } else { Micros::MAX };
        let next = if self.ready { self.next } else { Micros::MAX };
        silence.unwrap_or(Micros::MAX).min(next).min(mtu).min(self.offload.deadline())
    }

    /// The largest inner packet that fits.
    pub fn inner_mtu(&self) -> u16 {
        let header = if self.candidate.endpoint.slot.is_some() { wire::FORWARD_HEADER } else { 0 };
        self.mtu.payload().saturating_sub(super::INNER_OVERHEAD + header as u16)
    }
}
