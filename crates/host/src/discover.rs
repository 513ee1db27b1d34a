//! From paths to apps: each path is an app's folder, an app's main file, or a folder of apps.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nexus_core::{
    App, AppName, Conflict, Diagnostic, Diagnostics, HostConfig, Manifest, PermissionKind, Router,
};

/// The manifest's file name.
pub const MANIFEST: &str = "nexus.toml";

/// A folder or a file that is an app, or should be: the app, or what is wrong with it.
#[derive(Debug)]
pub struct Found {
    /// The app's folder as it was found, or its main file if that was named.
    pub folder: PathBuf,
    /// The app, if its manifest is fine and its main file there.
    pub app: Result<App, Diagnostics>,
}

/// Finds the apps at `path`. A folder with a `nexus.toml` or one of [`App::MAIN_FILES`] is an app; any
/// other folder is searched for such folders, not deeper. Hidden folders are passed over. A file that can
/// be a main file is the app of its folder with that main file, whatever the `nexus.toml` beside it names;
/// without a `nexus.toml` the app is called after the file.
///
/// # Errors
/// When the path is neither a folder nor such a file, cannot be read, or holds no app.
pub fn discover(path: &Path, config: &HostConfig) -> Result<Vec<Found>, Diagnostics> {
    let named = |message: String, help: &str| {
        Diagnostics::from(Diagnostic::of_file(path.display().to_string(), message).with_help(help))
    };
    let metadata = fs::metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound if path.to_str().is_some_and(ends_like_a_main_file) => {
            named("there is no such file".into(), "give the path of an app's folder or main file")
        }
        io::ErrorKind::NotFound => {
            named("there is no such folder".into(), "give the path of an app's folder")
        }
        _ => named(format!("cannot be read: {error}"), "check its permissions"),
    })?;
    if metadata.is_file() && path.file_name().is_some_and(|name| name != MANIFEST) {
        let (folder, main) = main_file_of(path).map_err(|help| named("is a file".into(), &help))?;
        return Ok(vec![Found { folder: path.to_owned(), app: load(folder, Some(main), config) }]);
    }
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
        let help = format!("an app's folder holds a {MANIFEST}, {}", listed(&App::MAIN_FILES));
        return Err(named("there is no app here".into(), &help));
    }
    folders.sort();
    Ok(folders.iter().map(|folder| found(folder, config)).collect())
}

/// The app that was found at `path` before, as it is now.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn again(path: &Path, config: &HostConfig) -> Result<App, Diagnostics> {
    if path.is_file() {
        let named =
            |help: String| Diagnostic::of_file(path.display().to_string(), "is a file").with_help(help);
        let (folder, main) = main_file_of(path).map_err(named)?;
        return load(folder, Some(main), config);
    }
    load(path, None, config)
}

/// Where the folder of an app lies that was found at `path`: absolute, and without links up to its own name, which may be
/// one.
pub(crate) fn place(path: &Path) -> PathBuf {
    let here = |path: &Path| if path.as_os_str().is_empty() { PathBuf::from(".") } else { path.to_owned() };
    let folder = if path.is_file() { here(path.parent().unwrap_or(path)) } else { here(path) };
    let place = match (folder.parent(), folder.file_name()) {
        (Some(parent), Some(name)) => here(parent).canonicalize().map(|parent| parent.join(name)),
        _ => folder.canonicalize(),
    };
    place.unwrap_or(folder)
}

/// The app that was found at `path` by who started this host, as far as the link there leads to another folder since. As
/// it was, if what is there now cannot be served at the same place.
pub(crate) fn by_now(path: &Path, app: App, config: &HostConfig) -> App {
    if place(path).canonicalize().is_ok_and(|folder| folder == app.folder) {
        return app;
    }
    match again(path, config) {
        Ok(now) if now.name() == app.name() && now.manifest.http == app.manifest.http => now,
        _ => app,
    }
}

fn is_hidden(folder: &Path) -> bool {
    folder.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

fn is_app(folder: &Path) -> bool {
    folder.is_dir() && [MANIFEST].iter().chain(&App::MAIN_FILES).any(|file| folder.join(file).is_file())
}

fn found(folder: &Path, config: &HostConfig) -> Found {
    Found { folder: folder.to_owned(), app: load(folder, None, config) }
}

/// `a`, `b` or `c`.
fn listed(words: &[&str]) -> String {
    match words.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => words.concat(),
    }
}

fn ends_like_a_main_file(path: &str) -> bool {
    App::MAIN_ENDINGS.iter().any(|ending| path.ends_with(ending))
}

/// The folder of a file that can be an app's main file, and the file's name; or what to do instead.
fn main_file_of(file: &Path) -> Result<(&Path, String), String> {
    let name = file.file_name().and_then(OsStr::to_str).unwrap_or_default();
    if !ends_like_a_main_file(name) {
        return Err(format!("give an app's folder, or a file that ends in {}", listed(&App::MAIN_ENDINGS)));
    }
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    Ok((folder.unwrap_or(Path::new(".")), App::main_file(name)?))
}

/// The name of an app that is a main file without a manifest.
fn name_of(file: &Path) -> Result<AppName, Diagnostic> {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    AppName::from_folder(&stem).ok_or_else(|| {
        let help =
            format!("rename the file, or put a `{MANIFEST}` beside it that sets `name` under [project]");
        Diagnostic::of_file(
            file.display().to_string(),
            format!("the file's name `{stem}` makes no name for the app"),
        )
        .with_help(help)
    })
}

/// The app in `folder`, with this main file if one is named.
fn load(folder: &Path, main: Option<String>, config: &HostConfig) -> Result<App, Diagnostics> {
    let manifest_file = folder.join(MANIFEST);
    let shown = manifest_file.display().to_string();
    let absolute = absolute(folder)?;
    // A link's own name stays when it is made to lead elsewhere. The path may also be `.` or end in `..`.
    let folder_name = folder.file_name().or(absolute.file_name()).unwrap_or_default();
    let folder_name = folder_name.to_string_lossy();
    let manifest = read_manifest(&manifest_file, &shown, &folder_name, || match &main {
        Some(file) => Ok(Manifest::default_named(name_of(&folder.join(file))?)),
        None => Manifest::default_for(&folder_name),
    })?;
    let app = complete(absolute, manifest, main, config, &shown)?;
    granted_folders_are_there(&app, &PermissionKind::ALL)?;
    Ok(app)
}

/// The app that was deployed under this name and lies in `folder`, and the folders that it can never
/// be granted to write to, which are taken out of its manifest.
///
/// # Errors
/// What is wrong with it, for whoever deploys it: with the files' names as they are in the app's folder.
pub(crate) fn deployed(
    folder: &Path,
    name: &AppName,
    config: &HostConfig,
) -> Result<(App, Vec<String>), Diagnostics> {
    let default = || Ok(Manifest::default_named(name.clone()));
    let mut manifest = read_manifest(&folder.join(MANIFEST), MANIFEST, name.as_str(), default)?;
    if manifest.written.contains("project.name") && manifest.name != *name {
        let message = format!("the name is `{}`, and it is deployed as `{name}`", manifest.name);
        let help = "give both the same name, or leave the one in the manifest out";
        return Err(manifest.written.diagnostic("project.name", message).with_help(help).into());
    }
    let refused = writes_to_nothing_deployed(&mut manifest, config)?;
    // A name that `AppName::from_folder` would change is its own name all the same.
    manifest.name = name.clone();
    let app = complete(absolute(folder)?, manifest, None, config, MANIFEST)?;
    // Whoever gets none of the host's folders is not told which there are.
    granted_folders_are_there(&app, &config.deploy.allow)?;
    Ok((app, refused))
}

/// What was deployed is known by its content, and is served again as long as it has that.
/// Where the host lets deployed apps write, a folder with any of that in it is wrong; where it does not, it is refused as
/// all others are, but for good: no rule may ever grant it.
fn writes_to_nothing_deployed(
    manifest: &mut Manifest,
    config: &HostConfig,
) -> Result<Vec<String>, Diagnostics> {
    let data = config.deploy.folder.as_ref().and_then(|folder| folder.canonicalize().ok());
    let mut problems = Diagnostics::new();
    let (mut fine, mut refused) = (Vec::new(), Vec::new());
    for (place, folder) in manifest.permissions.write.iter().enumerate() {
        let path = Path::new(folder.as_str());
        let what = if !path.is_absolute() {
            "in the app's own folder, which does not change once it is deployed"
        } else if let (Some(data), Ok(path)) = (&data, path.canonicalize())
            && (path.starts_with(data) || data.starts_with(&path))
        {
            "where the host keeps what was deployed, or above"
        } else {
            fine.push(folder.clone());
            continue;
        };
        let shown = folder.as_str().escape_debug();
        refused.push(format!("\"{shown}\""));
        let message = format!("`{shown}` is {what}");
        let help = "name another folder of the host, by its absolute path";
        let key = format!("permissions.write[{place}]");
        problems.push(manifest.written.diagnostic(&key, message).with_help(help));
    }
    if config.deploy.allow.contains(&PermissionKind::Write) {
        problems.into_result()?;
    }
    manifest.permissions.write = fine;
    Ok(match refused.is_empty() {
        true => Vec::new(),
        false => vec![format!("write = [{}]", refused.join(", "))],
    })
}

fn absolute(folder: &Path) -> Result<PathBuf, Diagnostic> {
    fs::canonicalize(folder).map_err(|error| {
        Diagnostic::of_file(folder.display().to_string(), format!("cannot be read: {error}"))
    })
}

/// The manifest in this file, which errors call `shown`; the default one if there is no such file.
fn read_manifest(
    file: &Path,
    shown: &str,
    folder_name: &str,
    default: impl FnOnce() -> Result<Manifest, Diagnostics>,
) -> Result<Manifest, Diagnostics> {
    match fs::read(file) {
        Ok(bytes) => {
            let text = String::from_utf8(bytes).map_err(|error| {
                let line = error.as_bytes()[..error.utf8_error().valid_up_to()]
                    .iter()
                    .filter(|&&b| b == b'\n')
                    .count()
                    + 1;
                Diagnostic::of_file(shown, format!("line {line} is not UTF-8 text"))
            })?;
            Manifest::parse(&text, shown, folder_name)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => default(),
        Err(error) => Err(Diagnostic::of_file(shown, format!("cannot be read: {error}")).into()),
    }
}

/// The app with this manifest, within the host's limits, if all that the manifest names is there.
fn complete(
    absolute: PathBuf,
    mut manifest: Manifest,
    main: Option<String>,
    config: &HostConfig,
    shown: &str,
) -> Result<App, Diagnostics> {
    config.apply(&mut manifest)?;
    if main.is_some() {
        manifest.main = main;
    }
    let main = main_file(&absolute, &manifest, shown)?;
    match &main {
        Some(main) => manifest.fits(main)?,
        None => manifest.fits_static_files()?,
    }
    modules_of_routes_are_there(&absolute, &manifest)?;
    if let Some(assets) = &manifest.assets
        && !absolute.join(&assets.folder).is_dir()
    {
        let message = format!("the folder `{}` is not there", assets.folder);
        return Err(manifest.written.diagnostic("assets.folder", message).into());
    }
    Ok(App { folder: absolute, manifest, main })
}

fn modules_of_routes_are_there(app: &Path, manifest: &Manifest) -> Result<(), Diagnostics> {
    let mut problems = Diagnostics::new();
    for (place, route) in manifest.routes.iter().enumerate() {
        if !app.join(&route.module).is_file() {
            let message = format!("the module `{}` is not there", route.module);
            problems.push(manifest.written.diagnostic(&format!("routes[{place}].module"), message));
        }
    }
    problems.into_result()
}

/// Looks for the folders of these kinds that an app asks for.
fn granted_folders_are_there(app: &App, kinds: &[PermissionKind]) -> Result<(), Diagnostics> {
    let mut problems = Diagnostics::new();
    let App { folder: app, manifest, .. } = app;
    let asked = &manifest.permissions;
    let lists = [(PermissionKind::Read, &asked.read), (PermissionKind::Write, &asked.write)];
    for (key, folders) in lists.into_iter().filter(|(kind, _)| kinds.contains(kind)) {
        for (place, folder) in folders.iter().enumerate() {
            let shown = folder.as_str().escape_debug();
            let problem = match fs::metadata(folder.path_from(app)) {
                Ok(metadata) if metadata.is_dir() => continue,
                Ok(_) => format!("`{shown}` is no folder"),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    format!("the folder `{shown}` is not there")
                }
                Err(error) => format!("the folder `{shown}` cannot be read: {error}"),
            };
            problems.push(manifest.written.diagnostic(&format!("permissions.{key}[{place}]"), problem));
        }
    }
    problems.into_result()
}

fn main_file(folder: &Path, manifest: &Manifest, shown: &str) -> Result<Option<String>, Diagnostics> {
    if let Some(main) = &manifest.main {
        if folder.join(main).is_file() {
            return Ok(Some(main.clone()));
        }
        let message = format!("the main file `{main}` is not there");
        return Err(manifest.written.diagnostic("project.main", message).into());
    }
    match App::MAIN_FILES.iter().find(|file| folder.join(file).is_file()) {
        Some(file) => Ok(Some((*file).to_owned())),
        // Static files alone are an app too.
        None if manifest.assets.is_some() => Ok(None),
        None => {
            let help = format!(
                "add an {}, name another file as `main` under [project], or serve files with [assets]",
                listed(&App::MAIN_FILES)
            );
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
            if first.folder == app.folder && first.main == app.main {
                return Some(Diagnostic::of_file(
                    rest[0].folder.display().to_string(),
                    "this app is named twice",
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
            let (own, other) = (&app.manifest.http, &first.manifest.http);
            if own.is_shared() && other.is_shared() {
                return if own.port == other.port { clash_of_routes(first, app) } else { None };
            }
            let port = own.port.filter(|port| other.port == Some(*port))?;
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

/// What is wrong where two apps on a shared port claim the same.
fn clash_of_routes(first: &App, second: &App) -> Option<Diagnostic> {
    let http = [first, second].map(|app| &app.manifest.http);
    let entry = |index: usize, app: &App| {
        (Some(&http[index].hosts[..]), Some(&http[index].paths[..]), app.name().clone())
    };
    let conflict = Router::new([entry(0, first), entry(1, second)]).err()?;
    Some(claimed_before(second, &conflict))
}

/// What is wrong with an app that claims what another one on its shared port has.
pub(crate) fn claimed_before(app: &App, conflict: &Conflict<AppName>) -> Diagnostic {
    let key = if app.manifest.http.paths.is_empty() { "http.hosts" } else { "http.paths" };
    let help = "set other `hosts` or `paths` under [http] in one of the two";
    app.manifest.written.diagnostic(key, conflict.to_string()).with_help(help)
}

#[cfg(test)]
mod tests;
