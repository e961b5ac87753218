//! Pages as a program gets them: one request, one answer.

use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::{stack, wait};

/// What came back, whatever its status.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub bytes: Vec<u8>,
}

impl Answer {
    /// Panics unless the status is 200.
    #[track_caller]
    pub fn succeeds(self) -> Self {
        assert_eq!(self.status, 200, "{}", self.text());
        self
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        let text = self.text();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// A header's value; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }
}

/// Asks once. The error is for somebody who asks again: a program that isn't up yet refuses to connect.
pub fn try_get(url: &str) -> Result<Answer, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let asked = async {
        let client = reqwest::Client::builder().no_proxy().timeout(wait::LONG).build()?;
        let answer = client.get(url).send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Ok(Answer { status, headers, bytes: answer.bytes().await?.into() })
    };
    runtime.block_on(asked).map_err(|error: reqwest::Error| format!("{url}: {error:?}"))
}

#[track_caller]
pub fn get(url: &str) -> Answer {
    try_get(url).unwrap_or_else(|error| panic!("{error}"))
}

/// An address of this machine that nobody listens at, see [`stack::free_port`].
pub fn free_address() -> String {
    format!("127.0.0.1:{}", stack::free_port())
}
