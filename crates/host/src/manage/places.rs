//! Where deployed apps were served, and which of them are stopped: what a host that starts again must know beside the
//! versions in the store.
//!
//! It is a small JSON file in the data folder. Without it, or if it cannot be read, apps get the next free ports.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nexus_core::AppName;
use serde_json::{Value, json};

use crate::store;

/// The file's name.
const FILE: &str = "places.json";

/// Of each deployed app.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// The data folder, if there is one.
    data: Option<PathBuf>,
    apps: BTreeMap<AppName, Place>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) port: Option<u16>,
    pub(super) is_stopped: bool,
}

impl Places {
    /// What the file in this data folder says, as far as it can be read.
    pub(super) fn read(data: &Path) -> Self {
        let value =
            fs::read(data.join(FILE)).ok().and_then(|text| serde_json::from_slice::<Value>(&text).ok());
        let apps = value.as_ref().and_then(|value| value["apps"].as_object()).into_iter().flatten();
        let apps = apps.filter_map(|(name, place)| {
            let port = place["port"].as_u64().and_then(|port| u16::try_from(port).ok());
            Some((AppName::parse(name)?, Place { port, is_stopped: place["stopped"] == true }))
        });
        Self { apps: apps.collect(), data: Some(data.to_owned()) }
    }

    /// Where this app was.
    pub(super) fn get(&self, app: &AppName) -> Place {
        self.apps.get(app).copied().unwrap_or_default()
    }

    /// Where this app is from now on.
    ///
    /// # Errors
    /// When that cannot be written.
    pub(super) fn set(&mut self, app: &AppName, place: Place) -> io::Result<()> {
        if self.apps.get(app) == Some(&place) {
            return Ok(());
        }
        self.apps.insert(app.clone(), place);
        self.write()
    }

    /// The app is gone.
    ///
    /// # Errors
    /// When that cannot be written.
    pub(super) fn remove(&mut self, app: &AppName) -> io::Result<()> {
        match self.apps.remove(app) {
            Some(_) => self.write(),
            None => Ok(()),
        }
    }

    fn write(&self) -> io::Result<()> {
        let Some(data) = &self.data else { return Ok(()) };
        let apps = self.apps.iter().map(|(app, place)| {
            (app.to_string(), json!({ "port": place.port, "stopped": place.is_stopped }))
        });
        let text = format!("{:#}\n", json!({ "apps": apps.collect::<serde_json::Map<_, _>>() }));
        store::write_beside(data, FILE, &text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_back_and_what_is_none_is_passed_over() {
        let folder = std::env::temp_dir().join(format!("nexus-places-{}", std::process::id()));
        fs::create_dir_all(folder.join("incoming")).unwrap();
        let (shop, blog) = (AppName::parse("shop").unwrap(), AppName::parse("blog").unwrap());
        let mut places = Places::read(&folder);
        assert_eq!(places.get(&shop), Place::default());
        let place = Place { port: Some(8081), is_stopped: true };
        places.set(&shop, place).unwrap();
        places.set(&blog, Place::default()).unwrap();
        assert_eq!(Places::read(&folder).get(&shop), place);
        places.remove(&shop).unwrap();
        assert_eq!(Places::read(&folder).get(&shop), Place::default());
        for text in ["", "[]", "{\"apps\":3}", "{\"apps\":{\"A b\":{},\"shop\":{\"port\":99999}}}"] {
            fs::write(folder.join("places.json"), text).unwrap();
            assert_eq!(Places::read(&folder).get(&shop), Place::default(), "{text}");
        }
        // No file of anybody else's is written to, nor one that is there already.
        std::os::unix::fs::symlink(folder.join("elsewhere"), folder.join("places.json.new")).unwrap();
        places.set(&shop, place).unwrap();
        assert!(!folder.join("elsewhere").exists());
        fs::remove_dir_all(&folder).unwrap();
    }
}
