//! A request's answer: waiting for the reply, passing it on, and minding the client all the while.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use nexus_guest::{Body, BodyError, BodySource, Failure, Reply};
use tokio::time::Instant;

use super::super::open::State;
use super::super::timer::{earlier, within};
use super::super::{Call, Refusal, fields};
use super::connection::{Connection, Exchange};
use super::reply::{self, Asked, Begun, Rest, Transfer};
use super::upload::Upload;

/// While a request is being answered, so many bytes of the ones after it are read, and no more.
const MAX_PIPELINED: usize = 64 * 1024;

/// So much of a body that nobody reads is read over to keep a connection.
const MAX_DISCARDED: u64 = 64 * 1024;

/// Why there is no ordinary answer.
enum Fault {
    /// The client has gone, or does not read. One that ends only its writing direction counts as gone: nothing
    /// tells it from one that has closed.
    Gone,
    /// The request turned out to be one that is refused.
    Refused(Refusal),
    /// More of the body is coming than is read for nobody.
    Unread,
    /// Nothing of the response's body is coming.
    Stalled,
}

/// How the passing on of a reply's body ended.
enum Sent {
    /// As a whole.
    All,
    /// The guest's stream failed; what came of it was written.
    Broken,
    /// The guest's stream gave nothing for too long; what came of it was written.
    Stalled,
    /// The client has gone, or does not read.
    Gone,
}

/// What a request has come to at once.
pub(super) enum AtOnce {
    /// It is answered, or cannot be any more.
    Over(After),
    /// The socket does not take all of the response yet.
    Writes(Answer),
    /// There is no reply yet, or there is more to do than to write it: here it is in that case.
    Waits(Option<Result<Reply, Failure>>),
}

/// A response whose head was written to the outbox.
pub(super) struct Answer {
    call: Call,
    status: u16,
    /// How many bytes of its body the outbox has got.
    queued: u64,
    /// Whether the connection can go on after it.
    keep_alive: bool,
    /// Whether the service has the connection end with it.
    is_last: bool,
    /// Whether the client may have sent more, because the request has not told of an end.
    may_send_more: bool,
    /// Whether its end is told by closing the connection.
    until_close: bool,
}

/// What is to follow a response.
pub(super) enum After {
    GoesOn,
    Closes,
    /// The connection ends, but the client may still be sending.
    Lingers,
    /// The rest of the request's body is read, if the connection can go on at all.
    Drains {
        keep_alive: bool,
    },
}

impl Connection {
    /// Answers the current request if that can be done here and now: a reply that is there as a whole, nothing left of
    /// the request's body, a socket that takes all. Most are like that.
    pub(super) fn poll_at_once(&mut self, cx: &mut Context<'_>) -> Poll<AtOnce> {
        let Some(exchange) = &mut self.current else {
            return Poll::Ready(AtOnce::Over(After::Closes));
        };
        let reply = match ready!(exchange.call.poll_round(cx)) {
            Some(Ok(reply)) if is_stream(&reply) => {
                return Poll::Ready(AtOnce::Waits(Some(Ok(reply))));
            }
            Some(reply) if exchange.upload.is_none() => reply,
            early => return Poll::Ready(AtOnce::Waits(early)),
        };
        let Some(Exchange { call, asked, .. }) = self.current.take() else {
            return Poll::Ready(AtOnce::Over(After::Closes));
        };
        let (mut answer, body) = self.begin(call, reply, asked, false);
        if let Rest::Full(bytes) = body {
            self.give(&mut answer, bytes);
        }
        let sent = match self.poll_flush(cx) {
            Poll::Ready(Ok(())) => Sent::All,
            Poll::Ready(Err(_)) => Sent::Gone,
            Poll::Pending => return Poll::Ready(AtOnce::Writes(answer)),
        };
        Poll::Ready(AtOnce::Over(self.end(answer, &sent, false)))
    }

    /// Answers the current request, from where that has come to at once. Says whether the connection goes on.
    pub(super) async fn answer(&mut self, so_far: AtOnce) -> bool {
        let mut upload = None;
        let after = match so_far {
            AtOnce::Over(after) => after,
            AtOnce::Writes(answer) => {
                let sent = self.send(&mut upload).await;
                self.end(answer, &sent, false)
            }
            AtOnce::Waits(early) => self.answer_later(early, &mut upload).await,
        };
        match after {
            After::GoesOn => true,
            After::Closes => false,
            After::Lingers => {
                self.linger().await;
                false
            }
            After::Drains { keep_alive } => {
                let goes_on = keep_alive && self.drain(&mut upload).await;
                if !goes_on {
                    if let Some(upload) = &mut upload {
                        upload.fail(BodyError::TimedOut);
                    }
                    self.linger().await;
                }
                goes_on
            }
        }
    }

    /// Answers the current request, whose reply, or all that there is to do beside it, takes longer.
    async fn answer_later(
        &mut self,
        early: Option<Result<Reply, Failure>>,
        upload: &mut Option<Upload>,
    ) -> After {
        let Some(exchange) = self.current.take() else { return After::Closes };
        let Exchange { mut call, upload: own, mut asked, expects_continue } = exchange;
        *upload = own;
        let reply = match early {
            Some(reply) if upload.is_none() => reply,
            early => {
                let no_reader = upload.as_ref().is_some_and(|upload| !upload.is_wanted());
                if expects_continue && early.is_some() && no_reader {
                    // The client still holds its body back, and nobody wants it.
                    asked.keep_alive = false;
                } else if expects_continue {
                    self.outbox.flat().extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
                }
                match early {
                    Some(reply) => reply,
                    None => match self.wait_for_reply(&mut call, upload).await {
                        Ok(reply) => reply,
                        Err(Fault::Gone | Fault::Unread | Fault::Stalled) => return After::Closes,
                        Err(Fault::Refused(refusal)) => {
                            call.finish(refusal.status(), 0, false);
                            let is_written = self.write_refusal(refusal, asked.id).await.1;
                            return if is_written { After::Lingers } else { After::Closes };
                        }
                    },
                }
            }
        };
        let is_stream = reply.as_ref().is_ok_and(is_stream);
        let too_much_left = |upload: &Upload| upload.remaining().is_some_and(|left| left > MAX_DISCARDED);
        let must_close =
            upload.as_ref().is_some_and(|upload| !is_stream && !upload.is_wanted() && too_much_left(upload));
        let (mut answer, body) = self.begin(call, reply, asked, must_close);
        let sent = match body {
            Rest::Nothing => self.send(upload).await,
            Rest::Full(bytes) => {
                self.give(&mut answer, bytes);
                self.send(upload).await
            }
            Rest::Stream(source, transfer) => {
                answer.until_close = transfer == Transfer::UntilClose;
                self.send_stream(source, transfer, &mut answer.queued, upload).await
            }
        };
        self.end(answer, &sent, upload.is_some())
    }

    /// Writes the head of a request's response to the outbox.
    fn begin(
        &mut self,
        call: Call,
        reply: Result<Reply, Failure>,
        mut asked: Asked,
        must_close: bool,
    ) -> (Answer, Rest) {
        let reply = reply.unwrap_or_else(|failure| fields::failure_reply(&failure));
        let (is_last, may_send_more) = (call.is_last(), asked.keep_alive);
        if is_last || must_close || self.server.shutdown.closes() {
            asked.keep_alive = false;
        }
        self.socket.is_at(State::Answering);
        let Begun { status, body, keep_alive } = reply::begin(reply, &asked, self.outbox.flat());
        (Answer { call, status, queued: 0, keep_alive, is_last, may_send_more, until_close: false }, body)
    }

    /// Gives the outbox the whole of a response's body.
    fn give(&mut self, answer: &mut Answer, bytes: Bytes) {
        answer.queued = bytes.len() as u64;
        self.outbox.push(bytes, b"");
    }

    /// Ends a request once its response is out, or is not to be. Says what is to follow.
    fn end(&mut self, answer: Answer, sent: &Sent, has_upload: bool) -> After {
        let Answer { mut call, status, queued, keep_alive, is_last, may_send_more, until_close } = answer;
        let bytes_sent = queued.saturating_sub(self.outbox.remaining() as u64);
        if matches!(sent, Sent::Stalled) {
            call.has_stalled();
        }
        let ended = call.finish(status, bytes_sent, matches!(sent, Sent::All));
        match sent {
            Sent::Gone => After::Closes,
            Sent::Broken | Sent::Stalled => {
                if until_close {
                    self.socket.reset_on_close();
                }
                After::Closes
            }
            Sent::All if has_upload => After::Drains { keep_alive },
            Sent::All => {
                self.idle_since = Some(ended.into());
                if keep_alive {
                    After::GoesOn
                } else if may_send_more && (is_last || !self.input.is_empty()) {
                    // It did not know that it is the last one.
                    After::Lingers
                } else {
                    After::Closes
                }
            }
        }
    }

    async fn wait_for_reply(
        &mut self,
        call: &mut Call,
        upload: &mut Option<Upload>,
    ) -> Result<Result<Reply, Failure>, Fault> {
        poll_fn(|cx| {
            if let Poll::Ready(reply) = call.poll_reply(cx) {
                return Poll::Ready(Ok(reply));
            }
            // Only the 100 can be waiting to be written.
            if let Poll::Ready(Err(_)) = self.poll_flush(cx) {
                return Poll::Ready(Err(Fault::Gone));
            }
            if let Poll::Ready(fault) = self.poll_input(upload, cx) {
                return Poll::Ready(Err(fault));
            }
            self.poll_deadlines(upload, cx).map(Err)
        })
        .await
    }

    /// Writes what is in the outbox, to its end.
    async fn send(&mut self, upload: &mut Option<Upload>) -> Sent {
        poll_fn(|cx| match self.poll_flush(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(Sent::All),
            Poll::Ready(Err(_)) => Poll::Ready(Sent::Gone),
            Poll::Pending => self.poll_beside(upload, cx),
        })
        .await
    }

    /// Passes a stream on, each chunk as soon as it is there, and asks for no more than is being written.
    async fn send_stream(
        &mut self,
        mut source: Box<dyn BodySource>,
        mut transfer: Transfer,
        queued: &mut u64,
        upload: &mut Option<Upload>,
    ) -> Sent {
        let mut end = None;
        let sent = poll_fn(|cx| {
            loop {
                while end.is_none() && self.outbox.has_room() {
                    match source.poll_chunk(cx) {
                        Poll::Ready(Some(Ok(chunk))) => {
                            self.reply_deadline = None;
                            end = self.queue(chunk, &mut transfer, queued);
                        }
                        Poll::Ready(Some(Err(_))) => end = Some(Sent::Broken),
                        Poll::Ready(None) => end = Some(self.queue_end(transfer)),
                        Poll::Pending => break,
                    }
                }
                if self.outbox.is_empty() {
                    return match end.take() {
                        Some(end) => Poll::Ready(end),
                        None => {
                            let timeout = self.body_limit.timeout;
                            self.reply_deadline.get_or_insert_with(|| within(timeout));
                            self.poll_beside(upload, cx)
                        }
                    };
                }
                match self.poll_flush(cx) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(_)) => return Poll::Ready(Sent::Gone),
                    Poll::Pending => return self.poll_beside(upload, cx),
                }
            }
        })
        .await;
        self.reply_deadline = None;
        sent
    }

    /// Adds a chunk of a stream to the outbox, framed. Says how the stream ends, if that ends it.
    fn queue(&mut self, mut chunk: Bytes, transfer: &mut Transfer, queued: &mut u64) -> Option<Sent> {
        let mut end = None;
        match transfer {
            Transfer::Length(left) => {
                if chunk.len() as u64 > *left {
                    // The client has been told a length: what goes beyond it would be another response.
                    chunk.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                    end = Some(Sent::Broken);
                }
                *left -= chunk.len() as u64;
                *queued += chunk.len() as u64;
                self.outbox.push(chunk, b"");
            }
            Transfer::UntilClose => {
                *queued += chunk.len() as u64;
                self.outbox.push(chunk, b"");
            }
            Transfer::Chunked if chunk.is_empty() => {}
            Transfer::Chunked => {
                *queued += chunk.len() as u64;
                reply::chunk_size(chunk.len(), self.outbox.flat());
                self.outbox.push(chunk, b"\r\n");
            }
        }
        end
    }

    /// Adds a stream's end to the outbox.
    fn queue_end(&mut self, transfer: Transfer) -> Sent {
        match transfer {
            Transfer::Length(left) if left > 0 => return Sent::Broken,
            Transfer::Length(_) | Transfer::UntilClose => {}
            Transfer::Chunked => self.outbox.flat().extend_from_slice(b"0\r\n\r\n"),
        }
        Sent::All
    }

    /// What goes on beside a response: the request's body is read, the client watched, the deadlines kept.
    fn poll_beside(&mut self, upload: &mut Option<Upload>, cx: &mut Context<'_>) -> Poll<Sent> {
        // Of faults of the body its reader was told; the response is the guest's own, and goes on.
        loop {
            match self.poll_input(upload, cx) {
                Poll::Ready(Fault::Gone) => return Poll::Ready(Sent::Gone),
                Poll::Ready(Fault::Refused(_) | Fault::Unread | Fault::Stalled) => {}
                Poll::Pending => break,
            }
        }
        loop {
            match self.poll_deadlines(upload, cx) {
                Poll::Ready(Fault::Gone) => return Poll::Ready(Sent::Gone),
                Poll::Ready(Fault::Stalled) => return Poll::Ready(Sent::Stalled),
                Poll::Ready(Fault::Refused(_) | Fault::Unread) => self.body_deadline = None,
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Reads the rest of a body whose response is out: all of it if the guest reads on, else a little, so
    /// that the connection can be kept. Says whether it can.
    async fn drain(&mut self, upload: &mut Option<Upload>) -> bool {
        if let Some(upload) = upload {
            upload.limit_discards(MAX_DISCARDED);
        }
        let mut reader_deadline = None;
        let mut discard_deadline = None;
        poll_fn(|cx| {
            if self.poll_input(upload, cx).is_ready() {
                return Poll::Ready(false);
            }
            let Some(upload) = upload else { return Poll::Ready(true) };
            let config = &self.server.config;
            let deadline = if !upload.is_wanted() {
                discard_deadline.get_or_insert_with(|| within(config.linger_timeout))
            } else if let Some(body_deadline) = &self.body_deadline {
                reader_deadline = None;
                body_deadline
            } else {
                reader_deadline.get_or_insert_with(|| within(self.body_limit.timeout))
            };
            self.timer.poll(Some(*deadline), cx).map(|()| false)
        })
        .await
    }

    /// Reads what the client sends: its body, as long as the guest takes it, then the requests after it, as
    /// far as they are held. Ready only if something is wrong.
    fn poll_input(&mut self, upload: &mut Option<Upload>, cx: &mut Context<'_>) -> Poll<Fault> {
        loop {
            let Some(body) = upload else {
                self.body_deadline = None;
                if self.input.len() >= MAX_PIPELINED {
                    return Poll::Pending;
                }
                match self.poll_fill(cx) {
                    Poll::Ready(Ok(1..)) => continue,
                    Poll::Ready(_) => return Poll::Ready(Fault::Gone),
                    Poll::Pending => return Poll::Pending,
                }
            };
            let Poll::Ready(is_wanted) = body.poll_ready(cx) else {
                self.body_deadline = None;
                return Poll::Pending;
            };
            if body.is_given_up() {
                return Poll::Ready(Fault::Unread);
            }
            let mut scratch = self.scratch.borrow_mut();
            match self.socket.poll_read(cx, &mut scratch) {
                Poll::Ready(Ok(count @ 1..)) => {
                    self.body_deadline = None;
                    // The guest may well read all of a body before it says more.
                    restart(&mut self.reply_deadline, self.body_limit.timeout);
                    match body.feed(&scratch[..count]) {
                        Ok(consumed) if body.is_done() => {
                            self.input.append(&scratch[consumed..count]);
                            *upload = None;
                        }
                        Ok(_) => {}
                        Err(refusal) => return Poll::Ready(Fault::Refused(refusal)),
                    }
                }
                Poll::Ready(_) => {
                    body.fail(BodyError::Disconnected);
                    return Poll::Ready(Fault::Gone);
                }
                Poll::Pending => {
                    if is_wanted {
                        let timeout = self.body_limit.timeout;
                        self.body_deadline.get_or_insert_with(|| within(timeout));
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    /// Ready when the client has taken too long, to send or to read, or the guest, to go on with its response.
    fn poll_deadlines(&mut self, upload: &mut Option<Upload>, cx: &mut Context<'_>) -> Poll<Fault> {
        // Where the client is waited for, the guest may be waiting for it, too.
        let of_body = self.body_deadline.or(self.reply_deadline);
        let deadline = earlier(self.write_deadline, of_body);
        self.timer.poll(deadline, cx).map(|()| {
            if deadline == self.write_deadline {
                return Fault::Gone;
            }
            if self.body_deadline.is_none() {
                return Fault::Stalled;
            }
            // The guest is told, and has its time to say something to it.
            restart(&mut self.reply_deadline, self.body_limit.timeout);
            if let Some(upload) = upload {
                upload.fail(BodyError::TimedOut);
            }
            Fault::Refused(Refusal::BodyTimeout(self.body_limit.timeout))
        })
    }
}

/// Whether a reply's body is not there as a whole.
fn is_stream(reply: &Reply) -> bool {
    matches!(reply.body, Body::Stream(_))
}

/// Begins a deadline anew, if there is one.
fn restart(deadline: &mut Option<Instant>, timeout: Duration) {
    if deadline.is_some() {
        *deadline = Some(within(timeout));
    }
}
