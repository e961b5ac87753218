//! What `check` and `millstream doctor` say of a directory of ours.

use std::io;
use std::path::Path;

use millstream_config::Finding;

/// Whether files can be made in it; made if missing. Any number may ask at once.
pub(crate) fn writable(what: &str, directory: &Path) -> Finding {
    let shown = directory.display();
    match probe(directory) {
        Ok(()) => Finding::good(what, format!("{shown} is writable")),
        Err(error) => {
            let remedy = "make it writable, or choose another --data";
            Finding::bad(what, format!("write to {shown}: {error}"), remedy)
        }
    }
}

fn probe(directory: &Path) -> io::Result<()> {
    std::fs::create_dir_all(directory)?;
    tempfile::Builder::new().prefix(".check-").tempfile_in(directory)?.close()
}

#[cfg(test)]
mod tests {
    use std::thread;

    use millstream_config::Health;

    use super::writable;

    #[test]
    fn many_may_ask_at_once() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("lake");
        let ask = || (0..50).all(|_| writable("lake", &directory).state == Health::Good);
        let all_good = thread::scope(|scope| {
            let asking: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
            asking.into_iter().all(|asked| asked.join().unwrap())
        });
        assert!(all_good);
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0);
    }
}
