//! The recalls site in a real browser: the pages as somebody uses them, while the binaries of the app run.

#![cfg(test)]

use std::path::PathBuf;

use integration_tests::feed::{FORMULA, Feed, HOSTILE, SCRIPT};
use integration_tests::{Browser, Data, Key, Running, http, number, wait};
use serde_json::{Value, json};

const BOX: &str = "input[name=q]";
const OPTION: &str = "[role=listbox] [role=option]";
const CHOSEN: &str = "[role=listbox] [role=option][aria-selected=true]";
const HITS: &str = "article.recall";
/// Recalls of the feed that most tests have.
const COUNT: usize = 60;

/// The app at work on a data directory of its own.
struct Site {
    // In the order in which they end.
    _serve: Running,
    _process: Running,
    root: String,
    feed: PathBuf,
    data: Data,
}

impl Site {
    fn new() -> Self {
        let data =
            Data::new().with("RECALLS_CONSOLE__LISTEN", "").with("RECALLS_ROLL__EVERY_S", "0.2");
        let data = data.with("RECALLS_SERVE__REFRESH", "false");
        let process = data.start("recalls", &["process"]);
        let mut serve = data.start("recalls", &["serve", "--listen", "127.0.0.1:0"]);
        let root = format!("http://{}", serve.told_after("http://").trim_end_matches('/'));
        let feed = data.root().join("feed.zip");
        Self { _serve: serve, _process: process, root, feed, data }
    }

    /// With these recalls in it.
    fn of(feed: &Feed) -> Self {
        let site = Self::new();
        site.take(feed);
        site.wait_for_total(feed.records.len());
        site
    }

    /// Has the feed's new state produced.
    fn take(&self, feed: &Feed) {
        feed.write(&self.feed);
        let file = self.feed.to_str().unwrap();
        self.data.run("recalls", &["produce", "--once", "--file", file]).succeeds();
    }

    fn wait_for_total(&self, total: usize) {
        wait::until("all recalls can be found", wait::LONG, || {
            let answer = http::try_get(&self.url("/api/v1/recalls"))?;
            let found = serde_json::from_slice::<Value>(&answer.bytes).unwrap_or_default();
            if found["total"] == total { Ok(()) } else { Err(answer.text()) }
        });
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.root)
    }

    /// A browser that has a page open.
    fn open(&self, path: &str) -> Browser {
        let browser = Browser::new();
        browser.goto(&self.url(path));
        browser
    }
}

/// A mark on the open page, which is gone when the page is loaded anew.
fn mark(browser: &Browser) {
    browser.script("window.marked = true", Vec::new());
}

fn is_marked(browser: &Browser) -> bool {
    browser.script("return window.marked === true", Vec::new()) == json!(true)
}

/// Types into the search box and marks the first of the suggestions for all that was typed.
fn mark_suggestion(browser: &Browser, typed: &str) {
    browser.type_into(BOX, typed);
    // Keys may come slowly: then there are suggestions for the first ones, which go when the last answer comes.
    let script = "return performance.getEntriesByType('resource').some(
        entry => entry.name.endsWith('=' + encodeURIComponent(arguments[0])))";
    browser.wait_until("the answer for all of it has come", || {
        let has_come = browser.script(script, vec![json!(typed)]) == json!(true);
        if has_come { Ok(()) } else { Err(format!("{:?}", browser.texts(OPTION))) }
    });
    browser.wait_for(OPTION);
    browser.wait_until("one is marked", || {
        browser.press(Key::Down);
        browser.text(CHOSEN).ok_or_else(|| format!("{:?}", browser.texts(OPTION)))
    });
}

#[test]
fn a_recall_is_found_by_typing_and_read() {
    let site = Site::of(&Feed::of(COUNT));
    let browser = site.open("/");
    browser.wait_for_text(".stats dd", |text| text == COUNT.to_string());

    mark_suggestion(&browser, "Z-0007");
    assert!(browser.texts(OPTION).len() <= 8, "{:?}", browser.texts(OPTION));
    assert_eq!(browser.attribute(BOX, "role").as_deref(), Some("combobox"));
    assert_eq!(browser.attribute(BOX, "aria-expanded").as_deref(), Some("true"));
    browser.wait_for_text(CHOSEN, |text| text.contains("Z-0007-2023"));
    browser.press(Key::Enter);
    browser.wait_for_url("/recalls/Z-0007-2023");

    let page = browser.wait_for_text("main", |text| text.contains("Z-0007-2023"));
    for part in [
        "Infusion pump, model K-006",
        "Cook Medical",
        "before \"end of life\" is told; déjà vu",
        "Lot 00006",
    ] {
        assert!(page.contains(part), "{part:?} is missing: {page}");
    }
    // The other recall of the event, and more by the firm.
    browser.click("a[href='/recalls/Z-0008-2024']");
    browser.wait_for_url("/recalls/Z-0008-2024");
    browser.back();
    browser.wait_for_url("/recalls/Z-0007-2023");
    assert_eq!(browser.logged(), Vec::<String>::new());
}

#[test]
fn suggestions_can_be_left_and_slips_are_forgiven() {
    let site = Site::of(&Feed::of(COUNT));
    let browser = site.open("/search");
    mark_suggestion(&browser, "boston");
    browser.press(Key::Escape);
    browser.wait_until("the suggestions are closed", || {
        let expanded = browser.attribute(BOX, "aria-expanded");
        if expanded.as_deref() == Some("false") { Ok(()) } else { Err(format!("{expanded:?}")) }
    });

    browser.goto(&site.url("/search"));
    browser.type_into(BOX, "infusoin pupm");
    browser.press(Key::Enter);
    browser.wait_for_url("q=infusoin");
    let found = browser.wait_for(HITS);
    assert!(found.contains("Infusion pump"), "{found}");
}

#[test]
fn a_search_is_narrowed_down_and_taken_along() {
    let feed = Feed::of(COUNT).and_hostile();
    let site = Site::of(&feed);
    let browser = site.open("/search?q=pump");
    let all = browser.wait_for("h1");
    let expected = feed.records.iter().filter(|record| {
        let is = |name: &str, part: &str| record[name].as_str().unwrap().contains(part);
        is("product_description", "pump")
            && is("classification", "Class I")
            && record["classification"] == "Class I"
    });
    let expected: Vec<_> = expected.map(|record| record["recall_number"].clone()).collect();
    assert!(!expected.is_empty());

    browser.click("input[name=classification][value='Class I']");
    browser.wait_for_url("classification=Class+I");
    let narrowed = browser.wait_for_text("h1", |text| text != all);
    assert!(
        narrowed.contains(&expected.len().to_string()),
        "{narrowed} and not {}",
        expected.len()
    );
    let shown = browser.texts(".recall-number");
    assert_eq!(shown.len(), expected.len(), "{shown:?}");

    let json = site.url(&browser.attribute("a[href^='/search.json']", "href").unwrap());
    let json = http::get(&json).succeeds().json();
    let taken = rows(&json);
    let mut numbers: Vec<_> = taken.iter().map(|row| row["recall_number"].clone()).collect();
    numbers.sort_by_key(ToString::to_string);
    assert_eq!(numbers, sorted(expected.clone()));
    let csv = site.url(&browser.attribute("a[href^='/search.csv']", "href").unwrap());
    let csv = http::get(&csv).succeeds();
    assert!(csv.header("content-type").starts_with("text/csv"), "{csv:?}");
    assert!(csv.header("content-disposition").contains("attachment"), "{csv:?}");
    let text = csv.text();
    for number in &expected {
        assert_eq!(text.matches(number.as_str().unwrap()).count(), 1, "{number} in {text}");
    }

    let all = http::get(&site.url("/search.csv")).succeeds().text();
    assert!(all.contains(&format!("\"'{}\"", FORMULA.replace('"', "\"\""))), "{all:.4000}");
    assert!(!all.contains(",\"=") && !all.contains(",="), "{all:.4000}");
    assert!(all.contains("\r\n@SUM(A1)\t\"\"quoted\"\""), "{all:.4000}");
}

/// The exported recalls, wherever in the document they stand.
fn rows(json: &Value) -> &Vec<Value> {
    let inside = || json.as_object()?.values().find_map(Value::as_array);
    json.as_array().or_else(inside).expect("recalls")
}

fn sorted(mut values: Vec<Value>) -> Vec<Value> {
    values.sort_by_key(ToString::to_string);
    values
}

#[test]
fn pages_follow_the_feed_while_they_are_open() {
    let mut feed = Feed::of(COUNT);
    let site = Site::of(&feed);
    let (home, charts) = (site.open("/"), site.open("/analytics"));
    home.wait_for(".feed");
    charts.wait_for_text("#classification", |text| text.contains("Class III"));
    mark(&home);
    mark(&charts);

    for record in &mut feed.records[..10] {
        record["classification"] = json!("Class I");
    }
    let more = Feed::of(COUNT + 37).records.split_off(COUNT);
    feed.records.extend(more);
    site.take(&feed);

    charts.wait_for_text(".stats", |text| text.contains(&feed.records.len().to_string()));
    let class_one = feed.records.iter().filter(|record| record["classification"] == "Class I");
    let class_one = class_one.count().to_string();
    charts.wait_until("the chart has the new numbers", || {
        let drawn = charts.texts("#classification svg text");
        if drawn.contains(&class_one) { Ok(()) } else { Err(format!("{drawn:?}")) }
    });
    home.wait_for_text(".news", |text| text.contains("new recalls"));
    assert!(is_marked(&charts) && is_marked(&home), "loaded anew");
    home.click(".news a");
    home.wait_for_text(".stats dd", |text| text == feed.records.len().to_string());
    assert_eq!((home.logged(), charts.logged()), (Vec::new(), Vec::new()));

    let png = charts.attribute("a[href*='.png']", "href").expect("a picture to take along");
    let png = http::get(&site.url(&png)).succeeds();
    assert_eq!((png.header("content-type"), &png.bytes[..4]), ("image/png", &b"\x89PNG"[..]));
}

#[test]
fn a_broken_feed_is_told_and_the_last_good_data_stay() {
    let feed = Feed::of(COUNT);
    let site = Site::of(&feed);
    let browser = site.open("/");
    browser.wait_for_text(".stats dd", |text| text == COUNT.to_string());
    mark(&browser);

    let whole = std::fs::read(&site.feed).unwrap();
    std::fs::write(&site.feed, &whole[..whole.len() / 2]).unwrap();
    let file = site.feed.to_str().unwrap();
    let failed = site.data.run("recalls", &["produce", "--once", "--file", file]);
    failed.fails_with(&["feed.zip"]);
    let told =
        browser.wait_for_text(".site-state", |text| text.contains("The last refresh failed"));
    assert!(told.contains("last good data"), "{told}");
    assert!(is_marked(&browser), "loaded anew");
    browser.goto(&site.url("/search"));
    assert!(browser.wait_for("h1").contains(&COUNT.to_string()));
    browser.assert_sound("site-trouble");

    site.take(&feed);
    browser.wait_for_text(".site-state", |text| !text.contains("failed"));
}

#[test]
fn every_page_is_sound_in_every_look() {
    let site = Site::of(&Feed::of(COUNT).and_hostile());
    let browser = site.open("/");
    let pages = [
        ("home", "/"),
        ("search", "/search?q=pump"),
        ("recall", "/recalls/Z-0007-2023"),
        ("analytics", "/analytics"),
        ("api", "/api"),
        ("nothing-found", "/search?q=xylophone&state=CA"),
    ];
    for (name, path) in pages {
        browser.goto(&site.url(path));
        browser.wait_for("h1");
        browser.assert_sound(&format!("site-{name}"));
    }
    for (name, path) in
        [("missing", "/recalls/Z-0007-2"), ("refused", "/search?page=0"), ("lost", "/nowhere")]
    {
        browser.goto(&site.url(path));
        let wrong = browser.wrong(&format!("site-{name}"));
        // The browser logs that the page itself isn't a 200.
        let wrong: Vec<_> =
            wrong.iter().filter(|line| !line.contains("the server responded with")).collect();
        assert!(wrong.is_empty(), "{path}: {wrong:#?}");
        assert!(
            browser.texts("main a").len() + browser.texts("header a").len() > 1,
            "a dead end: {path}"
        );
    }
}

#[test]
fn suggestions_are_sound_while_they_are_open() {
    let site = Site::of(&Feed::of(COUNT).and_hostile());
    let browser = site.open("/");
    mark_suggestion(&browser, "pump");
    browser.assert_sound_as_it_is("site-suggestions");
}

#[test]
fn an_empty_site_says_what_to_do() {
    let site = Site::new();
    let browser = site.open("/");
    browser.wait_for_text("main", |text| text.contains("no recalls here yet"));
    browser.assert_sound("site-empty");
    browser.goto(&site.url("/analytics"));
    browser.wait_for("h1");
    browser.assert_sound("site-empty-analytics");
}

#[test]
fn everything_works_without_scripts() {
    let site = Site::of(&Feed::of(COUNT));
    let browser = Browser::new();
    browser.switch_scripts(true);
    browser.goto(&site.url("/"));
    browser.type_into(BOX, "glucose meter");
    browser.press(Key::Enter);
    browser.wait_for_url("/search?q=glucose");
    browser.click("input[name=classification][value='Class I']");
    browser.click(".apply");
    browser.wait_for_url("classification=Class+I");
    let narrowed = browser.count(HITS);
    browser.click(".chips a[href]");
    browser.wait_until("the filter is gone", || {
        let (url, hits) = (browser.url(), browser.count(HITS));
        if hits > narrowed && !url.contains("classification") {
            Ok(())
        } else {
            Err(format!("{hits} at {url}"))
        }
    });
    browser.click(".recall-title a");
    browser.wait_for_url("/recalls/Z-");
    assert!(browser.page().contains("Glucose meter"));
    browser.goto(&site.url("/analytics"));
    assert!(browser.wait_for("main").contains("Class III"));
    assert!(browser.count("main svg") > 0, "charts are there without scripts");
}

#[test]
fn what_is_hostile_is_shown_as_text() {
    let site = Site::of(&Feed::of(3).and_hostile());
    let browser = site.open(&format!("/recalls/{HOSTILE}"));
    let page = browser.wait_for_text("main", |text| text.contains(HOSTILE));
    assert!(page.contains(SCRIPT) && page.contains(FORMULA), "{page}");
    for path in ["/", "/search", "/analytics"] {
        browser.goto(&site.url(path));
        browser.wait_for_text("main", |text| text.contains("<script>"));
        assert_harmless(&browser);
    }
    browser.goto(&site.url("/"));
    browser.type_into(BOX, "script");
    browser.wait_for_text(OPTION, |text| text.contains('<'));
    assert_harmless(&browser);
    browser.press(Key::Enter);
    browser.wait_for_url("q=");
    assert_harmless(&browser);
    let asked = "/search?q=%22%3E%3Cscript%3Ewindow.hacked%3D1%3C%2Fscript%3E";
    browser.goto(&site.url(asked));
    assert!(
        browser
            .script("return document.querySelector('input[name=q]').value", vec![])
            .to_string()
            .contains("<script>")
    );
    assert_harmless(&browser);

    let number =
        number(&http::get(&site.url("/api/v1/recalls?q=script")).succeeds().json(), "total");
    assert_eq!(number, 1);
}

/// Nothing of the hostile record has become a part of the page, or run.
#[track_caller]
fn assert_harmless(browser: &Browser) {
    assert_eq!(
        browser.script("return window.hacked ?? null", Vec::new()),
        Value::Null,
        "{}",
        browser.url()
    );
    assert_eq!(browser.count("img[src=x], svg[onload], main script"), 0, "{}", browser.url());
    assert_eq!(browser.logged(), Vec::<String>::new(), "{}", browser.url());
}
