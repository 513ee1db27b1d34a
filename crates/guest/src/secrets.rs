//! Values that nobody but the guest is to see.

use std::fmt;
use std::hint::black_box;

/// A value that shows itself to nobody, and is overwritten when it is dropped. Copies that a guest makes of it are the
/// guest's.
pub struct Secret(String);

impl Secret {
    /// Keeps a value.
    pub fn new(value: String) -> Self {
        Self(value)
    }

    /// The value, for whoever hands it to the guest.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.0).into_bytes();
        bytes.fill(0);
        // What is looked at has to be written.
        black_box(&bytes);
    }
}

/// An app's secrets by their names, in order.
#[derive(Debug, Default)]
pub struct Secrets(Vec<(Box<str>, Secret)>);

impl Secrets {
    /// These.
    pub fn new(all: Vec<(Box<str>, Secret)>) -> Self {
        Self(all)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each name with its value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, secret)| (&**name, secret.expose()))
    }

    /// The value of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(own, _)| *own == name).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_itself_to_nobody_who_does_not_ask() {
        let secrets = Secrets::new(vec![("TOKEN".into(), Secret::new("hunter2".into()))]);
        assert_eq!(format!("{secrets:?}"), "Secrets([(\"TOKEN\", Secret(…))])");
        assert_eq!((secrets.get("TOKEN"), secrets.get("OTHER")), (Some("hunter2"), None));
        assert!(!secrets.is_empty() && Secrets::default().is_empty());
    }
}
