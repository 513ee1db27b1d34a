//! The service that asks others.

use wit_bindgen::spawn_local;

use crate::exports::wasi::http::handler::Guest as Handler;
use crate::wasi::http::client;
use crate::wasi::http::types::{ErrorCode, Fields, Request, Response, Scheme};
use crate::{Guest, print, wit_future, wit_stream};

fn text(text: &'static str) -> Response {
    let (mut writer, body) = wit_stream::new();
    let (trailers, no_trailers) = wit_future::new(|| Ok(None));
    drop(trailers);
    spawn_local(async move {
        writer.write_all(text.as_bytes().to_vec()).await;
    });
    Response::new(Fields::new(), Some(body), no_trailers).0
}

impl Handler for Guest {
    /// Sends the request on to `http:/PATH`, whose first segment is the server. Both bodies are handed over unread.
    async fn handle(asked: Request) -> Result<Response, ErrorCode> {
        let target = asked.get_path_with_query().unwrap_or_default();
        let place = target.trim_start_matches('/');
        let (authority, path) = place.split_at(place.find('/').unwrap_or(place.len()));
        let method = asked.get_method();
        let (result, fine) = wit_future::new(|| Ok(()));
        drop(result);
        let (body, trailers) = Request::consume_body(asked, fine);
        let (request, sent) = Request::new(Fields::new(), Some(body), trailers, None);
        let _ = request.set_method(&method);
        let _ = request.set_scheme(Some(&Scheme::Http));
        let _ = request.set_authority(Some(authority));
        let _ = request.set_path_with_query(Some(path));
        let response = match client::send(request).await {
            Ok(response) => response,
            Err(ErrorCode::HttpRequestDenied) => return Ok(text("denied")),
            Err(ErrorCode::InternalError(_)) => return Ok(text("internal error")),
            Err(_) => return Ok(text("failed")),
        };
        spawn_local(async move {
            print(if sent.await.is_ok() { "sent\n" } else { "not sent\n" }).await;
        });
        let (status, fields) = (response.get_status_code(), response.get_headers());
        let (result, fine) = wit_future::new(|| Ok(()));
        drop(result);
        let (body, trailers) = Response::consume_body(response, fine);
        let (response, _) = Response::new(fields, Some(body), trailers);
        let _ = response.set_status_code(status);
        Ok(response)
    }
}
