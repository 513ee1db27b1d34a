//! A request's body on its way from the socket to the guest.

use std::task::{Context, Poll};

use bytes::Bytes;
use nexus_guest::{Body, BodyError, BodyWriter, PipeState, pipe};

use super::super::Refusal;
use super::chunked::ChunkedDecoder;
use super::head::Framing;

/// What a body's pipe holds before its client is held back, in bytes.
const PIPE: usize = 64 * 1024;

/// A body that has not arrived as a whole.
pub(super) struct Upload {
    framing: Decoder,
    /// `None` once nobody reads: what still comes is thrown away.
    writer: Option<BodyWriter>,
    max_body: u64,
    /// The body is not what it should be: where it ends, nobody can tell.
    is_broken: bool,
    /// How much may still be thrown away.
    discards: u64,
}

enum Decoder {
    Length(u64),
    Chunked(ChunkedDecoder),
}

/// A request's body as it is when the head was read.
pub(super) struct Start {
    /// What the guest gets.
    pub body: Body,
    /// What is still to come.
    pub upload: Option<Upload>,
    /// How many of the bytes given were the body's.
    pub consumed: usize,
}

/// Starts a body of which `input` has already arrived. A body that is there as a whole is given as a whole.
///
/// # Errors
/// If it is, or is declared to be, larger than `max_body`, or malformed.
pub(super) fn start(framing: Framing, input: &[u8], max_body: u64) -> Result<Start, Refusal> {
    let (decoder, length) = match framing {
        Framing::None => return Ok(Start { body: Body::Empty, upload: None, consumed: 0 }),
        Framing::Length(length) if length > max_body => return Err(Refusal::BodyTooLarge(max_body)),
        Framing::Length(length) => (Decoder::Length(length), Some(length)),
        Framing::Chunked => (Decoder::Chunked(ChunkedDecoder::new()), None),
    };
    let mut upload =
        Upload { framing: decoder, writer: None, max_body, is_broken: false, discards: u64::MAX };
    let (consumed, data) = upload.decode(input, true)?;
    if upload.is_done() {
        return Ok(Start { body: Body::Full(data), upload: None, consumed });
    }
    let (writer, body) = pipe(PIPE, length);
    writer.write(data);
    upload.writer = Some(writer);
    Ok(Start { body, upload: Some(upload), consumed })
}

impl Upload {
    /// Whether the guest reads the body, or may do so yet.
    pub(super) fn is_wanted(&self) -> bool {
        self.writer.as_ref().is_some_and(|writer| writer.state() != PipeState::Closed)
    }

    /// The number of bytes still to come, where that is known.
    pub(super) fn remaining(&self) -> Option<u64> {
        match &self.framing {
            Decoder::Length(left) => Some(*left),
            Decoder::Chunked(_) => None,
        }
    }

    /// Pending while the guest has enough to read. Ready with whether anybody reads at all.
    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let Some(writer) = &self.writer else { return Poll::Ready(false) };
        match writer.poll_room(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(PipeState::Closed) => {
                self.writer = None;
                Poll::Ready(false)
            }
            Poll::Ready(_) => Poll::Ready(true),
        }
    }

    /// Takes what has come. Says how many bytes of it belong to the body: all, unless the body is done.
    ///
    /// # Errors
    /// If the body has become too large or is malformed; its reader was told.
    pub(super) fn feed(&mut self, input: &[u8]) -> Result<usize, Refusal> {
        if self.writer.is_none() {
            self.discards = self.discards.saturating_sub(input.len() as u64);
        }
        if self.is_broken {
            return Ok(input.len());
        }
        match self.decode(input, self.writer.is_some()) {
            Ok((consumed, data)) => {
                if let Some(writer) = &self.writer
                    && writer.write(data) == PipeState::Closed
                {
                    self.writer = None;
                }
                if self.is_done()
                    && let Some(writer) = self.writer.take()
                {
                    writer.finish();
                }
                Ok(consumed)
            }
            Err(refusal) => {
                self.is_broken = true;
                self.fail(match refusal {
                    Refusal::BodyTooLarge(limit) => BodyError::TooLarge { limit },
                    Refusal::Malformed(what) => BodyError::Malformed(what),
                    _ => BodyError::Aborted,
                });
                Err(refusal)
            }
        }
    }

    /// From now on at most `bytes` are thrown away; of a body whose end nobody can tell, none.
    pub(super) fn limit_discards(&mut self, bytes: u64) {
        self.discards = if self.is_broken { 0 } else { bytes };
    }

    /// Whether nobody reads the body, and all that may be thrown away was.
    pub(super) fn is_given_up(&self) -> bool {
        self.discards == 0 && self.writer.is_none()
    }

    /// Whether the body's end has come.
    pub(super) fn is_done(&self) -> bool {
        !self.is_broken
            && match &self.framing {
                Decoder::Length(left) => *left == 0,
                Decoder::Chunked(decoder) => decoder.is_done(),
            }
    }

    /// Tells the reader that no more will come.
    pub(super) fn fail(&mut self, error: BodyError) {
        if let Some(writer) = self.writer.take() {
            writer.fail(error);
        }
    }

    /// How many bytes of `input` belong to the body, and, if somebody wants it, the data in them.
    fn decode(&mut self, input: &[u8], is_wanted: bool) -> Result<(usize, Bytes), Refusal> {
        match &mut self.framing {
            Decoder::Length(left) => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                *left -= taken as u64;
                let data = if is_wanted { &input[..taken] } else { &[] };
                Ok((taken, Bytes::copy_from_slice(data)))
            }
            Decoder::Chunked(decoder) => {
                let mut data = Vec::with_capacity(input.len());
                let consumed = decoder.decode(input, &mut data).map_err(Refusal::Malformed)?;
                // Before it comes: of a chunk that is too large nobody need have anything.
                if decoder.declared() > self.max_body {
                    return Err(Refusal::BodyTooLarge(self.max_body));
                }
                data.shrink_to_fit();
                Ok((consumed, Bytes::from(data)))
            }
        }
    }
}

impl Drop for Upload {
    /// A body that is given up before its end: the client has gone.
    fn drop(&mut self) {
        self.fail(BodyError::Disconnected);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::task::noop_waker;

    fn chunks(body: &mut Body) -> Vec<Result<Bytes, BodyError>> {
        let Body::Stream(source) = body else { panic!("the body is a stream") };
        let waker = noop_waker();
        let mut cx = Context::from_waker(&waker);
        let mut all = Vec::new();
        while let Poll::Ready(Some(chunk)) = source.poll_chunk(&mut cx) {
            all.push(chunk);
        }
        all
    }

    #[test]
    fn a_body_that_is_there_is_given_as_a_whole() {
        let start = start(Framing::Length(3), b"abcGET", 100).unwrap();
        assert!(matches!(start.body, Body::Full(bytes) if bytes == "abc"));
        assert_eq!(start.consumed, 3);
        let start = super::start(Framing::Chunked, b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\nGET", 100).unwrap();
        assert!(matches!(start.body, Body::Full(bytes) if bytes == "abc"));
        assert_eq!(start.consumed, 18);
    }

    #[test]
    fn the_rest_of_a_body_goes_through_a_pipe() {
        let Start { mut body, upload, consumed } = start(Framing::Length(5), b"ab", 100).unwrap();
        let mut upload = upload.unwrap();
        assert_eq!((consumed, upload.remaining()), (2, Some(3)));
        assert_eq!(upload.feed(b"cdeGET"), Ok(3));
        assert!(upload.is_done());
        assert_eq!(chunks(&mut body), [Ok(Bytes::from("ab")), Ok(Bytes::from("cde"))]);
    }

    #[test]
    fn a_body_that_grows_too_large_fails_for_its_reader_too() {
        assert_eq!(start(Framing::Length(11), b"", 10).err(), Some(Refusal::BodyTooLarge(10)));
        let Start { mut body, upload, .. } = start(Framing::Chunked, b"8\r\n12345678\r\n", 10).unwrap();
        assert_eq!(upload.unwrap().feed(b"3\r\n"), Err(Refusal::BodyTooLarge(10)));
        assert_eq!(chunks(&mut body)[1], Err(BodyError::TooLarge { limit: 10 }));
    }

    #[test]
    fn a_body_that_nobody_reads_is_read_over() {
        let Start { body, upload, .. } = start(Framing::Length(5), b"ab", 100).unwrap();
        let mut upload = upload.unwrap();
        drop(body);
        assert!(!upload.is_wanted());
        assert_eq!(upload.feed(b"cde"), Ok(3));
        assert!(upload.is_done());
    }
}
