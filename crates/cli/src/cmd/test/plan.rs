//! Which files are to be run, and what they say of themselves: their names and `// META:` lines.
//! <https://web-platform-tests.org/writing-tests/testharness.html>

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nexus_js::testing::{ORIGIN, SECURE_ORIGIN};

use crate::failure::Failure;

/// One run: a file in one of its variants.
#[derive(Debug)]
pub(super) struct Plan {
    /// The checkout's folder.
    pub(super) root: Arc<PathBuf>,
    /// The file's path from there.
    pub(super) path: String,
    /// Empty, or a query that begins with `?`.
    pub(super) variant: String,
    /// The paths of all scripts to be run, the file itself last.
    pub(super) scripts: Vec<String>,
    pub(super) title: Option<String>,
    /// Whether it may take long.
    pub(super) is_long: bool,
    /// Whether it is a worker's script, which says itself when it is done.
    pub(super) is_worker: bool,
    /// What it needs and nobody here has: it is not run.
    pub(super) needs: Option<String>,
    /// What it may need, in parts at least: those fail, and are not to blame.
    pub(super) doubt: Option<&'static str>,
}

impl Plan {
    /// What names the run to people.
    pub(super) fn name(&self) -> String {
        format!("{}{}", self.path, self.variant)
    }

    /// The URL under which the tests' server would have it.
    pub(super) fn url(&self) -> String {
        let origin = if self.path.contains(".https.") { SECURE_ORIGIN } else { ORIGIN };
        let path = match self.path.strip_suffix(".any.js") {
            Some(path) => format!("{path}.any.worker.js"),
            None => self.path.clone(),
        };
        format!("{origin}/{path}{}", self.variant)
    }
}

/// The runs of these files and folders.
pub(super) fn find(paths: &[PathBuf], root: Option<&Path>) -> Result<Vec<Plan>, Failure> {
    let unreadable =
        |path: &Path, error: std::io::Error| Failure::usage(format!("{}: {error}", path.display()));
    let root = match root {
        Some(root) => Some(Arc::new(root.canonicalize().map_err(|error| unreadable(root, error))?)),
        None => None,
    };
    let mut plans = Vec::new();
    for path in paths {
        let full = path.canonicalize().map_err(|error| unreadable(path, error))?;
        let mut files = Vec::new();
        if full.is_dir() {
            walk(&full, &mut files).map_err(|error| unreadable(path, error))?;
            if files.is_empty() {
                let message = format!("{}: has no .any.js, .worker.js or .window.js", path.display());
                return Err(Failure::usage(message));
            }
        } else {
            files.push(full);
        }
        for file in files {
            plans.extend(plans_of(root.as_ref(), &file)?);
        }
    }
    Ok(plans)
}

const ENDINGS: [&str; 3] = [".any.js", ".worker.js", ".window.js"];

/// All test files below a folder, in the order of their names.
fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    entries.sort();
    for entry in entries {
        let name = entry.file_name().unwrap_or_default().to_string_lossy();
        if entry.is_dir() {
            if !name.starts_with('.') {
                walk(&entry, files)?;
            }
        } else if ENDINGS.iter().any(|ending| name.ends_with(ending)) {
            files.push(entry);
        }
    }
    Ok(())
}

/// The checkout that a file is in, as far as that can be told: its scripts are in it, at least.
fn root_of(file: &Path, meta: &[(&str, &str)]) -> PathBuf {
    let above = || file.ancestors().skip(1);
    let with = |name: &str| above().find(|folder| folder.join(name).exists());
    let scripts = || meta.iter().filter(|(name, _)| *name == "script").map(|(_, script)| *script);
    let climb = |script: &str| script.split('/').take_while(|part| *part == "..").count();
    let climb = scripts().map(climb).max().unwrap_or(0);
    let of_script = || scripts().filter_map(|script| script.strip_prefix('/')).find_map(with);
    let found = with("resources/testharness.js").or_else(of_script).or_else(|| with("common"));
    found.or_else(|| above().nth(climb)).unwrap_or(file).to_owned()
}

/// What the `// META:` lines at a file's beginning say, in order.
fn meta(text: &str) -> Vec<(&str, &str)> {
    let line = |line: &'_ str| -> Option<(usize, usize)> {
        let rest = line.strip_prefix("//")?.trim_start().strip_prefix("META:")?.trim_start();
        let equals = rest.find('=')?;
        let start = line.len() - rest.len();
        rest[..equals]
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_')
            .then_some((start, start + equals))
    };
    text.lines()
        .map_while(|text| line(text).map(|(start, equals)| (&text[start..equals], text[equals + 1..].trim())))
        .collect()
}

/// A script's path from the root; `None` if it is beyond.
pub(super) fn resolve(file: &str, reference: &str) -> Option<String> {
    let reference = reference.split(['?', '#']).next().unwrap_or_default();
    let mut parts: Vec<&str> = match reference.starts_with('/') {
        true => Vec::new(),
        false => file.split('/').collect(),
    };
    parts.pop();
    for part in reference.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

fn plans_of(root: Option<&Arc<PathBuf>>, file: &Path) -> Result<Vec<Plan>, Failure> {
    let text = fs::read(file).map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?;
    let text = String::from_utf8_lossy(&text);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let meta = meta(text);
    let root = root.cloned().unwrap_or_else(|| Arc::new(root_of(file, &meta)));
    let outside = || format!("{}: is not below {}", file.display(), root.display());
    let path = file.strip_prefix(&**root).map_err(|_| Failure::usage(outside()))?;
    let path = path.to_str().ok_or_else(|| Failure::usage(format!("{}: is not UTF-8", file.display())))?;
    let all = |key: &'static str| meta.iter().filter(move |(name, _)| *name == key).map(|(_, value)| *value);

    let is_worker = path.ends_with(".worker.js") && !path.ends_with(".any.worker.js");
    let mut needs = None;
    let mut scripts = Vec::new();
    if !is_worker {
        for script in all("script") {
            match resolve(path, script) {
                Some(script) => {
                    needs = needs.or_else(|| not_here(&root, &script));
                    scripts.push(script);
                }
                None => needs = Some(format!("{script}, which is beyond the checkout")),
            }
        }
    }
    scripts.push(path.to_owned());
    let world = world(path, text, all("global").next_back());
    let (world, doubt) = match world {
        World::Here => (None, None),
        World::Perhaps(what) => (None, Some(what)),
        World::Elsewhere(what) => (Some(what), None),
    };
    let needs = needs.or(world);
    let variants: Vec<&str> = all("variant").collect();
    let variants = if variants.is_empty() { vec![""] } else { variants };
    let plan = |variant: &str| Plan {
        root: root.clone(),
        path: path.to_owned(),
        variant: variant.to_owned(),
        scripts: scripts.clone(),
        title: all("title").next_back().map(str::to_owned),
        is_long: all("timeout").any(|value| value == "long"),
        is_worker,
        needs: needs.clone(),
        doubt,
    };
    Ok(variants.into_iter().map(plan).collect())
}

/// Scripts that drive a browser, need another kind of global, or are too large to be stood in for.
fn not_here(root: &Path, script: &str) -> Option<String> {
    let name = script.strip_prefix("resources/")?;
    match name {
        "testdriver.js" | "testdriver-vendor.js" => Some("a browser that can be driven".into()),
        "idlharness-shadowrealm.js" => Some("a shadow realm".into()),
        "WebIDLParser.js" | "idlharness.js" if !root.join(script).is_file() => {
            Some(format!("/{script}, which is not in this checkout"))
        }
        _ => None,
    }
}

/// Where a file can be run.
#[derive(Debug, PartialEq, Eq)]
enum World {
    Here,
    /// In a global that has this; much of it would run anywhere.
    Perhaps(&'static str),
    Elsewhere(String),
}

/// What kind of global a file needs.
fn world(path: &str, text: &str, globals: Option<&str>) -> World {
    const DOCUMENT: &str = "a document";
    if !path.ends_with(".js") {
        return World::Elsewhere(DOCUMENT.into());
    }
    if path.contains(".h2.") {
        return World::Elsewhere("a server of HTTP/2".into());
    }
    let is_any = path.ends_with(".any.js");
    let globals: Vec<&str> = match globals {
        Some(globals) if is_any => globals.split(',').map(str::trim).collect(),
        _ if is_any => return World::Here,
        _ => vec![if path.ends_with(".window.js") { "window" } else { "worker" }],
    };
    let here = |global: &&str| {
        matches!(*global, "worker" | "jsshell")
            || global.starts_with("dedicatedworker")
            || global.starts_with("shadowrealm")
    };
    if globals.iter().any(here) {
        World::Here
    } else if !globals.iter().any(|global| global.starts_with("window")) {
        World::Elsewhere(format!("another global ({})", globals.join(", ")))
    } else if mentions_document(text) {
        World::Perhaps(DOCUMENT)
    } else {
        World::Here
    }
}

/// Whether code, but for its comments, has a word that only documents and windows know.
fn mentions_document(text: &str) -> bool {
    const WORDS: [&str; 8] =
        ["document", "window", "iframe", "frames", "opener", "Worker", "SharedWorker", "ServiceWorker"];
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("/*") {
        code.push_str(&rest[..start]);
        rest = rest[start..].split_once("*/").map_or("", |(_, rest)| rest);
    }
    code.push_str(rest);
    code.lines().any(|line| {
        // Not at the `//` of a URL.
        let end = line.match_indices("//").find(|(at, _)| !line[..*at].ends_with(':'));
        let line = &line[..end.map_or(line.len(), |(at, _)| at)];
        line.split(|c| !is_part(c)).any(|word| WORDS.contains(&word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meta_lines_are_those_at_the_beginning() {
        let text = "// META: title=A b = c\n//META: script=x.js \n// META: global=window,worker\n\n// META: timeout=long";
        let expected = [("title", "A b = c"), ("script", "x.js"), ("global", "window,worker")];
        assert_eq!(meta(text), expected);
    }

    #[test]
    fn scripts_are_relative_to_the_file_or_the_root() {
        let cases = [
            ("b.js", Some("url/b.js")),
            ("./b.js?x", Some("url/b.js")),
            ("../common/b.js", Some("common/b.js")),
            ("/common/b.js", Some("common/b.js")),
            ("../../b.js", None),
        ];
        for (reference, path) in cases {
            assert_eq!(resolve("url/a.any.js", reference).as_deref(), path, "{reference}");
        }
    }

    #[test]
    fn a_file_for_windows_may_need_one_if_it_says_so() {
        let of = |path, text, globals| match world(path, text, globals) {
            World::Here => "here",
            World::Perhaps(_) => "perhaps",
            World::Elsewhere(_) => "elsewhere",
        };
        assert_eq!(of("a.any.js", "document.body", None), "here");
        assert_eq!(of("a.any.js", "document.body", Some("window,dedicatedworker")), "here");
        assert_eq!(of("a.any.js", "x(document.body)", Some("window")), "perhaps");
        assert_eq!(of("a.any.js", "/* document */ x() // window\n'http://x'", Some("window")), "here");
        assert_eq!(of("a.any.js", "", Some("serviceworker")), "elsewhere");
        assert_eq!(of("a.window.js", "window.x", None), "perhaps");
        assert_eq!(of("a.window.js", "new URL('http://x')", None), "here");
        assert_eq!(of("a.html", "", None), "elsewhere");
    }
}
