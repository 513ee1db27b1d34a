//! `[scale]`: how many workers an app has.

use std::time::Duration;

use crate::Written;
use crate::schema::{MANIFEST, Values};

/// `[scale]`: how many workers an app has, and for how long without requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale {
    /// After how long without requests the app's workers end, all but `min_workers`; `None` keeps them.
    pub idle: Option<Duration>,
    /// How many workers are always kept; never more than `workers`.
    pub min_workers: usize,
    /// The most workers that the app gets, from 1.
    pub workers: usize,
}

impl Scale {
    pub(crate) fn read(values: &Values) -> Self {
        let number = |path| values.integer(path).and_then(|n| usize::try_from(n).ok());
        Self {
            idle: values.idle("scale.idle").unwrap_or_default(),
            min_workers: number("scale.min_workers").unwrap_or_default(),
            workers: number("scale.workers").unwrap_or(1),
        }
    }
}

impl Default for Scale {
    /// What holds where no file says anything.
    fn default() -> Self {
        Self::read(&Values::new(&MANIFEST, Written::default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_documented_ones() {
        let expected = Scale { idle: Some(Duration::from_secs(60)), min_workers: 0, workers: 4 };
        assert_eq!(Scale::default(), expected);
    }
}
