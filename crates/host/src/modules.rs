//! An app's modules: files in its folder, named by the specifiers of its own code.
//!
//! A specifier is a plain path (`./a.js`, `../a.js`, or `/a.js` from the app's folder) or the URL by
//! which a guest knows its modules: `file:///a.js`, the app's folder being the root. Where the host keeps
//! the folder stays unknown to the guest.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nexus_guest::{ModuleError, ModulePath, ModuleSource};

use crate::beneath::{Beneath, OpenError, Opened, Wait, names};
use crate::percent;

/// The modules of one version of an app whose files change while it is served: each as it was when it was first read.
#[derive(Debug, Default)]
pub(crate) struct Kept(Mutex<HashMap<String, Vec<u8>>>);

impl Kept {
    fn modules(&self) -> MutexGuard<'_, HashMap<String, Vec<u8>>> {
        // Each change leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The modules in an app's folder.
#[derive(Debug)]
pub(crate) struct FolderModules {
    root: Beneath,
    kept: Option<Arc<Kept>>,
}

impl FolderModules {
    /// The modules beneath `folder`, as they are, or as they were when they came to be `kept`.
    ///
    /// # Errors
    /// When there is no such folder.
    pub(crate) fn new(folder: &Path, kept: Option<Arc<Kept>>) -> io::Result<Self> {
        Ok(Self { root: Beneath::open(folder)?, kept })
    }

    fn kept(&self, path: &str) -> Option<Vec<u8>> {
        self.kept.as_ref()?.modules().get(path).cloned()
    }

    /// What stands where `path` was not found, if it is nearly the same: other letter case, or without the
    /// file's extension.
    fn near(&self, path: &str) -> Option<String> {
        let mut found: Vec<String> = Vec::new();
        let mut segments = path.split('/').peekable();
        while let Some(segment) = segments.next() {
            let here = if found.is_empty() { ".".to_owned() } else { found.join("/") };
            let Ok(Opened::Folder(folder)) = self.root.get(&here, Wait::Allowed) else { return None };
            let names = names(&folder).ok()?;
            let same = |wanted: &str| names.iter().find(|name| *name == wanted);
            let alike = |wanted: &str| {
                let wanted = wanted.to_lowercase();
                names.iter().find(|name| name.to_lowercase() == wanted)
            };
            let mut name = same(segment).or_else(|| alike(segment));
            if name.is_none() && segments.peek().is_none() {
                let with_extension = |extension: &&str| alike(&format!("{segment}{extension}"));
                name = [".js", ".mjs", ".ts", ".json"].iter().find_map(with_extension);
            }
            found.push(name?.clone());
        }
        let found = found.join("/");
        matches!(self.root.get(&found, Wait::Allowed), Ok(Opened::File(..))).then_some(found)
    }

    fn look(&self, path: &str, style: Style<'_>) -> Result<(), String> {
        match self.root.get(path, Wait::Allowed) {
            Ok(Opened::File(..)) => Ok(()),
            Ok(Opened::Folder(_)) => {
                let index = ["index.js", "index.mjs", "index.ts"].map(|name| format!("{path}/{name}"));
                let there =
                    |path: &&String| matches!(self.root.get(path, Wait::Allowed), Ok(Opened::File(..)));
                let hint = match index.iter().find(there) {
                    Some(index) => format!("; import {:?} instead", style.specifier(index)),
                    None => "; import a file in it".to_owned(),
                };
                Err(format!("{path:?} is a folder{hint}"))
            }
            Err(OpenError::Missing) => {
                let hint = match self.near(path) {
                    Some(near) => format!("; did you mean {:?}?", style.specifier(&near)),
                    None => String::new(),
                };
                Err(format!("there is no file {path:?} in the app's folder{hint}"))
            }
            Err(error) => Err(why(path, &error)),
        }
    }
}

impl ModuleSource for FolderModules {
    fn resolve(&self, specifier: &str, referrer: &ModulePath) -> Result<ModulePath, ModuleError> {
        let resolved = locate(specifier, referrer).and_then(|(path, style)| {
            if !self.kept.as_ref().is_some_and(|kept| kept.modules().contains_key(&path)) {
                self.look(&path, style)?;
            }
            ModulePath::new(&path).ok_or_else(|| format!("{path:?} is no path of a file"))
        });
        resolved.map_err(|why| {
            let shown = shorten(specifier);
            ModuleError(format!("cannot import {shown:?} from {:?}: {why}", referrer.as_str()))
        })
    }

    fn read(&self, path: &ModulePath, most: usize) -> Result<Vec<u8>, ModuleError> {
        let path = path.as_str();
        if let Some(kept) = self.kept(path) {
            return Ok(kept);
        }
        let read = match self.root.get(path, Wait::Allowed) {
            Ok(Opened::File(file, metadata)) => read_file(file, metadata.len(), path, most as u64),
            Ok(Opened::Folder(_)) => Err(format!("{path:?} is a folder")),
            Err(OpenError::Missing) => Err(format!("there is no file {path:?} in the app's folder")),
            Err(error) => Err(why(path, &error)),
        };
        if let (Some(kept), Ok(read)) = (&self.kept, &read) {
            kept.modules().insert(path.to_owned(), read.clone());
        }
        read.map_err(|why| ModuleError(format!("cannot read the module {path:?}: {why}")))
    }
}

fn read_file(file: File, length: u64, path: &str, most: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(length.min(most) as usize + 1);
    // The file may grow meanwhile, so its length is not what is relied upon.
    match file.take(most + 1).read_to_end(&mut bytes) {
        Ok(read) if read as u64 > most => {
            Err(format!("{path:?} is larger than the limit of {} MB for a module", most >> 20))
        }
        Ok(_) => Ok(bytes),
        Err(error) => Err(format!("{path:?} cannot be read: {error}")),
    }
}

fn why(path: &str, error: &OpenError) -> String {
    match error {
        OpenError::Missing => format!("there is no file {path:?} in the app's folder"),
        OpenError::Outside => format!("{path:?} leaves the app's folder by a symbolic link"),
        OpenError::Irregular => format!("{path:?} is not a regular file"),
        OpenError::WouldWait => format!("{path:?} cannot be read without waiting"),
        OpenError::Io(error) => format!("{path:?} cannot be read: {error}"),
    }
}

/// How a specifier was written, so that a better one can be written alike.
#[derive(Clone, Copy)]
enum Style<'a> {
    /// `file:///a.js`
    Url,
    /// `/a.js`
    FromRoot,
    /// `./a.js`, in this file.
    Relative(&'a ModulePath),
}

impl Style<'_> {
    fn specifier(self, path: &str) -> String {
        let from = match self {
            Style::Url => return format!("file:///{path}"),
            Style::FromRoot => return format!("/{path}"),
            Style::Relative(referrer) => folder_of(referrer),
        };
        let (from, to): (Vec<_>, Vec<_>) = (from.collect(), path.split('/').collect());
        let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
        let up = "../".repeat(from.len() - common);
        let start = if up.is_empty() { "./" } else { &up };
        format!("{start}{}", to[common..].join("/"))
    }
}

fn folder_of(file: &ModulePath) -> impl Iterator<Item = &str> {
    let folder = file.as_str().rsplit_once('/').map_or("", |(folder, _)| folder);
    folder.split('/').filter(|segment| !segment.is_empty())
}

/// The path from the app's folder that a specifier means, without looking whether anything is there.
fn locate<'a>(specifier: &str, referrer: &'a ModulePath) -> Result<(String, Style<'a>), String> {
    let (path, style) = if let Some(path) = specifier.strip_prefix("file:///") {
        if path.contains(['?', '#']) {
            return Err("a module's URL has no query and no fragment".into());
        }
        let decoded = percent::decode(path).ok_or("its percent-encoding is not valid")?;
        (decoded, Style::Url)
    } else if let Some(path) = specifier.strip_prefix('/') {
        (path.to_owned(), Style::FromRoot)
    } else if matches!(specifier, "." | "..") || specifier.starts_with("./") || specifier.starts_with("../") {
        (specifier.to_owned(), Style::Relative(referrer))
    } else if has_scheme(specifier) {
        return Err("an app imports files of its own folder only".into());
    } else {
        return Err("packages are imported by the relative path of their file (\"./…\"), not by name".into());
    };
    if path.contains(['\\', '\0']) {
        return Err("its path has a backslash or a NUL; folders are separated by \"/\"".into());
    }
    let mut segments: Vec<&str> = match style {
        Style::Relative(referrer) => folder_of(referrer).collect(),
        Style::Url | Style::FromRoot => Vec::new(),
    };
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop().ok_or("it leaves the app's folder")?;
            }
            segment => segments.push(segment),
        }
    }
    if segments.is_empty() {
        return Err("it is the app's folder itself, not a file".into());
    }
    Ok((segments.join("/"), style))
}

/// Whether it starts like a URL: RFC 3986 section 3.1.
fn has_scheme(specifier: &str) -> bool {
    let scheme_byte = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
    specifier.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.bytes().all(scheme_byte)
    })
}

/// A specifier may be a whole `data:` URL; an error shows its start.
fn shorten(specifier: &str) -> String {
    const SHOWN: usize = 200;
    match specifier.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &specifier[..end]),
        None => specifier.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::beneath::tests::{Tree, both_ways};
    use proptest::prelude::*;

    const MOST: usize = 10 << 20;

    fn path(path: &str) -> ModulePath {
        ModulePath::new(path).unwrap()
    }

    fn tree() -> Tree {
        let tree = Tree::with_secrets();
        tree.write("root/lib/Util.js", "util");
        tree.write("root/lib/data.json", "{}");
        tree.write("root/lib/a b%.js", "odd");
        tree.write("root/lib/deep/index.js", "deep");
        tree
    }

    #[test]
    fn specifiers_mean_files_of_the_apps_folder() {
        let tree = tree();
        let modules = FolderModules::new(&tree.path("root"), None).unwrap();
        for (specifier, referrer, expected) in [
            ("./a.js", "index.html", "a.js"),
            ("../a.js", "lib/Util.js", "a.js"),
            ("./data.json", "lib/Util.js", "lib/data.json"),
            ("/lib/Util.js", "lib/deep/index.js", "lib/Util.js"),
            ("file:///lib/a%20b%25.js", "a.js", "lib/a b%.js"),
            ("./a b%.js", "lib/Util.js", "lib/a b%.js"),
            ("./sub/./..//in.js", "a.js", "in.js"),
        ] {
            assert_eq!(modules.resolve(specifier, &path(referrer)), Ok(path(expected)), "{specifier}");
        }
        assert_eq!(modules.read(&path("lib/Util.js"), MOST).unwrap(), b"util");
    }

    #[test]
    fn what_cannot_be_imported_says_why_and_names_both_files() {
        let tree = tree();
        let modules = FolderModules::new(&tree.path("root"), None).unwrap();
        for (specifier, why) in [
            ("lodash", r#"packages are imported by the relative path of their file ("./…"), not by name"#),
            ("", r#"packages are imported by the relative path of their file ("./…"), not by name"#),
            ("https://example.com/x.js", "an app imports files of its own folder only"),
            ("file://host/x.js", "an app imports files of its own folder only"),
            ("file:///a.js?x", "a module's URL has no query and no fragment"),
            ("file:///%zz", "its percent-encoding is not valid"),
            ("file:///..%2f..%2fsecret.js", "it leaves the app's folder"),
            ("../../secret.js", "it leaves the app's folder"),
            ("..", "it is the app's folder itself, not a file"),
            (
                ".\\Util.js",
                r#"packages are imported by the relative path of their file ("./…"), not by name"#,
            ),
            ("./a\\b.js", r#"its path has a backslash or a NUL; folders are separated by "/""#),
            ("../out.js", r#""out.js" leaves the app's folder by a symbolic link"#),
            ("./nothing.js", r#"there is no file "lib/nothing.js" in the app's folder"#),
            ("./Util", r#"there is no file "lib/Util" in the app's folder; did you mean "./Util.js"?"#),
            ("./util.js", r#"there is no file "lib/util.js" in the app's folder; did you mean "./Util.js"?"#),
            ("../A.js", r#"there is no file "A.js" in the app's folder; did you mean "../a.js"?"#),
            (
                "/LIB/data",
                r#"there is no file "LIB/data" in the app's folder; did you mean "/lib/data.json"?"#,
            ),
            ("./deep", r#""lib/deep" is a folder; import "./deep/index.js" instead"#),
            ("../lib", r#""lib" is a folder; import a file in it"#),
        ] {
            let error = modules.resolve(specifier, &path("lib/Util.js")).unwrap_err();
            assert_eq!(error.0, format!("cannot import {specifier:?} from \"lib/Util.js\": {why}"));
        }
        let error = modules.read(&path("out.js"), MOST).unwrap_err();
        assert_eq!(
            error.0,
            r#"cannot read the module "out.js": "out.js" leaves the app's folder by a symbolic link"#
        );
    }

    #[test]
    fn an_error_is_one_short_line_whatever_the_specifier() {
        let tree = tree();
        let modules = FolderModules::new(&tree.path("root"), None).unwrap();
        let error = modules.resolve(&format!("data:\n{}", "x".repeat(100_000)), &path("a.js")).unwrap_err();
        assert!(error.0.len() < 400 && !error.0.contains('\n'), "{error}");
    }

    #[test]
    fn a_module_over_10_megabytes_is_refused() {
        let tree = Tree::empty();
        tree.write("big.js", vec![b' '; 10 << 20]);
        tree.write("bigger.js", vec![b' '; (10 << 20) + 1]);
        let modules = FolderModules::new(&tree.path(""), None).unwrap();
        assert_eq!(modules.read(&path("big.js"), MOST).unwrap().len(), 10 << 20);
        let error = modules.read(&path("bigger.js"), MOST).unwrap_err();
        assert!(error.0.contains("larger than the limit of 10 MB"), "{error}");
    }

    fn segment() -> impl Strategy<Value = String> {
        const KNOWN: &[&str] = &[
            "..",
            ".",
            "",
            "a.js",
            "in.js",
            "out.js",
            "sub",
            "up",
            "out",
            "folder-in",
            "folder-out",
            "sibling",
            "magic",
            "etc",
            "passwd",
            "absolute.js",
            "secret.js",
            "root-too",
            "root",
            "outside",
            "%2e%2e",
            "..%2f",
            "%00",
            "circle.js",
            "\\..",
            "b.js",
        ];
        prop_oneof![9 => proptest::sample::select(KNOWN).prop_map(str::to_owned), 1 => "[^/]{0,4}"]
    }

    proptest! {
        #[test]
        fn no_specifier_reads_anything_outside_the_folder(
            start in proptest::sample::select(&["./", "../", "/", "file:///", ""][..]),
            segments in proptest::collection::vec(segment(), 1..7),
            referrer in proptest::sample::select(&["a.js", "sub/b.js", "sub/up/sub/b.js", "folder-out/a.js"][..]),
        ) {
            thread_local!(static TREE: Tree = tree());
            let specifier = format!("{start}{}", segments.join("/"));
            TREE.with(|tree| {
                for root in both_ways(&tree.path("root")) {
                    let modules = FolderModules { root, kept: None };
                    let resolved = modules.resolve(&specifier, &path(referrer));
                    if let Ok(resolved) = &resolved {
                        let text = modules.read(resolved, MOST).expect("what resolves can be read");
                        prop_assert_eq!(text, b"public", "{} is {}", specifier, resolved);
                    }
                    // Past resolving, too: a guest might get hold of any path.
                    if let Some(path) = ModulePath::new(&segments.join("/"))
                        && let Ok(text) = modules.read(&path, MOST)
                    {
                        prop_assert_eq!(text, b"public", "{}", path);
                    }
                }
                Ok(())
            })?;
        }
    }
}
