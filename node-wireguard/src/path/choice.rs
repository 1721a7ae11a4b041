//! Which path is best, and when it is worth to change to it.

use super::Micros;

/// A better path must stay better this long, by this much.
const BETTER_FOR: Micros = 2_000_000;
const BETTER_BY: u64 = 2_000;
/// What a certain loss of everything would cost, microseconds: 1 % of loss weighs as 2 ms.
const LOSS_COST: f32 = 200_000.0;
const JITTER_WEIGHT: u64 = 2;

/// Whether a path answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    Probing,
    Working,
    Suspect,
    Down,
}

/// What the choice knows of a path.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    pub id: u32,
    pub cost_class: u8,
    pub score: u64,
    pub health: Health,
    /// It failed lately while it was in use.
    pub barred: bool,
}

/// Microseconds that a packet over this path costs.
pub fn score(srtt: u32, variation: u32, loss: f32) -> u64 {
    let loss = (loss.clamp(0.0, 1.0) * LOSS_COST) as u64;
    srtt as u64 / 2 + JITTER_WEIGHT * variation as u64 + loss
}

#[derive(Default)]
pub struct Choice {
    active: Option<u32>,
    better: Option<(u32, Micros)>, // which path has been better, and since when
}

impl Choice {
    pub fn active(&self) -> Option<u32> {
        self.active
    }

    /// A path got another name.
    pub fn rename(&mut self, from: u32, to: u32) {
        if self.active == Some(from) {
            self.active = Some(to);
        }
    }

    /// Decides; gives the path that was active before, if that changed.
    pub fn decide(&mut self, standings: &[Standing], now: Micros) -> Option<Option<u32>> {
        let current = standings.iter().find(|s| Some(s.id) == self.active);
        let next = match current {
            Some(current) if current.health == Health::Working => {
                self.improve(current, standings, now)
            }
            // The same packets go by another one as well, until it answers or is down.
            Some(current) if current.health == Health::Suspect => current.id,
            _ => {
                let Some(best) = best_of(standings, self.active) else {
                    // Never without any: what was good once is the likeliest to come back.
                    let gone = self.active.filter(|_| current.is_none());
                    return gone.map(|_| std::mem::take(&mut self.active));
                };
                best.id
            }
        };
        if self.active == Some(next) {
            return None;
        }
        self.better = None;
        Some(self.active.replace(next))
    }

    fn improve(&mut self, current: &Standing, standings: &[Standing], now: Micros) -> u32 {
        let best = standings
            .iter()
            .filter(|s| {
                s.health == Health::Working && !s.barred && s.cost_class <= current.cost_class
            })
            .min_by_key(|s| (s.cost_class, s.score));
        let Some(best) = best else { return current.id };
        if best.cost_class < current.cost_class {
            return best.id; // direct before relay, whenever a direct path works
        }
        let gain = current.score.saturating_sub(best.score);
        if gain < BETTER_BY || gain * 10 < current.score {
            self.better = None;
            return current.id;
        }
        let since = match self.better {
            Some((id, since)) if id == best.id => since,
            _ => now,
        };
        self.better = Some((best.id, since));
        if now.saturating_sub(since) >= BETTER_FOR { best.id } else { current.id }
    }

    /// When `decide` may change its mind without any news.
    pub fn deadline(&self) -> Option<Micros> {
        self.better.map(|(_, since)| since + BETTER_FOR)
    }
}

fn best_of(standings: &[Standing], except: Option<u32>) -> Option<&Standing> {
    let rank = |s: &&Standing| (s.health == Health::Suspect, s.barred, s.cost_class, s.score);
    let works = |s: &&Standing| matches!(s.health, Health::Working | Health::Suspect);
    standings.iter().filter(works).filter(|s| Some(s.id) != except).min_by_key(rank)
}

/// The working paths besides `active`, best first.
pub fn alternates(standings: &[Standing], active: Option<u32>) -> Vec<u32> {
    let mut works: Vec<_> =
        standings.iter().filter(|s| s.health == Health::Working && Some(s.id) != active).collect();
    works.sort_by_key(|s| (s.cost_class, s.score));
    works.iter().map(|s| s.id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn standing(id: u32, cost_class: u8, score: u64, health: Health) -> Standing {
        Standing { id, cost_class, score, health, barred: false }
    }

    #[test]
    fn direct_is_taken_at_once_even_if_the_relay_is_faster() {
        let mut choice = Choice::default();
        let relay = standing(1, 1, 1_000, Health::Working);
        assert_eq!(choice.decide(&[relay], 0), Some(None));
        let direct = standing(2, 0, 90_000, Health::Working);
        assert_eq!(choice.decide(&[relay, direct], 1), Some(Some(1)));
        assert_eq!(choice.active(), Some(2));
    }

    #[test]
    fn a_faster_path_must_be_better_for_two_seconds() {
        let mut choice = Choice::default();
        let (slow, fast) =
            (standing(1, 0, 20_000, Health::Working), standing(2, 0, 9_000, Health::Working));
        choice.decide(&[slow], 0);
        assert_eq!(choice.decide(&[slow, fast], 10), None);
        assert_eq!(
            choice.decide(&[slow, standing(2, 0, 19_500, Health::Working)], 1_000_000),
            None
        );
        assert_eq!(choice.decide(&[slow, fast], 2_500_000), None, "the wait began anew");
        assert_eq!(choice.decide(&[slow, fast], 4_500_000), Some(Some(1)));
    }

    #[test]
    fn a_dead_path_is_left_but_never_for_nothing() {
        let mut choice = Choice::default();
        choice.decide(&[standing(1, 0, 1, Health::Working)], 0);
        assert_eq!(choice.decide(&[standing(1, 0, 1, Health::Down)], 1), None);
        let relay = standing(2, 1, 50_000, Health::Working);
        assert_eq!(choice.decide(&[standing(1, 0, 1, Health::Suspect), relay], 2), None);
        assert_eq!(choice.decide(&[standing(1, 0, 1, Health::Down), relay], 3), Some(Some(1)));
        let barred = Standing { barred: true, ..standing(1, 0, 1, Health::Working) };
        assert_eq!(choice.decide(&[barred, relay], 4), None, "it has just failed");
        assert_eq!(choice.decide(&[], 5), Some(Some(2)), "a removed path is gone");
        assert_eq!(choice.active(), None);
    }

    fn health() -> impl Strategy<Value = Health> {
        (0..4usize)
            .prop_map(|i| [Health::Probing, Health::Working, Health::Suspect, Health::Down][i])
    }

    proptest! {
        #[test]
        fn it_is_on_a_working_path_whenever_there_is_one(
            rounds in proptest::collection::vec(proptest::collection::vec((0..6u32, 0..3u8, 0..100_000u64, health(), any::<bool>()), 0..6), 1..40),
        ) {
            let (mut choice, mut now) = (Choice::default(), 0);
            for round in rounds {
                now += 700_000;
                let mut standings: Vec<Standing> = Vec::new();
                for (id, cost_class, score, health, barred) in round {
                    if standings.iter().all(|s| s.id != id) {
                        standings.push(Standing { id, cost_class, score, health, barred });
                    }
                }
                choice.decide(&standings, now);
                let active = standings.iter().find(|s| Some(s.id) == choice.active());
                prop_assert_eq!(active.is_none(), choice.active().is_none(), "a path that is not there is not active");
                let working: Vec<_> = standings.iter().filter(|s| s.health == Health::Working).collect();
                if let Some(active) = active {
                    prop_assert!(active.health != Health::Down || working.is_empty());
                    let cheaper = working.iter().any(|s| !s.barred && s.cost_class < active.cost_class);
                    prop_assert!(active.health != Health::Working || active.barred || !cheaper);
                } else {
                    prop_assert!(working.is_empty());
                }
            }
        }
    }
}
