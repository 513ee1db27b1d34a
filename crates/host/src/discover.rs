//! From paths to apps: each path is an app's folder, or a folder of apps.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nexus_core::{App, Diagnostic, Diagnostics, HostConfig, Manifest};

/// The manifest's file name.
pub const MANIFEST: &str = "nexus.toml";
/// The main files that are looked for, in this order, where the manifest names none.
const MAIN_FILES: [&str; 2] = ["index.js", "index.mjs"];

/// A folder that is an app, or should be: the app, or what is wrong with it.
#[derive(Debug)]
pub struct Found {
    /// The app's folder as it was found.
    pub folder: PathBuf,
    /// The app, if its manifest is fine and its main file there.
    pub app: Result<App, Diagnostics>,
}

/// Finds the apps at `path`. A folder with a `nexus.toml`, an `index.js` or an `index.mjs` is an app; any
/// other folder is searched for such folders, not deeper. Hidden folders are passed over.
///
/// # Errors
/// When the path is no folder, cannot be read, or holds no app.
pub fn discover(path: &Path, config: &HostConfig) -> Result<Vec<Found>, Diagnostics> {
    let named = |message: String, help: &str| {
        Diagnostics::from(Diagnostic::of_file(path.display().to_string(), message).with_help(help))
    };
    let metadata = fs::metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            named("there is no such folder".into(), "give the path of an app's folder")
        }
        _ => named(format!("cannot be read: {error}"), "check its permissions"),
    })?;
    if !metadata.is_dir() {
        return Err(named("is a file".into(), "give the folder that it is in"));
    }
    if is_app(path) {
        return Ok(vec![found(path, config)]);
    }
    let entries = fs::read_dir(path)
        .map_err(|error| named(format!("cannot be read: {error}"), "check its permissions"))?;
    let mut folders: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|folder| !is_hidden(folder) && is_app(folder))
        .collect();
    if folders.is_empty() {
        let help = "an app's folder holds a nexus.toml, an index.js or an index.mjs";
        return Err(named("there is no app here".into(), help));
    }
    folders.sort();
    Ok(folders.iter().map(|folder| found(folder, config)).collect())
}

fn is_hidden(folder: &Path) -> bool {
    folder.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

fn is_app(folder: &Path) -> bool {
    folder.is_dir() && [MANIFEST].iter().chain(&MAIN_FILES).any(|file| folder.join(file).is_file())
}

fn found(folder: &Path, config: &HostConfig) -> Found {
    Found { folder: folder.to_owned(), app: load(folder, config) }
}

fn load(folder: &Path, config: &HostConfig) -> Result<App, Diagnostics> {
    let manifest_file = folder.join(MANIFEST);
    let shown = manifest_file.display().to_string();
    // The path as it was given may be `.` or end in `..`.
    let absolute = fs::canonicalize(folder).map_err(|error| {
        Diagnostic::of_file(folder.display().to_string(), format!("cannot be read: {error}"))
    })?;
    let folder_name =
        absolute.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut manifest = match fs::read(&manifest_file) {
        Ok(bytes) => {
            let text = String::from_utf8(bytes).map_err(|error| {
                let line = error.as_bytes()[..error.utf8_error().valid_up_to()]
                    .iter()
                    .filter(|&&b| b == b'\n')
                    .count()
                    + 1;
                Diagnostic::of_file(shown.clone(), format!("line {line} is not UTF-8 text"))
            })?;
            Manifest::parse(&text, &shown, &folder_name)?
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Manifest::default_for(&folder_name)?,
        Err(error) => return Err(Diagnostic::of_file(shown, format!("cannot be read: {error}")).into()),
    };
    config.apply(&mut manifest)?;
    let main = main_file(&absolute, &manifest, &shown)?;
    if let Some(assets) = &manifest.assets
        && !absolute.join(&assets.folder).is_dir()
    {
        let message = format!("the folder `{}` is not there", assets.folder);
        return Err(manifest.written.diagnostic("assets.folder", message).into());
    }
    Ok(App { folder: absolute, manifest, main })
}

fn main_file(folder: &Path, manifest: &Manifest, shown: &str) -> Result<Option<String>, Diagnostics> {
    if let Some(main) = &manifest.main {
        if folder.join(main).is_file() {
            return Ok(Some(main.clone()));
        }
        let message = format!("the main file `{main}` is not there");
        return Err(manifest.written.diagnostic("project.main", message).into());
    }
    match MAIN_FILES.iter().find(|file| folder.join(file).is_file()) {
        Some(file) => Ok(Some((*file).to_owned())),
        // Static files alone are an app too.
        None if manifest.assets.is_some() => Ok(None),
        None => {
            let help = "add an index.js or index.mjs, name another file as `main` under [project], or serve files with [assets]";
            Err(Diagnostic::of_file(shown, "the app has no main file").with_help(help).into())
        }
    }
}

/// Sets apart the apps that cannot be served beside others: of two that share a name or a port, the second.
pub fn refuse_conflicts(found: &mut [Found]) {
    for second in 1..found.len() {
        let (before, rest) = found.split_at_mut(second);
        let Ok(app) = &rest[0].app else { continue };
        let clash = before.iter().find_map(|other| {
            let first = other.app.as_ref().ok()?;
            if first.folder == app.folder {
                return Some(Diagnostic::of_file(
                    rest[0].folder.display().to_string(),
                    "this folder is named twice",
                ));
            }
            if first.name() == app.name() {
                let message = format!("the name `{}` is taken by {}", app.name(), other.folder.display());
                let diagnostic = if app.manifest.written.contains("project.name") {
                    app.manifest.written.diagnostic("project.name", message)
                } else {
                    Diagnostic::of_file(rest[0].folder.display().to_string(), message)
                };
                return Some(diagnostic.with_help("set another `name` under [project]"));
            }
            let port = app.manifest.http.port.filter(|port| first.manifest.http.port == Some(*port))?;
            let message = format!("the port {port} is taken by the app `{}`", first.name());
            let diagnostic = app.manifest.written.diagnostic("http.port", message);
            Some(
                diagnostic
                    .with_help("set another `port` under [http], or leave it out for the next free one"),
            )
        });
        if let Some(diagnostic) = clash {
            rest[0].app = Err(diagnostic.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A folder that is gone with the test.
    struct Temp(PathBuf);

    impl Temp {
        fn new(files: &[(&str, &str)]) -> Self {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let folder = std::env::temp_dir().join(format!("nexus-discover-{}-{number}", std::process::id()));
            for (file, text) in files {
                let file = folder.join(file);
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(file, text).unwrap();
            }
            Self(folder)
        }

        fn discover(&self) -> Result<Vec<Found>, Diagnostics> {
            discover(&self.0, &HostConfig::default())
        }
    }

    impl Drop for Temp {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_folder_of_apps_gives_each_of_them_by_name() {
        let temp = Temp::new(&[
            ("b/index.mjs", ""),
            ("a/nexus.toml", "[project]\nname = \"first\"\nmain = \"app.js\"\n"),
            ("a/app.js", ""),
            (".git/index.js", ""),
            ("notes/readme.txt", ""),
        ]);
        let found = temp.discover().unwrap();
        let apps: Vec<_> = found.iter().map(|found| found.app.as_ref().unwrap()).collect();
        assert_eq!(apps.iter().map(|app| app.name().as_str()).collect::<Vec<_>>(), ["first", "b"]);
        assert_eq!(apps[0].main.as_deref(), Some("app.js"));
        assert_eq!(apps[1].main.as_deref(), Some("index.mjs"));
    }

    #[test]
    fn an_app_that_is_wrong_does_not_hide_the_others() {
        let temp =
            Temp::new(&[("a/nexus.toml", "[http]\nprot = 1\n"), ("a/index.js", ""), ("b/index.js", "")]);
        let found = temp.discover().unwrap();
        assert!(found[0].app.as_ref().unwrap_err().to_string().contains("unknown key `prot`"));
        assert!(found[1].app.is_ok());
    }

    #[test]
    fn what_is_missing_is_named() {
        let empty = Temp::new(&[("sub/readme.txt", "")]);
        assert!(empty.discover().unwrap_err().to_string().contains("there is no app here"));
        let no_main = Temp::new(&[("nexus.toml", "[project]\nname = \"x\"\n")]);
        assert!(
            no_main.discover().unwrap()[0].app.as_ref().unwrap_err().to_string().contains("no main file")
        );
        let wrong_main = Temp::new(&[("nexus.toml", "[project]\nmain = \"gone.js\"\n")]);
        let text = wrong_main.discover().unwrap()[0].app.as_ref().unwrap_err().to_string();
        assert!(text.contains("nexus.toml:2:") && text.contains("`gone.js` is not there"), "{text}");
        let file = empty.0.join("sub/readme.txt");
        assert!(discover(&file, &HostConfig::default()).unwrap_err().to_string().contains("is a file"));
    }

    #[test]
    fn of_two_apps_with_one_name_or_port_the_second_is_refused() {
        let temp = Temp::new(&[
            ("a/nexus.toml", "[http]\nport = 3000\n"),
            ("a/index.js", ""),
            ("b/nexus.toml", "[project]\nname = \"a\"\n"),
            ("b/index.js", ""),
            ("c/nexus.toml", "[http]\nport = 3000\n"),
            ("c/index.js", ""),
        ]);
        let mut found = temp.discover().unwrap();
        refuse_conflicts(&mut found);
        assert!(found[0].app.is_ok());
        assert!(found[1].app.as_ref().unwrap_err().to_string().contains("the name `a` is taken by"));
        assert!(
            found[2].app.as_ref().unwrap_err().to_string().contains("the port 3000 is taken by the app `a`")
        );
    }
}
