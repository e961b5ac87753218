//! Connections to a server that break when told to: at any moment, between a request and its answer too.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub struct Proxy {
    address: SocketAddr,
    cuts: watch::Sender<u64>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    pub async fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (cuts, seen) = watch::channel(0);
        let accepting = tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let (server, mut seen) = (server.clone(), seen.clone());
                seen.mark_unchanged();
                tokio::spawn(async move {
                    let Ok(mut far) = TcpStream::connect(&server).await else { return };
                    // Whatever is under way when it is cut is lost: the request, or its answer.
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                        _ = seen.changed() => {}
                    }
                });
            }
        });
        Self { address, cuts, accepting }
    }

    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Breaks every connection, again and again, `every` milliseconds apart at random, until dropped.
    pub fn cut(&self, every: std::ops::Range<u64>) -> Cutting {
        let cuts = self.cuts.clone();
        let cutting = tokio::spawn(async move {
            loop {
                let pause = rand::random_range(every.clone());
                tokio::time::sleep(Duration::from_millis(pause)).await;
                cuts.send_modify(|cuts| *cuts += 1);
            }
        });
        Cutting { cutting, cuts: self.cuts.subscribe() }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

pub struct Cutting {
    cutting: JoinHandle<()>,
    cuts: watch::Receiver<u64>,
}

impl Cutting {
    pub fn count(&self) -> u64 {
        *self.cuts.borrow()
    }
}

impl Drop for Cutting {
    fn drop(&mut self) {
        self.cutting.abort();
    }
}
