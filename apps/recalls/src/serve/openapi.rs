//! The API as a value: routes are made of it, requests are checked by it, and it is shown to people and to tools.

use serde_json::{Map, Value, json};

use super::api::LIMIT_MAX;
use super::asked::{CLASSES, OFFSET_MAX, Order, STATUSES};
use super::params::TEXT_MAX;
use super::record::FIELDS;

/// Something that can be asked by GET.
#[derive(Debug)]
pub struct Operation {
    /// As the router and OpenAPI write it.
    pub path: &'static str,
    pub name: &'static str,
    pub about: &'static str,
    pub parameters: &'static [Parameter],
    /// An address that works.
    pub example: &'static str,
    /// The schema of the answer.
    answer: fn() -> Value,
}

/// A parameter of an operation.
#[derive(Debug)]
pub struct Parameter {
    pub name: &'static str,
    pub about: &'static str,
    schema: fn() -> Value,
    /// In the path, else in the query.
    in_path: bool,
}

impl Operation {
    /// Its parameters in the query.
    pub fn query(&self) -> impl Iterator<Item = &'static Parameter> {
        self.parameters.iter().filter(|parameter| !parameter.in_path)
    }
}

const fn asked(name: &'static str, about: &'static str, schema: fn() -> Value) -> Parameter {
    Parameter { name, about, schema, in_path: false }
}

pub const RECALLS: Operation = Operation {
    path: "/api/v1/recalls",
    name: "searchRecalls",
    about: "Recalls that a search finds. Of several values of one parameter any may hold; different parameters must all hold.",
    parameters: &[
        asked(
            "q",
            "Words that must occur, or \"phrases\"; nothing: every recall",
            || json!({"type": "string", "maxLength": TEXT_MAX}),
        ),
        asked(
            "classification",
            "The FDA's class; may be repeated",
            || json!({"type": "array", "items": {"type": "string", "enum": CLASSES}}),
        ),
        asked(
            "status",
            "May be repeated",
            || json!({"type": "array", "items": {"type": "string", "enum": STATUSES}}),
        ),
        asked("state", "The firm's state, two letters, or region; may be repeated", texts),
        asked(
            "year",
            "In which the recall began, four digits; may be repeated",
            || json!({"type": "array", "items": {"type": "string", "pattern": "^[0-9]{4}$"}}),
        ),
        asked("event_id", "The number of the event; may be repeated", texts),
        asked(
            "recalling_firm",
            "The firm's whole name, as recalls have it; may be repeated",
            texts,
        ),
        asked(
            "sort",
            "relevance (the usual one with q), newest (without), oldest, or firm",
            || json!({"type": "string", "enum": Order::ALL.map(Order::name)}),
        ),
        asked(
            "limit",
            "Recalls in the answer; 20 unless told",
            || json!({"type": "integer", "minimum": 0, "maximum": LIMIT_MAX, "default": 20}),
        ),
        asked(
            "offset",
            "Recalls that are passed over; what lies further is in the exports",
            || json!({"type": "integer", "minimum": 0, "maximum": OFFSET_MAX, "default": 0}),
        ),
    ],
    example: "/api/v1/recalls?q=infusion+pump&classification=Class+I&limit=5",
    answer: || {
        json!({"type": "object", "required": ["total", "offset", "limit", "next", "results"], "properties": {
            "total": {"type": "integer", "description": "Recalls found in all"},
            "offset": {"type": "integer"},
            "limit": {"type": "integer"},
            "next": {"type": ["string", "null"], "description": "Address of the next ones; null after the last"},
            "results": {"type": "array", "items": {"$ref": "#/components/schemas/Recall"}},
        }})
    },
};

pub const RECALL: Operation = Operation {
    path: "/api/v1/recalls/{number}",
    name: "getRecall",
    about: "One recall, by its number.",
    parameters: &[Parameter {
        name: "number",
        about: "The recall number, as Z-0056-2013",
        schema: || json!({"type": "string"}),
        in_path: true,
    }],
    example: "/api/v1/recalls/Z-0056-2013",
    answer: || json!({"$ref": "#/components/schemas/Recall"}),
};

pub const SUGGEST: Operation = Operation {
    path: "/api/v1/suggest",
    name: "suggest",
    about: "How what was typed may go on: at most 8 recall numbers, firms and products.",
    parameters: &[asked(
        "q",
        "What was typed so far",
        || json!({"type": "string", "maxLength": TEXT_MAX}),
    )],
    example: "/api/v1/suggest?q=infu",
    answer: || {
        let suggestion = json!({"type": "object", "required": ["text", "label", "url", "rows"], "properties": {
            "text": {"type": "string"},
            "label": {"type": "string", "enum": ["recall number", "firm", "product"]},
            "url": {"type": "string", "description": "The recall, if it is just one, else the search"},
            "rows": {"type": "integer", "description": "Recalls that have this text"},
        }});
        json!({"type": "object", "required": ["suggestions"], "properties": {
            "suggestions": {"type": "array", "maxItems": 8, "items": suggestion},
        }})
    },
};

pub const FEED: Operation = Operation {
    path: "/api/v1/feed",
    name: "getFeed",
    about: "How current the recalls are: the feed's last refresh, what is being done, and how far the search index is.",
    parameters: &[],
    example: "/api/v1/feed",
    answer: || {
        json!({"type": "object", "required": ["feed", "index"], "properties": {
            "feed": {"type": ["object", "null"], "description": "null: the feed was never asked"},
            "index": {"type": "object", "required": ["state", "rows", "from"], "properties": {
                "state": {"type": "string", "enum": ["missing", "loading", "ready", "rebuilding", "unavailable"]},
                "rows": {"type": ["integer", "null"]},
                "from": {"type": ["string", "null"], "description": "What it is being loaded from"},
            }},
        }})
    },
};

pub const DOCUMENT: Operation = Operation {
    path: "/api/v1/openapi.json",
    name: "getDocument",
    about: "This API as an OpenAPI 3.1 document.",
    parameters: &[],
    example: "/api/v1/openapi.json",
    answer: || json!({"type": "object"}),
};

/// All there are.
pub const OPERATIONS: &[Operation] = &[RECALLS, RECALL, SUGGEST, FEED, DOCUMENT];

fn texts() -> Value {
    json!({"type": "array", "items": {"type": "string", "maxLength": 512}})
}

/// The OpenAPI document.
pub fn document() -> Value {
    let paths: Map<String, Value> =
        OPERATIONS.iter().map(|operation| (operation.path.to_owned(), path(operation))).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Device recalls",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The FDA's enforcement reports on medical devices.",
        },
        "paths": paths,
        "components": {"schemas": {"Recall": recall(), "Problem": problem()}},
    })
}

fn path(operation: &Operation) -> Value {
    let content = |kind: &str, schema: Value| json!({kind: {"schema": schema}});
    let problem = |about: &str| {
        let schema = json!({"$ref": "#/components/schemas/Problem"});
        json!({"description": about, "content": content("application/problem+json", schema)})
    };
    let mut responses = Map::new();
    let answer = content("application/json", (operation.answer)());
    responses.insert("200".into(), json!({"description": operation.about, "content": answer}));
    responses.insert("400".into(), problem("A parameter can't be read, or is unknown"));
    if operation.parameters.iter().any(|parameter| parameter.in_path) {
        responses.insert("404".into(), problem("There is no such recall"));
    }
    responses.insert("503".into(), problem("The search can't be reached just now"));
    let parameters: Vec<Value> = operation.parameters.iter().map(parameter).collect();
    json!({"get": {
        "operationId": operation.name, "summary": operation.about, "parameters": parameters, "responses": responses,
    }})
}

fn parameter(parameter: &Parameter) -> Value {
    json!({
        "name": parameter.name,
        "in": if parameter.in_path { "path" } else { "query" },
        "required": parameter.in_path,
        "description": parameter.about,
        "schema": (parameter.schema)(),
    })
}

fn recall() -> Value {
    let field = |(name, _, about): &(&str, &str, &str)| {
        ((*name).to_owned(), json!({"type": ["string", "null"], "description": about}))
    };
    let properties: Map<String, Value> = FIELDS.iter().map(field).collect();
    let names: Vec<&str> = FIELDS.iter().map(|(name, ..)| *name).collect();
    json!({"type": "object", "required": names, "properties": properties})
}

fn problem() -> Value {
    json!({"type": "object", "required": ["type", "title", "status", "detail"], "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong"},
        "remedy": {"type": "string", "description": "What to do about it"},
    }})
}
