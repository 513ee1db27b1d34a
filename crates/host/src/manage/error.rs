//! Why something that was asked of the host is not done.

use crate::store::StoreError;

/// What kind of a problem it is, and a text for whoever asked: what, where, what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ManageError {
    /// What was asked or sent is wrong.
    Wrong(String),
    /// There is no such app or version.
    Missing(String),
    /// The app is not one with which that can be done, or not in a state for it.
    Conflict(String),
    /// Another version came before this one was loaded, or the app was stopped.
    Superseded,
    /// What was sent is too much.
    TooMuch(String),
    /// The app's code cannot be loaded.
    Code(String),
    /// The host cannot do it now.
    Unavailable(String),
    /// The host failed.
    Host(String),
}

impl ManageError {
    /// The response's status.
    pub(crate) fn status(&self) -> u16 {
        match self {
            ManageError::Wrong(_) => 400,
            ManageError::Missing(_) => 404,
            ManageError::Conflict(_) | ManageError::Superseded => 409,
            ManageError::TooMuch(_) => 413,
            ManageError::Code(_) => 422,
            ManageError::Unavailable(_) => 503,
            ManageError::Host(_) => 500,
        }
    }

    /// The text.
    pub(crate) fn text(&self) -> &str {
        match self {
            ManageError::Wrong(text)
            | ManageError::Missing(text)
            | ManageError::Conflict(text)
            | ManageError::TooMuch(text)
            | ManageError::Code(text)
            | ManageError::Unavailable(text)
            | ManageError::Host(text) => text.trim_end(),
            ManageError::Superseded => {
                "another version came before this one was loaded, or the app was stopped"
            }
        }
    }
}

impl From<StoreError> for ManageError {
    fn from(error: StoreError) -> Self {
        let text = error.to_string();
        match error {
            StoreError::Upload(_) => Self::Wrong(text),
            StoreError::TooMuch(_) => Self::TooMuch(text),
            StoreError::Missing(_) => Self::Missing(text),
            StoreError::HandedOver(_) => Self::Unavailable(text),
            _ => Self::Host(text),
        }
    }
}
