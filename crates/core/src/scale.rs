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

/// `[ceilings.scale]`: the most that a manifest may ask for under `[scale]`; `None` is no ceiling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ScaleCeilings {
    /// The longest time without requests after which workers end; no app keeps them for ever then.
    pub idle: Option<Duration>,
    /// The most workers that an app always keeps.
    pub min_workers: Option<usize>,
    /// The most workers that an app gets.
    pub workers: Option<usize>,
}

impl ScaleCeilings {
    pub(crate) fn read(values: &Values) -> Self {
        let number = |path| values.integer(path).and_then(|n| usize::try_from(n).ok());
        Self {
            idle: values.time("ceilings.scale.idle"),
            min_workers: number("ceilings.scale.min_workers"),
            workers: number("ceilings.scale.workers"),
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
