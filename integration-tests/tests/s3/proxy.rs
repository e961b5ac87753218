use std::sync::Arc;

pub use integration_tests::proxy::{Fault, Proxy};
use integration_tests::proxy::{Refusal, with_header};

/// As S3 says no.
pub const REFUSAL: Refusal = Refusal {
    content_type: "application/xml",
    body: |_, code| {
        format!(
            "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>on order</Message></Error>"
        )
    },
};

/// It is done, and the answer comes from another day.
pub fn dated(date: &'static str) -> Fault {
    Fault::Change(Arc::new(move |answer| with_header(answer, &format!("Date: {date}"))))
}
