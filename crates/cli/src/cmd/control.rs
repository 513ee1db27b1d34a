//! What `nexus ps`, `nexus deploy` and the others have in common: they ask a running host.

mod http;
mod show;

use std::io::{BufRead, Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use nexus_core::{AdminAddress, AppName};
use serde_json::Value;

pub(super) use self::http::Reply;
pub(super) use self::show::{Style, bytes, columns, plain, since};
use crate::failure::{Failure, print};

/// The socket of a host that was started here by `nexus serve --data nexus-data`.
const DEFAULT_HOST: &str = "unix:nexus-data/nexus.sock";
/// How long a host may take to answer what it can answer at once.
const SOON: Duration = Duration::from_secs(30);
/// How long a change may take: to load a large app takes minutes.
const LONG: Duration = Duration::from_secs(20 * 60);

/// Which host is asked.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// The host: unix:PATH or IP:PORT [default: the variable NEXUS_HOST, or unix:nexus-data/nexus.sock]
    #[arg(long, value_name = "ADDRESS")]
    host: Option<AdminAddress>,

    /// The token of a host at an IP:PORT [default: the variable NEXUS_TOKEN]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// Reads an app's name from the command line.
pub(super) fn app_name(text: &str) -> Result<AppName, String> {
    AppName::parse(text)
        .ok_or_else(|| "a name is 1 to 63 of `a-z 0-9 - _ .`, the first a letter or digit".into())
}

/// An app of a host that something is done with.
#[derive(Debug, Args)]
pub(crate) struct Act {
    /// The app
    #[arg(value_name = "APP", value_parser = app_name)]
    app: AppName,

    #[command(flatten)]
    asked: Asked,
}

/// How a host is asked, and how its answer is shown.
#[derive(Debug, Args)]
pub(crate) struct Asked {
    /// Print what the host answers, as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    target: Target,
}

impl Asked {
    /// The host that is meant; see [`Target::open`].
    pub(super) fn host(&self) -> Result<Host, Failure> {
        self.target.open()
    }

    /// Prints an answer, as JSON or as this text.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn show(&self, answer: &Value, text: impl FnOnce() -> String) -> Result<(), Failure> {
        print(&if self.json { format!("{answer:#}\n") } else { text() })
    }
}

impl Act {
    /// Does it, by this method and this path below the app's, and says that the app is `done`.
    ///
    /// # Errors
    /// As with [`Host::get`].
    pub(super) fn run(&self, method: &str, path: &str, done: &str) -> Result<(), Failure> {
        let answer = self.asked.host()?.act(method, &format!("/v1/apps/{}{path}", self.app))?;
        self.asked.show(&answer, || format!("{}: {done}\n", self.app))
    }
}

/// A host, to be asked.
pub(super) struct Host {
    address: AdminAddress,
    token: Option<String>,
}

impl Target {
    /// The host that is meant.
    ///
    /// # Errors
    /// When the address or the token cannot be used.
    pub(super) fn open(&self) -> Result<Host, Failure> {
        let address = match &self.host {
            Some(address) => address.clone(),
            None => {
                let (from, text) = match std::env::var("NEXUS_HOST") {
                    Ok(text) if !text.is_empty() => ("NEXUS_HOST: ", text),
                    _ => ("", DEFAULT_HOST.to_owned()),
                };
                text.parse().map_err(|error| Failure::usage(format!("{from}{error}")))?
            }
        };
        let token = match &self.token_file {
            Some(file) => Some(super::configuration::read_text(file)?),
            None => std::env::var("NEXUS_TOKEN").ok(),
        };
        let token = token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty());
        if token.as_ref().is_some_and(|token| !token.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(Failure::usage("the token holds something that no token does"));
        }
        Ok(Host { address, token })
    }
}

impl Host {
    /// Asks for something.
    ///
    /// # Errors
    /// When nobody answers, or the answer tells of a problem.
    pub(super) fn get(&self, path: &str) -> Result<Value, Failure> {
        self.json(self.ask("GET", path, SOON, None)?)
    }

    /// Has something done.
    ///
    /// # Errors
    /// As with [`Host::get`].
    pub(super) fn act(&self, method: &str, path: &str) -> Result<Value, Failure> {
        self.json(self.ask(method, path, LONG, None)?)
    }

    /// Sends so many bytes, which `send` writes.
    ///
    /// # Errors
    /// As with [`Host::get`].
    pub(super) fn put(
        &self,
        path: &str,
        length: u64,
        send: &mut dyn FnMut(&mut dyn Write) -> std::io::Result<()>,
    ) -> Result<Value, Failure> {
        self.json(self.ask("PUT", path, LONG, Some((length, send)))?)
    }

    /// Asks for lines, as they come.
    ///
    /// # Errors
    /// As with [`Host::get`].
    pub(super) fn lines(&self, path: &str) -> Result<impl BufRead + use<>, Failure> {
        let reply = self.ask("GET", path, SOON, None)?;
        match reply.status {
            200 => Ok(reply),
            _ => Err(self.json(reply).err().unwrap_or_else(|| self.nonsense("no lines"))),
        }
    }

    fn ask(
        &self,
        method: &str,
        path: &str,
        wait: Duration,
        body: Option<http::Upload<'_>>,
    ) -> Result<Reply, Failure> {
        let stream = http::connect(&self.address).map_err(|error| {
            let address = &self.address;
            Failure::host(format!(
                "no host answers at {address}: {error}; start one by `nexus serve --data nexus-data`, or name it by --host"
            ))
        })?;
        http::ask(stream, method, path, self.token.as_deref(), wait, body)
            .map_err(|error| Failure::host(format!("the host at {} did not answer: {error}", self.address)))
    }

    fn json(&self, mut reply: Reply) -> Result<Value, Failure> {
        let mut text = Vec::new();
        reply
            .read_to_end(&mut text)
            .map_err(|error| Failure::host(format!("the answer of {} broke off: {error}", self.address)))?;
        let value: Value =
            serde_json::from_slice(&text).map_err(|error| self.nonsense(&error.to_string()))?;
        if reply.status == 200 {
            return Ok(value);
        }
        let why = value["error"].as_str().unwrap_or("the host does not say why");
        Err(match reply.status {
            401 => Failure::usage(format!("{why}; give it by --token-file or the variable NEXUS_TOKEN")),
            422 => Failure::guest(why),
            400..500 => Failure::usage(why),
            _ => Failure::host(why),
        })
    }

    fn nonsense(&self, why: &str) -> Failure {
        Failure::host(format!("what answers at {} is no nexus host: {why}", self.address))
    }
}
