//! `nexus compile`.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use nexus_wasm::Runner;
use serde_json::{Value, json};

use super::engines::wasm;
use crate::failure::{Failure, print};
use crate::progress::Progress;

/// Compile WebAssembly ahead of time.
///
/// What comes out is kept where `nexus serve` and `nexus run` look for it: ~/.cache/nexus/wasm, or
/// below NEXUS_CACHE. Ends with 2 if a file cannot be compiled.
///
///   nexus compile app.wasm tool.wasm
///   nexus compile --json app.wasm | jq -r '.[].path'
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Compile {
    /// Components and core modules
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// Print one JSON array
    #[arg(long)]
    json: bool,
}

impl Compile {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let refused = |error: nexus_wasm::RunError| Failure::usage(error.to_string());
        let runner = Runner::new(&wasm()).map_err(refused)?;
        let mut all: Vec<Value> = Vec::new();
        for file in &self.files {
            let begun = Instant::now();
            let progress = Progress::start(format!("compiling {}", file.display()));
            let compiled = runner.compile_file(file).map_err(refused)?;
            drop(progress);
            let took = begun.elapsed();
            if self.json {
                all.push(json!({
                    "file": file.display().to_string(),
                    "path": compiled.path.display().to_string(),
                    "bytes": compiled.bytes,
                    "was_there": compiled.was_there,
                    "seconds": took.as_secs_f64(),
                }));
                continue;
            }
            let did = match compiled.was_there {
                true => "was there".to_owned(),
                false => format!("compiled in {:.1} s", took.as_secs_f64()),
            };
            let (file, path) = (file.display(), compiled.path.display());
            print(&format!("{file}: {did}, {} KB, {path}\n", compiled.bytes.div_ceil(1024)))?;
        }
        if self.json { print(&format!("{:#}\n", Value::from(all))) } else { Ok(()) }
    }
}
