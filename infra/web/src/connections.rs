//! A listener that holds no more connections than it can bear, and drops those that have gone quiet or take too long
//! to ask.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// Connections at once; more wait in the system's queue.
const MOST: usize = 1024;
/// A connection on which nothing moves for so long is dropped; so is one that has begun to ask, and in that time
/// was answered nothing, however it dribbles on. Longer than the pause between two signs of life of an event stream,
/// and than a page may take.
const QUIET: Duration = Duration::from_secs(60);

pub(crate) struct Bounded {
    listener: TcpListener,
    room: Arc<Semaphore>,
}

impl Bounded {
    pub(crate) fn new(listener: TcpListener) -> Self {
        Self { listener, room: Arc::new(Semaphore::new(MOST)) }
    }
}

impl Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            let Ok(room) = self.room.clone().acquire_owned().await else {
                // The semaphore is never closed; were it, there would be nothing to accept.
                return std::future::pending().await;
            };
            // Axum's own loop: waits out faults such as too many open files.
            let (stream, from) = Listener::accept(&mut self.listener).await;
            if stream.set_nodelay(true).is_err() {
                continue; // it is gone already
            }
            return (Connection::new(stream, room), from);
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A stream with its place among the connections.
pub(crate) struct Connection {
    stream: TcpStream,
    quiet: Pin<Box<Sleep>>,
    /// Something was read since the last answer.
    asking: bool,
    _room: OwnedSemaphorePermit,
}

impl Connection {
    fn new(stream: TcpStream, room: OwnedSemaphorePermit) -> Self {
        Self { stream, quiet: Box::pin(sleep(QUIET)), asking: false, _room: room }
    }

    /// Passes on what an operation came to; an error once nothing has moved for too long.
    fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
        asking: bool,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            // What is read after what was read is the same request, which has had its time since it began.
            if !(self.asking && asking) {
                self.quiet.as_mut().reset(Instant::now() + QUIET);
            }
            self.asking = asking;
            return polled;
        }
        ready!(self.quiet.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.watch(cx, polled, true)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch(cx, polled, false)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Both ends of a connection.
    async fn connected() -> (TcpStream, Connection) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut bounded = Bounded::new(listener);
        let (client, (connection, _)) =
            tokio::join!(TcpStream::connect(address), Listener::accept(&mut bounded));
        (client.unwrap(), connection)
    }

    /// Sends a byte each 20 s, so many times; whether all of them are read. Answers each `answered`th.
    async fn dribble(times: usize, answered: usize) -> io::Result<()> {
        let (mut client, mut connection) = connected().await;
        for at in 1..=times {
            tokio::time::sleep(Duration::from_secs(20)).await;
            client.write_all(b"x").await?;
            connection.read_u8().await?;
            if at % answered == 0 {
                connection.write_all(b"y").await?;
            }
            // As the server does: it waits for more, and the clock runs.
            let _ = tokio::time::timeout(Duration::from_secs(1), connection.read_u8()).await;
        }
        match tokio::time::timeout(Duration::from_secs(1), connection.read_u8()).await {
            Ok(ended) => ended.map(|_| ()),
            Err(_) => Ok(()),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_dribbles_a_request_is_dropped_and_who_is_answered_is_not() {
        let dropped = dribble(5, 100).await.unwrap_err();
        assert_eq!(dropped.kind(), io::ErrorKind::TimedOut);
        dribble(9, 1).await.unwrap();
    }
}
