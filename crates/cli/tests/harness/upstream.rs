//! A server for apps to ask, which answers as the test says, or misbehaves.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::DEADLINE;

/// A server on a free port of its own. Its threads end with their connections.
pub(crate) struct Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    accepted: AtomicUsize,
    open: AtomicUsize,
    asked: Mutex<Vec<String>>,
}

/// One request, and the connection that it came by.
pub(crate) struct Asked {
    /// The request line.
    pub(crate) line: String,
    pub(crate) fields: HashMap<String, String>,
    stream: BufReader<TcpStream>,
    /// Whether the connection goes on after this request.
    keeps: bool,
}

impl Upstream {
    /// Answers each request by `answer`, on the connection's own thread.
    pub(crate) fn new(answer: impl Fn(&mut Asked) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            accepted: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            asked: Mutex::default(),
        });
        let (own, answer) = (shared.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let (shared, answer) = (own.clone(), answer.clone());
                shared.accepted.fetch_add(1, Ordering::SeqCst);
                shared.open.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || {
                    stream.set_read_timeout(Some(DEADLINE)).unwrap();
                    let mut stream = Some(BufReader::new(stream));
                    while let Some(open) = stream.take() {
                        let Some(mut asked) = Asked::read(open) else { break };
                        shared.asked.lock().unwrap().push(asked.line.clone());
                        answer(&mut asked);
                        stream = asked.keeps.then_some(asked.stream);
                    }
                    drop(stream);
                    shared.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, shared }
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// How many connections there were.
    pub(crate) fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// How many connections there are.
    pub(crate) fn open(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// The request lines so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.shared.asked.lock().unwrap().clone()
    }
}

impl Asked {
    fn read(mut stream: BufReader<TcpStream>) -> Option<Self> {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let mut fields = HashMap::new();
        loop {
            let mut field = String::new();
            stream.read_line(&mut field).ok()?;
            let Some((name, value)) = field.trim_end().split_once(':') else { break };
            fields.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        Some(Self { line: line.trim_end().to_owned(), fields, stream, keeps: true })
    }

    pub(crate) fn path(&self) -> &str {
        self.line.split(' ').nth(1).unwrap_or_default()
    }

    pub(crate) fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    /// The port at the other end of the connection.
    pub(crate) fn from(&self) -> u16 {
        self.stream.get_ref().peer_addr().unwrap().port()
    }

    /// The next piece of the body: of a chunked one a chunk, none at the end.
    pub(crate) fn chunk(&mut self) -> Option<Vec<u8>> {
        let mut size = String::new();
        self.stream.read_line(&mut size).ok()?;
        let size = usize::from_str_radix(size.trim_end(), 16).ok()?;
        let mut chunk = vec![0; size + 2];
        self.stream.read_exact(&mut chunk).ok()?;
        chunk.truncate(size);
        (size > 0).then_some(chunk)
    }

    /// The whole body.
    pub(crate) fn body(&mut self) -> Vec<u8> {
        if self.field("transfer-encoding") == "chunked" {
            return std::iter::from_fn(|| self.chunk()).flatten().collect();
        }
        let mut body = vec![0; self.field("content-length").parse().unwrap_or(0)];
        self.stream.read_exact(&mut body).unwrap();
        body
    }

    /// Writes these bytes as they are. Gives whether somebody took them.
    pub(crate) fn write(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.get_mut().write_all(bytes.as_ref()).is_ok()
    }

    /// Answers with a status line's rest, fields, and a body of its length.
    pub(crate) fn reply(&mut self, status: &str, fields: &[&str], body: impl AsRef<[u8]>) {
        let mut head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n", body.as_ref().len());
        for field in fields {
            head.push_str(field);
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        self.write(head);
        if !self.line.starts_with("HEAD ") {
            self.write(body);
        }
    }

    /// The connection is closed after this.
    pub(crate) fn close(&mut self) {
        self.keeps = false;
    }

    /// Waits until the other side has closed the connection.
    pub(crate) fn await_close(&mut self) {
        self.close();
        let mut rest = Vec::new();
        let _ = self.stream.read_to_end(&mut rest);
    }
}
