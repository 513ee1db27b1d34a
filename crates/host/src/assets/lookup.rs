//! From an open file to an answer. Runs on the worker with what the kernel has cached, or else on the pool.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::SystemTime;

use bytes::Bytes;
use nexus_guest::HeaderList;

use super::conditions::{Conditions, Outcome, Stamp, Validators};
use super::encoding::{self, Encoding};
use super::path::{AssetPath, INDEX};
use super::range::{Part, RangeRequest};
use super::read::{ReadError, read};
use super::types;
use crate::beneath::{Beneath, OpenError, Opened, Wait};

/// Up to this size a file is read as a whole, in bytes.
const WHOLE: u64 = 64 * 1024;

/// How often to start again when a file changes while it is read.
const CHANGES: usize = 3;

const CACHE_CONTROL: &str = "public, max-age=0, must-revalidate";

/// A GET or HEAD that an asset may answer.
pub(super) struct Query {
    pub(super) path: AssetPath,
    /// The request's path and query as they came.
    target: String,
    head: bool,
    conditions: Conditions,
    range: Option<RangeRequest>,
    encodings: Vec<Encoding>,
}

impl Query {
    pub(super) fn new(path: AssetPath, target: &str, head: bool, headers: &HeaderList) -> Self {
        Self {
            path,
            target: target.to_owned(),
            head,
            conditions: Conditions::of(headers),
            // A range is defined for GET only (RFC 9110 section 14.2).
            range: if head { None } else { RangeRequest::of(headers) },
            encodings: encoding::wanted(headers),
        }
    }
}

/// A reply that can cross threads.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderList,
    pub(super) content: Content,
}

#[derive(Debug, Default)]
pub(super) enum Content {
    #[default]
    Empty,
    Bytes(Bytes),
    /// A part of a file, to be streamed.
    Part {
        file: File,
        offset: u64,
        length: u64,
    },
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// No asset: the guest is asked.
    NotAnAsset,
    /// With [`Wait::Never`]: only by waiting could this be told.
    WouldWait,
    /// The file changed while it was read.
    Changed,
    /// The system refused or failed.
    Failed(io::Error),
}

impl From<OpenError> for NoAnswer {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Missing | OpenError::Outside | OpenError::Irregular => NoAnswer::NotAnAsset,
            OpenError::WouldWait => NoAnswer::WouldWait,
            OpenError::Io(error) => NoAnswer::Failed(error),
        }
    }
}

impl From<ReadError> for NoAnswer {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::WouldWait => NoAnswer::WouldWait,
            ReadError::Short => NoAnswer::Changed,
            ReadError::Io(error) => NoAnswer::Failed(error),
        }
    }
}

/// The answer, with waiting; `None` if there is no asset.
pub(super) fn answer_waiting(root: &Beneath, query: &Query) -> Option<Answer> {
    for _ in 0..CHANGES {
        let opened = root.get(&query.path.file, Wait::Allowed).map_err(NoAnswer::from);
        match opened.and_then(|opened| answer(root, query, opened, Wait::Allowed, SystemTime::now())) {
            Ok(answer) => return Some(answer),
            Err(NoAnswer::NotAnAsset) => return None,
            Err(NoAnswer::Failed(error)) => return Some(failure(&error)),
            Err(NoAnswer::Changed | NoAnswer::WouldWait) => {}
        }
    }
    Some(plain(503, "the file is being changed"))
}

/// The answer to give for what was found at the query's path.
pub(super) fn answer(
    root: &Beneath,
    query: &Query,
    opened: Opened,
    wait: Wait,
    now: SystemTime,
) -> Result<Answer, NoAnswer> {
    let (file, metadata) = match opened {
        Opened::File(file, metadata) => (file, metadata),
        // A folder without its slash is sent to where its index is; without an index it is the guest's.
        Opened::Folder(_) if !query.path.folder => {
            let index = format!("{}/{INDEX}", query.path.file);
            return match root.get(&index, wait)? {
                Opened::File(..) => Ok(redirect(&query.target)),
                Opened::Folder(_) => Err(NoAnswer::NotAnAsset),
            };
        }
        Opened::Folder(_) => return Err(NoAnswer::NotAnAsset),
    };
    let kind = types::of(&query.path.file);
    let plain = Form { file, metadata, encoding: None };
    let form = if kind.compressible { precompressed(root, query, wait)?.unwrap_or(plain) } else { plain };

    let validators = form.validators(now);
    let mut headers = HeaderList::with_capacity(10, 512);
    let mut push = |name: &str, value: &str| headers.push(name.as_bytes(), value.as_bytes());
    let outcome = query.conditions.evaluate(&validators);
    if outcome == Outcome::Failed {
        return Ok(Answer { status: 412, ..Answer::default() });
    }
    push("etag", &validators.etag);
    if let Some(modified) = validators.last_modified() {
        push("last-modified", &modified);
    }
    push("cache-control", CACHE_CONTROL);
    if kind.compressible {
        push("vary", "accept-encoding");
    }
    if outcome == Outcome::NotModified {
        return Ok(Answer { status: 304, headers, content: Content::Empty });
    }
    push("accept-ranges", "bytes");
    push("x-content-type-options", "nosniff");

    let size = form.metadata.len();
    let part = query.range.as_ref().map_or(Part::Whole, |range| range.part(size, &validators));
    let (status, offset, length) = match part {
        Part::Whole => (200, 0, size),
        Part::Slice { start, length } => {
            push("content-range", &format!("bytes {start}-{}/{size}", start + length - 1));
            (206, start, length)
        }
        Part::Unsatisfiable => {
            push("content-range", &format!("bytes */{size}"));
            return Ok(Answer { status: 416, headers, content: Content::Empty });
        }
    };
    push("content-type", kind.name);
    if let Some(encoding) = form.encoding {
        push("content-encoding", encoding.name());
    }
    if query.head {
        push("content-length", &length.to_string());
        return Ok(Answer { status, headers, content: Content::Empty });
    }
    let content = content(form.file, offset, length, wait)?;
    Ok(Answer { status, headers, content })
}

/// A file in one of its forms.
struct Form {
    file: File,
    metadata: Metadata,
    encoding: Option<Encoding>,
}

impl Form {
    fn validators(&self, now: SystemTime) -> Validators {
        let stamp = Stamp {
            size: self.metadata.len(),
            inode: self.metadata.ino(),
            modified: (self.metadata.mtime(), self.metadata.mtime_nsec()),
            changed: (self.metadata.ctime(), self.metadata.ctime_nsec()),
        };
        Validators::new(&stamp, self.encoding.map(Encoding::name), now)
    }
}

/// The most wanted form that lies beside the file. It is for whoever put it there to keep it up to date.
fn precompressed(root: &Beneath, query: &Query, wait: Wait) -> Result<Option<Form>, NoAnswer> {
    for encoding in &query.encodings {
        let path = format!("{}{}", query.path.file, encoding.suffix());
        match root.get(&path, wait) {
            Ok(Opened::File(file, metadata)) => {
                return Ok(Some(Form { file, metadata, encoding: Some(*encoding) }));
            }
            Err(OpenError::WouldWait) => return Err(NoAnswer::WouldWait),
            // A form that cannot be had is no reason not to send another.
            Ok(Opened::Folder(_)) | Err(_) => {}
        }
    }
    Ok(None)
}

fn content(file: File, offset: u64, length: u64, wait: Wait) -> Result<Content, NoAnswer> {
    if length > WHOLE {
        return Ok(Content::Part { file, offset, length });
    }
    let bytes = read(&file, offset, length as usize, wait)?;
    if bytes.len() as u64 != length {
        return Err(NoAnswer::WouldWait);
    }
    Ok(Content::Bytes(bytes))
}

/// To the same path with a slash, relative to the same host.
fn redirect(target: &str) -> Answer {
    let location = match target.split_once('?') {
        Some((path, query)) => format!("{path}/?{query}"),
        None => format!("{target}/"),
    };
    let headers = [("location", location.as_str()), ("cache-control", CACHE_CONTROL)].into_iter().collect();
    Answer { status: 308, headers, content: Content::Empty }
}

/// The answer for a file that is there and cannot be read.
pub(super) fn failure(error: &io::Error) -> Answer {
    match error.kind() {
        io::ErrorKind::PermissionDenied => plain(403, "the file may not be read"),
        _ => plain(500, "the file could not be read"),
    }
}

fn plain(status: u16, text: &'static str) -> Answer {
    let headers = [("content-type", "text/plain; charset=utf-8")].into_iter().collect();
    Answer { status, headers, content: Content::Bytes(Bytes::from_static(text.as_bytes())) }
}
