use anyhow::{Context, Result};
use millstream_app::{Sent, process};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::pages::Pages;
use super::parts::Part;

/// Goes on at a gentle pace, so that the pages show something, until Ctrl-C.
pub async fn until_stopped(parts: &[Part], pages: &Pages, stop: &CancellationToken) -> Result<()> {
    if stop.is_cancelled() {
        return Ok(());
    }
    eprintln!("\nThe apps go on, a few records a second. Look at:");
    pages.lines.iter().for_each(|line| eprintln!("  {line}"));
    eprintln!("Ctrl-C ends the demo.");
    let (mut work, mut producing, mut at_work) = (JoinSet::new(), JoinSet::new(), Vec::new());
    for part in parts {
        at_work.extend(process::start(&part.setup, false, stop, &mut work));
        producing.extend(gently(part, stop));
    }
    let telling = super::report(parts, at_work, stop);
    // Ends with Ctrl-C, or with a pipeline that can't go on: which stops the others.
    let worked = process::join(work, stop, false).await.context("run the workers");
    while producing.join_next().await.is_some() {}
    // It has nothing to tell but what was told.
    let _ = telling.await;
    worked?;
    eprintln!("Stopped. `millstream verify` looks once more, `millstream demo` goes on from here.");
    Ok(())
}

fn gently(part: &Part, stop: &CancellationToken) -> Option<impl Future<Output = ()> + use<>> {
    let (setup, stop) = (part.setup.clone(), stop.clone());
    let options = part.gently()?;
    Some(async move {
        if let Err(error) = setup.produce(options, Sent::default(), stop, |_| {}).await {
            error!("{error:#}");
        }
    })
}
