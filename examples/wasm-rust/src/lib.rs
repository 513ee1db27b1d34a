//! A service in Rust: `GET /greet?name=Ann` answers `{"greeting":"Hello, Ann!"}`.
//!
//! `app.wasm` is built by `python3 tests/wasm/build.py wasm-rust`; with the WASI packages in
//! `wit/deps`, `cargo build --release --target wasm32-wasip2` gives the same service.

use exports::wasi::http::incoming_handler::Guest;
use wasi::http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};

wit_bindgen::generate!({ path: "wit", world: "greeting", generate_all });

struct Greeting;

export!(Greeting);

impl Guest for Greeting {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let asked = request.path_with_query().unwrap_or_default();
        let (path, query) = asked.split_once('?').unwrap_or((&asked, ""));
        let (status, json) = match path {
            "/greet" => (200, format!("{{\"greeting\":\"Hello, {}!\"}}\n", escaped(&name(query)))),
            _ => (404, "{\"error\":\"no such path\"}\n".to_string()),
        };
        answer(out, status, json.as_bytes());
    }
}

/// The value of `name` in a query, decoded.
fn name(query: &str) -> String {
    let value = query.split('&').find_map(|pair| pair.strip_prefix("name=")).unwrap_or("world");
    let mut bytes = Vec::new();
    let mut rest = value.as_bytes();
    while let [first, after @ ..] = rest {
        let hex = after.get(..2).and_then(|two| u8::from_str_radix(str::from_utf8(two).ok()?, 16).ok());
        (rest, _) = match (first, hex) {
            (b'%', Some(byte)) => (&after[2..], bytes.push(byte)),
            (b'+', _) => (after, bytes.push(b' ')),
            (byte, _) => (after, bytes.push(*byte)),
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Text as it may stand between the quotes of a JSON string.
fn escaped(text: &str) -> String {
    let mut json = String::new();
    for character in text.chars() {
        match character {
            '"' | '\\' | '\0'..' ' => json += &format!("\\u{:04x}", character as u32),
            _ => json.push(character),
        }
    }
    json
}

/// Sends the head of an answer first, so that the body can stream. A client that is gone is no error.
fn answer(out: ResponseOutparam, status: u16, json: &[u8]) {
    let fields = Fields::new();
    fields.append("content-type", b"application/json").expect("the name is a header's");
    let response = OutgoingResponse::new(fields);
    response.set_status_code(status).expect("the status is one");
    let body = response.body().expect("this is its first use");
    ResponseOutparam::set(out, Ok(response));

    let stream = body.write().expect("this is its first use");
    for part in json.chunks(4096) {
        if stream.blocking_write_and_flush(part).is_err() {
            break;
        }
    }
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
}
