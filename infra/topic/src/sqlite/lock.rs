use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process;

use super::directory::Directory;
use super::fault;
use crate::{Topic, TopicError};

/// The right to work for a group: a lock on a file that the system takes back when its holder is
/// dropped or its process ends, however it ends. The file stays, as removing it would let two
/// processes lock two files of one name.
pub(super) struct GroupLock {
    group: String,
    path: PathBuf,
    held: Option<File>,
}

impl GroupLock {
    pub(super) fn new(directory: &Directory, group: &str) -> Result<Self, TopicError> {
        Topic::check_name(group).map_err(|_| {
            TopicError::refused(
                format!("join group {group:?}"),
                "a group's name has 1 to 249 of the characters a-z A-Z 0-9 . _ -",
                "choose another name",
            )
        })?;
        Ok(Self { group: group.to_owned(), path: directory.group_path(group), held: None })
    }

    /// Tells whether the lock is ours now.
    pub(super) fn acquire(&mut self) -> Result<bool, TopicError> {
        if self.held.is_none() {
            let locked = self.try_lock();
            self.held = locked.map_err(|error| {
                fault::io(format!("lock the place of group {}", self.group), error)
            })?;
        }
        Ok(self.held.is_some())
    }

    /// Who holds the lock, in words.
    pub(super) fn holder(&self) -> String {
        let who = fs::read_to_string(&self.path).unwrap_or_default();
        let who = if who.trim().is_empty() { "another process" } else { who.trim() };
        format!("{who} works for group {}", self.group)
    }

    fn try_lock(&self) -> io::Result<Option<File>> {
        let mut options = OpenOptions::new();
        let mut file = options.create(true).truncate(false).write(true).open(&self.path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        file.set_len(0)?;
        writeln!(file, "process {} on {}", process::id(), host())?;
        Ok(Some(file))
    }
}

fn host() -> String {
    let told = fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let told = told.or_else(|| std::env::var("HOSTNAME").ok());
    told.map_or_else(|| "an unnamed host".to_owned(), |name| name.trim().to_owned())
}
