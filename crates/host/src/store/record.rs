//! What the store knows of an app: its versions, and which one is current.
//!
//! It is kept as one small JSON file an app. Whatever is in that file, reading it gives a record in which
//! everything fits, or an error.

use nexus_core::AppName;
use serde_json::{Map, Value, json};

use super::{Digest, StoreError};

/// How many versions of an app are kept.
pub const KEPT: usize = 5;

/// What the file's format is called. A reader of another one must not guess.
const FORMAT: u64 = 1;

/// Numbers in the file stay below, so that every reader of JSON has them exactly.
const MOST: u64 = 1 << 53;

/// An app that was deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployed {
    app: AppName,
    /// By number, at least one.
    versions: Vec<Version>,
    /// The place of the current one.
    current: usize,
    /// The number of the next one. No number is given twice.
    next: u64,
}

/// One version of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Version {
    /// Its number among the app's versions, from 1, higher than all that were deployed before.
    pub number: u64,
    /// What is in it. No other version of the app that is kept has the same content.
    pub digest: Digest,
    /// When it was deployed, in seconds since 1970.
    pub deployed: u64,
    /// How many files it has.
    pub files: u64,
    /// Their bytes, together.
    pub bytes: u64,
    /// The version that was current before, to which rolling back leads. It may not be kept any more.
    pub after: Option<u64>,
}

/// What is deployed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) digest: Digest,
    pub(super) files: u64,
    pub(super) bytes: u64,
}

impl Content {
    fn version(self, number: u64, deployed: u64, after: Option<u64>) -> Version {
        Version { number, digest: self.digest, deployed, files: self.files, bytes: self.bytes, after }
    }
}

impl Deployed {
    /// An app of this content alone.
    pub(super) fn first(app: AppName, content: Content, now: u64) -> Self {
        Self { app, versions: vec![content.version(1, now, None)], current: 0, next: 2 }
    }

    /// The app's name.
    pub fn app(&self) -> &AppName {
        &self.app
    }

    /// The versions that are kept, the oldest first.
    pub fn versions(&self) -> &[Version] {
        &self.versions
    }

    /// The version that is to be served.
    pub fn current(&self) -> &Version {
        &self.versions[self.current]
    }

    /// The version of this number, if it is kept.
    pub fn version(&self, number: u64) -> Option<&Version> {
        self.versions.iter().find(|version| version.number == number)
    }

    /// The version to which rolling back leads: the one that the current one has taken over from or, if that
    /// is not kept any more, the newest that is older.
    pub fn before(&self) -> Option<&Version> {
        let taken_over = self.current().after.and_then(|number| self.version(number));
        taken_over.or_else(|| self.versions[..self.current].last())
    }

    /// This, with content that comes in and is current from now on. What is current already is no new
    /// version; what was deployed before and is not current becomes the newest. Of the others the oldest go,
    /// though not the one to roll back to.
    pub(super) fn with(&self, content: Content, now: u64) -> Self {
        let mut changed = self.clone();
        let before = self.current();
        if before.digest == content.digest {
            return changed;
        }
        changed.versions.retain(|version| version.digest != content.digest);
        while changed.versions.len() >= KEPT {
            let oldest = changed.versions.iter().position(|version| version.number != before.number);
            changed.versions.remove(oldest.unwrap_or(0));
        }
        changed.versions.push(content.version(self.next, now, Some(before.number)));
        changed.current = changed.versions.len() - 1;
        changed.next += 1;
        changed
    }

    /// This, with another version as the current one.
    pub(super) fn back_to(&self, number: u64) -> Option<Self> {
        let current = self.versions.iter().position(|version| version.number == number)?;
        Some(Self { current, ..self.clone() })
    }

    /// What the versions hold.
    pub(super) fn digests(&self) -> impl Iterator<Item = Digest> {
        self.versions.iter().map(|version| version.digest)
    }

    /// The file's text.
    pub(super) fn to_text(&self) -> String {
        let versions: Vec<Value> = self.versions.iter().map(Version::to_json).collect();
        let record = json!({
            "format": FORMAT,
            "app": self.app.as_str(),
            "current": self.current().number,
            "next": self.next,
            "versions": versions,
        });
        format!("{record:#}\n")
    }

    /// Reads the file of this app.
    ///
    /// # Errors
    /// What is wrong with it, as the rest of a sentence that starts with the file.
    pub(super) fn parse(text: &[u8], app: &AppName) -> Result<Self, String> {
        let record: Value =
            serde_json::from_slice(text).map_err(|error| format!("is not valid JSON: {error}"))?;
        let record = record.as_object().ok_or("is not an object of JSON")?;
        match record.get("format").and_then(Value::as_u64) {
            Some(FORMAT) => {}
            Some(other) => return Err(format!("has the format {other}, and this nexus knows {FORMAT} only")),
            None => return Err("has no `format`".into()),
        }
        if record.get("app").and_then(Value::as_str) != Some(app.as_str()) {
            return Err(format!("is not that of the app `{app}`"));
        }
        let versions = record.get("versions").and_then(Value::as_array).ok_or("has no `versions`")?;
        let versions = versions
            .iter()
            .map(|version| version.as_object().and_then(Version::from_json))
            .collect::<Option<Vec<Version>>>()
            .ok_or("has a version that cannot be read")?;
        if !versions.is_sorted_by(|a, b| a.number < b.number) {
            return Err("has versions that are not in order".into());
        }
        let mut digests: Vec<Digest> = versions.iter().map(|version| version.digest).collect();
        digests.sort();
        if !digests.is_sorted_by(|a, b| a < b) {
            return Err("has the same content twice".into());
        }
        let current = number(record, "current").ok_or("has no `current`")?;
        let current = versions.iter().position(|version| version.number == current);
        let current = current.ok_or("has a `current` that is none of its versions")?;
        let next = number(record, "next").ok_or("has no `next`")?;
        if versions.last().is_some_and(|last| last.number >= next) {
            return Err("has a `next` that is not the next one".into());
        }
        Ok(Self { app: app.clone(), versions, current, next })
    }

    /// Why an app's file is of no use, with what to do.
    pub(super) fn unusable(file: &str, app: &AppName, why: &str) -> StoreError {
        StoreError::Damaged(format!(
            "the app `{app}` cannot be served: its record {file} {why}; \
             put the file back from a backup and start again, or remove the app and deploy it again"
        ))
    }
}

impl Version {
    fn to_json(&self) -> Value {
        json!({
            "number": self.number,
            "digest": self.digest.to_string(),
            "deployed": self.deployed,
            "files": self.files,
            "bytes": self.bytes,
            "after": self.after,
        })
    }

    fn from_json(version: &Map<String, Value>) -> Option<Self> {
        let after = match version.get("after")? {
            Value::Null => None,
            _ => Some(number(version, "after")?),
        };
        Some(Self {
            number: number(version, "number")?,
            digest: Digest::parse(version.get("digest")?.as_str()?)?,
            deployed: number(version, "deployed")?,
            files: number(version, "files")?,
            bytes: number(version, "bytes")?,
            after,
        })
    }
}

fn number(object: &Map<String, Value>, key: &str) -> Option<u64> {
    object.get(key)?.as_u64().filter(|number| *number < MOST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    fn shop() -> AppName {
        AppName::parse("shop").unwrap()
    }

    fn content(byte: u8) -> Content {
        Content { digest: Digest::new([byte; 32]), files: byte.into(), bytes: 1000 }
    }

    fn deployed(contents: impl IntoIterator<Item = u8>) -> Deployed {
        let mut contents = contents.into_iter();
        let first = Deployed::first(shop(), content(contents.next().unwrap()), 100);
        contents.fold(first, |app, byte| app.with(content(byte), 100 + u64::from(byte)))
    }

    fn numbers(app: &Deployed) -> Vec<u64> {
        app.versions().iter().map(|version| version.number).collect()
    }

    #[test]
    fn the_last_five_versions_are_kept() {
        let app = deployed(1..=5);
        assert_eq!((numbers(&app), app.current().number), (vec![1, 2, 3, 4, 5], 5));
        let app = app.with(content(6), 0);
        assert_eq!((numbers(&app), app.current().number), (vec![2, 3, 4, 5, 6], 6));
    }

    #[test]
    fn what_is_current_already_is_no_new_version_and_what_was_before_becomes_the_newest() {
        let app = deployed(1..=3);
        assert_eq!(app.with(content(3), 999), app);
        let again = app.with(content(1), 999);
        assert_eq!((numbers(&again), again.current().number), (vec![2, 3, 4], 4));
        assert_eq!((again.current().digest, again.current().deployed), (content(1).digest, 999));
        assert_eq!(again.before().unwrap().number, 3);
    }

    #[test]
    fn rolling_back_leads_to_what_was_current_before_and_not_to_what_was_rolled_back() {
        let app = deployed(1..=4);
        let back = app.back_to(app.before().unwrap().number).unwrap();
        assert_eq!((numbers(&back), back.current().number), (vec![1, 2, 3, 4], 3));
        assert_eq!(back.before().unwrap().number, 2);
        let fixed = back.with(content(5), 0);
        assert_eq!((fixed.current().number, fixed.before().unwrap().number), (5, 3));
        assert_eq!(deployed([1]).before(), None);
        assert_eq!(app.back_to(9), None);
        assert_eq!(app.back_to(1).unwrap().before(), None);
    }

    #[test]
    fn the_version_to_roll_back_to_is_not_the_one_that_goes() {
        let app = deployed(1..=5).back_to(1).unwrap().with(content(6), 0);
        assert_eq!(numbers(&app), [1, 3, 4, 5, 6]);
        assert_eq!(app.before().unwrap().number, 1);
        // Where it is gone all the same, the newest that is older takes its place.
        let app = deployed(1..=3).with(content(2), 0).back_to(3).unwrap();
        assert_eq!((numbers(&app), app.before().unwrap().number), (vec![1, 3, 4], 1));
    }

    #[test]
    fn a_record_is_read_as_it_is_written_and_not_when_it_is_cut() {
        let app = deployed(1..=6).back_to(4).unwrap();
        let text = app.to_text();
        assert_eq!(Deployed::parse(text.as_bytes(), &shop()).unwrap(), app);
        // Without the line break at the end it still says all.
        for length in 0..text.len() - 1 {
            assert!(Deployed::parse(&text.as_bytes()[..length], &shop()).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn a_record_in_which_something_does_not_fit_is_refused_with_what() {
        let text = deployed(1..=2).to_text();
        let digest = |byte: u8| content(byte).digest.to_string();
        for (from, to, why) in [
            ("\"format\": 1", "\"format\": 2", "has the format 2, and this nexus knows 1 only"),
            ("\"format\": 1", "\"format\": \"1\"", "has no `format`"),
            ("\"shop\"", "\"cart\"", "is not that of the app `shop`"),
            ("\"current\": 2", "\"current\": 3", "has a `current` that is none of its versions"),
            ("\"current\": 2", "\"current\": -2", "has no `current`"),
            ("\"next\": 3", "\"next\": 2", "has a `next` that is not the next one"),
            ("\"next\": 3", "\"next\": 18446744073709551615", "has no `next`"),
            ("\"number\": 1", "\"number\": 2", "has versions that are not in order"),
            ("\"number\": 1", "\"number\": 1e3", "has a version that cannot be read"),
            ("\"after\": 1", "\"after\": true", "has a version that cannot be read"),
            (&digest(1), "../../../etc", "has a version that cannot be read"),
            (&digest(1), &digest(2), "has the same content twice"),
            ("\"versions\"", "\"version\"", "has no `versions`"),
        ] {
            let changed = text.replace(from, to);
            assert_ne!(changed, text, "{from}");
            assert_eq!(Deployed::parse(changed.as_bytes(), &shop()).unwrap_err(), why);
        }
        assert_eq!(Deployed::parse(b"[]", &shop()).unwrap_err(), "is not an object of JSON");
        let deep = "[".repeat(100_000);
        assert!(Deployed::parse(deep.as_bytes(), &shop()).unwrap_err().starts_with("is not valid JSON"));
        let none = text.split("\"versions\"").next().unwrap().to_owned() + "\"versions\": []}";
        assert!(Deployed::parse(none.as_bytes(), &shop()).unwrap_err().contains("`current`"));
    }

    fn config() -> ProptestConfig {
        ProptestConfig {
            rng_seed: RngSeed::Fixed(11),
            failure_persistence: None,
            ..ProptestConfig::default()
        }
    }

    proptest! {
        #![proptest_config(config())]

        #[test]
        fn whatever_is_deployed_and_rolled_back_the_record_fits(
            steps in proptest::collection::vec(0u8..12, 1..40),
        ) {
            let mut app = deployed([0]);
            for step in steps {
                app = match step {
                    0..9 => app.with(content(step), 0),
                    _ => match app.before() {
                        Some(before) => app.back_to(before.number).unwrap(),
                        None => app,
                    },
                };
                prop_assert!(app.versions().len() <= KEPT);
                prop_assert_eq!(&Deployed::parse(app.to_text().as_bytes(), &shop()).unwrap(), &app);
            }
        }

        #[test]
        fn a_changed_record_is_refused_or_fits(place in 0usize..600, byte: u8) {
            let mut text = deployed(1..=3).to_text().into_bytes();
            let place = place % text.len();
            text[place] = byte;
            if let Ok(app) = Deployed::parse(&text, &shop()) {
                prop_assert_eq!(app.with(content(9), 0).current().digest, content(9).digest);
            }
        }
    }
}
