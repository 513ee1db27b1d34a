//! The limits of HTTP that a manifest asks for, the host has defaults for, and the host has ceilings for.

use std::time::Duration;

use crate::units::{format_byte_size, format_duration};
use crate::{HostConfig, HttpSection};

/// Every limit.
pub(crate) const LIMITS: [Limit; 3] = [Limit::MaxHead, Limit::MaxBody, Limit::ResponseTimeout];

/// A limit. As a number it is in bytes or milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Limit {
    MaxHead,
    MaxBody,
    ResponseTimeout,
}

impl Limit {
    /// The key that sets it.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Limit::MaxHead => "max_head",
            Limit::MaxBody => "max_body",
            Limit::ResponseTimeout => "response_timeout",
        }
    }

    /// The number as people write it.
    pub(crate) fn show(self, number: u64) -> String {
        match self {
            Limit::MaxHead | Limit::MaxBody => format_byte_size(number),
            Limit::ResponseTimeout => format_duration(Duration::from_millis(number)),
        }
    }
}

impl HttpSection {
    pub(crate) fn limit(&self, limit: Limit) -> u64 {
        match limit {
            Limit::MaxHead => self.max_head,
            Limit::MaxBody => self.max_body,
            Limit::ResponseTimeout => millis(self.response_timeout),
        }
    }

    pub(crate) fn set_limit(&mut self, limit: Limit, number: u64) {
        match limit {
            Limit::MaxHead => self.max_head = number,
            Limit::MaxBody => self.max_body = number,
            Limit::ResponseTimeout => self.response_timeout = Duration::from_millis(number),
        }
    }
}

impl HostConfig {
    pub(crate) fn default_of(&self, limit: Limit) -> u64 {
        match limit {
            Limit::MaxHead => self.defaults.max_head,
            Limit::MaxBody => self.defaults.max_body,
            Limit::ResponseTimeout => millis(self.defaults.response_timeout),
        }
    }

    pub(crate) fn ceiling(&self, limit: Limit) -> Option<u64> {
        match limit {
            Limit::MaxHead => self.ceilings.max_head,
            Limit::MaxBody => self.ceilings.max_body,
            Limit::ResponseTimeout => self.ceilings.response_timeout.map(millis),
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
