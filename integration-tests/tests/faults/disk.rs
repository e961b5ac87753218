use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// Of a disk that fills up.
const MEGABYTES: u32 = 64;

/// A directory for a lake, on a small disk of its own if it shall be full one day.
pub struct Disk {
    directory: TempDir,
    is_mounted: bool,
}

impl Disk {
    pub fn new(fills_up: bool) -> Self {
        let directory = TempDir::new().expect("make a directory");
        let mut disk = Self { directory, is_mounted: false };
        if fills_up {
            let options = format!("size={MEGABYTES}m,mode=0777");
            let path = disk.path().display().to_string();
            let mounted = as_root(&["mount", "-t", "tmpfs", "-o", &options, "tmpfs", &path]);
            mounted.unwrap_or_else(|why| {
                panic!("a disk that can be full needs the right to mount one: {why}")
            });
            disk.is_mounted = true;
        }
        disk
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Takes all room there is.
    pub fn fill(&self) {
        assert!(self.is_mounted, "only a disk of its own may be filled");
        let mut file = std::fs::File::create(self.filler()).expect("make a file");
        for size in [1 << 20, 1 << 12, 1] {
            let bytes = vec![1; size];
            loop {
                match file.write(&bytes) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => panic!("fill the disk: {error}"),
                }
            }
        }
    }

    /// Gives it back.
    pub fn free(&self) {
        std::fs::remove_file(self.filler()).expect("remove the filler");
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.is_mounted {
            let path = self.path().display().to_string();
            if let Err(why) = as_root(&["umount", "--lazy", &path]) {
                eprintln!("{path} stays mounted: {why}");
            }
        }
    }
}

/// Runs it, by sudo where we are not root.
fn as_root(command: &[&str]) -> Result<(), String> {
    let run = |words: &[&str]| {
        let ran = Command::new(words[0]).args(&words[1..]).output();
        let ran = ran.map_err(|error| format!("{words:?}: {error}"))?;
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        if ran.status.success() { Ok(()) } else { Err(format!("{words:?}: {said}")) }
    };
    run(command).or_else(|_| run(&[&["sudo", "-n"], command].concat()))
}
