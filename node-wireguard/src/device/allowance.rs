use crate::path::Micros;

/// So many a second, and as many at once.
pub(super) struct Allowance {
    per_second: u64,
    millionths: u64,
    at: Micros,
}

impl Allowance {
    pub fn new(per_second: u64) -> Self {
        Self { per_second, millionths: per_second * 1_000_000, at: 0 }
    }

    pub fn take(&mut self, now: Micros) -> bool {
        let gained = now.saturating_sub(self.at).saturating_mul(self.per_second);
        self.millionths = self.millionths.saturating_add(gained).min(self.per_second * 1_000_000);
        self.at = now;
        let enough = self.millionths >= 1_000_000;
        if enough {
            self.millionths -= 1_000_000;
        }
        enough
    }
}
