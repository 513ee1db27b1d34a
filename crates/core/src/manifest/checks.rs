//! What in a manifest must go together: each value is right by itself here.

use std::collections::HashMap;

use super::Manifest;
use crate::{
    Binding, BindingTarget, CronPattern, Diagnostic, Diagnostics, HostPattern, Isolation, PathPattern,
    VariableName,
};

/// The most secrets of an app: each worker holds them all.
const MOST_SECRETS: usize = 100;

/// What does not go together in the file.
pub(super) fn within(manifest: &Manifest) -> Diagnostics {
    let Manifest { http, routes, .. } = manifest;
    let host = |host: &HostPattern| (host.to_string(), host.to_string());
    let path = |path: &PathPattern| (path.shape(), path.to_string());
    let mut problems = Diagnostics::new();
    problems.extend(scale(manifest));
    names_taken(manifest, &mut problems);
    for binding in &manifest.bindings {
        problems.extend(not_kept(manifest, binding));
    }
    problems.extend(too_many_secrets(manifest));
    twice(manifest, http.hosts.iter().map(host), |place| format!("http.hosts[{place}]"), &mut problems);
    twice(manifest, http.paths.iter().map(path), |place| format!("http.paths[{place}]"), &mut problems);
    let routes = routes.iter().map(|route| path(&route.path));
    twice(manifest, routes, |place| format!("routes[{place}].path"), &mut problems);
    let cron = manifest.triggers.cron.iter().map(|cron: &CronPattern| (cron.shape(), cron.to_string()));
    twice(manifest, cron, |place| format!("triggers.cron[{place}]"), &mut problems);
    let env = manifest.permissions.env.iter().map(|name: &VariableName| (name.to_string(), name.to_string()));
    twice(manifest, env, |place| format!("permissions.env[{place}]"), &mut problems);
    problems
}

/// What is not for an app with this main file.
pub(super) fn with_main(manifest: &Manifest, main: &str) -> Diagnostics {
    let mut problems = Diagnostics::new();
    if !main.ends_with(".wasm") {
        return problems;
    }
    let written = &manifest.written;
    if manifest.isolation == Isolation::Request {
        let message = format!("`isolation` is for JavaScript, and the main file `{main}` is WebAssembly");
        problems.push(written.diagnostic("project.isolation", message).with_help(
            "remove it, and set `reuse` under [wasm]: 1, the default, is a fresh instance for each request",
        ));
    }
    if !manifest.routes.is_empty() {
        let message = format!("[[routes]] are for JavaScript, and the main file `{main}` is WebAssembly");
        let help = "remove them, or set `main` under [project] to a JavaScript module";
        problems.push(written.diagnostic("routes", message).with_help(help));
    }
    if !manifest.triggers.cron.is_empty() {
        let message = format!("`triggers` are for JavaScript, and the main file `{main}` is WebAssembly");
        let help = "remove them: nothing in WASI has a handler for them so far";
        problems.push(written.diagnostic("triggers.cron", message).with_help(help));
    }
    problems
}

/// What is not for an app of static files only.
pub(super) fn without_main(manifest: &Manifest) -> Diagnostics {
    let mut problems = Diagnostics::new();
    if !manifest.triggers.cron.is_empty() {
        let message = "`triggers` are for JavaScript, and the app has static files only";
        let help = "remove them, or add an `index.js` whose default export has a `scheduled` handler";
        problems.push(manifest.written.diagnostic("triggers.cron", message).with_help(help));
    }
    problems
}

/// Tells which names an app would find one of two things under: of variables, of the host's, bindings and secrets.
fn names_taken(manifest: &Manifest, problems: &mut Diagnostics) {
    let env = manifest.env.iter().map(|(name, _)| ("variable", name.as_str(), format!("env.{name}")));
    let of_host = manifest.permissions.env.iter().enumerate();
    let of_host = of_host
        .map(|(place, name)| ("variable of the host", name.as_str(), format!("permissions.env[{place}]")));
    let bindings = manifest.bindings.iter().map(|binding| ("binding", &*binding.name, &*binding.name));
    let bindings = bindings.map(|(what, name, key)| (what, name, format!("bindings.{key}")));
    let secrets = manifest.secrets.iter();
    let secrets = secrets.map(|secret| ("secret", &*secret.name, format!("secrets.{}", secret.name)));
    let mut seen: HashMap<&str, (&str, String)> = HashMap::new();
    for (what, name, at) in env.chain(of_host).chain(bindings).chain(secrets) {
        match seen.get(name) {
            // What stands twice in one list is told elsewhere.
            Some((other, _)) if *other == what => {}
            Some((other, place)) => problems.push_with(|| {
                let line = manifest.written.line(place).unwrap_or_default();
                let message = format!("`{name}` is the name of a {other}, too");
                let help = format!("the {other} is in line {line}; give one of the two another name");
                manifest.written.diagnostic(&at, message).with_help(help)
            }),
            None => {
                seen.insert(name, (what, at));
            }
        }
    }
}

fn too_many_secrets(manifest: &Manifest) -> Option<Diagnostic> {
    let beyond = manifest.secrets.get(MOST_SECRETS)?;
    let message = format!("[secrets] has {} secrets, and {MOST_SECRETS} at most", manifest.secrets.len());
    let help = "put several into one, as JSON";
    Some(manifest.written.diagnostic(&format!("secrets.{}", beyond.name), message).with_help(help))
}

/// That a binding to an app says what is for those to what is kept.
fn not_kept(manifest: &Manifest, binding: &Binding) -> Option<Diagnostic> {
    let BindingTarget::App(_) = binding.to else { return None };
    let at = |key: &str| format!("bindings.{}.{key}", binding.name);
    let key = ["access", "provider"].into_iter().find(|key| manifest.written.line(&at(key)).is_some())?;
    let message =
        format!("`{key}` is for what is kept for apps, and the binding `{}` leads to an app", binding.name);
    Some(manifest.written.diagnostic(&at(key), message).with_help(format!("remove `{key}`")))
}

fn scale(manifest: &Manifest) -> Option<Diagnostic> {
    let (least, most) = (manifest.scale.min_workers, manifest.scale.workers);
    if least <= most {
        return None;
    }
    let most = match manifest.written.line("scale.workers") {
        Some(line) => format!("`workers`, which is {most} in line {line}"),
        None => format!("`workers`, which is {most} if it is not set"),
    };
    let message = format!("`min_workers` is {least}, above {most}");
    let help = format!("lower it, or set `workers = {least}`");
    Some(manifest.written.diagnostic("scale.min_workers", message).with_help(help))
}

/// Tells which of some patterns are the same as an earlier one. Each comes with what is the same for all of
/// them, and as it is shown; `at` is where the file sets the one of a place.
fn twice(
    manifest: &Manifest,
    patterns: impl Iterator<Item = (String, String)>,
    at: impl Fn(usize) -> String,
    problems: &mut Diagnostics,
) {
    let mut seen: HashMap<String, (usize, String)> = HashMap::new();
    for (place, (same, shown)) in patterns.enumerate() {
        let Some((first, other)) = seen.get(&same) else {
            seen.insert(same, (place, shown));
            continue;
        };
        problems.push_with(|| {
            let line = manifest.written.line(&at(*first)).unwrap_or_default();
            let message = if *other == shown {
                format!("`{shown}` is there twice")
            } else {
                format!("`{shown}` is there twice: it matches what `{other}` matches")
            };
            let help = format!("it is in line {line} already; remove one");
            manifest.written.diagnostic(&at(place), message).with_help(help)
        });
    }
}

#[cfg(test)]
mod tests;
