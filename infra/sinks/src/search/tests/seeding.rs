//! What a seed may not show. The rest is in the suite.

use std::sync::Arc;

use millstream_engine::{Sink, Target};

use super::world::{Fixed, PIPELINE, World, assignment, rows, schema};

async fn connect(world: &World, seed: &Arc<Fixed>) -> Box<dyn Sink> {
    world.target(Some(seed.clone())).connect(PIPELINE, &schema()).await.unwrap()
}

fn firm<'a>(number: &'a str, firm: &'a str) -> super::world::Row<'a> {
    [number, firm, "", "", "", ""]
}

#[tokio::test]
async fn rows_that_cannot_be_are_refused_for_what_they_are() {
    let world = World::new();
    let batches = vec![rows(&[firm("", "no number")], 1)];
    let seed = Arc::new(Fixed { batches, from: Some("x"), ..Fixed::default() });
    let mut sink = connect(&world, &seed).await;
    let error = sink.open(&assignment(0)).await.unwrap_err();
    assert!(!error.is_retryable() && error.to_string().contains("number"), "{error}");
}
