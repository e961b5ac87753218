//! What a failed test shows of its servers, and the record of the tests that had real ones.

use std::io::Write;
use std::sync::{Mutex, Once, PoisonError};

use super::{Server, runtime, server};

/// Name and container of each server of this process.
static SEEN: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());
const LINES: usize = 15;
/// Longer ones are cut.
const CHARACTERS: usize = 300;

/// Notes that this test has this server. From now on a panic shows its log.
pub(super) fn saw(server: &Server) {
    static HOOKED: Once = Once::new();
    HOOKED.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            before(panic);
            show_logs();
        }));
    });
    SEEN.lock().unwrap_or_else(PoisonError::into_inner).push((server.name.clone(), server.id()));
    record(server);
}

fn show_logs() {
    let seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner).clone();
    // A thread of its own: the panic may be on the runtime that this waits for.
    let logs = std::thread::spawn(move || {
        seen.iter()
            .map(|(name, id)| runtime::block_on(server::tail(id, name, LINES)))
            .collect::<Vec<_>>()
    });
    for line in logs.join().unwrap_or_default().iter().flat_map(|log| log.lines()) {
        eprintln!("{}", line.chars().take(CHARACTERS).collect::<String>());
    }
}

/// Adds a line to the file that MILLSTREAM_PROOF names: which test program had which server.
fn record(server: &Server) {
    let Some(path) = std::env::var_os("MILLSTREAM_PROOF") else { return };
    let program = std::env::current_exe().expect("the test's own path");
    let program = program.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let program = program.rsplit_once('-').map_or(program.as_str(), |(name, _)| name);
    let file = std::fs::OpenOptions::new().append(true).create(true).open(&path);
    let line = format!("{program} {} {} {:.12}\n", server.name, server.image, server.id());
    file.and_then(|mut file| file.write_all(line.as_bytes()))
        .unwrap_or_else(|error| panic!("write {}: {error}", path.display()));
}
