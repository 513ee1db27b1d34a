//! `nexus.toml`, read.

mod checks;

use crate::schema::{Document, MANIFEST, Values, validate};
use crate::source::Written;
use crate::{
    AppName, Binding, CronPattern, Diagnostic, Diagnostics, HostPattern, Isolation, Limits, PathPattern,
    Permissions, Route, Scale, SecretSetting, SecretSource, VariableName, WasmSection,
};

/// What an app's `nexus.toml` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// `[project] name`; by default the folder's name.
    pub name: AppName,
    /// `[project] version`.
    pub version: Option<String>,
    /// `[project] main`; by default the first of [`App::MAIN_FILES`](crate::App::MAIN_FILES) that is there.
    pub main: Option<String>,
    /// `[project] isolation`.
    pub isolation: Isolation,
    /// `[http]`.
    pub http: HttpSection,
    /// `[[routes]]`, in order; no two of them match the same paths.
    pub routes: Vec<Route>,
    /// `[scale]`.
    pub scale: Scale,
    /// `[limits]`, with the defaults for what the file leaves out.
    pub limits: Limits,
    /// `[wasm]`.
    pub wasm: WasmSection,
    /// `[triggers]`.
    pub triggers: TriggersSection,
    /// `[permissions]`.
    pub permissions: Permissions,
    /// `[env]`, in order.
    pub env: Vec<(String, String)>,
    /// `[bindings]`, in order.
    pub bindings: Vec<Binding>,
    /// `[secrets]`, in order.
    pub secrets: Vec<SecretSetting>,
    /// `[assets]`.
    pub assets: Option<AssetsSection>,
    /// Which of all this the file sets itself, and where: `limits.body`, `assets.folder`, `env.NAME`.
    pub written: Written,
}

/// `[http]`: where the app is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSection {
    /// The port; by default the next free one from `--port`, or the shared one.
    pub port: Option<u16>,
    /// The hosts that the app is served under; any, if there are none.
    pub hosts: Vec<HostPattern>,
    /// The paths that the app is served under; any, if there are none.
    pub paths: Vec<PathPattern>,
}

impl HttpSection {
    /// Whether the app is served on a port that it shares with others, because it names hosts or paths.
    pub fn is_shared(&self) -> bool {
        !self.hosts.is_empty() || !self.paths.is_empty()
    }
}

/// `[triggers]`: what has an app do something without a request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TriggersSection {
    /// When the app's `scheduled` handler is run; no two of them are the same.
    pub cron: Vec<CronPattern>,
}

/// `[assets]`: a folder served as static files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetsSection {
    /// The folder, relative to the app's, with `/`, without `..`.
    pub folder: String,
}

impl Manifest {
    /// Reads a manifest. `file` is its name for the errors, `folder_name` the last part of the path of the
    /// app's folder, after which the app is called where the manifest gives no name.
    ///
    /// # Errors
    /// Everything that is wrong with the text, in the order of its places.
    ///
    /// ```
    /// use nexus_core::Manifest;
    ///
    /// let manifest = Manifest::parse("[http]\nport = 3000\n", "nexus.toml", "shop").unwrap();
    /// assert_eq!((manifest.name.as_str(), manifest.http.port), ("shop", Some(3000)));
    ///
    /// let problems = Manifest::parse("[http]\nprot = 3000\n", "nexus.toml", "shop").unwrap_err();
    /// assert!(problems.to_string().starts_with("nexus.toml:2:1: unknown key `prot` in [http]"));
    /// ```
    pub fn parse(text: &str, file: &str, folder_name: &str) -> Result<Self, Diagnostics> {
        let Document { values, problems } = validate(&MANIFEST, text, file);
        // Whether the name is missing is certain only where nothing else is wrong: it may be what is.
        // Likewise with values that do not go together.
        problems.into_result()?;
        let name = values.name("project.name").or_else(|| AppName::from_folder(folder_name));
        let name = name.ok_or_else(|| nameless(file, folder_name, "set `name` under [project]"))?;
        let manifest = Self::new(name, values);
        let mut problems = checks::within(&manifest);
        if let Some(main) = &manifest.main {
            problems.extend(checks::with_main(&manifest, main));
        }
        problems.into_result().map(|()| manifest)
    }

    /// Whether what the manifest says can hold for an app with this main file, which it need not name itself.
    ///
    /// # Errors
    /// Each setting that is for JavaScript only, if the main file is WebAssembly, told at its place.
    pub fn fits(&self, main: &str) -> Result<(), Diagnostics> {
        checks::with_main(self, main).into_result()
    }

    /// Whether what the manifest says can hold for an app of static files only.
    ///
    /// # Errors
    /// Each setting that takes code of the app's, told at its place.
    pub fn fits_static_files(&self) -> Result<(), Diagnostics> {
        checks::without_main(self).into_result()
    }

    /// The host's variables that the app gets at the moment, under their own names.
    pub fn granted_variables(&self) -> impl Iterator<Item = &VariableName> {
        self.permissions.granted.env.of(&self.permissions.env)
    }

    /// The secrets that the app gets at the moment: those from the host's environment as far as it grants them.
    pub fn granted_secrets(&self) -> impl Iterator<Item = &SecretSetting> {
        let mut next = self.permissions.env.len();
        self.secrets.iter().filter(move |secret| match secret.from {
            SecretSource::File(_) => true,
            SecretSource::Env(_) => {
                next += 1;
                self.permissions.granted.env.is_on(next - 1)
            }
        })
    }

    /// What holds for an app without a manifest, in the folder of this name.
    ///
    /// # Errors
    /// When the folder's name has no letter and no digit (of ASCII) to make the app's name of.
    pub fn default_for(folder_name: &str) -> Result<Self, Diagnostics> {
        let Some(name) = AppName::from_folder(folder_name) else {
            let help = "rename the folder, or give it a `nexus.toml` that sets `name` under [project]";
            return Err(nameless(folder_name, folder_name, help).into());
        };
        Ok(Self::default_named(name))
    }

    /// What holds for an app of this name without a manifest.
    pub fn default_named(name: AppName) -> Self {
        Self::new(name, Values::new(&MANIFEST, Written::default()))
    }

    fn new(name: AppName, values: Values) -> Self {
        Self {
            name,
            version: values.text("project.version"),
            main: values.text("project.main"),
            isolation: Isolation::read(&values),
            http: HttpSection {
                port: values.port("http.port"),
                hosts: values.host_patterns("http.hosts").unwrap_or_default(),
                paths: values.path_patterns("http.paths").unwrap_or_default(),
            },
            routes: Route::read(&values),
            scale: Scale::read(&values),
            limits: Limits::read(&values, "limits"),
            wasm: WasmSection::read(&values),
            triggers: TriggersSection { cron: values.cron_patterns("triggers.cron").unwrap_or_default() },
            permissions: Permissions::read(&values),
            env: values.variables("env"),
            bindings: Binding::read(&values),
            secrets: SecretSetting::read(&values),
            assets: values.text("assets.folder").map(|folder| AssetsSection { folder }),
            written: values.written,
        }
    }
}

fn nameless(file: &str, folder_name: &str, help: &str) -> Diagnostic {
    Diagnostic::of_file(file, format!("the folder's name `{folder_name}` makes no name for the app"))
        .with_help(help)
}

#[cfg(test)]
mod tests;
