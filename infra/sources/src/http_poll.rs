use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::{Client, Response, StatusCode, Url};
use serde_json::Value;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::SourceError;
use crate::backoff::{Backoff, chain};
use crate::call_budget::CallBudget;
use crate::masking::{masked_url, without_secrets};
use crate::retry_after::retry_after;

const TIMEOUT: Duration = Duration::from_secs(10);
const BODY_BYTES: usize = 1 << 20;
/// Characters of an error answer that are shown.
const SHOWN: usize = 200;

/// JSON by HTTP GET: every URL once a round, in order; a round every so often.
///
/// A URL that answers 404 is left out from then on. What may pass (no connection, time-outs, 408, 429, 5xx)
/// is tried again until it works or the poll is stopped. Anything else is an error. Secrets in the query
/// are masked in every message.
#[derive(Debug)]
pub struct Poll {
    client: Client,
    urls: Vec<Target>,
    /// What is left to ask in this round: indices into `urls`.
    round: VecDeque<usize>,
    next_round: Instant,
    every: Duration,
    rounds_left: Option<u64>,
    budget: CallBudget,
    max_bytes: usize,
    remedy: String,
    stop: CancellationToken,
}

#[derive(Debug)]
struct Target {
    url: Url,
    gone: bool,
}

/// What one URL answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Which of the URLs, counted from 0.
    pub which: usize,
    /// The body as it came: valid JSON.
    pub body: Bytes,
    /// The same, parsed.
    pub json: Value,
}

/// How one call ended, short of an error.
enum Reply {
    Json(Bytes, Value),
    Missing,
    /// Worth another try, after so long if the server said so.
    Trouble {
        why: String,
        wait: Option<Duration>,
    },
}

impl Poll {
    /// A poll of one or more `http://` or `https://` URLs, a round each `every`. Nothing is asked before
    /// [`Poll::next`].
    pub fn new<U: AsRef<str>>(
        urls: impl IntoIterator<Item = U>,
        every: Duration,
        stop: CancellationToken,
    ) -> Result<Self, SourceError> {
        let urls =
            urls.into_iter().map(|url| parse(url.as_ref())).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            client: client(&urls, TIMEOUT)?,
            urls: urls.into_iter().map(|url| Target { url, gone: false }).collect(),
            round: VecDeque::new(),
            next_round: Instant::now(),
            every,
            rounds_left: None,
            budget: CallBudget::unlimited(),
            max_bytes: BODY_BYTES,
            remedy: "check the URL and its key".to_owned(),
            stop,
        })
    }

    /// Ends after so many rounds.
    pub fn rounds(mut self, rounds: u64) -> Self {
        self.rounds_left = Some(rounds);
        self
    }

    /// Calls, retries included, in any 60 seconds. Unlimited until set.
    pub fn calls_per_minute(mut self, calls: u32) -> Self {
        self.budget = CallBudget::per_minute(calls);
        self
    }

    /// How long one call may take, from connecting to the last byte. 10 s until set.
    pub fn timeout(mut self, timeout: Duration) -> Result<Self, SourceError> {
        let urls: Vec<_> = self.urls.iter().map(|target| target.url.clone()).collect();
        self.client = client(&urls, timeout)?;
        Ok(self)
    }

    /// The longest answer taken, in bytes. 1 MiB until set.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// What to do when the server refuses (400, 401, 403, …), as an imperative:
    /// "set OPENWEATHER_API_KEY to a valid key".
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }

    /// The next answer; waits for the next round if this one is through. `None`: stopped, or the last
    /// round is through.
    pub async fn next(&mut self) -> Result<Option<Answer>, SourceError> {
        loop {
            let Some(which) = self.round.pop_front() else {
                if self.begin_round().await? {
                    continue;
                }
                return Ok(None);
            };
            match self.ask(which).await? {
                Some(Reply::Json(body, json)) => return Ok(Some(Answer { which, body, json })),
                Some(_) => self.leave_out(which),
                None => return Ok(None),
            }
        }
    }

    /// `false`: there is none.
    async fn begin_round(&mut self) -> Result<bool, SourceError> {
        if self.stop.is_cancelled() || self.rounds_left == Some(0) {
            return Ok(false);
        }
        let left: VecDeque<_> = (0..self.urls.len()).filter(|&at| !self.urls[at].gone).collect();
        if left.is_empty() {
            let why = "every URL answered 404 Not Found";
            return Err(SourceError::refused("poll", why, &self.remedy));
        }
        if self.stop.run_until_cancelled(sleep_until(self.next_round)).await.is_none() {
            return Ok(false);
        }
        self.round = left;
        self.rounds_left = self.rounds_left.map(|left| left - 1);
        // A late round is not made up for by two in a row.
        self.next_round = (self.next_round + self.every).max(Instant::now());
        Ok(true)
    }

    fn leave_out(&mut self, which: usize) {
        let target = &mut self.urls[which];
        target.gone = true;
        warn!("{} answered 404 Not Found; it is left out from now on", masked_url(&target.url));
    }

    /// Asks until there is an answer. `None`: stopped.
    async fn ask(&mut self, which: usize) -> Result<Option<Reply>, SourceError> {
        let url = self.urls[which].url.clone();
        let doing = format!("GET {}", masked_url(&url));
        let mut backoff = Backoff::new();
        loop {
            let stop = self.stop.clone();
            let call = async {
                self.budget.take().await;
                self.call(&url, &doing).await
            };
            let Some(reply) = stop.run_until_cancelled(call).await else { return Ok(None) };
            let (why, wait) = match reply? {
                Reply::Trouble { why, wait } => (why, wait),
                reply => {
                    backoff.worked(&doing);
                    return Ok(Some(reply));
                }
            };
            let step = backoff.failed(&doing, &why);
            let pause = sleep(wait.unwrap_or(step).max(step));
            if self.stop.run_until_cancelled(pause).await.is_none() {
                return Ok(None);
            }
        }
    }

    async fn call(&self, url: &Url, doing: &str) -> Result<Reply, SourceError> {
        let response = match self.client.get(url.clone()).send().await {
            Ok(response) => response,
            Err(error) => return Ok(trouble(error)),
        };
        let status = response.status();
        let wait = retry_after(response.headers());
        let Some(body) = (match self.body(response).await {
            Ok(body) => body,
            Err(error) => return Ok(trouble(error)),
        }) else {
            let why = format!("the answer has more than {} bytes", self.max_bytes);
            return Err(SourceError::refused(doing, why, &self.remedy));
        };
        match status {
            _ if status.is_success() => match serde_json::from_slice(&body) {
                Ok(json) => Ok(Reply::Json(body, json)),
                Err(error) => {
                    let why = format!("the answer is not JSON ({error}): {}", shown(&body, url));
                    Err(SourceError::refused(doing, why, &self.remedy))
                }
            },
            StatusCode::NOT_FOUND => Ok(Reply::Missing),
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
                Ok(Reply::Trouble { why: refusal(status, &body, url), wait })
            }
            _ if status.is_server_error() => {
                Ok(Reply::Trouble { why: refusal(status, &body, url), wait })
            }
            _ => Err(SourceError::refused(doing, refusal(status, &body, url), &self.remedy)),
        }
    }

    /// `None`: it is too long.
    async fn body(&self, mut response: Response) -> reqwest::Result<Option<Bytes>> {
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await? {
            body.extend_from_slice(&chunk);
            if body.len() > self.max_bytes {
                return Ok(None);
            }
        }
        Ok(Some(body.freeze()))
    }
}

pub(crate) fn parse(url: &str) -> Result<Url, SourceError> {
    let refused = |why: String| {
        let doing = format!("poll {:?}", crate::masked(url));
        SourceError::refused(doing, why, "give a URL that begins with http:// or https://")
    };
    let parsed = Url::parse(url).map_err(|error| refused(error.to_string()))?;
    match parsed.scheme() {
        "http" | "https" => Ok(parsed),
        scheme => Err(refused(format!("{scheme}:// can't be polled"))),
    }
}

fn client(urls: &[Url], timeout: Duration) -> Result<Client, SourceError> {
    let mut client = Client::builder().timeout(timeout).user_agent("millstream");
    // A proxy of the environment is for the outside; it can't reach a server of this machine.
    if urls.iter().all(is_on_this_machine) {
        client = client.no_proxy();
    }
    client.build().map_err(|error| SourceError::unavailable("set up HTTP", error))
}

pub(crate) fn is_on_this_machine(url: &Url) -> bool {
    matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"))
}

/// The error's own text would show the URL with its secrets.
fn trouble(error: reqwest::Error) -> Reply {
    Reply::Trouble { why: chain(&error.without_url()), wait: None }
}

fn refusal(status: StatusCode, body: &[u8], url: &Url) -> String {
    format!("the server answered {status}: {}", shown(body, url))
}

/// The beginning of an answer, in one line.
fn shown(body: &[u8], url: &Url) -> String {
    let text = without_secrets(&String::from_utf8_lossy(body), url);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.is_empty() { "(nothing)".to_owned() } else { text.chars().take(SHOWN).collect() }
}

#[cfg(test)]
mod tests;
