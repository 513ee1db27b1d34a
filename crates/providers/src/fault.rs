//! What hyper's errors are to guests.

use std::error::Error;
use std::io;

use nexus_core::Limit;
use nexus_guest::{BodyError, HttpError};

use crate::tls;

fn cause<E: Error + 'static>(error: &hyper::Error) -> Option<&E> {
    let mut next = error.source();
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// Why there is no response.
pub(crate) fn of_head(error: &hyper::Error, headers: u64) -> HttpError {
    if error.is_parse_too_large() {
        return HttpError::Limit(Limit::OutboundHeaders, headers);
    }
    if error.is_parse() {
        return HttpError::Protocol(error.to_string());
    }
    if let Some(tls) = tls::find(error) {
        return HttpError::Tls(tls::explain(tls));
    }
    match cause::<h2::Error>(error) {
        Some(h2) if h2.is_library() && h2.is_reset() && h2.reason() == Some(h2::Reason::PROTOCOL_ERROR) => {
            HttpError::Protocol("its head is malformed, or far too large".to_owned())
        }
        Some(h2) if h2.is_library() => HttpError::Protocol(h2.to_string()),
        _ => HttpError::Closed,
    }
}

/// Whether the peer said that it did nothing about the request.
pub(crate) fn is_refused(error: &hyper::Error) -> bool {
    cause::<h2::Error>(error)
        .is_some_and(|h2| h2.is_remote() && h2.reason() == Some(h2::Reason::REFUSED_STREAM))
}

/// Whether it is about the whole of an HTTP/2 connection, not about one stream.
pub(crate) fn is_of_connection(error: &hyper::Error) -> bool {
    cause::<h2::Error>(error).is_none_or(|h2| h2.is_go_away() || h2.is_io())
}

/// Why a response's body broke off.
pub(crate) fn of_body(error: &hyper::Error) -> BodyError {
    match cause::<io::Error>(error).map(io::Error::kind) {
        Some(io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput) if tls::find(error).is_none() => {
            BodyError::Malformed("a chunk's length or its end is wrong")
        }
        _ => match cause::<h2::Error>(error) {
            Some(h2) if h2.is_library() => BodyError::Malformed("a frame is wrong"),
            _ => BodyError::Disconnected,
        },
    }
}
