use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// Stands between workers and a server, and does to COMMIT, or to all that is under way, what it is told to.
#[derive(Clone)]
pub struct Proxy(Arc<State>);

struct State {
    address: String,
    server: String,
    fault: Mutex<Fault>,
    /// How often the fault was done.
    done: AtomicUsize,
    cut: Notify,
}

/// What is to be done to the next COMMIT; it happens once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// It is not done, and the connection breaks.
    LoseRequest,
    /// It is done, and the connection breaks without a reply.
    LoseReply,
    /// The connection breaks at once; the server gets it later, while it still holds the transaction.
    Late(Duration),
}

impl Proxy {
    /// `server`: host:port.
    pub async fn to(server: &str) -> Self {
        Self::at("127.0.0.1", server).await
    }

    /// Stands at some port of an address of this machine.
    pub async fn at(address: &str, server: &str) -> Self {
        let listener = TcpListener::bind((address, 0)).await.expect("listen");
        let address = listener.local_addr().expect("its address").to_string();
        let proxy = Self(Arc::new(State {
            address,
            server: server.to_owned(),
            fault: Mutex::new(Fault::None),
            done: AtomicUsize::new(0),
            cut: Notify::new(),
        }));
        let state = proxy.0.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let state = state.clone();
                // Connections break: that is what this is for.
                tokio::spawn(async move { state.serve(client).await.ok() });
            }
        });
        proxy
    }

    pub fn address(&self) -> &str {
        &self.0.address
    }

    /// Does it to the next COMMIT.
    pub fn next(&self, fault: Fault) {
        *self.0.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    pub fn done(&self) -> usize {
        self.0.done.load(Ordering::SeqCst)
    }

    /// Breaks every connection, wherever it is.
    pub fn cut(&self) {
        self.0.cut.notify_waiters();
    }
}

impl State {
    async fn serve(&self, client: TcpStream) -> std::io::Result<()> {
        let server = TcpStream::connect(&self.server).await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        tokio::select! {
            fault = self.watch(&mut from_client, &mut to_server) => {
                drop((from_client, to_client));
                match fault? {
                    Fault::LoseReply => {
                        // Its beginning is enough: the server has done what it was asked.
                        from_server.read_u8().await?;
                    }
                    Fault::Late(wait) => {
                        tokio::time::sleep(wait).await;
                        to_server.write_all(COMMIT).await?;
                        from_server.read_u8().await?;
                    }
                    Fault::None | Fault::LoseRequest => {}
                }
            }
            copied = tokio::io::copy(&mut from_server, &mut to_client) => drop(copied),
            () = self.cut.notified() => {}
        }
        Ok(())
    }

    /// Passes on what comes, until the client ends or a fault is due; COMMIT was passed on if the fault says so.
    async fn watch(
        &self,
        from: &mut OwnedReadHalf,
        to: &mut OwnedWriteHalf,
    ) -> std::io::Result<Fault> {
        let mut bytes = vec![0; 64 * 1024];
        loop {
            let read = from.read(&mut bytes).await?;
            if read == 0 {
                return Ok(Fault::None);
            }
            let fault = if &bytes[..read] == COMMIT { self.take() } else { Fault::None };
            match fault {
                Fault::None => to.write_all(&bytes[..read]).await?,
                Fault::LoseReply => {
                    to.write_all(&bytes[..read]).await?;
                    return Ok(fault);
                }
                Fault::LoseRequest | Fault::Late(_) => return Ok(fault),
            }
        }
    }

    fn take(&self) -> Fault {
        let mut fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = std::mem::replace(&mut *fault, Fault::None);
        if taken != Fault::None {
            self.done.fetch_add(1, Ordering::SeqCst);
        }
        taken
    }
}

/// The packet: its length, its number, COM_QUERY and the text.
const COMMIT: &[u8] = b"\x07\0\0\0\x03COMMIT";
