//! Compiled modules on disk: found again, and neither trusted when they are not whole nor needed.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use std::path::{Path, PathBuf};

use harness::{Folder, Start, until};

/// A module of some KB.
fn app(text: &str) -> String {
    let functions: String =
        (0..200).map(|n| format!("export function f{n}(a) {{ return a + {n}; }}\n")).collect();
    format!("{functions}export default {{ fetch: () => new Response('{text} ' + f7(1)) }};")
}

fn files(cache: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(cache.join("js")).map(|entries| entries.flatten().collect());
    let entries: Vec<_> = entries.unwrap_or_default();
    let paths = entries.iter().map(std::fs::DirEntry::path);
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "v8code")).collect()
}

/// Serves the folder's app with this cache and gives what it answers, once something is in the cache.
fn answer(folder: &Folder, cache: &Path) -> String {
    let mut nexus =
        Start::in_folder(folder.path()).path("app").env("NEXUS_CACHE", cache.to_str().unwrap()).start();
    let text = nexus.get("app", "/").text();
    until("the cache to be filled", || (!files(cache).is_empty()).then_some(()));
    assert!(nexus.messages("compiled code").is_empty());
    assert_eq!(nexus.stop(), Some(0));
    text
}

#[test]
fn what_was_compiled_is_found_again_by_its_content() {
    let folder = Folder::new(&[("app/index.js", &app("first"))]);
    let cache = folder.path().join("cache");
    assert_eq!(answer(&folder, &cache), "first 8");
    let first = files(&cache);
    assert_eq!(first.len(), 1);
    let made = std::fs::metadata(&first[0]).unwrap();
    assert_eq!(answer(&folder, &cache), "first 8");
    assert_eq!(files(&cache), first);
    let now = std::fs::metadata(&first[0]).unwrap();
    assert_eq!(
        std::os::unix::fs::MetadataExt::ino(&now),
        std::os::unix::fs::MetadataExt::ino(&made),
        "it is not made anew"
    );
    // Another content of the same length.
    folder.write("app/index.js", app("other"));
    assert_eq!(answer(&folder, &cache), "other 8");
    assert_eq!(files(&cache).len(), 2);
}

#[test]
fn what_is_cut_or_changed_or_removed_is_compiled_anew() {
    let folder = Folder::new(&[("app/index.js", &app("text"))]);
    let cache = folder.path().join("cache");
    assert_eq!(answer(&folder, &cache), "text 8");
    let file = files(&cache).remove(0);
    let whole = std::fs::read(&file).unwrap();
    let mut changed = whole.clone();
    changed[whole.len() / 2] ^= 0x55;
    for content in [&whole[..0], &whole[..100], &whole[..whole.len() - 1], &changed[..]] {
        std::fs::write(&file, content).unwrap();
        assert_eq!(answer(&folder, &cache), "text 8");
        until("it to be whole again", || (std::fs::read(&file).unwrap().len() == whole.len()).then_some(()));
    }
    std::fs::remove_dir_all(&cache).unwrap();
    assert_eq!(answer(&folder, &cache), "text 8");
}

#[test]
fn a_cache_that_others_may_write_to_is_not_used_and_that_is_said() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new(&[("app/index.js", &app("text"))]);
    let cache = folder.path().join("cache");
    std::fs::create_dir_all(cache.join("js")).unwrap();
    std::fs::set_permissions(cache.join("js"), std::fs::Permissions::from_mode(0o777)).unwrap();
    let mut nexus =
        Start::in_folder(folder.path()).path("app").env("NEXUS_CACHE", cache.to_str().unwrap()).start();
    assert_eq!(nexus.get("app", "/").text(), "text 8");
    nexus.message("compiled code is not kept");
    assert!(files(&cache).is_empty());
    assert_eq!(nexus.stop(), Some(0));
}
