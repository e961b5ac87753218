//! The harness itself: what it is to find, it finds, and it leaves nothing behind.

#![cfg(test)]

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use axum::Router;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::routing::get;
use integration_tests::{Browser, Key, http};
use nix::sys::signal::kill;

const GOOD: &str = r#"<!doctype html><html lang="en"><head><title>Good</title><link rel="icon" href="data:,">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark"></head>
<body><main><h1>A page</h1><form><label>Name <input name="name"></label> <button>Go</button></form>
<p id="said">nothing</p><noscript><p id="without">no scripts</p></noscript><script src="/said.js"></script></main></body></html>"#;
const SAID: &str = "document.querySelector('input').addEventListener('keydown', e => {
    if (e.key == 'ArrowDown') setTimeout(() => document.querySelector('#said').textContent = 'down', 50);
});";
const BAD: &str = r#"<!doctype html><html><head><title>Bad</title></head>
<body><img src="/none.png" width="2000" height="10"><script>document.title = 'ran'</script></body></html>"#;

/// Serves the pages for as long as it lives.
struct Site(
    #[allow(dead_code, reason = "its end is the site's")] tokio::runtime::Runtime,
    SocketAddr,
);

fn site() -> Site {
    let page = |kind: &'static str, body: &'static str| {
        let headers = [(CONTENT_TYPE, kind), (CONTENT_SECURITY_POLICY, "script-src 'self'")];
        get(move || async move { (headers, body) })
    };
    let html = "text/html; charset=utf-8";
    let router = Router::new().route("/good", page(html, GOOD)).route("/bad", page(html, BAD));
    let router = router.route("/said.js", page("text/javascript", SAID));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(async move { axum::serve(listener, router).await });
    Site(runtime, address)
}

#[test]
fn a_page_is_used_and_judged() {
    let (site, browser) = (site(), Browser::new());
    let url = |path: &str| format!("http://{}{path}", site.1);

    browser.goto(&url("/good"));
    assert_eq!(browser.wait_for("#said"), "nothing");
    browser.type_into("input", "wheel");
    browser.press(Key::Down);
    assert_eq!(browser.wait_for_text("#said", |text| text != "nothing"), "down");
    browser.assert_sound_as_it_is("harness-good");
    browser.press(Key::Enter);
    browser.wait_for_url("?name=wheel");

    browser.switch_scripts(true);
    browser.goto(&url("/good"));
    browser.wait_for("#without");
    browser.type_into("input", "stone");
    browser.press(Key::Enter);
    browser.wait_for_url("?name=stone");
    browser.switch_scripts(false);

    browser.goto(&url("/bad"));
    let wrong = browser.wrong("harness-bad").join("\n");
    for part in ["image-alt", "html-has-lang", "px wide", "none.png", "Content Security Policy"] {
        assert!(wrong.contains(part), "{part:?} is missing: {wrong}");
    }
    assert_eq!(http::get(&url("/bad")).succeeds().text(), BAD);
    assert_eq!(http::get(&url("/none")).status, 404);
}

#[test]
fn nothing_is_left_of_a_browser_whose_test_fails() {
    let mut processes = Vec::new();
    let failed = catch_unwind(AssertUnwindSafe(|| {
        let browser = Browser::new();
        processes = browser.processes();
        browser.click("#nothing-of-that-name");
    }));
    assert!(failed.is_err());
    assert_eq!(processes.len(), 2);
    for process in processes {
        integration_tests::wait::until("it is gone", std::time::Duration::from_secs(10), || {
            kill(process, None).err().ok_or(format!("{process} is there"))
        });
    }
}
