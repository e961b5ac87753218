use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;

use integration_tests::stack;

/// Between two drops of a way that drips.
const DROP_EVERY: Duration = Duration::from_millis(100);

/// A TCP connection's way to a server, which behaves as it is told to.
#[derive(Clone)]
pub struct Wire(Arc<State>);

struct State {
    port: u16,
    server: Mutex<String>,
    way: watch::Sender<Way>,
    cuts: watch::Sender<u64>,
}

/// How bytes get to the other side, from now on, also on connections that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Open,
    /// So much later, in each direction.
    Late(Duration),
    /// Half-open: connections and bytes are taken, and nothing comes of it.
    Silent,
    /// So many bytes each second, in each direction.
    Drip(usize),
}

impl Wire {
    /// `server`: host:port, which may be told later.
    pub fn to(server: &str) -> Self {
        stack::block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("listen");
            let state = Arc::new(State {
                port: listener.local_addr().expect("its address").port(),
                server: Mutex::new(server.to_owned()),
                way: watch::Sender::new(Way::Open),
                cuts: watch::Sender::new(0),
            });
            let wire = Self(state.clone());
            tokio::spawn(async move {
                while let Ok((client, _)) = listener.accept().await {
                    let state = state.clone();
                    // Connections break: that is what this is for.
                    tokio::spawn(async move { state.serve(client).await.ok() });
                }
            });
            wire
        })
    }

    pub fn port(&self) -> u16 {
        self.0.port
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.0.port)
    }

    /// Where new connections lead.
    pub fn lead_to(&self, server: &str) {
        *self.0.server.lock().unwrap_or_else(PoisonError::into_inner) = server.to_owned();
    }

    pub fn be(&self, way: Way) {
        self.0.way.send_replace(way);
    }

    /// Resets every connection, on both sides, wherever it is.
    pub fn reset(&self) {
        self.0.cuts.send_modify(|cuts| *cuts += 1);
    }
}

impl State {
    async fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        let mut cut = self.cuts.subscribe();
        let reached = tokio::select! {
            reached = self.reach() => Some(reached?),
            _ = cut.changed() => None,
        };
        let Some(mut server) = reached else { return client.set_zero_linger() };
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let was_cut = {
            let (from_client, to_client) = client.split();
            let (from_server, to_server) = server.split();
            let passed = async {
                tokio::join!(self.pass(from_client, to_server), self.pass(from_server, to_client))
            };
            tokio::select! {
                _ = passed => false,
                _ = cut.changed() => true,
            }
        };
        if was_cut {
            client.set_zero_linger()?;
            server.set_zero_linger()?;
        }
        Ok(())
    }

    /// A half-open way has nobody at its end.
    async fn reach(&self) -> io::Result<TcpStream> {
        self.heard().await;
        let server = self.server.lock().unwrap_or_else(PoisonError::into_inner).clone();
        TcpStream::connect(server).await
    }

    async fn heard(&self) {
        let mut way = self.way.subscribe();
        // It lives as long as we.
        let _ = way.wait_for(|way| *way != Way::Silent).await;
    }

    async fn pass(
        &self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
    ) -> io::Result<()> {
        let mut bytes = vec![0; 64 << 10];
        loop {
            let read = from.read(&mut bytes).await?;
            if read == 0 {
                return to.shutdown().await;
            }
            self.deliver(&bytes[..read], &mut to).await?;
        }
    }

    async fn deliver(
        &self,
        mut bytes: &[u8],
        to: &mut (impl AsyncWrite + Unpin),
    ) -> io::Result<()> {
        while !bytes.is_empty() {
            let way = *self.way.borrow();
            match way {
                Way::Open => return to.write_all(bytes).await,
                Way::Late(by) => {
                    sleep(by).await;
                    return to.write_all(bytes).await;
                }
                Way::Silent => self.heard().await,
                Way::Drip(a_second) => {
                    sleep(DROP_EVERY).await;
                    let (now, later) = bytes.split_at((a_second / 10).clamp(1, bytes.len()));
                    to.write_all(now).await?;
                    bytes = later;
                }
            }
        }
        Ok(())
    }
}
