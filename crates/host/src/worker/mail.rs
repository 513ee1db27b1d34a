//! How a worker serves requests that come over a shared port: parcels from the app's mail.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker, ready};

use futures_util::future::{Either, select};
use nexus_core::Limit;
use nexus_guest::Reply;
use tokio::task::JoinSet;

use super::service::WorkerService;
use super::{Event, Worker};
use crate::front::{Attendance, Parcel, SentBody, SentReply, Wakes};
use crate::http::{Service, Shutdown};

/// Takes parcels until the worker is told to end, and waits until all of them are answered.
pub(super) async fn serve_mail(
    attendance: Arc<Attendance>,
    worker: Arc<Worker>,
    service: Rc<WorkerService>,
    shutdown: Shutdown,
) {
    let most = worker.app.manifest.limits.size(Limit::Requests);
    let mut answering = JoinSet::new();
    let mut taken = Vec::new();
    let wakes = Rc::new(Wakes::default());
    loop {
        let room = most.saturating_sub(answering.len());
        tokio::select! {
            biased;
            () = shutdown.begun() => break,
            Some(_) = answering.join_next() => while answering.try_join_next().is_some() {},
            never = poll_fn(|cx| wakes.poll_give(cx)) => match never {},
            () = poll_fn(|cx| attendance.poll_take(room, &mut taken, cx)), if room > 0 => {
                for parcel in taken.drain(..) {
                    answering.spawn_local(answer(parcel, worker.clone(), service.clone(), wakes.clone()));
                }
            }
        }
    }
    if attendance.leave() {
        worker.tell(Event::Wanted { app: worker.index });
    }
    // The last ones' answers, too.
    let all_are_answered = poll_fn(|cx| {
        let _never = wakes.poll_give(cx);
        while ready!(answering.poll_join_next(cx)).is_some() {}
        Poll::Ready(())
    });
    all_are_answered.await;
    wakes.give();
}

async fn answer(parcel: Arc<Parcel>, worker: Arc<Worker>, service: Rc<WorkerService>, wakes: Rc<Wakes>) {
    let Some(request) = parcel.open() else { return };
    let _held = worker.parcels.hold(parcel.clone());
    let mut call = service.clone().call(request.into_request());
    let cancelled = poll_fn(|cx| parcel.poll_cancelled(cx));
    let reply = match select(std::pin::pin!(call.answer()), cancelled).await {
        Either::Left((reply, _)) => reply,
        // The call is dropped, which tells the guest.
        Either::Right(((), _)) => return,
    };
    let returned = |waker: Option<Waker>| match waker {
        // The next turn may be long.
        Some(waker) if service.is_wary() => waker.wake(),
        Some(waker) => wakes.add(waker),
        None => {}
    };
    match reply {
        Ok(Reply { status, headers, body }) => {
            let (body, passing) = SentBody::of(body);
            let bytes = match &body {
                SentBody::Full(bytes) => bytes.len() as u64,
                SentBody::Empty | SentBody::Stream(_) => 0,
            };
            returned(parcel.answer(Ok(SentReply { status, headers, body })));
            match passing {
                None => call.finish(status, bytes, true),
                Some(passing) => {
                    let passed = passing.await;
                    call.finish(status, passed.bytes, passed.complete)
                }
            };
        }
        Err(failure) => {
            call.finish(failure.kind.status(), 0, true);
            returned(parcel.answer(Err(failure)));
        }
    }
}
