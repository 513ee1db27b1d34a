//! The `nexus` program.
//!
//! Exit codes: 0 done, 1 the guest failed, 2 wrong usage or configuration, 3 the host failed.

mod cmd;
mod failure;
mod progress;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::failure::Failure;

/// Hosts many isolated JavaScript and WebAssembly apps in one process.
///
/// An app is a folder with an `app.wasm`, a component that exports `wasi:http/incoming-handler`, or
/// with an `index.js` whose default export handles requests:
///
///   export default {
///     fetch(request, env, ctx) {
///       return new Response("Hello");
///     },
///   };
///
/// `nexus serve FOLDER` serves it. A `nexus.toml` in the folder says more: its name, port, limits,
/// variables, static files; `nexus schema` lists all that it can say.
///
/// `nexus serve --data FOLDER` takes apps while it runs: `nexus deploy` sends one, `nexus ps`, `nexus
/// top` and `nexus logs` show how they fare.
///
/// `nexus run PROGRAM.wasm` runs a WebAssembly program, with the files and variables it is granted.
#[derive(Debug, Parser)]
#[command(name = "nexus", verbatim_doc_comment, subcommand_required = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(cmd::serve::Serve),
    Deploy(cmd::deploy::Deploy),
    Ps(cmd::ps::Ps),
    Top(cmd::top::Top),
    Logs(cmd::logs::Logs),
    Rollback(cmd::rollback::Rollback),
    Stop(cmd::stop::Stop),
    Start(cmd::start::Start),
    Rm(cmd::rm::Rm),
    Drain(cmd::drain::Drain),
    Grants(cmd::grants::Grants),
    Cron(cmd::cron::Cron),
    Secret(cmd::secret::Secret),
    Provider(cmd::provider::Provider),
    Run(cmd::run::Run),
    Compile(cmd::compile::Compile),
    Check(cmd::check::Check),
    Test(cmd::test::Test),
    Schema(cmd::schema::Schema),
    Types(cmd::types::Types),
    Completions(cmd::completions::Completions),
}

fn main() -> ExitCode {
    let version = format!(
        "{} (V8 {}, Wasmtime {})",
        env!("CARGO_PKG_VERSION"),
        nexus_js::v8_version(),
        nexus_wasm::wasmtime_version()
    );
    let matches = Cli::command().version(version).get_matches();
    let run =
        Cli::from_arg_matches(&matches).map_err(|error| Failure::usage(error.to_string())).and_then(|cli| {
            match cli.command {
                Command::Serve(serve) => serve.run(),
                Command::Deploy(deploy) => deploy.run(),
                Command::Ps(ps) => ps.run(),
                Command::Top(top) => top.run(),
                Command::Logs(logs) => logs.run(),
                Command::Rollback(rollback) => rollback.run(),
                Command::Stop(stop) => stop.run(),
                Command::Start(start) => start.run(),
                Command::Rm(rm) => rm.run(),
                Command::Drain(drain) => drain.run(),
                Command::Grants(grants) => grants.run(),
                Command::Cron(cron) => cron.run(),
                Command::Secret(secret) => secret.run(),
                Command::Provider(provider) => provider.run(),
                Command::Run(run) => run.run(),
                Command::Compile(compile) => compile.run(),
                Command::Check(check) => check.run(),
                Command::Test(test) => test.run(),
                Command::Schema(schema) => schema.run(),
                Command::Types(types) => types.run(),
                Command::Completions(completions) => completions.run(&mut Cli::command()),
            }
        });
    match run {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
