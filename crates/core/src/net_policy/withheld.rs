//! What a manifest asks for and the host does not grant.

use std::fmt;

use super::NetGrant;
use crate::AppName;
use crate::granted::shell_word;

/// An entry of a manifest's `net` that the host does not grant, or not any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withheld {
    /// The app.
    pub app: AppName,
    /// The entry.
    pub grant: NetGrant,
}

impl fmt::Display for Withheld {
    /// What to do, in one clause.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (app, grant) = (&self.app, shell_word(&self.grant.to_string()));
        write!(
            f,
            "the host has taken it away or never granted it: `nexus grants add {app} net {grant}` gives it"
        )
    }
}
