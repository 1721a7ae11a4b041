//! How often to probe.

use super::Micros;
use super::choice::Health;

const MS: Micros = 1_000;
/// Probes per second towards one peer for paths that do not work yet, and how many may go at once.
const PER_SECOND: u64 = 20;
const BURST: u64 = 12;
/// A fresh candidate is asked this often before it counts as down: about 5 s, so that both ends' bursts overlap.
pub const FRESH_TRIES: u32 = 14;

/// The use that a path is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Active,
    /// One of the two best others.
    Warm,
    Cold,
}

/// What else decides: whether the peer is being sent to, and whether another path works.
#[derive(Clone, Copy, Debug)]
pub struct Scene {
    pub sending: bool,
    pub others_work: bool,
}

/// Until the next probe.
pub fn interval(health: Health, role: Role, tries: u32, scene: Scene) -> Micros {
    match (health, role) {
        // Both ends of a punch must hit the same moment: dense at first, then thinning out.
        (Health::Probing, _) => [50, 50, 100, 200, 300, 500][tries.min(5) as usize] * MS,
        (Health::Suspect, _) if scene.sending => 25 * MS,
        (Health::Suspect, _) => 100 * MS,
        (Health::Down, _) if scene.others_work => (1_000 * MS) << tries.min(5),
        (Health::Down, _) => ((250 * MS) << tries.min(5)).min(5_000 * MS),
        (Health::Working, Role::Active) if scene.sending && scene.others_work => 25 * MS,
        (Health::Working, Role::Active) if scene.sending => 100 * MS,
        (Health::Working, Role::Warm) if scene.sending => 1_000 * MS,
        (Health::Working, Role::Active | Role::Warm) => 5_000 * MS,
        // NAT mappings often last no longer than 30 s.
        (Health::Working, Role::Cold) => 20_000 * MS,
    }
}

/// How long silence is taken for chance, and for life.
pub fn floors(scene: Scene) -> (Micros, Micros) {
    match (scene.sending, scene.others_work) {
        (true, true) => (25 * MS, 200 * MS),
        // With nothing to change to, haste would only make noise.
        (true, false) => (100 * MS, 1_000 * MS),
        (false, _) => (250 * MS, 1_000 * MS),
    }
}

/// A bucket of probes for what does not work yet.
pub struct Allowance {
    tokens: u64, // in millionths
    at: Micros,
}

impl Allowance {
    pub fn new(now: Micros) -> Self {
        Self { tokens: BURST * 1_000_000, at: now }
    }

    pub fn take(&mut self, now: Micros) -> bool {
        let gained = now.saturating_sub(self.at).saturating_mul(PER_SECOND);
        self.tokens = self.tokens.saturating_add(gained).min(BURST * 1_000_000);
        self.at = now;
        let enough = self.tokens >= 1_000_000;
        if enough {
            self.tokens -= 1_000_000;
        }
        enough
    }
}

/// Chance enough to keep peers from probing in step.
pub struct Spread(u64);

impl Spread {
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// `interval` ± 20 %.
    pub fn around(&mut self, interval: Micros) -> Micros {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        interval * (800 + self.0 % 401) / 1_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_twenty_probes_a_second_after_the_burst() {
        let mut allowance = Allowance::new(0);
        let sent = (0..10_000).filter(|ms| allowance.take(ms * MS)).count() as u64;
        assert!((10 * PER_SECOND..=10 * PER_SECOND + BURST).contains(&sent), "{sent}");
    }

    #[test]
    fn intervals_stay_within_a_fifth() {
        let mut spread = Spread::new(42);
        let all: Vec<_> = (0..1_000).map(|_| spread.around(5_000_000)).collect();
        assert!(all.iter().all(|i| (4_000_000..=6_000_000).contains(i)));
        assert!(all.iter().any(|&i| i < 4_300_000) && all.iter().any(|&i| i > 5_700_000));
    }
}
