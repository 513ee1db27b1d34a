//! One call of a `wasi:http/service`: WASI 0.3, whose handler returns its response and may go on.
//!
//! ```text
//! request ─► handle ─► response ─► body: a stream that the guest writes while the call goes on
//!                                   └─► its end ─► the guest's future of the transmission
//! ```

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::sync::oneshot;
use wasmtime::component::{Accessor, GuestTaskId};
use wasmtime::{AsContextMut, Store};
use wasmtime_wasi_http::p3::Request;
use wasmtime_wasi_http::p3::bindings::Service;
use wasmtime_wasi_http::{Error as HttpError, WasiBody, WasiHttpView};

use crate::answer::Given;
use crate::state::State;

/// Handles a request in an instance that has no other: to the end of all that the guest does for it.
pub(crate) async fn call(
    store: &mut Store<State>,
    service: &Service,
    request: http::Request<WasiBody>,
    give: oneshot::Sender<Given>,
) -> wasmtime::Result<()> {
    let call = async |store: &Accessor<State>| {
        handle(store, service, request, give, |_| {}).await?;
        poll_fn(|cx| store.poll_no_interesting_tasks(cx)).await;
        Ok(())
    };
    store.run_concurrent(call).await?
}

/// Handles a request until its response is with its client, or is not wanted any more. The guest may have more to do.
///
/// `begin` is told the guest's task before it runs.
pub(crate) async fn handle(
    store: &Accessor<State>,
    service: &Service,
    request: http::Request<WasiBody>,
    give: oneshot::Sender<Given>,
    begin: impl FnOnce(GuestTaskId),
) -> wasmtime::Result<()> {
    let function = service.wasi_http_handler().func_handle();
    let call = store.with(|mut access| {
        let view = access.data_mut().http();
        // How the guest has read the request's body concerns nobody here.
        let (request, _) = Request::from_http(view.hooks, request);
        let request = view.table.push(request)?;
        function.start_call_concurrent(access.as_context_mut(), (request,))
    })?;
    begin(call.task());
    let (result,) = function.finish_call_concurrent(store, call).await?;
    let response = match result {
        Ok(response) => response,
        Err(code) => {
            // Whoever asked may have left.
            let _ = give.send(Err(format!("{code:?}")));
            return Ok(());
        }
    };
    let (sent, transmission) = oneshot::channel();
    let (over, is_over) = oneshot::channel::<()>();
    let response = store.with(|mut access| {
        let response = access.data_mut().http().table.delete(response)?;
        let transmission = async { transmission.await.unwrap_or(Err(HttpError::ConnectionTerminated)) };
        response.into_http(&mut access, transmission)
    })?;
    let watched = |body| Watched { body, sent: Some(sent), _over: over }.boxed_unsync();
    let _ = give.send(Ok(response.map(watched)));
    // Its sender is never used, but dropped with the body.
    let _ = is_over.await;
    Ok(())
}

/// A body that tells its end.
struct Watched {
    body: WasiBody,
    sent: Option<oneshot::Sender<Result<(), HttpError>>>,
    _over: oneshot::Sender<()>,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(None) = polled
            && let Some(sent) = self.sent.take()
        {
            // The guest may not want to know.
            let _ = sent.send(Ok(()));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
