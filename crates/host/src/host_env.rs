//! The environment that the host was started in.

use std::collections::HashMap;
use std::fmt;

use nexus_core::App;

/// What no app ever gets: with it an app could manage all others.
const WITHHELD: &str = "NEXUS_TOKEN";

/// The variables of the host's environment that apps may be granted, as they were when it started. Those are text.
#[derive(Default)]
pub(crate) struct HostEnv(HashMap<String, String>);

impl fmt::Debug for HostEnv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // They may be secrets.
        write!(f, "HostEnv({})", self.0.len())
    }
}

impl FromIterator<(String, String)> for HostEnv {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(all: T) -> Self {
        Self(all.into_iter().filter(|(name, _)| name != WITHHELD).collect())
    }
}

impl HostEnv {
    /// That of this process.
    pub(crate) fn of_process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// The variable of this name, if the host has it and apps may.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// An app's variables: those of the command line come before those of its manifest, and these before the host's that it
    /// is granted.
    pub(crate) fn variables(&self, app: &App, first: &[(String, String)]) -> Vec<(String, String)> {
        let granted = app.manifest.granted_variables();
        let granted =
            granted.filter_map(|name| Some((name.to_string(), self.get(name.as_str())?.to_owned())));
        let mut variables: Vec<(String, String)> = granted.collect();
        for (name, value) in app.manifest.env.iter().chain(first) {
            match variables.iter_mut().find(|(own, _)| own == name) {
                Some(own) => own.1.clone_from(value),
                None => variables.push((name.clone(), value.clone())),
            }
        }
        variables
    }
}

#[cfg(test)]
mod tests {
    use nexus_core::Manifest;

    use super::*;

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_command_line_comes_before_the_manifest_and_that_before_the_host() {
        let text = "[permissions]\nenv = [\"REGION\", \"ZONE\", \"NONE\", \"NEXUS_TOKEN\"]\n[env]\nOWN = \"own\"\nBOTH = \"own\"\n";
        let manifest = Manifest::parse(text, "nexus.toml", "shop").unwrap();
        let app = App { folder: "/".into(), manifest, main: None };
        let all =
            [("REGION", "host"), ("ZONE", "host"), ("OTHER", "host"), ("OWN", "host"), ("NEXUS_TOKEN", "t")];
        let host: HostEnv = pairs(&all).into_iter().collect();
        let first = pairs(&[("ZONE", "line"), ("BOTH", "line"), ("MORE", "line")]);
        assert_eq!(
            host.variables(&app, &first),
            pairs(&[
                ("REGION", "host"),
                ("ZONE", "line"),
                ("OWN", "own"),
                ("BOTH", "line"),
                ("MORE", "line")
            ])
        );
        assert_eq!((host.get("NEXUS_TOKEN"), format!("{host:?}").as_str()), (None, "HostEnv(4)"));
    }

    #[test]
    fn the_processes_own_is_text() {
        let name = std::env::vars_os().find_map(|(name, _)| name.into_string().ok()).unwrap();
        assert_eq!(HostEnv::of_process().get(&name), std::env::var(&name).ok().as_deref());
    }
}
