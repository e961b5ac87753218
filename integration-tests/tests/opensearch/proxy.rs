use std::sync::Arc;

pub use integration_tests::proxy::{Asked, Fault, Proxy};
use integration_tests::proxy::{Refusal, with_header};
use serde_json::{Value, json};

/// As OpenSearch says no.
pub const REFUSAL: Refusal = Refusal {
    content_type: "application/json",
    body: |status, kind| {
        json!({"error": {"type": kind, "reason": "on order"}, "status": status}).to_string()
    },
};

/// It is done, and of each item of a bulk request but the first is told that there was no room.
pub fn no_room() -> Fault {
    Fault::Change(Arc::new(|answer| {
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        let Ok(mut body) = serde_json::from_str::<Value>(body) else { return answer.to_owned() };
        for item in body["items"].as_array_mut().into_iter().flatten().skip(1) {
            let full = json!({"type": "es_rejected_execution_exception", "reason": "queue full"});
            for result in item.as_object_mut().into_iter().flat_map(|item| item.values_mut()) {
                *result = json!({"status": 429, "error": full});
            }
        }
        let body = body.to_string();
        let length = format!("Content-Length: {}", body.len());
        with_header(&format!("{head}\r\n\r\n{body}"), &length)
    }))
}
