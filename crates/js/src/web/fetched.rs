//! What a guest has under way with others: the requests that it sent, and what it has not read of their responses.
//!
//! JavaScript knows an exchange by a negative number, so that the natives of bodies take it where they take a request's.
//! It lives until its body is read or cancelled, until what holds it in JavaScript is collected, or until its request is
//! over, whichever comes first; then its connection is broken off.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use bytes::Bytes;
use futures_util::future::AbortHandle;
use nexus_guest::{BodySource, BodyWriter};

use super::codec::{Corrupt, Engine, Format, Progress};
use crate::memory::Share;
use crate::scope::ScopeKey;
use crate::state::State;

pub(crate) type SharedSource = Rc<RefCell<Box<dyn BodySource>>>;

/// The exchanges of one guest.
#[derive(Default)]
pub(crate) struct Exchanges {
    last: i32,
    entries: HashMap<i32, Exchange>,
}

/// A request that was sent, and its response as far as it was not read.
pub(crate) struct Exchange {
    /// The request in whose name it was sent.
    scope: ScopeKey,
    /// Its finalizer removes the entry.
    _holder: v8::Weak<v8::Object>,
    /// The binding of the app that is asked; without one the URL says who is.
    pub(crate) through: Option<u32>,
    /// Breaks off what is under way for JavaScript: the sending, or a read.
    pub(crate) abort: Option<AbortHandle>,
    /// The request's body, while JavaScript writes it.
    pub(crate) upload: Option<Rc<BodyWriter>>,
    /// The response's body.
    pub(crate) body: Option<SharedSource>,
    /// How the body is encoded, where that is undone for the guest.
    pub(crate) coding: Option<Format>,
    /// What undoes it, once somebody reads.
    decoder: Option<Decoder>,
    /// What the host may have of the response's body, as memory of the guest's.
    pub(crate) share: Option<Share>,
}

impl Exchanges {
    /// Opens an exchange that lives no longer than `holder`. Its number is below 0.
    pub(crate) fn open(
        state: &Rc<State>,
        scope: &mut v8::PinScope<'_, '_>,
        holder: v8::Local<'_, v8::Object>,
        key: ScopeKey,
        through: Option<u32>,
    ) -> i32 {
        let id = {
            let mut exchanges = state.exchanges.borrow_mut();
            loop {
                exchanges.last = exchanges.last.checked_sub(1).filter(|id| *id > i32::MIN / 2).unwrap_or(-1);
                if !exchanges.entries.contains_key(&exchanges.last) {
                    break exchanges.last;
                }
            }
        };
        let owner = Rc::downgrade(state);
        let finalizer = Box::new(move |_: &mut v8::Isolate| {
            if let Some(state) = owner.upgrade() {
                Self::close(&state, id);
            }
        });
        let holder = v8::Weak::with_finalizer(scope, holder, finalizer);
        let exchange = Exchange {
            scope: key,
            _holder: holder,
            through,
            abort: None,
            upload: None,
            body: None,
            coding: None,
            decoder: None,
            share: None,
        };
        state.exchanges.borrow_mut().entries.insert(id, exchange);
        state.with_scope(key, |scope| scope.exchanges.insert(id));
        id
    }

    /// Looks at an exchange, unless it is over.
    pub(crate) fn with<R>(state: &State, id: i32, look: impl FnOnce(&mut Exchange) -> R) -> Option<R> {
        state.exchanges.borrow_mut().entries.get_mut(&id).map(look)
    }

    /// Ends an exchange: what is under way of it is broken off.
    pub(crate) fn close(state: &State, id: i32) {
        let closed = state.exchanges.borrow_mut().entries.remove(&id);
        if let Some(exchange) = closed {
            state.with_scope(exchange.scope, |scope| scope.exchanges.remove(&id));
            exchange.end();
        }
    }

    /// Ends the exchanges of a request that is over.
    pub(crate) fn close_all(state: &State, ids: impl IntoIterator<Item = i32>) {
        for id in ids {
            let closed = state.exchanges.borrow_mut().entries.remove(&id);
            if let Some(exchange) = closed {
                exchange.end();
            }
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

impl Exchange {
    fn end(self) {
        if let Some(abort) = &self.abort {
            abort.abort();
        }
    }

    /// The next chunk of what was sent came; `None` at its end.
    pub(crate) fn feed(&mut self, chunk: Option<Bytes>) {
        if let Some(decoder) = &mut self.decoder {
            decoder.feed(chunk);
        }
    }

    /// Takes a piece's buffer back.
    pub(crate) fn give_back(&mut self, out: Vec<u8>) {
        if let Some(engine) = self.decoder.as_mut().and_then(|decoder| decoder.engine.as_mut()) {
            engine.give_back(out);
        }
    }

    /// What undoes the encoding; made, and counted, at its first use.
    pub(crate) fn decoder(&mut self, format: Format, hold: impl FnOnce() -> Share) -> &mut Decoder {
        self.decoder.get_or_insert_with(|| Decoder {
            format,
            engine: None,
            input: Bytes::new(),
            last: false,
            ended: false,
            expected: 0,
            share: hold(),
        })
    }
}

/// A step of a [`Decoder`].
pub(crate) enum Step {
    /// So much of the buffer, which is to be given back.
    Piece(Vec<u8>, usize),
    /// It goes on by itself.
    More,
    /// It needs the next chunk of what was sent.
    Starved,
    /// The body is over.
    End,
    /// The data asks for more memory than the guest may have.
    NoRoom,
}

/// Undoes a `content-encoding` (RFC 9110 section 8.4), a slice of work at a time.
pub(crate) struct Decoder {
    format: Format,
    engine: Option<Engine>,
    input: Bytes,
    /// No chunk comes any more.
    last: bool,
    ended: bool,
    /// What it takes, as far as is known.
    expected: usize,
    share: Share,
}

impl Decoder {
    fn feed(&mut self, chunk: Option<Bytes>) {
        match chunk {
            Some(chunk) => self.input = chunk,
            None => self.last = true,
        }
    }

    /// One slice of work. `has_room` says whether the guest may have so many bytes more.
    pub(crate) fn step(&mut self, has_room: impl Fn(usize) -> bool) -> Result<Step, Corrupt> {
        if self.ended {
            return Ok(Step::End);
        }
        let engine = match &mut self.engine {
            Some(engine) => engine,
            // An encoded body may be empty altogether, as of responses to HEAD.
            None if self.input.is_empty() && self.last => {
                self.ended = true;
                return Ok(Step::End);
            }
            None if self.input.is_empty() => return Ok(Step::Starved),
            None => {
                let format = guess(self.format, &self.input);
                let size = format.decompressor_size(&self.input);
                if !has_room(size) {
                    return Ok(Step::NoRoom);
                }
                self.expected = size;
                self.share.set(size);
                self.engine.insert(Engine::new(format, true).ok_or(Corrupt)?)
            }
        };
        let progress = engine.pump(&self.input, self.last)?;
        // The data may ask for more than its beginning said, as another frame of zstd's may. It has it already, but not
        // twice.
        if engine.size() > self.expected {
            self.expected = engine.size();
            self.share.set(self.expected);
            if !has_room(0) {
                return Ok(Step::NoRoom);
            }
        }
        match progress {
            Progress::Piece => {
                let (out, filled) = engine.lend();
                Ok(Step::Piece(out, filled))
            }
            Progress::More => Ok(Step::More),
            Progress::Idle if !self.last => {
                engine.rewind();
                self.input = Bytes::new();
                Ok(Step::Starved)
            }
            // What stands behind the end is nobody's: browsers pass over it, too.
            Progress::Idle | Progress::Trailing => {
                self.ended = true;
                self.input = Bytes::new();
                Ok(Step::End)
            }
        }
    }
}

/// Many servers mean raw data where they say `deflate`: without a zlib header (RFC 1950 section 2.2) it is that.
fn guess(format: Format, beginning: &[u8]) -> Format {
    match (format, beginning) {
        (Format::Deflate, [method, flags, ..])
            if method & 15 != 8 || (u16::from(*method) << 8 | u16::from(*flags)) % 31 != 0 =>
        {
            Format::DeflateRaw
        }
        (format, _) => format,
    }
}

/// The coding that a `content-encoding` names, if it is one that can be undone.
pub(crate) fn coding(value: &[u8]) -> Option<Format> {
    let named = [
        ("gzip", Format::Gzip),
        ("x-gzip", Format::Gzip),
        ("br", Format::Brotli),
        ("zstd", Format::Zstd),
        ("deflate", Format::Deflate),
    ];
    let value = value.trim_ascii();
    named.into_iter().find(|(name, _)| value.eq_ignore_ascii_case(name.as_bytes())).map(|(_, format)| format)
}

/// Its name in a `content-encoding`.
pub(crate) fn coding_name(format: Format) -> &'static str {
    match format {
        Format::Gzip => "gzip",
        Format::Brotli => "br",
        Format::Zstd => "zstd",
        Format::Deflate | Format::DeflateRaw => "deflate",
    }
}

/// Whether an `accept-encoding` (RFC 9110 section 12.5.3) takes this coding.
pub(crate) fn accepts(value: &[u8], format: Format) -> bool {
    let name = coding_name(format);
    let mut any = false;
    for item in value.split(|b| *b == b',') {
        let mut parts = item.split(|b| *b == b';').map(<[u8]>::trim_ascii);
        let coding = parts.next().unwrap_or_default();
        let refused = parts
            .any(|part| part.strip_prefix(b"q=").is_some_and(|q| q.iter().all(|b| matches!(b, b'0' | b'.'))));
        if coding.eq_ignore_ascii_case(name.as_bytes()) {
            return !refused;
        }
        any |= coding == b"*" && !refused;
    }
    any
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coding_is_known_by_its_names() {
        assert!(matches!(coding(b" GZIP "), Some(Format::Gzip)));
        assert!(matches!(coding(b"x-gzip"), Some(Format::Gzip)));
        assert!(coding(b"gzip, br").is_none() && coding(b"identity").is_none() && coding(b"").is_none());
    }

    #[test]
    fn a_client_accepts_what_it_names_with_a_quality_above_zero() {
        for yes in ["gzip", "br, GZIP;q=0.5", "*", "gzip;q=1, *;q=0", "deflate,*;q=0.1"] {
            assert!(accepts(yes.as_bytes(), Format::Gzip), "{yes}");
        }
        for no in ["", "br", "gzip;q=0", "gzip; q=0.000, *", "*;q=0", "identity"] {
            assert!(!accepts(no.as_bytes(), Format::Gzip), "{no}");
        }
    }
}
