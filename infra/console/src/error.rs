use millstream_web::WebError;

/// Why the console can't be served. Trouble with the topics is no reason: it is shown on the pages.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    #[error("serve the console's pages: {0}")]
    Serve(#[from] WebError),
    #[error("ask where the console listens: {0}; start it again")]
    Address(#[from] std::io::Error),
}
