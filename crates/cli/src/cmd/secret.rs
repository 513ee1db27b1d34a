//! `nexus secret`.

use std::io::{IsTerminal, Read};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use nexus_core::{AppName, SecretFile};
use nexus_host::{MAX_SECRET, SecretStore};
use serde_json::json;

use super::configuration;
use super::control::app_name;
use crate::failure::{Failure, print};

/// Keep secrets for apps, list them, remove them.
///
/// A secret is a file in the host's storage folder, for its owner only. An app finds it in `env` if
/// its manifest says so, and its value nowhere else:
///
///   secrets.TOKEN = { from = "file:token" }
///
/// What is put or removed counts for workers that start from then on: `nexus stop` and `nexus start`
/// an app to have it count at once. No host needs to run. No command shows a value.
///
///   nexus secret put shop token < token.txt
///   nexus secret put shop key --from-file key.pem
///   nexus secret ls                       the names of all apps' secrets
///   nexus secret rm shop token
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Secret {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Keep a secret, in the place of the one before; its last line break is not part of it
    Put {
        #[command(flatten)]
        of: Of,

        /// Where its value is [default: standard input]
        #[arg(long, value_name = "FILE")]
        from_file: Option<PathBuf>,
    },
    /// List the names of secrets
    Ls {
        /// The app [default: all]
        #[arg(value_name = "APP", value_parser = app_name)]
        app: Option<AppName>,

        /// Print them as JSON
        #[arg(long)]
        json: bool,

        #[command(flatten)]
        place: Place,
    },
    /// Remove a secret
    Rm {
        #[command(flatten)]
        of: Of,
    },
}

/// Which secret.
#[derive(Debug, Args)]
struct Of {
    /// The app
    #[arg(value_name = "APP", value_parser = app_name)]
    app: AppName,

    /// The secret's name: what `file:` names in the app's manifest
    #[arg(value_name = "NAME")]
    name: SecretFile,

    #[command(flatten)]
    place: Place,
}

/// Where secrets are kept.
#[derive(Debug, Args)]
struct Place {
    /// The host's storage folder, as of `nexus serve` [default: what its configuration says, or .nexus here]
    #[arg(long, value_name = "FOLDER")]
    storage: Option<PathBuf>,

    /// The host's configuration [default: nexus-host.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Place {
    fn folder(&self) -> Result<PathBuf, Failure> {
        match &self.storage {
            Some(folder) => Ok(folder.clone()),
            None => Ok(configuration::read(self.config.as_ref())?.storage_folder()),
        }
    }
}

impl Secret {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.act {
            Act::Put { of, from_file } => {
                let folder = of.place.folder()?;
                let value = value(from_file)?;
                let Of { app, name, .. } = of;
                SecretStore::new(&folder)
                    .put(&app, &name, &value)
                    .map_err(|error| Failure::usage(format!("the secret cannot be kept: {error}")))?;
                print(&format!("{app}: `{name}` is kept in {}; `file:{name}` names it\n", folder.display()))
            }
            Act::Ls { app, json, place } => {
                let folder = place.folder()?;
                let all = SecretStore::new(&folder).list();
                let mut all = all.map_err(|error| Failure::host(format!("{}: {error}", folder.display())))?;
                all.retain(|(own, _)| app.as_ref().is_none_or(|app| app == own));
                if json {
                    let list: Vec<_> = all
                        .iter()
                        .map(|(app, name)| json!({ "app": app.as_str(), "name": name.as_str() }))
                        .collect();
                    return print(&format!("{:#}\n", json!({ "secrets": list })));
                }
                if all.is_empty() {
                    return print(&format!("no secrets are kept in {}\n", folder.display()));
                }
                print(&all.iter().map(|(app, name)| format!("{app} {name}\n")).collect::<String>())
            }
            Act::Rm { of } => {
                let folder = of.place.folder()?;
                let Of { app, name, .. } = of;
                match SecretStore::new(&folder).remove(&app, &name) {
                    Ok(true) => print(&format!("{app}: `{name}` was removed\n")),
                    Ok(false) => Err(Failure::usage(format!(
                        "the app `{app}` has no secret `{name}` in {}; `nexus secret ls` lists those that there are",
                        folder.display()
                    ))),
                    Err(error) => Err(Failure::host(format!("the secret cannot be removed: {error}"))),
                }
            }
        }
    }
}

/// The value, from the file or standard input; no more of it than a secret may have, and a little.
fn value(from_file: Option<PathBuf>) -> Result<Vec<u8>, Failure> {
    let mut value = Vec::new();
    let most = MAX_SECRET as u64 + 1;
    let (read, from) = match &from_file {
        Some(file) => {
            let open = std::fs::File::open(file);
            (open.and_then(|open| open.take(most).read_to_end(&mut value)), file.display().to_string())
        }
        None => {
            let input = std::io::stdin();
            if input.is_terminal() {
                eprintln!("type the value, and Ctrl-D at the beginning of a line");
            }
            (input.lock().take(most).read_to_end(&mut value), "standard input".to_owned())
        }
    };
    read.map_err(|error| Failure::usage(format!("{from}: cannot be read: {error}")))?;
    if value.is_empty() {
        return Err(Failure::usage(format!("{from}: there is nothing in it")));
    }
    Ok(value)
}
