//! An app's log as a response: its last lines, and those that come, one JSON object a line.

use std::sync::Arc;
use std::time::Duration;

use nexus_guest::{Body, BodyWriter, PipeState, pipe};
use serde_json::json;

use crate::log::{Read, Recent};

/// How much of a response waits for its client: who is slower loses lines, and is told how many.
const WAITS: usize = 64 * 1024;
/// So often an empty line is sent while there are no others, so that a client that has gone is noticed.
const SIGN: Duration = Duration::from_secs(10);

/// The last `tail` lines, and if wanted what `follow`s, until the client or the app has gone.
pub(super) fn lines(
    recent: Arc<Recent>,
    app: String,
    tail: usize,
    follow: bool,
    goes_on: impl Fn() -> bool + 'static,
) -> Body {
    // Before they are read: none is missed in between.
    let mut count = recent.watch();
    let read = recent.last(&app, tail);
    if !follow {
        return Body::Full(text(&read).into());
    }
    let (writer, body) = pipe(WAITS, None);
    tokio::task::spawn_local(async move {
        let (mut next, mut first) = (read.next, Some(read));
        loop {
            let read = first.take().unwrap_or_else(|| recent.after(&app, next));
            next = read.next;
            if !read.lines.is_empty() || read.missed > 0 {
                writer.write(text(&read).into());
                if writer.room().await == PipeState::Closed {
                    return;
                }
                continue;
            }
            if !goes_on() {
                return writer.finish();
            }
            if tokio::time::timeout(SIGN, count.changed()).await.is_err() && !sign(&writer).await {
                return;
            }
        }
    });
    body
}

/// Says whether the client is still there.
async fn sign(writer: &BodyWriter) -> bool {
    writer.write("\n".into());
    writer.room().await != PipeState::Closed
}

fn text(read: &Read) -> String {
    let mut text = String::new();
    if read.missed > 0 {
        text.push_str(&json!({ "missed": read.missed }).to_string());
        text.push('\n');
    }
    for line in &read.lines {
        text.push_str(line);
        text.push('\n');
    }
    text
}
