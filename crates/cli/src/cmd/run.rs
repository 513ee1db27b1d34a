//! `nexus run`.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use nexus_core::{NetGrant, OutboundSection, parse_byte_size, parse_duration};
use nexus_providers::Outbound;
use nexus_wasm::{FileKind, Folder, Policy, RunError, Runner, WasmConfig};

use super::engines::wasm;
use crate::failure::{Failure, print};
use crate::progress::Progress;

/// Run a WebAssembly program.
///
/// A program is a component that exports wasi:cli/run (WASI 0.2, or 0.3, which is experimental), or a
/// core module of WASI preview 1. It has nexus's standard input, output and error; files, variables
/// and, for components, the network only as granted. Options come before FILE: what follows it is the
/// program's. Its exit code is nexus's; 1 if it trapped or came to a limit, 2 if it cannot be run.
///
///   nexus run tool.wasm --verbose in.txt
///   nexus run --allow-read data --allow-write out=/out --env LANG tool.wasm
///   nexus run --allow-net api.example.com:443 --allow-net 127.0.0.1:5432 tool.wasm
///   nexus run --cpu 2s --memory 64MB tool.wasm
///   nexus run --invoke add math.wasm 2 3
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, override_usage = "nexus run [OPTIONS] <FILE> [ARGS]...")]
pub(crate) struct Run {
    /// The program, and its arguments
    #[arg(value_name = "FILE", required = true, trailing_var_arg = true)]
    file: Vec<OsString>,

    /// A variable for the program; without =VALUE it is nexus's own, if that is set
    #[arg(long, value_name = "NAME[=VALUE]", value_parser = parse_variable)]
    env: Vec<Variable>,

    /// A folder that the program may read, which it calls GUEST, or DIR
    #[arg(long, value_name = "DIR[=GUEST]", value_parser = parse_folder)]
    allow_read: Vec<Folder>,

    /// A folder that the program may read and change
    #[arg(long, value_name = "DIR[=GUEST]", value_parser = parse_folder)]
    allow_write: Vec<Folder>,

    /// Where a component may connect to: a name, *.NAME, an address, a range, or *
    #[arg(long, value_name = "HOST[:PORT]", value_parser = parse_grant)]
    allow_net: Vec<NetGrant>,

    /// The most memory of the program
    #[arg(long, value_name = "SIZE", default_value = "1GB", value_parser = parse_size)]
    memory: u64,

    /// The most CPU time, as 500ms [default: no limit]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    cpu: Option<Duration>,

    /// The most time by the clock on the wall [default: no limit]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    wall: Option<Duration>,

    /// The most elements of all tables
    #[arg(long, value_name = "N", default_value_t = Policy::default().tables)]
    tables: usize,

    /// The most core instances, memories and tables of a component
    #[arg(long, value_name = "N", default_value_t = Policy::default().instances)]
    instances: usize,

    /// The size of the stack; deeper recursion is a trap
    #[arg(long, value_name = "SIZE", default_value = "512KB", value_parser = parse_stack)]
    stack: usize,

    /// No clocks: time stands still for the program, at zero
    #[arg(long)]
    no_clocks: bool,

    /// Random numbers that follow from N, the same in each run; they are not secret
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// Call this export instead, and print its results: numbers for a core module, WAVE for a component
    #[arg(long, value_name = "NAME")]
    invoke: Option<String>,
}

/// A variable, and its value if that is not nexus's own.
type Variable = (String, Option<String>);

fn parse_variable(text: &str) -> Result<Variable, String> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (text, None),
    };
    match name.is_empty() {
        true => Err("a variable has a name".into()),
        false => Ok((name.to_owned(), value)),
    }
}

fn parse_folder(text: &str) -> Result<Folder, String> {
    let (host, guest) = text.rsplit_once('=').unwrap_or((text, text));
    match host.is_empty() || guest.is_empty() {
        true => Err("a folder is DIR or DIR=GUEST".into()),
        false => Ok(Folder { host: host.into(), guest: guest.to_owned(), writes: false }),
    }
}

fn parse_grant(text: &str) -> Result<NetGrant, String> {
    text.parse().map_err(|error: nexus_core::NetGrantError| error.to_string())
}

fn parse_size(text: &str) -> Result<u64, String> {
    parse_byte_size(text).map_err(|error| error.to_string())
}

/// What a thread's stack has room for, with the host's functions.
fn parse_stack(text: &str) -> Result<usize, String> {
    let (least, most) = (16 << 10, 4 << 20);
    match parse_size(text)? {
        size if (least..=most).contains(&size) => Ok(size as usize),
        _ => Err("a stack has 16 KB to 4 MB".into()),
    }
}

fn parse_time(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| error.to_string())
}

impl Run {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let (file, args) = self.file.split_first().ok_or_else(|| Failure::usage("FILE is missing"))?;
        let file = PathBuf::from(file);
        let args = args.iter().map(text).collect::<Result<Vec<String>, Failure>>()?;
        let policy = self.policy(&file, &args)?;
        let result = match &self.invoke {
            None => self.command(&file, &policy).map(|code| (code, String::new())),
            Some(name) => {
                let args: Vec<&str> = args.iter().map(String::as_str).collect();
                self.invoke(&file, &policy, name, &args).map(|results| (0, results))
            }
        };
        // What the program wrote without a newline at its end comes first.
        let results = result.as_ref().map_or("", |(_, results)| results);
        let printed = print(results);
        match result {
            Ok((0, _)) | Err(RunError::Exited(0)) => printed,
            Ok((code, _)) | Err(RunError::Exited(code)) => Err(Failure::with_code(code)),
            Err(RunError::Refused(message)) => Err(Failure::usage(message)),
            Err(error) => Err(told(&error)),
        }
    }

    fn policy(&self, file: &Path, args: &[String]) -> Result<Policy, Failure> {
        let mut argv = vec![file.file_name().map(text).transpose()?.unwrap_or_default()];
        if self.invoke.is_none() {
            argv.extend_from_slice(args);
        }
        let mut env: Vec<(String, String)> = Vec::new();
        for (name, value) in &self.env {
            let value = match value {
                Some(value) => Some(value.clone()),
                None => std::env::var_os(name).map(text).transpose()?,
            };
            // The last one counts.
            env.retain(|(other, _)| other != name);
            env.extend(value.map(|value| (name.clone(), value)));
        }
        let write = self.allow_write.iter().map(|folder| Folder { writes: true, ..folder.clone() });
        Ok(Policy {
            memory: self.memory,
            cpu: self.cpu,
            wall: self.wall,
            tables: self.tables,
            instances: self.instances,
            folders: write.chain(self.allow_read.iter().cloned()).collect(),
            net: self.allow_net.clone(),
            env,
            args: argv,
            inherit_stdio: true,
            clocks: !self.no_clocks,
            seed: self.seed,
        })
    }

    fn runner(&self) -> Result<Runner, RunError> {
        let outbound = Outbound::new(&OutboundSection::default()).map_err(RunError::Refused)?;
        Runner::with_capabilities(&WasmConfig { stack: Some(self.stack), ..wasm() }, outbound)
    }

    fn command(&self, file: &Path, policy: &Policy) -> Result<u8, RunError> {
        let progress = compiling(file);
        let command = self.runner()?.command_file(file)?;
        drop(progress);
        command.run(policy)
    }

    /// The results of a call, one a line.
    fn invoke(&self, file: &Path, policy: &Policy, name: &str, args: &[&str]) -> Result<String, RunError> {
        let runner = self.runner()?;
        let progress = compiling(file);
        let results: Vec<String> = match FileKind::of_file(file)? {
            FileKind::Component => {
                let command = runner.command_file(file)?;
                drop(progress);
                command.call(policy, name, args)?
            }
            FileKind::Module => {
                let module = runner.module_file(file)?;
                drop(progress);
                let args = module.parse_args(name, args)?;
                let results = module.instantiate(policy)?.call(name, &args)?;
                results.iter().map(ToString::to_string).collect()
            }
        };
        Ok(results.iter().map(|result| format!("{result}\n")).collect())
    }
}

fn compiling(file: &Path) -> Progress {
    Progress::start(format!("compiling {}", file.display()))
}

/// Says how the program ended badly, with its stack.
fn told(error: &RunError) -> Failure {
    let stack = error.stack().map(|stack| format!("\n{stack}")).unwrap_or_default();
    // Standard error may be gone; the code still tells.
    let _ = writeln!(std::io::stderr(), "nexus: {error}{stack}");
    Failure::with_code(1)
}

/// What a program can be told: WASI's texts are Unicode.
fn text(text: impl AsRef<std::ffi::OsStr>) -> Result<String, Failure> {
    let text = text.as_ref();
    let named = || format!("{} is not UTF-8: a program cannot be told it", text.display());
    text.to_str().map(str::to_owned).ok_or_else(|| Failure::usage(named()))
}
