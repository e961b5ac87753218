//! What is searched, and how much each column counts.

use millstream_sinks::search::{Field, Index, Kind};

/// The index of all recalls: every column is stored, these can be asked for.
pub const RECALLS: Index = Index {
    name: "recalls",
    key: "recall_number",
    fields: &[
        Field { column: "recall_number", kind: Kind::Id, suggest: true },
        text("recalling_firm", 3.0, true),
        text("product_description", 2.0, true),
        text("reason_for_recall", 1.5, false),
        text("code_info", 0.5, false),
        text("more_code_info", 0.5, false),
        text("distribution_pattern", 0.3, false),
        text("city", 0.5, false),
        facet("classification"),
        facet("status"),
        facet("state"),
        facet("year"),
        facet("country"),
        facet("event_id"),
        facet("recalling_firm"),
        Field { column: "report_date", kind: Kind::Date, suggest: false },
        Field { column: "recall_initiation_date", kind: Kind::Date, suggest: false },
    ],
};

const fn text(column: &'static str, boost: f32, suggest: bool) -> Field {
    Field { column, kind: Kind::Text { boost }, suggest }
}

const fn facet(column: &'static str) -> Field {
    Field { column, kind: Kind::Facet, suggest: false }
}
