//! Where a test's guest finds its scripts: the harness that nexus brings along, and the checkout.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use nexus_guest::{ModuleError, ModulePath, ModuleSource};
use nexus_js::testing;

use super::plan::resolve;

/// The files of one checkout, for one guest.
pub(super) struct Files {
    pub(super) root: Arc<PathBuf>,
    /// The text of the guest's main module.
    pub(super) main: String,
}

impl ModuleSource for Files {
    fn resolve(&self, specifier: &str, referrer: &ModulePath) -> Result<ModulePath, ModuleError> {
        let is_path = ["./", "../", "/"].iter().any(|start| specifier.starts_with(start));
        let path = if is_path { resolve(referrer.as_str(), specifier) } else { None };
        let path = path.and_then(|path| ModulePath::new(&path));
        path.ok_or_else(|| ModuleError(format!("\"{specifier}\" is not there (imported by {referrer})")))
    }

    fn read(&self, path: &ModulePath, most: usize) -> Result<Vec<u8>, ModuleError> {
        let name = path.as_str();
        if name == testing::MAIN {
            return Ok(self.main.clone().into_bytes());
        }
        if let Some(text) = testing::module(name) {
            return Ok(text.into());
        }
        let missing = |why: &dyn std::fmt::Display| ModuleError(format!("\"{path}\" cannot be read: {why}"));
        let bytes = match fs::read(self.root.join(name)) {
            Ok(bytes) => bytes,
            Err(error) => testing::stand_in(name).map(Into::into).ok_or_else(|| missing(&error))?,
        };
        if bytes.len() > most {
            return Err(missing(&format!("it has more than {most} bytes")));
        }
        let is_template = name.rsplit('/').next().is_some_and(|file| file.contains(".sub."));
        Ok(if is_template { fill_in(&bytes, &|_| None) } else { bytes })
    }
}

/// The name of the tests' server.
pub(super) const HOST: &str = "web-platform.test";

/// Fills in what the tests' server would: its name and its ports, and before all else what `given` has.
pub(super) fn fill_in(bytes: &[u8], given: &dyn Fn(&str) -> Option<String>) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes);
    let mut out = String::with_capacity(text.len());
    let mut rest = &*text;
    while let Some((before, after)) = rest.split_once("{{") {
        out.push_str(before);
        let Some((what, after)) = after.split_once("}}") else {
            out.push_str("{{");
            rest = after;
            continue;
        };
        let argument = |name: &str| what.trim().strip_prefix(name)?.strip_prefix('[')?.strip_suffix(']');
        let known = given(what.trim());
        let value = match what.trim() {
            _ if known.is_some() => known.unwrap_or_default(),
            "host" | "location[hostname]" => HOST.to_owned(),
            "location[host]" => format!("{HOST}:8000"),
            "location[scheme]" => "http".into(),
            "location[port]" => "8000".into(),
            "location[server]" => format!("http://{HOST}:8000"),
            _ => match (argument("domains"), argument("ports")) {
                (Some(""), _) => HOST.to_owned(),
                (Some(domain), _) => format!("{domain}.{HOST}"),
                (_, Some("http][1")) => "8001".into(),
                (_, Some("https][0")) => "8443".into(),
                (_, Some("https][1")) => "8444".into(),
                (_, Some("ws][0")) => "8666".into(),
                (_, Some("wss][0")) => "8666".into(),
                (_, Some(_)) => "8000".into(),
                (None, None) => format!("not-{HOST}"),
            },
        };
        out.push_str(&value);
        rest = after;
    }
    out.push_str(rest);
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_gets_the_servers_name_and_ports() {
        let text = "a={{host}}:{{ports[https][0]}}, b={{domains[www]}}, c={{ x";
        let expected = "a=web-platform.test:8443, b=www.web-platform.test, c={{ x";
        assert_eq!(fill_in(text.as_bytes(), &|_| None), expected.as_bytes());
        let given = |what: &str| (what == "GET[x]").then(|| "{{host}}".to_owned());
        assert_eq!(fill_in(b"{{GET[x]}} {{host}}", &given), b"{{host}} web-platform.test");
    }
}
