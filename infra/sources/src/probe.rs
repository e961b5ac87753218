use std::time::Duration;

use reqwest::{Client, Url};

use crate::SourceError;
use crate::backoff::chain;
use crate::http_poll::{is_on_this_machine, parse};
use crate::masking::masked_url;

/// How long a feed may take to begin its answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether a URL answers with success, without reading what it answers. Tells the status.
pub async fn probe(url: &str) -> Result<String, SourceError> {
    let url = parse(url)?;
    let doing = format!("GET {}", masked_url(&url));
    let response = match ask(url).await {
        Ok(response) => response,
        Err(error) => {
            let why = chain(&error.without_url());
            return Err(SourceError::refused(doing, why, "check the URL and the network"));
        }
    };
    let status = response.status();
    if !status.is_success() {
        let why = format!("it answered {status}");
        return Err(SourceError::refused(doing, why, "check the URL and its key"));
    }
    Ok(format!("answers {status}"))
}

async fn ask(url: Url) -> reqwest::Result<reqwest::Response> {
    let mut client = Client::builder().timeout(PATIENCE).user_agent("millstream");
    // A proxy of the environment is for the outside; it can't reach a server of this machine.
    if is_on_this_machine(&url) {
        client = client.no_proxy();
    }
    client.build()?.get(url).send().await
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::http::StatusCode;
    use axum::routing::get;

    use super::probe;

    #[tokio::test]
    async fn tells_who_answers_and_who_does_not() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/good", get(|| async { "{}" }))
            .route("/bad", get(|| async { StatusCode::UNAUTHORIZED }));
        tokio::spawn(async { axum::serve(listener, router).await });
        assert_eq!(probe(&format!("http://{at}/good")).await.unwrap(), "answers 200 OK");
        let refused =
            probe(&format!("http://{at}/bad?appid=secret")).await.unwrap_err().to_string();
        assert!(refused.contains("401") && refused.contains("***"), "{refused}");
        assert!(!refused.contains("secret"), "{refused}");
        let closed = probe("http://127.0.0.1:1/").await.unwrap_err().to_string();
        assert!(closed.contains("GET http://127.0.0.1:1/"), "{closed}");
        assert!(probe("ftp://127.0.0.1/").await.is_err());
    }
}
