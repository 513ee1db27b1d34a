//! A guest's standard output and error, as lines of its log.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use nexus_guest::{CUT, Level};
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// A line is cut at so many bytes.
const LONGEST: usize = 16 * 1024;

/// What an instance has written, until the worker takes it.
#[derive(Default)]
pub(crate) struct Output {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Whole lines.
    lines: Vec<(Level, String)>,
    /// The beginnings of lines: of the output and the error stream.
    partial: [Vec<u8>; 2],
    /// Whether these follow what was cut off of the line, and were cut off themselves.
    follows: [bool; 2],
    is_cut: [bool; 2],
    /// How many bytes may still be written.
    room: u64,
    /// Whether something was dropped, and whether that was told.
    is_full: bool,
}

/// Where an instance's streams write: the output of the request that it serves.
#[derive(Clone)]
pub(crate) struct Console(Arc<Mutex<Arc<Output>>>);

impl Console {
    pub(crate) fn new(output: Arc<Output>) -> Self {
        Self(Arc::new(Mutex::new(output)))
    }

    /// The instance serves another request from here on.
    pub(crate) fn turn_to(&self, output: Arc<Output>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = output;
    }

    /// The output of the request that is served.
    pub(crate) fn output(&self) -> Arc<Output> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn stdout(&self) -> Stream {
        Stream { console: self.clone(), which: 0 }
    }

    pub(crate) fn stderr(&self) -> Stream {
        Stream { console: self.clone(), which: 1 }
    }
}

/// One of the two streams. The levels are what `console.log` and `console.warn` have.
#[derive(Clone)]
pub(crate) struct Stream {
    console: Console,
    which: usize,
}

impl Output {
    /// An output that takes so many bytes.
    pub(crate) fn new(room: u64) -> Self {
        Self { inner: Mutex::new(Inner { room, ..Inner::default() }) }
    }

    /// So many bytes may be written from here on.
    pub(crate) fn refill(&self, room: u64) {
        let mut inner = self.inner();
        inner.room = room;
        // What was dropped of these lines does not follow any more.
        for which in 0..2 {
            if inner.is_cut[which] {
                inner.end_line(which);
            }
        }
    }

    /// A line of the host's own.
    pub(crate) fn note(&self, line: String) {
        let mut inner = self.inner();
        if inner.room > 0 {
            inner.room = inner.room.saturating_sub(line.len() as u64);
            inner.lines.push((Level::Warn, line));
        }
    }

    /// The whole lines so far; the beginnings, too, if nothing follows.
    pub(crate) fn take(&self, is_over: bool) -> Vec<(Level, String)> {
        let mut inner = self.inner();
        if is_over {
            inner.end_line(0);
            inner.end_line(1);
        }
        std::mem::take(&mut inner.lines)
    }

    /// Whether something was dropped since the last time that this was asked.
    pub(crate) fn is_full(&self) -> bool {
        std::mem::take(&mut self.inner().is_full)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Each change leaves it whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn write(&mut self, which: usize, bytes: &[u8]) {
        if self.room == 0 {
            self.is_cut[which] |= !bytes.is_empty() && !self.partial[which].is_empty();
            return;
        }
        let taken = bytes.len().min(usize::try_from(self.room).unwrap_or(usize::MAX));
        self.room -= taken as u64;
        for piece in bytes[..taken].split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            for part in text.chunks(LONGEST) {
                if self.partial[which].len() + part.len() > LONGEST {
                    self.is_cut[which] = true;
                    self.end_line(which);
                    self.follows[which] = true;
                }
                self.partial[which].extend_from_slice(part);
            }
            if ends {
                self.push(which);
            }
        }
        self.is_cut[which] |= taken < bytes.len() && !self.partial[which].is_empty();
        // The last byte that fits leaves no room to say more, so what follows is dropped for sure.
        self.is_full |= self.room == 0;
    }

    fn end_line(&mut self, which: usize) {
        if !self.partial[which].is_empty() {
            self.push(which);
        }
    }

    fn push(&mut self, which: usize) {
        let line = std::mem::take(&mut self.partial[which]);
        let line = String::from_utf8(line)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        let level = if which == 0 { Level::Info } else { Level::Warn };
        let mark = |is_there: &mut bool| if std::mem::take(is_there) { CUT } else { "" };
        let (before, behind) = (mark(&mut self.follows[which]), mark(&mut self.is_cut[which]));
        self.lines.push((level, format!("{before}{}{behind}", line.strip_suffix('\r').unwrap_or(&line))));
    }
}

impl IsTerminal for Stream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Stream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Stream {
    async fn ready(&mut self) {}
}

impl OutputStream for Stream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.console.output().inner().write(self.which, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 * 1024)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, _cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.console.output().inner().write(self.which, bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(output: &Output, is_over: bool) -> Vec<String> {
        output.take(is_over).into_iter().map(|(level, line)| format!("{level} {line}")).collect()
    }

    #[test]
    fn what_is_written_becomes_lines_and_the_streams_do_not_mix() {
        let output = Arc::new(Output::new(1000));
        let console = Console::new(output.clone());
        let (mut out, mut err) = (console.stdout(), console.stderr());
        OutputStream::write(&mut out, "one\ntw".into()).unwrap();
        OutputStream::write(&mut err, "bad\r\n".into()).unwrap();
        OutputStream::write(&mut out, "o\n\nlast".into()).unwrap();
        assert_eq!(texts(&output, false), ["info one", "warn bad", "info two", "info "]);
        assert_eq!(texts(&output, true), ["info last"]);
        assert!(texts(&output, true).is_empty() && !output.is_full());
    }

    #[test]
    fn beyond_the_limit_nothing_is_kept() {
        let output = Arc::new(Output::new(5));
        let mut out = Console::new(output.clone()).stdout();
        OutputStream::write(&mut out, "abc\ndefg\n".into()).unwrap();
        OutputStream::write(&mut out, "more\n".into()).unwrap();
        assert_eq!(texts(&output, true), ["info abc", "info d…"]);
        assert!(output.is_full() && !output.is_full());
    }

    #[test]
    fn a_line_whose_end_was_dropped_says_so() {
        let output = Arc::new(Output::new(5));
        let console = Console::new(output.clone());
        let (mut out, mut err) = (console.stdout(), console.stderr());
        OutputStream::write(&mut err, "ab".into()).unwrap();
        OutputStream::write(&mut out, "cde".into()).unwrap();
        // There is no room any more, but by nothing of these.
        OutputStream::write(&mut out, "f".into()).unwrap();
        OutputStream::write(&mut out, Bytes::new()).unwrap();
        OutputStream::write(&mut err, "\n".into()).unwrap();
        output.refill(5);
        OutputStream::write(&mut out, "g\n".into()).unwrap();
        assert_eq!(texts(&output, true), ["info cde…", "warn ab…", "info g"]);
    }

    #[test]
    fn a_long_line_is_cut_and_bytes_that_are_no_text_are_replaced() {
        let output = Arc::new(Output::new(u64::MAX));
        let mut out = Console::new(output.clone()).stdout();
        OutputStream::write(&mut out, vec![b'x'; LONGEST + 1].into()).unwrap();
        OutputStream::write(&mut out, Bytes::from_static(b"\n\xff\n")).unwrap();
        let lengths: Vec<usize> = output.take(true).iter().map(|(_, line)| line.len()).collect();
        assert_eq!(lengths, [LONGEST + CUT.len(), CUT.len() + 1, "\u{fffd}".len()]);
    }
}
