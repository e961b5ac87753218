use axum::http::StatusCode;
use futures::StreamExt;
use serde_json::{Value, json};

use super::{Stage, recalls};
use crate::event;
use crate::serve::openapi::OPERATIONS;
use crate::serve::record::FIELDS;

fn names(of: &Value) -> Vec<&str> {
    of.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[test]
fn fields_are_those_of_the_topic() {
    assert_eq!(FIELDS.map(|(name, ..)| name), event::FIELDS);
}

#[tokio::test]
async fn recalls_come_in_pages_that_lead_on() {
    let stage = Stage::with(recalls(50)).await;
    let mut next = "/api/v1/recalls?q=pump&classification=Class+I&limit=7&sort=oldest".to_owned();
    let mut numbers = Vec::new();
    loop {
        let page = stage.json(&next).await;
        assert_eq!(page["total"], 17);
        let results = page["results"].as_array().expect("results");
        numbers.extend(results.iter().map(|recall| recall["recall_number"].to_string()));
        let Some(more) = page["next"].as_str() else { break };
        next = more.to_owned();
    }
    numbers.sort();
    numbers.dedup();
    assert_eq!(numbers.len(), 17);
    assert_eq!(stage.json("/api/v1/recalls?limit=0").await["results"], json!([]));
}

#[tokio::test]
async fn one_recall_has_all_fields_and_no_others() {
    let stage = Stage::with(recalls(3)).await;
    let recall = stage.json("/api/v1/recalls/Z-0001-2026").await;
    let mut fields = event::FIELDS.to_vec();
    fields.sort_unstable();
    assert_eq!(names(&recall), fields);
    assert_eq!((&recall["address_2"], &recall["state"]), (&Value::Null, &json!("CA")));
}

#[tokio::test]
async fn what_is_wrong_is_a_problem_document() {
    let stage = Stage::with(recalls(3)).await;
    for (path, status, part) in [
        ("/api/v1/recalls?per_page=1", 400, "limit, offset"),
        ("/api/v1/recalls?limit=101", 400, "from 0 to 100"),
        ("/api/v1/recalls?offset=10001", 400, "export"),
        ("/api/v1/recalls?classification=Class+IV", 400, "Class I, Class II"),
        ("/api/v1/recalls?q=%ff", 400, "UTF-8"),
        ("/api/v1/recalls/Z-9", 404, "suggest"),
        ("/api/v1/suggest?text=x", 400, "are q"),
        ("/api/v1/feed?x=1", 400, "without parameters"),
        ("/api/v1/nothing", 404, "no such page"),
    ] {
        let answer = stage.get(path).await;
        assert_eq!(answer.status.as_u16(), status, "{path}");
        assert_eq!(answer.kind(), "application/problem+json", "{path}");
        assert!(answer.body.contains(part), "{path}: {}", answer.body);
    }
}

#[tokio::test]
async fn suggestions_lead_to_the_recall_or_to_the_search() {
    let stage = Stage::with(recalls(30)).await;
    let found = stage.json("/api/v1/suggest?q=acme").await;
    let firm = json!({"text": "Acme Pumps, Inc.", "label": "firm", "rows": 15, "url": "/search?recalling_firm=Acme+Pumps%2C+Inc."});
    assert_eq!(found["suggestions"], json!([firm]));
    let found = stage.json("/api/v1/suggest?q=z-0007").await;
    assert_eq!(found["suggestions"][0]["url"], "/recalls/Z-0007-2026");
    assert_eq!(found["suggestions"][0]["label"], "recall number");
    let many = stage.json("/api/v1/suggest?q=infusion").await;
    assert_eq!(many["suggestions"].as_array().map(Vec::len), Some(8));
    assert_eq!(stage.json("/api/v1/suggest?q=").await, json!({"suggestions": []}));
    let url = firm["url"].as_str().expect("a url");
    assert!(stage.ok(url).await.contains("15 recalls"));
}

#[tokio::test]
async fn the_document_tells_what_is_there_and_nothing_else() {
    let stage = Stage::with(recalls(3)).await;
    let document = stage.json("/api/v1/openapi.json").await;
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(names(&document["paths"]).len(), OPERATIONS.len());
    for (path, item) in document["paths"].as_object().expect("paths") {
        let path = path.replace("{number}", "Z-0001-2026");
        let answer = stage.ok(&path).await;
        assert!(!answer.is_empty());
        for parameter in item["get"]["parameters"].as_array().expect("parameters") {
            if parameter["in"] == "path" {
                assert!(
                    parameter["required"] == true && item["get"]["responses"]["404"].is_object()
                );
                continue;
            }
            let schema = &parameter["schema"];
            let schema = if schema["type"] == "array" { &schema["items"] } else { schema };
            let value = match (&schema["enum"][0], &schema["minimum"], &schema["pattern"]) {
                (Value::String(value), ..) => value.replace(' ', "+"),
                (_, Value::Number(least), _) => least.to_string(),
                (_, _, Value::String(_)) => "2026".to_owned(),
                _ => "x".to_owned(),
            };
            let name = parameter["name"].as_str().expect("a name");
            stage.ok(&format!("{path}?{name}={value}")).await;
            if let Some(most) = schema["maximum"].as_u64() {
                stage.ok(&format!("{path}?{name}={most}")).await;
                let over = stage.get(&format!("{path}?{name}={}", most + 1)).await;
                assert_eq!(over.status, StatusCode::BAD_REQUEST);
            }
        }
    }
    let recall = &document["components"]["schemas"]["Recall"]["properties"];
    assert_eq!(names(recall), names(&stage.json("/api/v1/recalls/Z-0001-2026").await));
}

#[tokio::test]
async fn every_parameter_that_is_read_is_in_the_document() {
    let stage = Stage::with(recalls(3)).await;
    let document = stage.json("/api/v1/openapi.json").await;
    let parameters =
        document["paths"]["/api/v1/recalls"]["get"]["parameters"].as_array().expect("parameters");
    let told: Vec<&str> =
        parameters.iter().filter_map(|parameter| parameter["name"].as_str()).collect();
    let asked = crate::serve::asked::Facet::ALL.map(crate::serve::asked::Facet::name);
    for name in ["q", "sort", "limit", "offset"].into_iter().chain(asked) {
        assert!(told.contains(&name), "{name}");
    }
    assert_eq!(told.len(), 4 + asked.len());
}

#[tokio::test]
async fn an_export_is_of_one_moment() {
    let stage = Stage::with(recalls(4_500)).await;
    let mut body = stage.open("/search.csv").await.into_body().into_data_stream();
    let mut text = body.next().await.expect("more").expect("a chunk").to_vec();
    // Later stretches would begin 1,500 hits too late.
    stage.fake.rows.lock().expect("lock").drain(..1_500);
    while let Some(chunk) = body.next().await {
        text.extend_from_slice(&chunk.expect("a chunk"));
    }
    let mut reader = csv::Reader::from_reader(text.as_slice());
    let numbers: Vec<_> = reader.records().map(|row| row.expect("a row")[0].to_owned()).collect();
    let once: std::collections::HashSet<_> = numbers.iter().collect();
    assert_eq!((numbers.len(), once.len()), (4_500, 4_500));
}

#[tokio::test(start_paused = true)]
async fn an_export_that_nobody_takes_along_ends_and_says_so() {
    let stage = Stage::with(recalls(5_500)).await;
    let mut bodies = Vec::new();
    for _ in 0..4 {
        bodies.push(stage.open("/search.csv").await.into_body().into_data_stream());
    }
    assert_eq!(stage.get("/search.csv").await.status, StatusCode::SERVICE_UNAVAILABLE);
    tokio::time::sleep(std::time::Duration::from_secs(601)).await;
    assert_eq!(
        stage.get("/search.csv?q=zebra").await.status,
        StatusCode::OK,
        "there is room again"
    );
    let mut body = bodies.pop().expect("an export");
    let ended = loop {
        match body.next().await {
            Some(Ok(_)) => {}
            other => break other,
        }
    };
    assert!(matches!(ended, Some(Err(_))), "a file that is cut short looks whole");
}

#[tokio::test]
async fn exports_hold_every_hit_once() {
    let stage = Stage::with(recalls(1_234)).await;
    let answer = stage.get("/search.csv?q=pump&page=2").await;
    assert_eq!((answer.status, answer.kind()), (StatusCode::OK, "text/csv; charset=utf-8"));
    assert!(answer.header("content-disposition").contains("recalls.csv"));
    let mut reader = csv::Reader::from_reader(answer.body.as_bytes());
    assert_eq!(reader.headers().expect("a head").iter().collect::<Vec<_>>(), event::FIELDS);
    let mut numbers: Vec<String> =
        reader.records().map(|record| record.expect("a row")[0].to_owned()).collect();
    numbers.sort();
    numbers.dedup();
    assert_eq!(numbers.len(), 1_234);

    let json = stage.json("/search.json?state=CA").await;
    assert_eq!(json["results"].as_array().map(Vec::len), Some(617));
    assert_eq!(stage.json("/search.json?q=zebra").await, json!({"results": []}));
    assert_eq!(stage.ok("/search.csv?q=zebra").await.lines().count(), 1);
}
