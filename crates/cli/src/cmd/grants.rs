//! `nexus grants`.

use clap::{Args, Subcommand, ValueEnum};
use nexus_core::{AppName, Scope};
use nexus_guest::Capability;
use serde_json::Value;

use super::control::{Asked, Style, app_name, columns, plain};
use super::cron::encoded;
use crate::failure::Failure;

/// List what apps are granted, give them more, or take it away.
///
/// What an app reaches by its bindings and its permissions is what its manifest asks for and the
/// host grants: to apps of folders all of it, to deployed apps what `deploy.allow` names, of their
/// own. What is added or removed here comes before both. It counts from the app's next call,
/// connection or request on; folders from the next WebAssembly instance, variables from the next
/// worker. It is kept in the data folder, and never passes the host's ceilings.
///
///   nexus grants                          what every app asks for and gets
///   nexus grants add shop kv cache        shop may read and write its namespace `cache`
///   nexus grants add stats kv shop/cache --read
///   nexus grants remove shop kv cache     from the next call on it may not
///   nexus grants add shop net api.example.com:443     as its `net` has the entry
///   nexus grants remove shop write /srv/shop
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, args_conflicts_with_subcommands = true)]
pub(crate) struct Grants {
    #[command(subcommand)]
    act: Option<Act>,

    #[command(flatten)]
    asked: Asked,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Grant an app something that it asks for, or will ask for
    Add {
        #[command(flatten)]
        of: Of,

        /// To read only
        #[arg(long)]
        read: bool,
    },
    /// Take from an app what it was granted, whoever granted it
    Remove {
        #[command(flatten)]
        of: Of,
    },
}

/// What is given or taken.
#[derive(Debug, Args)]
struct Of {
    /// The app
    #[arg(value_name = "APP", value_parser = app_name)]
    app: AppName,

    /// What it is
    #[arg(value_name = "CAPABILITY")]
    capability: Kind,

    /// What it leads to: NAME, or APP/NAME for another app's; an app; an entry of `net`, `read` or
    /// `write` as the manifest has it; a variable
    #[arg(value_name = "RESOURCE")]
    resource: String,

    #[command(flatten)]
    asked: Asked,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// A namespace of a key-value store
    Kv,
    /// A database
    Sql,
    /// Another app, to call it
    App,
    /// Hosts to connect to: an entry of `net`
    Net,
    /// A folder to read
    Read,
    /// A folder to read and write
    Write,
    /// A variable of the host's, also as a secret
    Env,
}

impl Kind {
    fn capability(self) -> Capability {
        match self {
            Kind::Kv => Capability::Kv,
            Kind::Sql => Capability::Sql,
            Kind::App => Capability::App,
            Kind::Net => Capability::Net,
            Kind::Read => Capability::Read,
            Kind::Write => Capability::Write,
            Kind::Env => Capability::Env,
        }
    }
}

impl Of {
    /// What is given or taken, in full.
    fn scope(&self) -> Result<Scope, Failure> {
        let scope = self.capability.capability().scope(&self.resource, &self.app);
        scope.map_err(|error| Failure::usage(format!("`{}`: {error}", self.resource)))
    }

    /// Where the API has it, with more for the query.
    fn path(&self, scope: &Scope, more: &str) -> String {
        let (app, capability) = (&self.app, self.capability.capability());
        let resource = encoded(&scope.to_string());
        format!("/v1/apps/{app}/grants?capability={capability}&resource={resource}{more}")
    }

    fn told(&self, scope: &Scope, answer: &Value, what: &str) -> String {
        let (app, capability) = (&self.app, self.capability.capability());
        let mut out = format!("{app}: {what} {capability} {}\n", scope.named_by(app));
        let full = scope.to_string();
        let is_asked = list(answer)
            .iter()
            .any(|grant| grant["resource"] == full.as_str() && grant["capability"] == capability.name());
        if !is_asked {
            out.push_str(match capability.is_permission() {
                true => "the app's manifest does not ask for it so far\n",
                false => "no binding of the app asks for it so far\n",
            });
        }
        if answer["kept"] != true {
            out.push_str("it holds until the host ends: without a data folder (--data) nothing is kept\n");
        }
        out
    }
}

fn list(answer: &Value) -> &[Value] {
    answer["grants"].as_array().map(Vec::as_slice).unwrap_or_default()
}

impl Grants {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let (of, method, access, what) = match self.act {
            None => {
                let answer = self.asked.host()?.get("/v1/grants")?;
                return self.asked.show(&answer, || table(&answer, Style::of_output()));
            }
            Some(Act::Add { of, read: true }) => (of, "PUT", "&access=read", "granted to read"),
            Some(Act::Add { of, read: false }) => (of, "PUT", "&access=write", "granted"),
            Some(Act::Remove { of }) => (of, "DELETE", "", "not granted any more:"),
        };
        let scope = of.scope()?;
        let answer = of.asked.host()?.act(method, &of.path(&scope, access))?;
        of.asked.show(&answer, || of.told(&scope, &answer, what))
    }
}

fn table(answer: &Value, style: Style) -> String {
    let grants = list(answer);
    if grants.is_empty() {
        return "no app asks for anything\n".into();
    }
    let text = |value: &Value| plain(value.as_str().filter(|text| !text.is_empty()).unwrap_or("-"));
    let rows: Vec<Vec<String>> = grants
        .iter()
        .map(|grant| {
            ["app", "binding", "capability", "resource", "asked", "granted"]
                .map(|key| text(&grant[key]))
                .to_vec()
        })
        .collect();
    let heads = ["APP", "BINDING", "CAPABILITY", "RESOURCE", "ASKED", "GRANTED"];
    columns(&heads, &[], &rows, style, |at, cell| match (at, cell) {
        (0, _) => style.bold,
        (5, "-") => style.red,
        _ => "",
    })
}
