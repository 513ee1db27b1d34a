//! Request scopes: everything that the host holds for one request, released at once and whole.
//!
//! A scope lives from the request's first turn until its response is complete, or its client has gone and its handler
//! has come to its end, and its `waitUntil` promises have settled. Whatever it owns then goes with it: bodies, timers,
//! operations, the signal, scratch bytes. So nothing that a handler forgets outlives its request.

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;

use bumpalo::Bump;
use bytes::Bytes;
use nexus_guest::{Body, BodySource, BodyWriter, ClientAddress, HeaderList, Request, RequestId, Responder};

use crate::operations::Handles;
use crate::timers::TimerId;

/// Names a request scope within its guest. It fits V8's small integers, for it is the value of V8's
/// continuation data: so every continuation knows the request that it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ScopeKey(pub(crate) u32);

impl ScopeKey {
    /// The guest itself: evaluation, and what it started then.
    pub(crate) const GUEST: Self = Self(0);
    /// Keys run up to here and then from 1 again: V8's small integers have 31 bits.
    const MASK: u32 = (1 << 30) - 1;
}

/// The request's body as far as the guest has not read it.
pub(crate) enum Incoming {
    Empty,
    Full(Bytes),
    Stream(Rc<RefCell<Box<dyn BodySource>>>),
    /// It was read to its end.
    Read,
}

/// One request, as the host sees it.
pub(crate) struct RequestScope {
    pub(crate) key: ScopeKey,
    pub(crate) id: RequestId,
    pub(crate) client: ClientAddress,
    pub(crate) headers: HeaderList,
    pub(crate) incoming: Incoming,
    pub(crate) responder: Option<Responder>,
    /// The streaming body of the response.
    pub(crate) outgoing: Option<Rc<BodyWriter>>,
    /// `waitUntil` promises that have not settled.
    pub(crate) waits: u32,
    /// The guest has answered, or need not any more.
    pub(crate) answered: bool,
    /// The client has gone, or the time was up.
    pub(crate) aborted: bool,
    /// The client went while the handler was at work, which is waited for as by `waitUntil`: other requests may wait for
    /// what it has begun.
    pub(crate) orphan: bool,
    /// Only `waitUntil` keeps it, and the time for that runs.
    pub(crate) tail: bool,
    /// The CPU time that was charged when the tail began, in nanoseconds: it has an account of its own.
    before_tail: u64,
    /// The request's `AbortSignal`, once the guest has asked for it.
    pub(crate) signal: Option<v8::Global<v8::Object>>,
    pub(crate) timers: HashSet<TimerId>,
    pub(crate) operations: Handles,
    /// What it has under way with others, by number.
    pub(crate) exchanges: HashSet<i32>,
    /// How many requests it has sent.
    pub(crate) subrequests: u64,
    /// What it has logged, in bytes.
    pub(crate) logged: u64,
    /// Scratch bytes; reset, not freed, with the scope.
    pub(crate) arena: Bump,
}

impl RequestScope {
    /// Whether all is done: answered, streamed, waited for.
    pub(crate) fn is_over(&self) -> bool {
        self.answered && self.outgoing.is_none() && self.waits == 0
    }

    /// The CPU time on its current account, in nanoseconds: the request's, or that of its tail.
    pub(crate) fn spent(&self) -> u64 {
        self.charged() - self.before_tail
    }

    fn charged(&self) -> u64 {
        self.responder.as_ref().map_or(0, |responder| responder.cpu().as_nanos() as u64)
    }

    /// Notes that only `waitUntil` keeps it, if that is so. Gives whether it is so from now on.
    pub(crate) fn begin_tail(&mut self) -> bool {
        if self.tail || !self.is_tail() {
            return false;
        }
        self.tail = true;
        self.before_tail = self.charged();
        true
    }

    /// Whether all is done but what `waitUntil` waits for.
    pub(crate) fn is_tail(&self) -> bool {
        self.answered && self.outgoing.is_none() && self.waits > 0
    }
}

/// The scopes of one guest, found by key in one step.
///
/// A ring: the scope with key `k` is at `k % size`, so keys are handed out in turn and a key comes back only after
/// 2^30 others: a straggling continuation never lands in somebody else's request.
pub(crate) struct Scopes {
    ring: Vec<Option<Box<RequestScope>>>,
    last: u32,
    live: usize,
    /// Scopes that were released, for the next requests: their allocations are kept, their own boxes too.
    #[allow(clippy::vec_box)]
    spare: Vec<Box<RequestScope>>,
}

/// How many released scopes are kept.
const SPARE: usize = 64;
/// A scope whose tables of timers or operations are larger is not kept.
const SPARE_TABLE: usize = 64;
/// A spare arena is kept only while it is at most this large, in bytes.
const SPARE_ARENA: usize = 64 * 1024;

impl Default for Scopes {
    fn default() -> Self {
        Self { ring: (0..64).map(|_| None).collect(), last: 0, live: 0, spare: Vec::new() }
    }
}

impl Scopes {
    /// Opens a scope for this request.
    pub(crate) fn open(&mut self, request: Request, responder: Responder) -> ScopeKey {
        if self.live * 2 >= self.ring.len() {
            self.grow();
        }
        let key = loop {
            self.last = (self.last + 1) & ScopeKey::MASK;
            if self.last != 0 && self.ring[self.index(self.last)].is_none() {
                break ScopeKey(self.last);
            }
        };
        let incoming = match request.body {
            Body::Empty => Incoming::Empty,
            Body::Full(bytes) => Incoming::Full(bytes),
            Body::Stream(source) => Incoming::Stream(Rc::new(RefCell::new(source))),
        };
        let scope = match self.spare.pop() {
            Some(mut scope) => {
                scope.key = key;
                scope.id = request.id;
                scope.client = request.client;
                scope.headers = request.headers;
                scope.incoming = incoming;
                scope.responder = Some(responder);
                scope
            }
            None => Box::new(RequestScope {
                key,
                id: request.id,
                client: request.client,
                headers: request.headers,
                incoming,
                responder: Some(responder),
                outgoing: None,
                waits: 0,
                answered: false,
                aborted: false,
                orphan: false,
                tail: false,
                before_tail: 0,
                signal: None,
                timers: HashSet::new(),
                operations: Handles::new(),
                exchanges: HashSet::new(),
                subrequests: 0,
                logged: 0,
                arena: Bump::new(),
            }),
        };
        let index = self.index(key.0);
        self.ring[index] = Some(scope);
        self.live += 1;
        key
    }

    /// The scope of this key, unless its request is over.
    pub(crate) fn get(&mut self, key: ScopeKey) -> Option<&mut RequestScope> {
        let index = self.index(key.0);
        self.ring[index].as_deref_mut().filter(|scope| scope.key == key)
    }

    /// Takes a scope out; its owner puts it back with [`Scopes::recycle`] once its timers and operations are
    /// stopped.
    pub(crate) fn take(&mut self, key: ScopeKey) -> Option<Box<RequestScope>> {
        self.get(key)?;
        let index = self.index(key.0);
        self.live -= 1;
        self.ring[index].take()
    }

    /// Releases what a scope holds and keeps its allocations.
    pub(crate) fn recycle(&mut self, mut scope: Box<RequestScope>) {
        scope.responder = None;
        scope.outgoing = None;
        scope.incoming = Incoming::Read;
        scope.signal = None;
        scope.headers.clear();
        scope.waits = 0;
        scope.answered = false;
        scope.aborted = false;
        scope.orphan = false;
        scope.tail = false;
        scope.before_tail = 0;
        scope.logged = 0;
        scope.subrequests = 0;
        // Empty by now, but it may have been large.
        scope.timers.clear();
        scope.operations.clear();
        scope.exchanges.clear();
        let large = scope.timers.capacity().max(scope.operations.capacity()).max(scope.exchanges.capacity());
        if large > SPARE_TABLE {
            return;
        }
        if self.spare.len() < SPARE && scope.arena.allocated_bytes() <= SPARE_ARENA {
            scope.arena.reset();
            self.spare.push(scope);
        }
    }

    /// The number of open scopes.
    pub(crate) fn len(&self) -> usize {
        self.live
    }

    /// The keys of all open scopes.
    pub(crate) fn keys(&self) -> Vec<ScopeKey> {
        self.ring.iter().flatten().map(|scope| scope.key).collect()
    }

    fn index(&self, key: u32) -> usize {
        key as usize & (self.ring.len() - 1)
    }

    fn grow(&mut self) {
        let old = std::mem::take(&mut self.ring);
        self.ring = (0..old.len() * 2).map(|_| None).collect();
        for scope in old.into_iter().flatten() {
            // Two keys that differ modulo the old size differ modulo the new one.
            let index = self.index(scope.key.0);
            self.ring[index] = Some(scope);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nexus_guest::exchange;

    fn request() -> Request {
        Request {
            id: RequestId::from_u128(1),
            method: "GET".into(),
            url: "http://localhost/".into(),
            headers: HeaderList::new(),
            body: Body::Empty,
            client: ClientAddress::Unix,
            event: Default::default(),
        }
    }

    #[test]
    fn a_released_key_finds_nothing_even_when_its_place_is_taken_again() {
        let mut scopes = Scopes::default();
        let first = scopes.open(request(), exchange().0);
        let scope = scopes.take(first).unwrap();
        scopes.recycle(scope);
        for _ in 0..200 {
            let key = scopes.open(request(), exchange().0);
            assert!(scopes.get(first).is_none());
            let scope = scopes.take(key).unwrap();
            scopes.recycle(scope);
        }
        assert_eq!(scopes.len(), 0);
    }

    #[test]
    fn any_number_of_scopes_is_open_at_once() {
        let mut scopes = Scopes::default();
        let keys: Vec<_> = (0..1000).map(|_| scopes.open(request(), exchange().0)).collect();
        assert!(keys.iter().all(|&key| scopes.get(key).is_some_and(|scope| scope.key == key)));
        assert_eq!(scopes.keys().len(), 1000);
    }

    #[test]
    fn keys_wrap_around_without_meeting_a_scope_that_is_still_open() {
        let mut scopes = Scopes { last: ScopeKey::MASK - 1, ..Scopes::default() };
        let keys: Vec<_> = (0..3).map(|_| scopes.open(request(), exchange().0)).collect();
        assert_eq!(keys, [ScopeKey(ScopeKey::MASK), ScopeKey(1), ScopeKey(2)]);
    }
}
