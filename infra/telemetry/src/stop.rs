use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

/// A token that the first Ctrl-C or SIGTERM cancels. A second one exits the process at once, with the
/// shell's code for that signal (130, 143): what was in hand is taken up from the position at the next start.
///
/// Call it within a tokio runtime.
///
/// # Errors
/// The system refuses to have its signals watched.
pub fn stop_signal() -> std::io::Result<CancellationToken> {
    let interrupts = signal(SignalKind::interrupt())?;
    let terminations = signal(SignalKind::terminate())?;
    let token = CancellationToken::new();
    tokio::spawn(watch(interrupts, terminations, token.clone()));
    Ok(token)
}

async fn watch(mut interrupts: Signal, mut terminations: Signal, token: CancellationToken) {
    let name = match next(&mut interrupts, &mut terminations).await {
        INTERRUPT => "Ctrl-C",
        _ => "SIGTERM",
    };
    info!("{name}: finishing what is in hand; once more exits at once");
    token.cancel();
    let signal = next(&mut interrupts, &mut terminations).await;
    exit(128 + signal);
}

const INTERRUPT: i32 = SignalKind::interrupt().as_raw_value();
const TERMINATE: i32 = SignalKind::terminate().as_raw_value();

/// The next signal's number.
async fn next(interrupts: &mut Signal, terminations: &mut Signal) -> i32 {
    tokio::select! {
        _ = interrupts.recv() => INTERRUPT,
        _ = terminations.recv() => TERMINATE,
    }
}

#[allow(clippy::disallowed_methods, reason = "the second signal means: no clean-up, now")]
fn exit(code: i32) -> ! {
    std::process::exit(code)
}
