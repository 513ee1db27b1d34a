//! Apps that fetch from an [`Upstream`].

use serde_json::{Value, json};

use super::{Asked, Folder, Nexus, Upstream};

/// `printf 'hello, hello, hello' | gzip -n`
pub(crate) const GZIP: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xcb\x48\xcd\xc9\xc9\xd7\x51\xc8\x40\xa2\x00\x9f\xa1\xca\x09\x13\x00\x00\x00";

/// An app that runs the expression of its module's `run`, with `U` as the upstream's origin, for each request. What it
/// throws is told with its cause.
pub(crate) fn app(upstream: &Upstream, run: &str) -> String {
    format!(
        "const U = 'http://{}';
        const bytes = (text) => new TextEncoder().encode(text);
        const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
        const run = {run};
        export default {{ async fetch(request, env, ctx) {{
          try {{
            const result = await run(request, ctx);
            return result instanceof Response ? result : Response.json(result);
          }} catch (error) {{
            const {{ name, message, cause }} = error;
            return Response.json({{ threw: name, message, cause: cause && cause.message, code: cause && cause.code }});
          }}
        }} }};",
        upstream.address()
    )
}

/// Serves such an app, which may connect to the upstream.
pub(crate) fn serve_with(upstream: &Upstream, manifest: &str, run: &str) -> (Folder, Nexus) {
    let folder = Folder::app(&app(upstream, run));
    let manifest = format!("[permissions]\nnet = [\"{}\"]\n{manifest}", upstream.address());
    folder.write("app/nexus.toml", manifest);
    let nexus = Nexus::serve(folder.path());
    (folder, nexus)
}

/// The same with nothing more in its manifest.
pub(crate) fn serve(upstream: &Upstream, run: &str) -> (Folder, Nexus) {
    serve_with(upstream, "", run)
}

/// What such an app answers, once.
#[track_caller]
pub(crate) fn result(upstream: &Upstream, run: &str) -> Value {
    let (_folder, nexus) = serve(upstream, run);
    nexus.client("app").get("/").json()
}

/// Answers with what was asked: request line, some fields, body.
pub(crate) fn echo(asked: &mut Asked) {
    let body = String::from_utf8_lossy(&asked.body()).into_owned();
    let fields: serde_json::Map<String, Value> =
        asked.fields.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    let text = json!({ "line": asked.line, "fields": fields, "body": body }).to_string();
    asked.reply("200 Fine", &["content-type: application/json", "x-a: 1", "x-a: 2"], text);
}
