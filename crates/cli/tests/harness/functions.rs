//! An app that runs functions of its bindings, so that a test says what an app does and sees what comes of it.

use serde_json::Value;

use super::{Folder, Nexus};

/// Runs the function that the path names, with what follows in it, and answers with what it gives, as JSON.
const RUNS: &str = "const run = {
  async fetch(request, env) {
    const { pathname } = new URL(request.url);
    const [, name, ...rest] = pathname.split('/');
    try {
      return Response.json({ value: await TESTS[name](env, ...rest.map(decodeURIComponent)) ?? null });
    } catch (error) {
      const { name, message, code, retryable, cause } = error;
      return Response.json({ error: message, name, code: code ?? cause?.code, retryable });
    }
  },
};
export default run;
";

/// The source of an app with these functions: the members of an object.
pub(crate) fn functions(tests: &str) -> String {
    format!("const TESTS = {{ {tests} }};\n{RUNS}")
}

/// A host with an app `shop` that has these functions and this manifest.
#[track_caller]
pub(crate) fn serve_functions(tests: &str, manifest: &str) -> (Folder, Nexus) {
    let folder = Folder::new(&[("shop/index.js", &*functions(tests)), ("shop/nexus.toml", manifest)]);
    let nexus = Nexus::serve(folder.path());
    (folder, nexus)
}

/// What a function of the app `shop` gives.
#[track_caller]
pub(crate) fn value(nexus: &Nexus, path: &str) -> Value {
    let mut answer = nexus.get("shop", path).json();
    assert!(answer.get("error").is_none(), "{path}: {answer}");
    answer["value"].take()
}

/// How a function of the app `shop` fails.
#[track_caller]
pub(crate) fn error(nexus: &Nexus, path: &str) -> Value {
    let answer = nexus.get("shop", path).json();
    assert!(answer.get("error").is_some(), "{path}: {answer}");
    answer
}
