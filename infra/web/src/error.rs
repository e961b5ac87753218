use std::io;
use std::net::SocketAddr;

/// What can go wrong with a site as a whole.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    #[error("listen on {wanted}: {source}; free the port, or choose another address")]
    Bind {
        wanted: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error(
        "listen on {wanted} or one of the {tried} ports after it: all are taken; choose another address"
    )]
    AllTaken { wanted: SocketAddr, tried: u16 },
    #[error("serve pages: {0}")]
    Serve(#[source] io::Error),
    /// The chart isn't one of ours, or too large.
    #[error("draw a chart as PNG: {0}")]
    Draw(String),
}
