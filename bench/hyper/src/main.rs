//! Answers what the benchmark's app answers, with hyper alone: `bare-hyper PORT [THREADS]`. Each thread has an event loop
//! of its own, and all accept from one socket, as an app's workers do. `/bytes/N` has N bytes, `/slow` takes 100 ms.
//!
//! `bare-hyper PORT 1 ORIGIN` passes all requests on to this port instead: each connection has one to the origin.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::SendRequest;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

type Answer = Response<BoxBody<Bytes, hyper::Error>>;

/// So many bytes, in pieces of 64 KB.
struct Zeros(u64);

static ZEROS: [u8; 65536] = [b'0'; 65536];

impl Body for Zeros {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.0.min(ZEROS.len() as u64);
        self.0 -= piece;
        Poll::Ready((piece > 0).then(|| Ok(Frame::data(Bytes::from_static(&ZEROS[..piece as usize])))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0)
    }
}

async fn answer(request: Request<Incoming>) -> Result<Answer, hyper::Error> {
    let path = request.uri().path();
    if path == "/slow" {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let body = match path.strip_prefix("/bytes/").and_then(|number| number.parse().ok()) {
        Some(number) => Zeros(number).map_err(|never| match never {}).boxed(),
        None => Full::new(Bytes::from(format!("Hello from {path}\n"))).map_err(|never| match never {}).boxed(),
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}

async fn connect(origin: u16) -> std::io::Result<SendRequest<Incoming>> {
    let stream = TcpStream::connect(("127.0.0.1", origin)).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(std::io::Error::other)?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn pass_on(request: Request<Incoming>, sender: &Mutex<SendRequest<Incoming>>) -> Result<Answer, hyper::Error> {
    let sent = {
        let mut sender = sender.lock().await;
        sender.ready().await?;
        sender.send_request(request)
    };
    Ok(sent.await?.map(BodyExt::boxed))
}

async fn serve(listener: std::net::TcpListener, origin: Option<u16>) -> std::io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let stream = TokioIo::new(stream);
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new());
            // A client that goes away ends its connection with an error, which concerns nobody.
            let _ = match origin {
                None => builder.serve_connection(stream, service_fn(answer)).await,
                Some(origin) => {
                    let Ok(sender) = connect(origin).await.map(Mutex::new) else { return };
                    builder.serve_connection(stream, service_fn(|request| pass_on(request, &sender))).await
                }
            };
        });
    }
}

fn event_loop(listener: std::net::TcpListener, origin: Option<u16>) -> std::io::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(serve(listener, origin))
}

fn main() -> std::io::Result<()> {
    let numbers: Result<Vec<u16>, _> = std::env::args().skip(1).map(|number| number.parse()).collect();
    let Some((&port, rest)) = numbers.as_deref().ok().and_then(<[u16]>::split_first) else {
        eprintln!("usage: bare-hyper PORT [THREADS [ORIGIN]]");
        std::process::exit(2);
    };
    let (threads, origin) = (rest.first().copied().unwrap_or(1), rest.get(1).copied());
    let listener = std::net::TcpListener::bind(("127.0.0.1", port))?;
    listener.set_nonblocking(true)?;
    for _ in 1..threads {
        let listener = listener.try_clone()?;
        std::thread::spawn(move || event_loop(listener, origin));
    }
    event_loop(listener, origin)
}
