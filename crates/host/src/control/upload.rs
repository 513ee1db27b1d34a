//! A request's body on its way from the API's event loop to the thread that stores it.

use std::future::poll_fn;
use std::io::{self, Read};
use std::time::Duration;

use bytes::{Buf, Bytes};
use nexus_guest::Body;
use tokio::sync::mpsc;

/// How many chunks are on their way at most: the client waits for the disk.
const CHUNKS: usize = 8;
/// How long an upload may take in all.
const LONGEST: Duration = Duration::from_secs(15 * 60);

type Chunk = Result<Bytes, String>;

/// The body as the thread reads it.
pub(super) struct Upload {
    chunks: mpsc::Receiver<Chunk>,
    chunk: Bytes,
}

/// A body, and what passes it on: to be run on the event loop, until it ends.
pub(super) fn upload(body: Body) -> (Upload, impl Future<Output = ()>) {
    let (to, chunks) = mpsc::channel(CHUNKS);
    (Upload { chunks, chunk: Bytes::new() }, pass(body, to))
}

async fn pass(body: Body, to: mpsc::Sender<Chunk>) {
    let pass = async {
        match body {
            Body::Empty => {}
            Body::Full(bytes) => {
                let _ = to.send(Ok(bytes)).await;
            }
            Body::Stream(mut source) => {
                while let Some(chunk) = poll_fn(|cx| source.poll_chunk(cx)).await {
                    let is_last = chunk.is_err();
                    // Whoever reads may have seen enough.
                    if to.send(chunk.map_err(|error| error.to_string())).await.is_err() || is_last {
                        return;
                    }
                }
            }
        }
    };
    if tokio::time::timeout(LONGEST, pass).await.is_err() {
        let _ = to.send(Err(format!("the upload took longer than {} minutes", LONGEST.as_secs() / 60))).await;
    }
}

impl Read for Upload {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            match self.chunks.blocking_recv() {
                Some(Ok(chunk)) => self.chunk = chunk,
                Some(Err(error)) => return Err(io::Error::other(error)),
                None => return Ok(0),
            }
        }
        let count = self.chunk.len().min(into.len());
        self.chunk.copy_to_slice(&mut into[..count]);
        Ok(count)
    }
}
