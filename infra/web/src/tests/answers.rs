use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use tower::ServiceExt;

use super::server;

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

async fn ask(method: Method, uri: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(uri);
    if !headers.iter().any(|(name, _)| *name == "host") {
        request = request.header("host", "localhost");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let router = server().hosts(["Mill.example"]).into_router(true);
    let (parts, body) =
        router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap().into_parts();
    let body = String::from_utf8_lossy(&to_bytes(body, 1 << 22).await.unwrap()).into_owned();
    Answer { status: parts.status, headers: parts.headers, body }
}

async fn page(uri: &str) -> Answer {
    ask(Method::GET, uri, &[]).await
}

#[tokio::test]
async fn every_answer_has_the_headers() {
    let long = format!("/?q={}", "a".repeat(9000));
    let uris = [
        "/",
        "/panic",
        "/api/panic",
        "/a/b",
        "/only-post",
        "/gone",
        "/?q=%ff",
        &long,
        "/assets/style.css",
    ];
    let mut answers = Vec::new();
    for uri in uris {
        answers.push(page(uri).await);
    }
    answers.push(ask(Method::HEAD, "/", &[]).await);
    answers.push(ask(Method::GET, "/", &[("host", "evil.example")]).await);
    for answer in answers {
        let policy = answer.header("content-security-policy");
        assert!(
            policy.contains("frame-ancestors 'none'") && policy.contains("script-src 'self'"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "same-origin");
        assert!(!answer.header("cache-control").is_empty());
    }
}

#[tokio::test]
async fn pages_have_nothing_inline() {
    for uri in ["/", "/gone", "/nowhere/at/all"] {
        let body = page(uri).await.body;
        assert!(
            !body.contains("style=") && !body.contains("<style") && !body.contains("onclick"),
            "{body}"
        );
        let scripts = body.matches("<script").count();
        assert_eq!(scripts, body.matches("<script src=\"/assets/").count(), "{body}");
        assert_eq!(body.matches("<h1").count(), 1);
        for part in ["<main id=\"main\"", "<html lang=\"en\">", "href=\"#main\"", "<title>"] {
            assert!(body.contains(part), "{part} isn't in {body}");
        }
    }
}

#[tokio::test]
async fn errors_are_pages_that_say_what_to_do() {
    let long = format!("/?q={}", "a".repeat(9000));
    for (uri, status, what) in [
        (long.as_str(), 414, "longer than 8,192 bytes"),
        ("/?q=%ff", 400, "UTF-8"),
        ("/?q=%zz", 400, "percent sign"),
        ("/%00", 400, "control character"),
        ("/assets/../../etc/passwd", 400, "step upwards"),
        ("/assets/%2e%2e%2fsecret", 400, "step upwards"),
        ("/..%5c..%5csecret", 400, "step upwards"),
        ("/a/b", 404, "no such page"),
        ("/assets/nothing.css", 404, "no such page"),
        ("/only-post", 405, "used that way"),
        ("/panic", 500, "The page failed."),
        ("/gone", 410, "It was &lt;taken&gt; away."),
    ] {
        let answer = page(uri).await;
        assert_eq!(answer.status.as_u16(), status, "{uri}");
        assert!(answer.header("content-type").starts_with("text/html"), "{uri}");
        assert!(
            answer.body.contains(what) && answer.body.contains("<main"),
            "{uri}: {}",
            answer.body
        );
        assert!(!answer.body.contains("a bug"), "what panicked is for the log");
    }
}

#[tokio::test]
async fn programs_get_problem_documents() {
    for (uri, status, detail) in [
        ("/api/nothing", 404, "There is no such page."),
        ("/api/panic", 500, "The page failed."),
        ("/api/gone", 410, "It was taken away."),
        ("/api/x?q=%ff", 400, "The address isn't well formed"),
    ] {
        let answer = page(uri).await;
        assert_eq!(answer.header("content-type"), "application/problem+json", "{uri}");
        let problem: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(problem["status"], status);
        assert!(problem["detail"].as_str().unwrap().starts_with(detail), "{problem}");
        assert!(!problem["remedy"].as_str().unwrap().is_empty());
    }
    let asked = ask(Method::GET, "/gone", &[("accept", "application/json")]).await;
    assert_eq!(asked.header("content-type"), "application/problem+json");
}

#[tokio::test]
async fn a_foreign_name_is_refused_on_the_loopback() {
    for (host, status) in [
        ("localhost:9090", 200),
        ("127.0.0.1", 200),
        ("mill.example:80", 200),
        ("evil.example", 421),
        ("", 421),
    ] {
        let answer = ask(Method::GET, "/", &[("host", host)]).await;
        assert_eq!(answer.status.as_u16(), status, "{host}");
        assert_eq!(answer.body.contains("add the name to the hosts"), status == 421, "{host}");
    }
}

#[tokio::test]
async fn head_is_get_without_its_body() {
    let (head, get) = (ask(Method::HEAD, "/", &[]).await, page("/").await);
    assert_eq!((head.status, head.body.as_str()), (StatusCode::OK, ""));
    assert_eq!(head.header("content-type"), get.header("content-type"));
    assert_eq!(ask(Method::HEAD, "/a/b", &[]).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn pages_are_compressed_for_those_who_can_take_it() {
    let small = ask(Method::GET, "/", &[("accept-encoding", "gzip")]).await;
    assert_eq!(small.header("content-encoding"), "gzip");
    assert!(small.body.len() < page("/").await.body.len() / 2);
    assert_eq!(page("/").await.header("content-encoding"), "");
    let failed = ask(Method::GET, "/a/b", &[("accept-encoding", "gzip")]).await;
    assert_eq!((failed.status, failed.header("content-encoding")), (StatusCode::NOT_FOUND, "gzip"));
}

#[tokio::test]
async fn assets_are_kept_only_under_the_address_with_their_hash() {
    let all = &crate::assets::ASSETS;
    for asset in all {
        let answer = page(&asset.url()).await;
        assert_eq!(answer.header("cache-control"), "public, max-age=31536000, immutable");
        assert!(!answer.header("content-type").contains("octet-stream"), "{}", asset.url());
        let bare = asset.url().split('?').next().unwrap().to_owned();
        for other in [bare.clone(), format!("{bare}?v=0000000000000000")] {
            assert_eq!(page(&other).await.header("cache-control"), "no-cache", "{other}");
        }
    }
    assert!(page("/").await.body.contains(&all[0].url()));
}

#[tokio::test(start_paused = true)]
async fn what_takes_too_long_is_given_up() {
    let begun = tokio::time::Instant::now();
    let answer = page("/slow").await;
    assert_eq!(answer.status, StatusCode::GATEWAY_TIMEOUT);
    assert!(answer.body.contains("longer than 30 s"), "{}", answer.body);
    assert_eq!(begun.elapsed().as_secs(), 30);
}
