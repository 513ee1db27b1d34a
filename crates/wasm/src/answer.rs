//! A request's response: gathered until the guest has to wait, then sent, or streamed.
//!
//! Most guests do not wait before their body is complete: then the reply is whole, with its length, and nothing is
//! chunked.

use std::cell::Cell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http_body::Body as HttpBody;
use nexus_guest::{Body, BodyError, BodySource, Failure, FailureKind, HeaderList, Reply};
use tokio::sync::oneshot;
use wasmtime_wasi_http::WasiBody;

use crate::account::Account;
use crate::error::Ended;
use crate::exchange::Exchange;

/// So many bytes of a response's body are gathered at the most before it is sent.
const GATHERED: usize = 64 * 1024;

/// A response as a guest gives it, or the error that it answers with, as text.
pub(crate) type Given = Result<http::Response<WasiBody>, String>;

/// A response on its way.
pub(crate) struct Answer<'a> {
    /// Where the guest's response comes from, until it is there.
    given: Option<oneshot::Receiver<Given>>,
    gathered: Option<Gathered>,
    is_sent: bool,
    is_head: bool,
    exchange: &'a Exchange,
}

/// A response whose body may be complete before anybody has to wait.
struct Gathered {
    head: http::response::Parts,
    body: WasiBody,
    chunks: VecDeque<Bytes>,
    bytes: usize,
}

impl<'a> Answer<'a> {
    pub(crate) fn new(given: oneshot::Receiver<Given>, is_head: bool, exchange: &'a Exchange) -> Self {
        Self { given: Some(given), gathered: None, is_sent: false, is_head, exchange }
    }

    /// Whether the client has it, or what is there of it.
    pub(crate) fn is_sent(&self) -> bool {
        self.is_sent
    }

    /// Takes what the guest has given so far. Says whether the guest may have room for more now.
    pub(crate) fn advance(&mut self, cx: &mut Context<'_>) -> bool {
        if self.is_sent {
            return false;
        }
        if self.gathered.is_none() {
            let Some(given) = &mut self.given else { return false };
            let given = match Pin::new(&mut *given).poll(cx) {
                Poll::Ready(given) => given.ok(),
                // Tokio says so, too, of a task that has done much: whoever has given and returned must be heard now.
                Poll::Pending => match given.try_recv() {
                    Err(oneshot::error::TryRecvError::Empty) => return false,
                    given => given.ok(),
                },
            };
            self.given = None;
            match given {
                Some(Ok(response)) => {
                    let (head, body) = response.into_parts();
                    self.gathered = Some(Gathered { head, body, chunks: VecDeque::new(), bytes: 0 });
                }
                Some(Err(code)) => {
                    self.exchange.output.note(format!("the guest answered with an error: {code}"));
                    self.send(Err(FailureKind::Threw.into()));
                    return false;
                }
                // It has gone without an answer.
                None => return false,
            }
        }
        let mut has_moved = false;
        while let Some(gathered) = &mut self.gathered {
            match Pin::new(&mut gathered.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    has_moved = true;
                    let Ok(chunk) = frame.into_data() else { continue };
                    gathered.bytes += chunk.len();
                    gathered.chunks.push_back(chunk);
                    if gathered.bytes >= GATHERED {
                        self.send_what_is_there();
                    }
                }
                Poll::Ready(Some(Err(_))) => {
                    self.gathered = None;
                    self.send(Err(FailureKind::Threw.into()));
                }
                Poll::Ready(None) => self.send_whole(),
                Poll::Pending => break,
            }
        }
        has_moved
    }

    /// The guest is done, or waits: whoever has answered is not held back.
    pub(crate) fn send_what_is_there(&mut self) {
        let Some(Gathered { head, body, chunks, .. }) = self.gathered.take() else { return };
        let length = length(&head.headers);
        let body = GuestBody {
            body,
            chunks,
            remaining: length,
            broken: self.exchange.broken.clone(),
            account: self.exchange.account.clone(),
        };
        self.reply(head, Body::Stream(Box::new(body)));
    }

    fn send_whole(&mut self) {
        let Some(Gathered { mut head, chunks, bytes, .. }) = self.gathered.take() else { return };
        let body = match (self.is_head, bytes) {
            // Its length may be that of the body which GET would have.
            (true, _) => Body::Empty,
            (false, 0) => Body::Full(Bytes::new()),
            (false, _) => {
                head.headers.remove(CONTENT_LENGTH);
                Body::Full(joined(chunks, bytes))
            }
        };
        self.reply(head, body);
        self.exchange.account.begin_tail();
    }

    fn reply(&mut self, head: http::response::Parts, body: Body) {
        let status = head.status.as_u16();
        if !(200..600).contains(&status) {
            self.exchange.output.note(format!("the guest answered with status {status}, which is none"));
            return self.send(Err(FailureKind::NotAResponse.into()));
        }
        let mut headers = HeaderList::new();
        for (name, value) in &head.headers {
            headers.push(name.as_str().as_bytes(), value.as_bytes());
        }
        self.send(Ok(Reply { status, headers, body }));
    }

    fn send(&mut self, reply: Result<Reply, Failure>) {
        self.is_sent = true;
        self.exchange.responder.send(reply);
    }

    /// The guest has returned.
    pub(crate) fn finish(&mut self) -> Result<(), Ended> {
        self.send_what_is_there();
        match self.is_sent {
            true => Ok(()),
            false => Err(Ended::failed(
                FailureKind::NotAResponse,
                "the guest returned without setting its response-outparam",
            )),
        }
    }
}

fn joined(mut chunks: VecDeque<Bytes>, bytes: usize) -> Bytes {
    if chunks.len() == 1 {
        return chunks.pop_front().unwrap_or_default();
    }
    let mut whole = BytesMut::with_capacity(bytes);
    chunks.iter().for_each(|chunk| whole.extend_from_slice(chunk));
    whole.freeze()
}

fn length(headers: &http::HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A response's body as the guest writes it.
struct GuestBody {
    body: WasiBody,
    /// What was gathered before.
    chunks: VecDeque<Bytes>,
    remaining: Option<u64>,
    broken: Rc<Cell<bool>>,
    account: Arc<Account>,
}

impl BodySource for GuestBody {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        let chunk = loop {
            if let Some(chunk) = self.chunks.pop_front() {
                break chunk;
            }
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Pending => return Poll::Pending,
                // What a guest leaves behind that was stopped looks complete.
                Poll::Ready(None) if self.broken.take() => return Poll::Ready(Some(Err(BodyError::Aborted))),
                Poll::Ready(None) => {
                    self.account.begin_tail();
                    return Poll::Ready(None);
                }
                Poll::Ready(Some(Err(_))) => return Poll::Ready(Some(Err(BodyError::Aborted))),
                // Trailers are not passed on.
                Poll::Ready(Some(Ok(frame))) => self.chunks.extend(frame.into_data().ok()),
            }
        };
        if chunk.is_empty() {
            return self.poll_chunk(cx);
        }
        if let Some(remaining) = &mut self.remaining {
            *remaining = remaining.saturating_sub(chunk.len() as u64);
        }
        Poll::Ready(Some(Ok(chunk)))
    }

    fn exact_length(&self) -> Option<u64> {
        self.remaining
    }
}
