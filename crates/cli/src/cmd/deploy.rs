//! `nexus deploy`.

use std::io::{self, IsTerminal, Write, stderr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use nexus_core::{AppName, Manifest};
use nexus_host::MANIFEST;
use nexus_host::store::{Package, UploadLimits};
use serde_json::Value;

use super::control::{Target, app_name, bytes, plain};
use crate::failure::{Failure, print};
use crate::progress::Progress;

/// Send an app's folder to a running host, which serves it from then on.
///
/// The app is called as its nexus.toml says, or else as its folder. If the host has it already, what
/// is sent is its next version: it takes over when it is loaded, and no request is lost; if it
/// cannot be loaded, the one before goes on. The host keeps the last five.
///
/// Files and folders whose names start with a dot stay here. What permissions the app asks for are
/// granted as `deploy.allow` of the host's configuration says, by default none.
///
///   nexus deploy shop
///   nexus deploy . --name shop --host 10.0.0.5:9091 --token-file ~/.nexus-token
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Deploy {
    /// The app's folder
    #[arg(value_name = "PATH")]
    path: PathBuf,

    /// The app's name [default: that of its nexus.toml, or its folder's]
    #[arg(long, value_name = "NAME", value_parser = app_name)]
    name: Option<AppName>,

    /// Print what the host answers, as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    target: Target,
}

impl Deploy {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let host = self.target.open()?;
        let name = match &self.name {
            Some(name) => name.clone(),
            None => name_of(&self.path)?,
        };
        let package = Package::of(&self.path, &UploadLimits::default())
            .map_err(|problem| Failure::usage(problem.to_string()))?;
        let size = format!("{} files, {}", package.files(), bytes(package.bytes()));
        let mut sending = Sending::new(package.length());
        let mut loading = None;
        let mut send = |to: &mut dyn Write| {
            package.write_to(&mut Counted { to, sending: &mut sending })?;
            sending.end();
            loading = Some(Progress::start(format!("loading {name}")));
            Ok(())
        };
        let answer = host.put(&format!("/v1/apps/{name}"), package.length(), &mut send);
        drop(loading);
        sending.end();
        let answer = answer?;
        if self.json {
            return print(&format!("{answer:#}\n"));
        }
        let mut out = format!("{name}: ");
        let (version, url) = (&answer["version"], answer["app"]["url"].as_str().unwrap_or_default());
        match answer["unchanged"] == true {
            true => out.push_str(&format!("version {version} is what serves already")),
            false => out.push_str(&format!("version {version} serves at {} ({size})", plain(url))),
        }
        out.push('\n');
        if !package.left_out().is_empty() {
            let left_out: Vec<String> = package.left_out().iter().map(|path| plain(path)).collect();
            out.push_str(&format!("left out: {}\n", left_out.join(", ")));
        }
        for refused in answer["not_granted"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let refused = plain(refused);
            out.push_str(&format!("not granted: {refused}; the host's `allow` under [deploy] decides\n"));
        }
        print(&out)
    }
}

/// What the app in this folder is called.
fn name_of(folder: &Path) -> Result<AppName, Failure> {
    if !folder.is_dir() {
        let problem = if folder.exists() { "is no folder" } else { "there is no such folder" };
        return Err(Failure::usage(format!("{}: {problem}; give an app's folder", folder.display())));
    }
    let wrong = |error: io::Error| Failure::usage(format!("{}: cannot be read: {error}", folder.display()));
    // The path as it was given may be `.`.
    let absolute = folder.canonicalize().map_err(wrong)?;
    let folder_name =
        absolute.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let file = folder.join(MANIFEST);
    let manifest = if file.is_file() {
        let text = super::configuration::read_text(&file)?;
        Manifest::parse(&text, &file.display().to_string(), &folder_name)
    } else {
        Manifest::default_for(&folder_name)
    };
    Ok(manifest.map_err(|problems| Failure::usage(problems.to_string()))?.name)
}

/// How far the sending is, on a terminal.
struct Sending {
    shows: bool,
    sent: u64,
    length: u64,
    shown: Instant,
    has_shown: bool,
}

impl Sending {
    fn new(length: u64) -> Self {
        let shows = stderr().is_terminal();
        Self { shows, sent: 0, length, shown: Instant::now(), has_shown: false }
    }

    fn more(&mut self, count: usize) {
        self.sent += count as u64;
        if self.shows && self.shown.elapsed() > Duration::from_millis(200) {
            (self.shown, self.has_shown) = (Instant::now(), true);
            let part = self.sent * 100 / self.length.max(1);
            // Standard error may be gone.
            let _ =
                write!(stderr(), "\r\x1b[Ksending {} of {}, {part} %", bytes(self.sent), bytes(self.length));
        }
    }

    fn end(&mut self) {
        if std::mem::take(&mut self.has_shown) {
            let _ = write!(stderr(), "\r\x1b[K");
        }
        self.shows = false;
    }
}

struct Counted<'a, 'b> {
    to: &'a mut dyn Write,
    sending: &'b mut Sending,
}

impl Write for Counted<'_, '_> {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        let count = self.to.write(from)?;
        self.sending.more(count);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
