//! The service.

use std::sync::atomic::{AtomicUsize, Ordering};

use wit_bindgen::{StreamReader, StreamResult, StreamWriter, spawn_local};

use crate::exports::wasi::http::handler::Guest as Handler;
use crate::wasi::clocks::monotonic_clock;
use crate::wasi::http::client;
use crate::wasi::http::types::{ErrorCode, Fields, Request, Response, Scheme};
use crate::{Guest, MS, print, wait, warn, whole, wit_future, wit_stream};

/// Requests that this instance has had, and those that it has now.
static SERVED: AtomicUsize = AtomicUsize::new(0);
static AT_ONCE: AtomicUsize = AtomicUsize::new(0);

/// A response whose body is written by `write` once it is under way.
fn respond<F: Future<Output = ()> + 'static>(status: u16, write: impl FnOnce(StreamWriter<u8>) -> F) -> Response {
    let (writer, body) = wit_stream::new();
    let (trailers, no_trailers) = wit_future::new(|| Ok(None));
    drop(trailers);
    let (response, _sent) = Response::new(Fields::new(), Some(body), no_trailers);
    let _ = response.set_status_code(status);
    spawn_local(write(writer));
    response
}

fn text(text: impl Into<String>) -> Response {
    let text = text.into().into_bytes();
    respond(200, async move |mut writer: StreamWriter<u8>| {
        writer.write_all(text).await;
    })
}

fn body(request: Request) -> StreamReader<u8> {
    let (result, fine) = wit_future::new(|| Ok(()));
    drop(result);
    Request::consume_body(request, fine).0
}

/// Grows until it may not, and then traps.
fn fill() -> ! {
    loop {
        std::mem::forget(vec![1u8; 1 << 20]);
    }
}

impl Handler for Guest {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let served = SERVED.fetch_add(1, Ordering::Relaxed) + 1;
        let path = request.get_path_with_query().unwrap_or_default();
        let (path, query) = path.split_once('?').unwrap_or((&path, ""));
        let number = || query.parse().unwrap_or(1);
        Ok(match path {
            "/hello" => text("hello from 0.3\n"),
            "/counter" => text(served.to_string()),
            "/at-once" => {
                let before = AT_ONCE.fetch_add(1, Ordering::Relaxed);
                wait(number()).await;
                AT_ONCE.fetch_sub(1, Ordering::Relaxed);
                text(format!("{} of {served}", before + 1))
            }
            "/count" => text(whole(body(request)).await.len().to_string()),
            "/echo" => {
                let mut reader = body(request);
                respond(200, async move |mut writer: StreamWriter<u8>| {
                    loop {
                        let (status, chunk) = reader.read(Vec::with_capacity(16 * 1024)).await;
                        let left = writer.write_all(chunk).await;
                        if !left.is_empty() || !matches!(status, StreamResult::Complete(_)) {
                            return;
                        }
                    }
                })
            }
            "/pass" => {
                let (trailers, no_trailers) = wit_future::new(|| Ok(None));
                drop(trailers);
                Response::new(Fields::new(), Some(body(request)), no_trailers).0
            }
            "/stream" => respond(200, async |mut writer: StreamWriter<u8>| {
                for n in 1..=5 {
                    writer.write_all(format!("chunk {n}\n").into_bytes()).await;
                    wait(20).await;
                }
            }),
            "/drip" => respond(200, async |mut writer: StreamWriter<u8>| {
                while writer.write_all(vec![b'x'; 1024]).await.is_empty() {}
                print("the client left\n").await;
            }),
            "/after" => {
                spawn_local(async {
                    wait(50).await;
                    print("afterwards\n").await;
                });
                text("before\n")
            }
            "/wait-after" => {
                spawn_local(wait(3_600_000));
                text("before\n")
            }
            "/tail" => {
                spawn_local(async {
                    wait(20).await;
                    loop {
                        std::hint::black_box(0);
                    }
                });
                text("before\n")
            }
            "/log" => {
                print("out line\n").await;
                warn("err line\n").await;
                text("logged\n")
            }
            "/burn" => {
                let end = monotonic_clock::now() + number() * MS;
                while monotonic_clock::now() < end {}
                text("burnt")
            }
            "/loop" => loop {
                std::hint::black_box(0);
            },
            "/trap" => panic!("on purpose"),
            "/fill" => fill(),
            "/streams" => loop {
                std::mem::forget(wit_stream::new::<u8>());
            },
            "/tasks" => loop {
                let mut waiting = Box::pin(monotonic_clock::wait_for(3_600_000 * MS));
                let _ = std::future::poll_fn(|cx| std::task::Poll::Ready(waiting.as_mut().poll(cx).is_ready())).await;
                std::mem::forget(waiting);
            },
            "/error" => return Err(ErrorCode::InternalError(Some("on purpose".into()))),
            "/never" => std::future::pending().await,
            "/send" => {
                let (trailers, no_trailers) = wit_future::new(|| Ok(None));
                drop(trailers);
                let (request, _) = Request::new(Fields::new(), None, no_trailers, None);
                let _ = request.set_scheme(Some(&Scheme::Http));
                let _ = request.set_authority(Some("127.0.0.1:9"));
                let _ = request.set_path_with_query(Some("/"));
                match client::send(request).await {
                    Ok(response) => text(format!("status {}", response.get_status_code())),
                    Err(ErrorCode::HttpRequestDenied) => text("denied"),
                    Err(_) => text("failed"),
                }
            }
            _ => respond(404, async |mut writer: StreamWriter<u8>| {
                writer.write_all(b"no such path\n".to_vec()).await;
            }),
        })
    }
}
