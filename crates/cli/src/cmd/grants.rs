//! `nexus grants`.

use clap::{Args, Subcommand, ValueEnum};
use nexus_core::{AppName, ResourceName};
use serde_json::Value;

use super::control::{Asked, Style, app_name, columns, plain};
use crate::failure::Failure;

/// List what apps are granted, give them more, or take it away.
///
/// What an app reaches by its bindings is what its manifest asks for and the host grants: to apps
/// of folders all of it, to deployed apps what `deploy.allow` names, of their own. What is
/// added or removed here comes before both, and counts from the app's next call on. It is kept in
/// the data folder.
///
///   nexus grants                          what every app asks for and gets
///   nexus grants add shop kv cache        shop may read and write its namespace `cache`
///   nexus grants add stats kv shop/cache --read
///   nexus grants remove shop kv cache     from the next call on it may not
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

    /// What it leads to: NAME, or APP/NAME for another app's
    #[arg(value_name = "RESOURCE")]
    resource: ResourceName,

    #[command(flatten)]
    asked: Asked,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// A namespace of a key-value store
    Kv,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Kv => "kv",
        }
    }
}

impl Of {
    /// Where the API has it, with more for the query.
    fn path(&self, more: &str) -> String {
        let Self { app, capability, resource, .. } = self;
        format!("/v1/apps/{app}/grants?capability={}&resource={resource}{more}", capability.word())
    }

    fn told(&self, answer: &Value, what: &str) -> String {
        let Self { app, capability, resource, .. } = self;
        let mut out = format!("{app}: {what} {} {resource}\n", capability.word());
        let full = resource.of(app).to_string();
        let is_asked = list(answer)
            .iter()
            .any(|grant| grant["resource"] == full.as_str() && grant["capability"] == capability.word());
        if !is_asked {
            out.push_str("no binding of the app asks for it so far\n");
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
        let answer = of.asked.host()?.act(method, &of.path(access))?;
        of.asked.show(&answer, || of.told(&answer, what))
    }
}

fn table(answer: &Value, style: Style) -> String {
    let grants = list(answer);
    if grants.is_empty() {
        return "no app asks for anything by a binding\n".into();
    }
    let text = |value: &Value| plain(value.as_str().unwrap_or("-"));
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
