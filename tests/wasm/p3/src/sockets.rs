//! The service with sockets of its own.

use std::cell::RefCell;

use wit_bindgen::{StreamReader, spawn_local};

use crate::exports::wasi::http::handler::Guest as Handler;
use crate::wasi::http::types::{ErrorCode, Fields, Request, Response};
use crate::wasi::sockets::ip_name_lookup::resolve_addresses;
use crate::wasi::sockets::types::{
    ErrorCode as SocketError, IpAddress, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, TcpSocket, UdpSocket,
};
use crate::{Guest, whole, wit_future, wit_stream};

thread_local! {
    static KEPT: RefCell<Vec<StreamReader<u8>>> = const { RefCell::new(Vec::new()) };
}

fn text(text: String) -> Response {
    let (mut writer, body) = wit_stream::new();
    let (trailers, no_trailers) = wit_future::new(|| Ok(None));
    drop(trailers);
    spawn_local(async move {
        writer.write_all(text.into_bytes()).await;
    });
    Response::new(Fields::new(), Some(body), no_trailers).0
}

fn place(port: u16) -> IpSocketAddress {
    IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address: (127, 0, 0, 1) })
}

fn show(error: SocketError) -> String {
    match error {
        SocketError::Other(Some(why)) => why,
        SocketError::AccessDenied => "access-denied".to_owned(),
        SocketError::OutOfMemory => "out-of-memory".to_owned(),
        _ => "another error".to_owned(),
    }
}

/// A connection's stream, whose socket's handle is closed.
async fn stream(port: u16) -> Result<StreamReader<u8>, SocketError> {
    let socket = TcpSocket::create(IpAddressFamily::Ipv4)?;
    socket.connect(place(port)).await?;
    let (stream, end) = socket.receive();
    drop((end, socket));
    Ok(stream)
}

async fn many(number: &str, port: u16, keeps: bool) -> String {
    let mut last = "none".to_owned();
    let mut fine = 0;
    for _ in 0..number.parse().unwrap_or(0) {
        match stream(port).await {
            Ok(stream) if keeps => KEPT.with_borrow_mut(|kept| kept.push(stream)),
            Ok(stream) => drop(whole(stream).await),
            Err(error) => {
                last = show(error);
                continue;
            }
        }
        fine += 1;
    }
    format!("{fine} streams: {last}")
}

async fn hear(port: u16) -> Result<String, SocketError> {
    let socket = UdpSocket::create(IpAddressFamily::Ipv4)?;
    socket.send(b"ping".to_vec(), Some(place(port))).await?;
    let (heard, _) = socket.receive().await?;
    Ok(String::from_utf8_lossy(&heard).into_owned())
}

async fn look_up(name: &str) -> String {
    match resolve_addresses(name.to_owned()).await {
        Ok(addresses) => {
            let show = |address: &IpAddress| match address {
                IpAddress::Ipv4((a, b, c, d)) => format!("{a}.{b}.{c}.{d}"),
                IpAddress::Ipv6(_) => "IPv6".to_owned(),
            };
            addresses.iter().map(show).collect::<Vec<_>>().join(",")
        }
        Err(error) => format!("{error:?}"),
    }
}

impl Handler for Guest {
    async fn handle(asked: Request) -> Result<Response, ErrorCode> {
        let target = asked.get_path_with_query().unwrap_or_default();
        let parts: Vec<&str> = target.trim_start_matches('/').split('/').collect();
        let port = |text: &str| text.parse().unwrap_or(9);
        Ok(text(match parts[..] {
            ["streams", number, to] => many(number, port(to), true).await,
            ["turns", number, to] => many(number, port(to), false).await,
            ["look-up", name] => look_up(name).await,
            ["hear", to] => hear(port(to)).await.unwrap_or_else(show),
            _ => "no such path".to_owned(),
        }))
    }
}
