//! A host that takes apps, and the commands that manage it.

use std::path::Path;

use serde_json::Value;

use super::{Client, Folder, Nexus, Output, Response, Start, run};

/// A folder with apps to deploy, in which a host keeps its data in `data`.
pub(crate) struct Managed {
    pub(crate) folder: Folder,
    pub(crate) nexus: Nexus,
}

impl Managed {
    /// A host without apps, in a folder with these files.
    #[track_caller]
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        Self::start(Folder::new(files), &[])
    }

    /// A host in this folder, with more arguments: options, and apps that it serves from folders.
    #[track_caller]
    pub(crate) fn start(folder: Folder, args: &[&str]) -> Self {
        let nexus = Self::serve(folder.path(), args);
        Self { folder, nexus }
    }

    #[track_caller]
    pub(crate) fn serve(folder: &Path, args: &[&str]) -> Nexus {
        let nexus = Start::in_folder(folder).path("--data=data").args(args).start();
        nexus.message("serving the control API");
        nexus
    }

    /// The socket of the API.
    pub(crate) fn socket(&self) -> String {
        format!("unix:{}", self.folder.path().join("data/nexus.sock").display())
    }

    /// Runs a command that manages the host.
    #[track_caller]
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        let socket = self.socket();
        let args: Vec<&str> = args.iter().copied().chain(["--host", &socket]).collect();
        run(self.folder.path(), &args)
    }

    /// Runs a command that is to succeed, and gives what it prints.
    #[track_caller]
    pub(crate) fn done(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""), "{args:?}: {output:?}");
        output.stdout
    }

    /// Runs a command that is to fail with this code, and gives what it says.
    #[track_caller]
    pub(crate) fn refused(&self, args: &[&str], code: i32) -> String {
        let output = self.run(args);
        assert_eq!((output.code, output.stdout.as_str()), (Some(code), ""), "{args:?}: {output:?}");
        output.stderr
    }

    /// What a command prints as JSON.
    #[track_caller]
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
        serde_json::from_str(&self.done(&args)).unwrap()
    }

    /// An app's status.
    #[track_caller]
    pub(crate) fn status(&self, app: &str) -> Value {
        self.json(&["ps", app])
    }

    /// An app's address, as its status has it.
    #[track_caller]
    pub(crate) fn address(&self, app: &str) -> String {
        super::split_url(self.status(app)["url"].as_str().unwrap()).to_owned()
    }

    /// A GET of an app's `/`.
    #[track_caller]
    pub(crate) fn get(&self, app: &str) -> Response {
        Client::connect(&self.address(app)).get("/")
    }

    /// A request to the API.
    #[track_caller]
    pub(crate) fn ask(&self, method: &str, path: &str, body: &[u8]) -> Response {
        Client::connect(&self.socket()).request(method, path, &[], body)
    }

    /// The names in a folder of the host's data, without `lock` and what else is no app's.
    pub(crate) fn kept(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path().join("data").join(folder)).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

impl Drop for Managed {
    fn drop(&mut self) {
        // The versions' folders can only be read; whoever removes the test's folder must be able to.
        let _ = std::process::Command::new("chmod").arg("-R").arg("u+w").arg(self.folder.path()).status();
    }
}
