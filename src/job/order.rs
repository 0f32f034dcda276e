//! The settings of `[order]`: how a table is walked. None of them decides the result of a job.
//!
//! Must not know: what an order is good for; by default the engine finds the best one itself.

use std::num::NonZeroU32;

use super::settings::{Kind, Settings, unknown_setting};
use super::units::parse_positive;
use crate::stripe::STRIPES_MAX;

/// How a table is walked, where a person knows better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// Stripes of a range; by default what the table's pages and indexes ask for.
    pub stripes: Option<NonZeroU32>,
    /// Whether columns of other indexes may be assigned their own value, which spares the server a search.
    pub quiet: bool,
}

impl Default for Order {
    fn default() -> Self {
        Self { stripes: None, quiet: true }
    }
}

impl Settings for Order {
    const ALL: &'static [(&'static str, Kind)] = &[("stripes", Kind::Count), ("quiet", Kind::Flag)];

    fn set(&mut self, setting: &str, value: &str) -> Result<(), String> {
        match setting {
            "stripes" => self.stripes = Some(stripes(value)?),
            "quiet" => {
                self.quiet = value.parse().map_err(|_| format!("`{value}` is neither true nor false"))?;
            }
            unknown => return Err(unknown_setting(unknown, Self::names())),
        }
        Ok(())
    }

    fn written(&self) -> Vec<(&'static str, String)> {
        let stripes = self.stripes.map(|stripes| ("stripes", stripes.to_string()));
        stripes.into_iter().chain([("quiet", self.quiet.to_string())]).collect()
    }
}

fn stripes(value: &str) -> Result<NonZeroU32, String> {
    let stripes = parse_positive(value, &(1..=STRIPES_MAX))?;
    if stripes.is_power_of_two() {
        Ok(stripes)
    } else {
        Err(format!("{stripes} is not 1, 2, 4, 8, 16 or 32"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_powers_of_two_are_stripes() {
        let mut order = Order::default();
        order.set("stripes", "8").unwrap();
        assert_eq!(order.stripes, NonZeroU32::new(8));
        for wrong in ["0", "3", "64", "x"] {
            assert!(order.set("stripes", wrong).is_err(), "{wrong}");
        }
    }
}
