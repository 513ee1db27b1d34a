//! Three services and a command of WASI 0.3, each by a feature: `service`, `client`, `sockets`, `command`. The README.md above has the
//! services' paths and the command's subcommands.

#[cfg(feature = "client")]
mod client;
#[cfg(feature = "command")]
mod command;
#[cfg(feature = "command")]
mod files;
#[cfg(feature = "service")]
mod service;
#[cfg(feature = "sockets")]
mod sockets;

use wasi::cli::{stderr, stdout};
use wasi::clocks::monotonic_clock;
use wit_bindgen::{StreamReader, StreamResult};

#[cfg(feature = "command")]
wit_bindgen::generate!({ path: "wit", world: "command", generate_all });
#[cfg(any(feature = "service", feature = "client"))]
wit_bindgen::generate!({ path: "wit", world: "service", generate_all });
#[cfg(feature = "sockets")]
wit_bindgen::generate!({ path: "wit", world: "sockets", generate_all });

struct Guest;

export!(Guest);

const MS: u64 = 1_000_000;

async fn wait(ms: u64) {
    monotonic_clock::wait_for(ms * MS).await;
}

async fn print(text: impl Into<String>) {
    let (mut writer, reader) = wit_stream::new();
    let written = stdout::write_via_stream(reader);
    writer.write_all(text.into().into_bytes()).await;
    drop(writer);
    let _ = written.await;
}

async fn warn(text: impl Into<String>) {
    let (mut writer, reader) = wit_stream::new();
    let written = stderr::write_via_stream(reader);
    writer.write_all(text.into().into_bytes()).await;
    drop(writer);
    let _ = written.await;
}

/// All that a stream has.
async fn whole(mut reader: StreamReader<u8>) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let (status, chunk) = reader.read(Vec::with_capacity(16 * 1024)).await;
        all.extend(chunk);
        if !matches!(status, StreamResult::Complete(_)) {
            return all;
        }
    }
}
