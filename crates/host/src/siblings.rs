//! How the first of several hosts asks the others how they fare.
//!
//! Each of the others has a listening Unix socket, which the supervisor makes before it forks, so that it outlives any
//! host. It has a random abstract name: no file is left behind, whatever ends the processes. Only processes of the same
//! user are answered. A question is one byte; the answer is its length in four bytes, the highest first, and a text.

use std::io;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// How long a host may take to answer. A worker that is busy may take a fifth of that, a host that is being started
/// anew about as long.
const WAIT: Duration = Duration::from_secs(1);
/// The longest answer, in bytes: some 6 KB for each of ten thousand apps.
const MAX_ANSWER: u32 = 64 << 20;
/// How many questions are answered at a time.
const MAX_OPEN: usize = 16;
/// After a failure to accept, the next attempt waits this long.
const BACK_OFF: Duration = Duration::from_millis(100);

/// Another host.
#[derive(Debug, Clone)]
pub(crate) struct Sibling {
    /// Its number.
    pub(crate) number: usize,
    /// Where it answers; an abstract name starts with a NUL.
    path: PathBuf,
}

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Question {
    /// Whether it serves.
    Readiness,
    /// Its page of metrics.
    Page,
}

impl Question {
    const ALL: [Self; 2] = [Self::Readiness, Self::Page];

    fn byte(self) -> u8 {
        match self {
            Self::Readiness => b'R',
            Self::Page => b'P',
        }
    }
}

impl Sibling {
    /// Makes the socket on which the host of this number is to answer.
    ///
    /// # Errors
    /// The system's.
    #[cfg(target_os = "linux")]
    pub(crate) fn make(number: usize) -> io::Result<(Self, UnixListener)> {
        use std::os::linux::net::SocketAddrExt;
        use std::os::unix::net::SocketAddr;
        let mut seed = [0; 16];
        rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty())?;
        let name = format!("nexus-{:032x}", u128::from_ne_bytes(seed));
        let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
        listener.set_nonblocking(true)?;
        Ok((Self { number, path: format!("\0{name}").into() }, listener))
    }

    /// Asks it; `None` if it does not answer in time, or not like a host.
    pub(crate) async fn ask(&self, question: Question) -> Option<String> {
        let answer = async {
            let mut stream = UnixStream::connect(&self.path).await.ok()?;
            stream.write_all(&[question.byte()]).await.ok()?;
            let length = stream.read_u32().await.ok().filter(|length| *length <= MAX_ANSWER)?;
            let mut text = Vec::new();
            stream.take(length.into()).read_to_end(&mut text).await.ok()?;
            String::from_utf8(text).ok().filter(|text| text.len() == length as usize)
        };
        tokio::time::timeout(WAIT, answer).await.ok()?
    }
}

/// Answers what is asked on this socket by `tell`, until `end` comes; within a `LocalSet`.
///
/// # Errors
/// The system's, at the beginning only.
pub(crate) async fn answer<F: Future<Output = String> + 'static>(
    socket: &UnixListener,
    mut end: oneshot::Receiver<()>,
    tell: impl Fn(Question) -> F + Clone + 'static,
) -> io::Result<()> {
    let socket = tokio::net::UnixListener::from_std(socket.try_clone()?)?;
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut end => break,
            accepted = socket.accept(), if open.len() < MAX_OPEN => match accepted {
                Ok((stream, _)) if is_of_same_user(&stream) => {
                    open.spawn_local(tokio::time::timeout(2 * WAIT, converse(stream, tell.clone())));
                }
                Ok(_) => {}
                Err(_) => tokio::time::sleep(BACK_OFF).await,
            },
            Some(_) = open.join_next() => {}
        }
    }
    // What was asked is answered still.
    while open.join_next().await.is_some() {}
    Ok(())
}

fn is_of_same_user(stream: &UnixStream) -> bool {
    let user = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == user)
}

async fn converse<F: Future<Output = String>>(
    mut stream: UnixStream,
    tell: impl Fn(Question) -> F,
) -> io::Result<()> {
    let byte = stream.read_u8().await?;
    let Some(question) = Question::ALL.into_iter().find(|question| question.byte() == byte) else {
        return Ok(());
    };
    let text = tell(question).await;
    stream.write_u32(u32::try_from(text.len()).unwrap_or(u32::MAX)).await?;
    stream.write_all(text.as_bytes()).await
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use tokio::task::LocalSet;

    /// Asks a sibling that does on its socket what `act` does.
    async fn ask(act: impl FnOnce(std::os::unix::net::UnixStream) + Send + 'static) -> Option<String> {
        let (sibling, listener) = Sibling::make(2).unwrap();
        let thread = std::thread::spawn(move || {
            listener.set_nonblocking(false).unwrap();
            let (mut stream, _) = listener.accept().unwrap();
            assert_eq!(stream.read(&mut [0; 8]).unwrap(), 1);
            act(stream);
        });
        let answer = sibling.ask(Question::Page).await;
        thread.join().unwrap();
        answer
    }

    #[tokio::test]
    async fn a_question_gets_its_answer_until_the_end() {
        LocalSet::new()
            .run_until(async {
                let (sibling, listener) = Sibling::make(2).unwrap();
                let (end, ended) = oneshot::channel();
                let answers = tokio::task::spawn_local(async move {
                    let tell = |question| async move { format!("{question:?}") };
                    answer(&listener, ended, tell).await
                });
                for _ in 0..3 {
                    for question in Question::ALL {
                        assert_eq!(sibling.ask(question).await, Some(format!("{question:?}")));
                    }
                }
                end.send(()).unwrap();
                answers.await.unwrap().unwrap();
                assert_eq!(sibling.ask(Question::Page).await, None, "nobody listens");
            })
            .await;
    }

    #[tokio::test]
    async fn what_is_no_whole_answer_is_none() {
        assert_eq!(ask(drop).await, None);
        assert_eq!(ask(|mut stream| stream.write_all(b"\0\0\0\x05abcd").unwrap()).await, None);
        assert_eq!(ask(|mut stream| stream.write_all(b"\0\0\0\x02\xff\xff").unwrap()).await, None);
        assert_eq!(
            ask(|mut stream| stream.write_all(b"\0\0\0\x02abcd").unwrap()).await.as_deref(),
            Some("ab")
        );
        let endless = |mut stream: std::os::unix::net::UnixStream| {
            while stream.write_all(&[0xff; 4096]).is_ok() {}
        };
        assert_eq!(ask(endless).await, None, "it is too long");
    }

    #[tokio::test]
    async fn who_does_not_answer_is_not_waited_for() {
        let (sibling, _listener) = Sibling::make(2).unwrap();
        assert_eq!(sibling.ask(Question::Readiness).await, None);
    }
}
