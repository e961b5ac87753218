use std::sync::atomic::Ordering;

use axum::http::StatusCode;
use serde_json::json;

use super::{Stage, recalls, row};

/// One h1, and no heading that skips a level.
fn assert_outline(page: &str) {
    let levels: Vec<u32> = page
        .match_indices("<h")
        .filter_map(|(at, _)| page[at + 2..].chars().next()?.to_digit(10))
        .collect();
    assert_eq!(levels.iter().filter(|level| **level == 1).count(), 1, "{levels:?}");
    // A landmark beside the content may come first.
    let from = levels.iter().position(|level| *level == 1).unwrap_or_default();
    assert!(levels[from..].windows(2).all(|pair| pair[1] <= pair[0] + 1), "{levels:?}");
    for banned in ["<style", "style=\"", "onclick", "javascript:"] {
        assert!(!page.contains(banned), "{banned}");
    }
}

#[tokio::test]
async fn home_shows_figures_and_the_newest_and_asks_for_a_refresh_once() {
    let stage = Stage::with(recalls(30)).await;
    let home = stage.ok("/").await;
    assert_outline(&home);
    assert!(home.contains(r#"<a href="/search">30</a>"#), "{home}");
    assert!(home.contains(r#"<a href="/search?classification=Class+I">10</a>"#), "{home}");
    assert!(home.contains(r#"data-suggest="/api/v1/suggest""#));
    assert_eq!(home.matches("<article").count(), 10);
    stage.ok("/").await;
    assert_eq!(stage.refreshes.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn an_empty_site_says_what_to_do() {
    let stage = Stage::with(Vec::new()).await;
    let home = stage.ok("/").await;
    assert_outline(&home);
    assert!(home.contains("There are no recalls here yet"));
    assert!(stage.ok("/search").await.contains("Nothing was found"));
}

#[tokio::test]
async fn a_search_shows_hits_with_marks_facets_and_pages() {
    let stage = Stage::with(recalls(50)).await;
    let page = stage.ok("/search?q=pump").await;
    assert_outline(&page);
    assert!(page.contains("50 recalls for “pump”") && page.contains("<mark>pump</mark>"), "{page}");
    assert_eq!(page.matches("<article").count(), 20);
    assert!(
        page.contains(r#"href="/search?q=pump&amp;page=3""#) && !page.contains("page=4"),
        "{page}"
    );
    assert!(page.contains(r#"name="state" value="CA""#));
    assert!(
        page.contains(r#"href="/search.csv?q=pump""#)
            && page.contains(r#"href="/search.json?q=pump""#)
    );
    assert!(stage.ok("/search?q=pump&page=3").await.matches("<article").count() == 10);
}

#[tokio::test]
async fn facets_narrow_down_and_can_be_taken_away() {
    let stage = Stage::with(recalls(50)).await;
    let page = stage.ok("/search?classification=Class+I&state=CA").await;
    assert!(page.contains("8 recalls") && page.contains("Remove filter Class Class I"), "{page}");
    assert!(page.contains(r#"class="chip" href="/search?state=CA""#), "{page}");
    assert!(page.contains(r#"name="state" value="CA" checked"#), "{page}");
    // Its own filter doesn't hide a facet's other values.
    assert!(page.contains(r#"name="state" value="WA""#), "{page}");
}

#[tokio::test]
async fn one_search_has_one_address() {
    let stage = Stage::with(recalls(50)).await;
    for (asked, meant) in [
        ("/search?q=&classification=&sort=", "/search"),
        ("/search?state=CA&q=pump&utm=x", "/search?q=pump&state=CA"),
        ("/search?q=%20pump%20", "/search?q=pump"),
        ("/search?q=pump&page=9", "/search?q=pump&page=3"),
    ] {
        let answer = stage.get(asked).await;
        assert_eq!((answer.status, answer.location()), (StatusCode::SEE_OTHER, meant), "{asked}");
    }
}

#[tokio::test]
async fn a_search_in_vain_shows_ways_on() {
    let stage = Stage::with(recalls(9)).await;
    let page = stage.ok("/search?q=infusion+zebra&state=CA").await;
    assert_outline(&page);
    assert!(page.contains("Nothing was found"));
    assert!(page.contains("without “zebra”") && page.contains("4 recalls"), "{page}");
    let typo = stage.ok("/search?q=Bolt&year=1999").await;
    assert!(typo.contains("without year it began 1999"), "{typo}");
    assert!(
        typo.contains("Did you mean") && typo.contains("/search?recalling_firm=Bolt+%26+Sons"),
        "{typo}"
    );
}

#[tokio::test]
async fn a_recall_is_laid_out_with_its_relatives() {
    let stage = Stage::with(recalls(30)).await;
    let page = stage.ok("/recalls/Z-0003-2026").await;
    assert_outline(&page);
    for part in [
        "Infusion pump model 3",
        "It may cause serious harm or death.",
        "<dt>Begun</dt>",
        "2 January 2026",
        "Other recalls of this event",
        "/recalls/Z-0004-2026",
        "More recalls by this firm",
        "All 15 recalls",
        "/api/v1/recalls/Z-0003-2026",
        "The battery may leak.\nIt was found in tests.",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("N/A"));
}

#[tokio::test]
async fn a_recall_without_most_fields_is_a_page() {
    let stage = Stage::with(vec![row(json!({"recall_number": "Z/1 é", "status": null}))]).await;
    let page = stage.ok("/recalls/Z%2F1%20%C3%A9").await;
    assert_outline(&page);
    assert!(
        page.contains("Product not described") && page.contains("hasn&#39;t classified")
            || page.contains("hasn't classified")
    );
    assert!(stage.ok("/search").await.contains("/recalls/Z%2F1%20%C3%A9"));
}

#[tokio::test]
async fn a_number_that_is_not_there_leads_to_those_near_it() {
    let stage = Stage::with(recalls(30)).await;
    let answer = stage.get("/recalls/Z-0009-2025").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_outline(&answer.body);
    assert!(answer.body.contains("/recalls/Z-0009-2026"), "{}", answer.body);
    let answer = stage.get("/recalls/z-0009-2026").await;
    assert_eq!((answer.status, answer.location()), (StatusCode::SEE_OTHER, "/recalls/Z-0009-2026"));
    assert_eq!(
        stage.get(&format!("/recalls/{}", "x".repeat(101))).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn the_guide_names_everything_and_its_examples_work() {
    let stage = Stage::with(vec![row(json!({"recall_number": "Z-0056-2013"}))]).await;
    let page = stage.ok("/api").await;
    assert_outline(&page);
    for operation in crate::serve::openapi::OPERATIONS {
        assert!(page.contains(operation.path), "{}", operation.path);
        stage.ok(operation.example).await;
    }
}
