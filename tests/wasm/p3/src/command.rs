//! The command.

use crate::exports::wasi::cli::run::Guest as Run;
use crate::wasi::cli::{environment, exit, stdin};
use crate::wasi::sockets::types::{
    ErrorCode as SocketError, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, TcpSocket,
};
use crate::{Guest, files, print, wait, warn, whole};

impl Run for Guest {
    async fn run() -> Result<(), ()> {
        let args = environment::get_arguments();
        let args: Vec<&str> = args.iter().skip(1).map(String::as_str).collect();
        match args[..] {
            ["args", ..] => print(format!("{args:?}\n")).await,
            ["env"] => {
                for (name, value) in environment::get_environment() {
                    print(format!("{name}={value}\n")).await;
                }
            }
            ["echo"] => {
                let (input, _) = stdin::read_via_stream();
                let text = String::from_utf8_lossy(&whole(input).await).into_owned();
                print(text).await;
                warn("echoed\n").await;
            }
            ["wait", ms] => wait(ms.parse().map_err(drop)?).await,
            ["fail"] => return Err(()),
            ["exit", code] => exit::exit_with_code(code.parse().map_err(drop)?),
            ["read", path] => print(files::read(path).await.unwrap_or_else(|why| why)).await,
            ["write", path, text] => {
                let written = files::write(path, text).await;
                print(written.err().unwrap_or_else(|| "written".to_owned())).await;
            }
            ["connect"] => {
                let outcome = match TcpSocket::create(IpAddressFamily::Ipv4) {
                    Ok(socket) => {
                        let address = Ipv4SocketAddress { port: 9, address: (127, 0, 0, 1) };
                        match socket.connect(IpSocketAddress::Ipv4(address)).await {
                            Ok(()) => "connected",
                            Err(SocketError::AccessDenied) => "connect: access-denied",
                            Err(_) => "connect: another error",
                        }
                    }
                    Err(SocketError::AccessDenied) => "create: access-denied",
                    Err(_) => "create: another error",
                };
                print(outcome.to_owned()).await;
            }
            ["loop"] => loop {
                std::hint::black_box(0);
            },
            ["trap"] => panic!("on purpose"),
            _ => {
                warn("no such subcommand\n").await;
                return Err(());
            }
        }
        Ok(())
    }
}
