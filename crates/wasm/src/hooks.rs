//! What `wasi:http` asks its host: which fields are the guest's, how much is held at once, who sends its requests.

use std::sync::{Arc, LazyLock};

use http::HeaderName;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::{
    Error as HttpError, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpHooks, WasiHttpView,
};

use crate::state::State;

/// The most of a body that is held between the guest and its client, in bytes.
const CHUNK: usize = 64 * 1024;

/// Resolves when a request's body was sent.
pub(crate) type Sending = Box<dyn Future<Output = Result<(), HttpError>> + Send>;
/// A response, or why there is none.
pub(crate) type Sent = Result<(http::Response<WasiBody>, Sending), HttpError>;

/// Sends the requests of an instance.
pub(crate) trait Sends: Send {
    /// Sends a request. Whoever drops the future, or the response's body, wants no more of it.
    fn send(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
    ) -> Box<dyn Future<Output = Sent> + Send>;
}

/// The hooks of an instance whose requests this one sends.
pub(crate) struct Hooks<T>(pub(crate) T);

/// Whether a field is the connection's own, or the host's: `DEFAULT_FORBIDDEN_HEADERS` of wasmtime-wasi-http, which makes
/// its list anew for each field.
fn is_forbidden(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "host"
            | "http2-settings"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// The same for those who keep it.
static FORBIDDEN: LazyLock<ForbiddenHeaderFilter> = LazyLock::new(|| Arc::new(is_forbidden));

impl<T: Sends> WasiHttpHooks for Hooks<T> {
    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        is_forbidden(name)
    }

    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        FORBIDDEN.clone()
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK
    }

    fn p3_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK
    }

    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _read: Sending,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        // How the guest has read the response concerns nobody here.
        self.0.send(request, options)
    }
}

/// The interface of `http-error-code`, as Wasmtime links it.
const TYPES: &str = "wasi:http/types@0.2.12";

/// Puts a `http-error-code` that knows the errors of bodies in the place of Wasmtime's, which looks for errors of another
/// type than its bodies have: guests would learn that a body broke off, but not why.
pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    linker.instance(TYPES)?.func_wrap(
        "http-error-code",
        |mut store: StoreContextMut<'_, State>, (error,): (Resource<wasmtime::Error>,)| {
            let error = store.data_mut().http().table.get(&error)?;
            let plain = || error.downcast_ref::<ErrorCode>().cloned();
            Ok((error.downcast_ref::<HttpError>().map(error_code).or_else(plain),))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

/// The code of an error that a body can have.
fn error_code(error: &HttpError) -> ErrorCode {
    match error {
        HttpError::ConnectionTerminated => ErrorCode::ConnectionTerminated,
        HttpError::ConnectionReadTimeout => ErrorCode::ConnectionReadTimeout,
        HttpError::HttpRequestBodySize(size) => ErrorCode::HttpRequestBodySize(*size),
        HttpError::HttpResponseBodySize(size) => ErrorCode::HttpResponseBodySize(*size),
        HttpError::HttpResponseIncomplete => ErrorCode::HttpResponseIncomplete,
        HttpError::HttpProtocolError => ErrorCode::HttpProtocolError,
        error => ErrorCode::InternalError(Some(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forbidden_fields_are_the_engines() {
        let all = wasmtime_wasi_http::DEFAULT_FORBIDDEN_HEADERS;
        assert_eq!(all.len(), 9);
        assert!(all.iter().all(is_forbidden) && !is_forbidden(&http::header::CONTENT_TYPE));
    }
}
