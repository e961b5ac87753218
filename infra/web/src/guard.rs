//! What is turned away before any route sees it.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::HOST;
use axum::http::{StatusCode, Uri};
use axum::middleware::Next;
use axum::response::Response;
use percent_encoding::percent_decode_str;

use crate::explain;

/// Bytes of path and query together: a long search text fits many times.
const LONGEST_URI: usize = 8 << 10;

/// Who may ask.
#[derive(Debug)]
pub(crate) struct Guard {
    /// Only the loopback is listened on: another host name means that a foreign page had its name resolved
    /// to this machine (DNS rebinding).
    pub(crate) local: bool,
    pub(crate) hosts: Vec<String>,
    /// Whether the site lets its hosts be set.
    pub(crate) can_be_set: bool,
}

pub(crate) async fn check(
    State(guard): State<Arc<Guard>>,
    request: Request,
    next: Next,
) -> Response {
    match guard.refusal(&request) {
        Some((status, what, remedy)) => explain::answer(status, what, remedy),
        None => next.run(request).await,
    }
}

type Refusal = (StatusCode, &'static str, &'static str);

impl Guard {
    fn refusal(&self, request: &Request) -> Option<Refusal> {
        let uri = request.uri();
        if uri.path().len() + uri.query().map_or(0, str::len) > LONGEST_URI {
            return Some((
                StatusCode::URI_TOO_LONG,
                "The address is longer than 8,192 bytes.",
                "Shorten the search text or choose fewer filters.",
            ));
        }
        if !is_well_formed(uri) {
            return Some((
                StatusCode::BAD_REQUEST,
                "The address isn't well formed: a percent sign without its two digits, bytes that aren't \
                 UTF-8, a control character, or a step upwards.",
                "Begin again from the start page.",
            ));
        }
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
        let host = host.or_else(|| uri.host()).unwrap_or_default();
        if !self.admits(host) {
            return Some((
                StatusCode::MISDIRECTED_REQUEST,
                "This site answers on this machine only, and was asked for under another name.",
                if self.can_be_set {
                    "Ask for localhost or 127.0.0.1, or add the name to the hosts in the settings."
                } else {
                    "Ask for localhost or 127.0.0.1; from another machine, forward the port to your own \
                     with ssh -L and ask for localhost there."
                },
            ));
        }
        None
    }

    fn admits(&self, host: &str) -> bool {
        if !self.local && self.hosts.is_empty() {
            return true;
        }
        let name = without_port(host).to_ascii_lowercase();
        let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        name == "localhost"
            || address.is_ok_and(|address| address.is_loopback())
            || self.hosts.contains(&name)
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // The colons of an address in brackets aren't a port's.
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

fn is_well_formed(uri: &Uri) -> bool {
    let decodes = |text: &str| {
        let bytes = text.as_bytes();
        let digits = |at: usize| {
            bytes.get(at..at + 2).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit))
        };
        let signs = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'%');
        if !signs.into_iter().all(|(at, _)| digits(at + 1)) {
            return None;
        }
        percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
    };
    let path = decodes(uri.path());
    let path_fine = path.is_some_and(|path| {
        !path.chars().any(char::is_control) && !path.split(['/', '\\']).any(|step| step == "..")
    });
    // A line break in a search text is odd, not wrong; a null is never meant.
    path_fine && decodes(uri.query().unwrap_or_default()).is_some_and(|query| !query.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_this_machine_are_admitted_with_any_port() {
        let guard = Guard { local: true, hosts: vec!["mill.example".into()], can_be_set: true };
        for host in [
            "localhost",
            "LOCALHOST:9090",
            "127.0.0.1:80",
            "127.8.0.1",
            "[::1]:9090",
            "[::1]",
            "mill.example:1",
        ] {
            assert!(guard.admits(host), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example:9090",
            "",
            "10.0.0.1:9090",
            "127.0.0.1.evil.example",
        ] {
            assert!(!guard.admits(host), "{host}");
        }
        assert!(!Guard { local: false, ..guard }.admits("any.example"));
        assert!(Guard { local: false, hosts: vec![], can_be_set: true }.admits("any.example"));
    }

    #[test]
    fn addresses_that_mean_nothing_are_refused() {
        let fine = ["/", "/a%20b?q=%C3%A9", "/search?q=a..b&x=%0A", "/a..b", "/%E2%82%AC"];
        for text in fine {
            assert!(is_well_formed(&text.parse().unwrap()), "{text}");
        }
        let odd = [
            "/%",
            "/%2",
            "/%zz",
            "/?q=%ff",
            "/%c3",
            "/a%00b",
            "/?q=%00",
            "/../etc",
            "/%2e%2e/etc",
            "/a/%2E.%5Cb",
        ];
        for text in odd {
            assert!(!is_well_formed(&text.parse().unwrap()), "{text}");
        }
    }
}
