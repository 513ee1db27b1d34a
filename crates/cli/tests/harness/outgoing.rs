//! WebAssembly apps that connect to others.

use std::path::Path;

use super::{Folder, Nexus, Start};

pub(crate) const OF_0_3: &str = "[wasm]\nwasi = \"0.3\"\n";
pub(crate) const ROOMS: &str = "[wasm]\nwasi = \"0.3\"\nreuse = 1000\nconcurrency = 10\n";

/// Serves this guest with these grants and lines in its manifest, beside a quiet neighbour. Compiled code is kept by the
/// folder that the tests were built in.
pub(crate) fn serve(guest: &str, grants: &[&str], manifest: &str) -> (Folder, Nexus) {
    serve_by(guest, grants, manifest, "", &[])
}

/// The same with this in the host's configuration, started by this launcher.
pub(crate) fn serve_by(
    guest: &str,
    grants: &[&str],
    manifest: &str,
    config: &str,
    launcher: &[&str],
) -> (Folder, Nexus) {
    let folder =
        Folder::new(&[("apps/quiet/index.js", "export default { fetch: () => new Response('quiet') };")]);
    folder.write("nexus-host.toml", config);
    let guests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/wasm");
    folder.write("apps/app/app.wasm", std::fs::read(guests.join(guest)).unwrap());
    folder.write("apps/app/nexus.toml", format!("[permissions]\nnet = {grants:?}\n{manifest}"));
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("outgoing-cache");
    let start = Start::in_folder(folder.path()).path("apps").env("NEXUS_CACHE", cache.to_str().unwrap());
    let nexus = start.start_by(launcher);
    (folder, nexus)
}
