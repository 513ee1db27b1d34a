//! An attack: a file of `tests/hostile/`, an app's main module whose head says what must happen.
//!
//! Lines of the head that start with `// @` are read here:
//!
//! ```text
//! @status 503, 500       the statuses that may come; `cut`: the body may break off; `closed`: the connection may
//!                        be closed without a response; `left`: the body does not end, the client leaves
//! @limit cpu, memory     the limits that a 503 or 504 may name
//! @path /a               asks for this, too; once a line, instead of `/`
//! @apart                 each path is asked of an app of its own: who loses its worker again and again waits
//! @clients 20            so many clients at once
//! @times 20              so many times, one after the other
//! @body stalled          sends a body that does not come
//! @limits cpu = "1 s"    a line of `[limits]` in the manifest
//! @stop cpu              the app must be stopped for this reason, by what the metrics say
//! @logged text           a line of the app's log must contain this
//! @refused text          the app is not served, for a reason that contains this; with @status it may
//!                        be served as well
//! @dead                  the app itself need not answer afterwards (`/alive`)
//! @open text             the host does not hold against it yet, and why; only run when NEXUS_ATTACK names it
//! @file NAME = TEXT * N  a file of the app: N times the text
//! @files NAME * N = TEXT N files; `#` in name and text is the number, from 0
//! ```

use std::path::Path;

use super::harness::Folder;

#[derive(Clone)]
pub(crate) struct Attack {
    /// The file's name without its ending; also the app's.
    pub(crate) name: String,
    source: String,
    pub(crate) statuses: Vec<u16>,
    pub(crate) may_cut: bool,
    pub(crate) may_close: bool,
    pub(crate) may_leave: bool,
    pub(crate) limits: Vec<String>,
    pub(crate) paths: Vec<String>,
    is_apart: bool,
    pub(crate) clients: usize,
    pub(crate) times: usize,
    pub(crate) stalled: bool,
    manifest: Vec<String>,
    pub(crate) stop: Option<String>,
    pub(crate) logged: Option<String>,
    pub(crate) refused: Option<String>,
    pub(crate) alive: bool,
    /// Why it is not run: the host does not hold against it yet.
    pub(crate) open: Option<String>,
    files: Vec<(String, String)>,
}

impl Attack {
    /// No attack: a request that is answered with 200.
    pub(crate) fn plain() -> Self {
        Self {
            name: String::new(),
            source: String::new(),
            statuses: vec![200],
            may_cut: false,
            may_close: false,
            may_leave: false,
            limits: Vec::new(),
            paths: Vec::new(),
            is_apart: false,
            clients: 1,
            times: 1,
            stalled: false,
            manifest: Vec::new(),
            stop: None,
            logged: None,
            refused: None,
            alive: true,
            open: None,
            files: Vec::new(),
        }
    }

    pub(crate) fn read(file: &Path) -> Self {
        let source =
            std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let mut attack = Self { name, source: source.clone(), statuses: Vec::new(), ..Self::plain() };
        let head = source.lines().take_while(|line| line.starts_with("//"));
        for line in head.clone().filter_map(|line| line.strip_prefix("// @")) {
            let (key, value) = line.split_once(' ').unwrap_or((line, ""));
            assert!(attack.set(key, value.trim()).is_some(), "{}: cannot read: @{line}", file.display());
        }
        for part in ["// Tries: ", "// Must: "] {
            assert!(
                head.clone().any(|line| line.starts_with(part)),
                "{} has no line {part:?}",
                file.display()
            );
        }
        assert!(
            !attack.statuses.is_empty() || attack.refused.is_some(),
            "{}: @status or @refused",
            file.display()
        );
        if attack.paths.is_empty() {
            attack.paths.push("/".to_owned());
        }
        attack
    }

    fn set(&mut self, key: &str, value: &str) -> Option<()> {
        let words = || value.split(',').map(|word| word.trim().to_owned());
        match key {
            "status" => {
                for word in words() {
                    match word.as_str() {
                        "cut" => self.may_cut = true,
                        "closed" => self.may_close = true,
                        "left" => self.may_leave = true,
                        status => self.statuses.push(status.parse().ok()?),
                    }
                }
            }
            "limit" => self.limits.extend(words()),
            "path" => self.paths.push(value.to_owned()),
            "apart" => self.is_apart = true,
            "clients" => self.clients = value.parse().ok()?,
            "times" => self.times = value.parse().ok()?,
            "body" if value == "stalled" => self.stalled = true,
            "limits" => {
                let key = value.split(' ').next()?;
                self.manifest.retain(|line| line.split(' ').next() != Some(key));
                self.manifest.push(value.to_owned());
            }
            "stop" => self.stop = Some(value.to_owned()),
            "logged" => self.logged = Some(value.to_owned()),
            "refused" => self.refused = Some(value.to_owned()),
            "dead" => self.alive = false,
            "open" => self.open = Some(value.to_owned()),
            "file" => {
                let (name, content) = value.split_once(" = ")?;
                let (text, count) = content.rsplit_once(" * ")?;
                self.files.push((name.to_owned(), text.repeat(count.parse().ok()?)));
            }
            "files" => {
                let (names, text) = value.split_once(" = ")?;
                let (name, count) = names.split_once(" * ")?;
                for number in 0..count.parse::<u32>().ok()? {
                    let number = number.to_string();
                    self.files.push((name.replace('#', &number), text.replace('#', &number)));
                }
            }
            _ => return None,
        }
        Some(())
    }

    /// The apps that make the attack.
    pub(crate) fn apps(self) -> Vec<Self> {
        if !self.is_apart {
            return vec![self];
        }
        let apart = |path: &String| {
            let name = format!("{}-{}", self.name, path.trim_matches('/').to_lowercase());
            Self { name, paths: vec![path.clone()], ..self.clone() }
        };
        self.paths.iter().map(apart).collect()
    }

    /// Writes the app's folder.
    pub(crate) fn write(&self, folder: &Folder) {
        let Self { name, manifest, .. } = self;
        folder.write(&format!("{name}/index.js"), &self.source);
        let manifest = manifest.join("\n");
        folder.write(
            &format!("{name}/nexus.toml"),
            format!("[project]\nname = \"{name}\"\n\n[limits]\n{manifest}\n"),
        );
        for (file, text) in &self.files {
            folder.write(&format!("{name}/{file}"), text);
        }
    }
}
