//! How fast the effort grows: fast until the limit was met for the first time, then up to where it was met
//! last, and carefully beyond that.
//!
//! Must not know: what the limit is, how it is found to be met.

/// Until the limit was met for the first time.
const SLOW_START: f64 = 1.4;
/// Up to where the limit was met last.
const RECOVER: f64 = 1.3;
/// Beyond that; so much more with each step in a row that allows it.
const GROW: f64 = 0.03;
/// So close to where the limit was met, growth is slow.
const KNEE: f64 = 0.85;

/// What is remembered of the limit.
#[derive(Clone, Debug, Default)]
pub(super) struct Growth {
    /// The limit was met, or was near, at least once.
    was_near: bool,
    /// Where it was met last.
    met: Option<f64>,
    /// Steps in a row at which more was bearable.
    steps: u32,
}

impl Growth {
    /// The limit was met here.
    pub(super) fn met(&mut self, effort: f64) {
        *self = Self { was_near: true, met: Some(effort), steps: 0 };
    }

    /// The limit is near.
    pub(super) fn near(&mut self) {
        (self.was_near, self.steps) = (true, 0);
    }

    /// Where the limit was met says nothing any more.
    pub(super) fn forget(&mut self) {
        (self.met, self.steps) = (None, 0);
    }

    /// More is bearable than `effort`: so many times as much is tried next.
    pub(super) fn more(&mut self, effort: f64) -> f64 {
        self.steps += 1;
        match self.met {
            _ if !self.was_near => SLOW_START,
            Some(met) if effort < met * KNEE => RECOVER,
            _ => (1.0 + GROW * f64::from(self.steps)).min(SLOW_START),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_fast_until_the_limit_was_met_and_slow_where_it_was() {
        let mut growth = Growth::default();
        let first = growth.more(1.0);
        growth.met(2.0);
        let (far, close) = (growth.more(1.0), growth.more(1.9));
        assert!(first > far && far > close && close > 1.0, "{first} {far} {close}");
    }

    #[test]
    fn beyond_the_limit_it_gets_faster_with_each_step() {
        let mut growth = Growth::default();
        growth.near();
        let steps: Vec<f64> = (0..20).map(|_| growth.more(1.0)).collect();
        assert!(steps.windows(2).all(|pair| pair[1] >= pair[0]), "{steps:?}");
        assert!((steps[19] - SLOW_START).abs() < 1e-9);
    }
}
