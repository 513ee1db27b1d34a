//! How a worker serves requests that come over a shared port, or from inside of the process: parcels from the app's mail.

use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Poll, Waker, ready};

use futures_util::future::{Either, FutureExt, select};
use futures_util::stream::{FuturesUnordered, StreamExt};
use nexus_core::Limit;
use nexus_guest::Reply;

use super::service::WorkerService;
use super::{Event, Worker};
use crate::front::{Attendance, Parcel, Patience, SentBody, SentReply, in_pieces};
use crate::http::{Service, Shutdown};

/// Takes parcels until the worker is told to end, and waits until all of them are answered. In a host that ends it takes
/// them until nobody can ask any more: other apps have requests to finish that may need this one.
pub(super) async fn serve_mail(
    attendance: Arc<Attendance>,
    worker: Arc<Worker>,
    service: Rc<WorkerService>,
    shutdown: Shutdown,
) {
    let most = worker.app.manifest.limits.size(Limit::Requests);
    let mut answering = FuturesUnordered::new();
    let mut taken = Vec::new();
    let mut over = std::pin::pin!(async {
        shutdown.begun().await;
        if worker.stays.load(Ordering::Relaxed) {
            worker.inside.closed().await;
        }
    });
    loop {
        let room = most.saturating_sub(answering.len());
        tokio::select! {
            biased;
            () = over.as_mut() => break,
            // It polls all that have something to do before it says that one is over.
            Some(_) = answering.next() => {}
            never = poll_fn(|cx| service.wakes.poll_give(cx)) => match never {},
            () = poll_fn(|cx| attendance.poll_take(room, &mut taken, cx)), if room > 0 => {
                for parcel in taken.drain(..) {
                    let answer = answer(parcel, worker.clone(), service.clone());
                    // A panic ends this one only.
                    answering.push(AssertUnwindSafe(answer).catch_unwind());
                }
            }
        }
    }
    if attendance.leave() {
        worker.tell(Event::Wanted { app: worker.index });
    }
    // The last ones' answers, too.
    let all_are_answered = poll_fn(|cx| {
        let _never = service.wakes.poll_give(cx);
        while ready!(answering.poll_next_unpin(cx)).is_some() {}
        Poll::Ready(())
    });
    all_are_answered.await;
    service.wakes.close();
}

async fn answer(parcel: Arc<Parcel>, worker: Arc<Worker>, service: Rc<WorkerService>) {
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
        Some(waker) => service.wakes.add(waker),
        None => {}
    };
    match reply {
        Ok(Reply { status, headers, body }) => {
            // An I/O thread takes what is whole off at once; another app may keep it for as long as it likes.
            let body = if parcel.is_from_inside() { in_pieces(body) } else { body };
            // An I/O thread looks at how its connections get on.
            let idle = parcel.is_from_inside().then(|| worker.app.manifest.limits.time(Limit::Idle));
            let (body, passing) = SentBody::of(body, Patience { source: idle, reader: idle });
            let bytes = match &body {
                SentBody::Full(bytes) => bytes.len() as u64,
                SentBody::Empty | SentBody::Stream(_) => 0,
            };
            returned(parcel.answer(Ok(SentReply { status, headers, body })));
            match passing {
                None => call.finish(status, bytes, true),
                Some(passing) => {
                    let passed = passing.await;
                    if passed.stalled {
                        call.has_stalled();
                    }
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
