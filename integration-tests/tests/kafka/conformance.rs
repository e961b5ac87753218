use std::sync::atomic::{AtomicUsize, Ordering};

use integration_tests::stack::{kafka, unique};
use millstream_topic::conformance::{backend, cases};

use crate::following;

/// Cases that run beside one another: most of their time is waiting for groups.
const SIDE_BY_SIDE: usize = 4;

#[test]
fn a_broker_passes_the_suite_by_the_classic_protocol() {
    passes("protocol=classic");
}

#[test]
fn a_broker_passes_the_suite_by_the_new_protocol() {
    passes("protocol=consumer");
}

fn passes(options: &str) {
    let ran = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for side in 0..SIDE_BY_SIDE {
            let ran = &ran;
            scope.spawn(move || {
                let runtime = tokio::runtime::Runtime::new().expect("start a runtime");
                let elsewhere: Vec<_> = (0..)
                    .zip(cases())
                    .filter(|(place, _)| place % SIDE_BY_SIDE != side)
                    .map(|(_, case)| (case.name, "it runs beside this"))
                    .collect();
                runtime.block_on(async {
                    let server = kafka().await;
                    let make = || following::kafka(server, options);
                    let count = backend(make, &unique("conformance"), &elsewhere).await;
                    ran.fetch_add(count, Ordering::Relaxed);
                });
            });
        }
    });
    assert_eq!(ran.into_inner(), cases().len(), "every case ran");
}
