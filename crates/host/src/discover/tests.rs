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
    let temp = Temp::new(&[("a/nexus.toml", "[http]\nprot = 1\n"), ("a/index.js", ""), ("b/index.js", "")]);
    let found = temp.discover().unwrap();
    assert!(found[0].app.as_ref().unwrap_err().to_string().contains("unknown key `prot`"));
    assert!(found[1].app.is_ok());
}

#[test]
fn what_is_missing_is_named() {
    let empty = Temp::new(&[("sub/readme.txt", "")]);
    assert!(empty.discover().unwrap_err().to_string().contains("there is no app here"));
    let no_main = Temp::new(&[("nexus.toml", "[project]\nname = \"x\"\n")]);
    assert!(no_main.discover().unwrap()[0].app.as_ref().unwrap_err().to_string().contains("no main file"));
    let wrong_main = Temp::new(&[("nexus.toml", "[project]\nmain = \"gone.js\"\n")]);
    let text = wrong_main.discover().unwrap()[0].app.as_ref().unwrap_err().to_string();
    assert!(text.contains("nexus.toml:2:") && text.contains("`gone.js` is not there"), "{text}");
    let told = |file: &str| {
        let path = empty.0.join(file);
        discover(&path, &HostConfig::default()).unwrap_err().to_string()
    };
    let text = told("sub/readme.txt");
    assert!(text.contains("is a file") && text.contains("ends in .js, .mjs or .wasm"), "{text}");
    assert!(told("gone").contains("there is no such folder"));
    assert!(told("gone.wasm").contains("there is no such file"));
    assert!(empty.discover().unwrap_err().to_string().contains("index.wasm or app.wasm"));
    fs::write(empty.0.join("sub/nexus.toml"), "").unwrap();
    assert!(told("sub/nexus.toml").contains("give the folder that it is in"));
}

#[test]
fn main_files_are_found_in_their_order() {
    let mut files = vec![("app.wasm", ""), ("index.wasm", ""), ("index.mjs", ""), ("index.js", "")];
    while let Some(last) = files.last() {
        let temp = Temp::new(&files);
        let found = temp.discover().unwrap();
        assert_eq!(found[0].app.as_ref().unwrap().main.as_deref(), Some(last.0));
        files.pop();
    }
}

#[test]
fn a_main_file_is_an_app_called_after_it() {
    let temp = Temp::new(&[("Hello World.wasm", ""), ("other.mjs", ""), (".wasm", ""), ("...wasm", "")]);
    let load = |file: &str| {
        let mut found = discover(&temp.0.join(file), &HostConfig::default())?;
        assert_eq!((found.len(), &found[0].folder), (1, &temp.0.join(file)));
        found.remove(0).app
    };
    let app = load("Hello World.wasm").unwrap();
    assert_eq!((app.name().as_str(), app.main.as_deref()), ("hello-world", Some("Hello World.wasm")));
    assert_eq!(app.folder, fs::canonicalize(&temp.0).unwrap());
    assert_eq!(load("other.mjs").unwrap().name().as_str(), "other");
    assert!(load(".wasm").unwrap_err().to_string().contains("is a file"));
    assert!(load("...wasm").unwrap_err().to_string().contains("the file's name `..` makes no name"));
    // Two of one folder are two apps, and one named twice is told.
    let mut found = Vec::new();
    for file in ["Hello World.wasm", "other.mjs", "other.mjs"] {
        found.extend(discover(&temp.0.join(file), &HostConfig::default()).unwrap());
    }
    refuse_conflicts(&mut found);
    assert!(found[0].app.is_ok() && found[1].app.is_ok());
    assert!(found[2].app.as_ref().unwrap_err().to_string().contains("this app is named twice"));
}

#[test]
fn a_main_file_comes_before_the_one_that_the_manifest_beside_it_names() {
    let manifest = "[project]\nname = \"shop\"\nmain = \"gone.js\"\n[http]\nport = 3000\n";
    let temp = Temp::new(&[("nexus.toml", manifest), ("a.wasm", "")]);
    let mut found = discover(&temp.0.join("a.wasm"), &HostConfig::default()).unwrap();
    let app = found.remove(0).app.unwrap();
    assert_eq!((app.name().as_str(), app.main.as_deref()), ("shop", Some("a.wasm")));
    assert_eq!((app.manifest.main.as_deref(), app.manifest.http.port), (Some("a.wasm"), Some(3000)));
}

#[test]
fn granted_folders_that_are_not_there_are_told_at_their_places() {
    let text = "[permissions]\nread = [\"data\", \"gone\"]\nwrite = [\"./index.js\", \"/\", \".\"]\n";
    let temp = Temp::new(&[("nexus.toml", text), ("index.js", ""), ("data/x", "")]);
    let problems = temp.discover().unwrap().remove(0).app.unwrap_err();
    let told: Vec<_> = problems.iter().map(|d| format!("{}:{}: {}", d.line, d.column, d.message)).collect();
    assert_eq!(told, ["2:17: the folder `gone` is not there", "3:10: `./index.js` is no folder"]);
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
    assert!(found[2].app.as_ref().unwrap_err().to_string().contains("the port 3000 is taken by the app `a`"));
}

#[test]
fn what_a_deployed_app_is_not_allowed_is_asked_for_all_the_same_and_not_looked_for() {
    let apps = Temp::new(&[
        (
            "shop/nexus.toml",
            "[permissions]\nread = [\"/nowhere\"]\nwrite = [\"own\", \"/elsewhere\"]\nnet = [\"a.example\"]\n",
        ),
        ("shop/index.js", ""),
    ]);
    let (folder, name) = (apps.0.join("shop"), AppName::parse("shop").unwrap());
    let mut config = HostConfig::default();
    let (app, refused) = deployed(&folder, &name, &config).unwrap();
    let asked = &app.manifest.permissions;
    assert_eq!((asked.read.len(), asked.net.asked.len(), asked.write[0].as_str()), (1, 1, "/elsewhere"));
    // What was deployed is never for its guest to change: this one cannot be granted later.
    assert_eq!((refused, asked.write.len()), (vec!["write = [\"own\"]".to_owned()], 1));
    config.deploy.allow = vec![PermissionKind::Read];
    let told = deployed(&folder, &name, &config).unwrap_err().to_string();
    assert!(told.contains("the folder `/nowhere` is not there") && !told.contains("/elsewhere"), "{told}");
    config.deploy.allow = vec![PermissionKind::Write];
    let told = deployed(&folder, &name, &config).unwrap_err().to_string();
    assert!(told.contains("`own` is in the app's own folder"), "{told}");
}
