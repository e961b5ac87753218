//! Errors as pages that say what is wrong and what to do; as JSON for programs.

use std::any::Any;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use axum::http::{StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::shell::{Shell, error_page};

/// Bytes of a router's own error text that are passed on.
const LONGEST_TEXT: usize = 1 << 10;

/// Rides on a response: why it isn't what was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Explained {
    pub(crate) what: String,
    pub(crate) remedy: String,
}

/// Whether whoever asks would rather have JSON than a page: it asks below `/api`, or says so by `Accept`.
pub fn wants_json(uri: &Uri, headers: &HeaderMap) -> bool {
    let path = uri.path();
    if path == "/api" || path.starts_with("/api/") {
        return true;
    }
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    accept.contains("json") && !accept.contains("text/html")
}

/// An error without a page as yet: [`explain`] makes one of it.
pub(crate) fn answer(status: StatusCode, what: &str, remedy: &str) -> Response {
    let mut response = status.into_response();
    response
        .extensions_mut()
        .insert(Explained { what: what.to_owned(), remedy: remedy.to_owned() });
    response
}

pub(crate) fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    tracing::error!("a page panicked: {text}");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

/// Makes a useful page, or a problem document, of every error.
pub(crate) async fn explain(
    State(shell): State<Arc<Shell>>,
    request: Request,
    next: Next,
) -> Response {
    let as_json = wants_json(request.uri(), request.headers());
    let response = next.run(request).await;
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or_default().to_owned();
    let explained = response.extensions().get::<Explained>().cloned();
    let finished = kind.contains("json") || (kind.starts_with("text/html") && !as_json);
    if finished {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Explained { what, remedy } = match explained {
        Some(explained) => explained,
        None => unexplained(status, &kind, body).await,
    };
    let page = if as_json {
        problem(status, &what, &remedy)
    } else {
        error_page(&shell, status, &what, &remedy)
    };
    let (made, body) = page.into_parts();
    parts.headers.remove("content-length");
    parts.headers.extend(made.headers);
    parts.extensions.extend(made.extensions);
    Response::from_parts(parts, body)
}

async fn unexplained(status: StatusCode, kind: &str, body: Body) -> Explained {
    let text = if kind.starts_with("text/plain") {
        let bytes = to_bytes(body, LONGEST_TEXT).await.unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    } else {
        String::new()
    };
    let (what, remedy) = usual(status);
    Explained {
        what: if text.is_empty() { what.to_owned() } else { text },
        remedy: remedy.to_owned(),
    }
}

fn usual(status: StatusCode) -> (&'static str, &'static str) {
    match status {
        StatusCode::NOT_FOUND => {
            ("There is no such page.", "Check the address, or begin again from the start page.")
        }
        StatusCode::METHOD_NOT_ALLOWED => {
            ("This address can't be used that way.", "Open it as a page (GET).")
        }
        StatusCode::BAD_REQUEST => {
            ("The address or its query can't be understood.", "Begin again from the start page.")
        }
        StatusCode::GATEWAY_TIMEOUT => {
            ("The answer took longer than 30 s.", "Try again; if it stays so, look at the log.")
        }
        status if status.is_server_error() => (
            "The page failed.",
            "Try again; what happened is in the log of the process that serves it.",
        ),
        _ => ("The request was refused.", "Begin again from the start page."),
    }
}

/// RFC 9457.
fn problem(status: StatusCode, what: &str, remedy: &str) -> Response {
    let body = json!({
        "type": "about:blank",
        "title": status.canonical_reason().unwrap_or("error"),
        "status": status.as_u16(),
        "detail": what,
        "remedy": remedy,
    });
    let kind = HeaderValue::from_static("application/problem+json");
    (status, [(CONTENT_TYPE, kind)], body.to_string()).into_response()
}
