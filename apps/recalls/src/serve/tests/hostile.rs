use axum::http::StatusCode;
use serde_json::{Map, Value};

use super::Stage;
use crate::event::FIELDS;

const SCRIPT: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>";
const FORMULA: &str = "=HYPERLINK(\"http://evil.example\",\"x\")";

fn filled(value: &str, number: &str) -> Map<String, Value> {
    let mut row: Map<String, Value> =
        FIELDS.iter().map(|name| ((*name).to_owned(), value.into())).collect();
    row.insert("recall_number".into(), number.into());
    row.insert("year".into(), value.into());
    row
}

fn assert_harmless(page: &str) {
    for trick in ["<script>alert", "<img", "\"'><"] {
        assert!(!page.contains(trick), "{trick}: {page}");
    }
}

#[tokio::test]
async fn markup_in_every_field_is_text_everywhere() {
    let stage = Stage::with(vec![filled(SCRIPT, SCRIPT), filled(SCRIPT, "Z-1")]).await;
    let own = "/recalls/%3Cscript%3Ealert%281%29%3C%2Fscript%3E%22%27%3E%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E";
    for path in [
        "/",
        "/search",
        "/search?q=script",
        "/search?q=nothing+%3Cscript%3E",
        "/recalls/Z-1",
        own,
        "/recalls/%3Cscript%3Ealert",
    ] {
        let page = stage.get(path).await;
        assert!(page.status == StatusCode::OK || path.ends_with("alert"), "{path}");
        assert!(
            page.body.contains("&lt;script&gt;") || page.body.contains("<mark>script"),
            "{path}: {}",
            page.body
        );
        assert_harmless(&page.body);
    }
    let answer = stage.get("/search").await;
    assert!(answer.header("content-security-policy").contains("script-src 'self';"));
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
}

#[tokio::test]
async fn formulas_in_every_field_are_neutral_in_csv_and_whole_in_json() {
    for start in ["=", "+", "-", "@", "\t", "\r"] {
        let trick = format!("{start}{FORMULA}");
        let stage = Stage::with(vec![filled(&trick, &trick)]).await;
        let text = stage.ok("/search.csv").await;
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let row = reader.records().next().expect("a row").expect("a row");
        assert_eq!(row.len(), FIELDS.len());
        assert!(row.iter().all(|cell| cell == format!("'{trick}")), "{row:?}");
        assert_eq!(stage.json("/search.json").await["results"][0]["city"], trick);
    }
}

#[tokio::test]
async fn requests_that_make_no_sense_get_a_page_that_helps() {
    let stage = Stage::with(vec![filled("x", "Z-1")]).await;
    let long = format!("/search?q={}", "x".repeat(513));
    let longer = format!("/search?q={}", "x".repeat(9_000));
    for (path, status) in [
        (long.as_str(), 400),
        (longer.as_str(), 414),
        ("/search?q=%ff", 400),
        ("/search?q=%zz", 400),
        ("/search?q=a&q=b", 400),
        ("/search?page=501", 400),
        ("/search?page=0", 400),
        ("/search?page=99999999999999999999999", 400),
        ("/search?sort=size", 400),
        ("/search.csv?year=x", 400),
        ("/events?since=x", 400),
        ("/recalls/%ff", 400),
        ("/recalls/..%2f..%2fetc%2fpasswd", 400),
        ("/%2e%2e/%2e%2e/etc/passwd", 400),
        ("/recalls/", 404),
        ("/assets/../mod.rs", 400),
        ("/assets/nothing.css", 404),
        ("/nothing", 404),
    ] {
        let answer = stage.get(path).await;
        assert_eq!(answer.status.as_u16(), status, "{path:.60}");
        assert!(answer.kind().starts_with("text/html"), "{path:.60}");
        assert!(answer.body.contains("<h1>") && answer.body.contains("href=\"/\""), "{path:.60}");
    }
    assert!(stage.get("/search?page=501").await.body.contains("exports"));
}
