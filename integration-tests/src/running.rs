use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::NamedTempFile;

use crate::wait;

/// A command at work. Dropped, it is killed.
pub struct Running {
    command: String,
    child: Child,
    /// Files and not pipes, which somebody would have to empty.
    stdout: NamedTempFile,
    stderr: NamedTempFile,
}

impl Running {
    pub fn start(mut command: Command) -> Self {
        let (stdout, stderr) = (NamedTempFile::new().unwrap(), NamedTempFile::new().unwrap());
        command.stdin(std::process::Stdio::null());
        command.stdout(stdout.reopen().unwrap()).stderr(stderr.reopen().unwrap());
        let child = command.spawn().unwrap_or_else(|error| panic!("start {command:?}: {error}"));
        Self { command: format!("{command:?}"), child, stdout, stderr }
    }

    /// The system's number of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it says on standard error is written there, and may be read while it runs.
    pub fn stderr_path(&self) -> &Path {
        self.stderr.path()
    }

    /// `kill -9`: it gets no chance to do anything more.
    pub fn kill_9(mut self) -> Ran {
        self.child.kill().expect("kill it");
        let status = self.child.wait().expect("wait for it");
        self.ran(status)
    }

    /// A request to stop: sent when the process is far enough to hear it, as a person would send it.
    pub fn signal(&self, signal: Signal) {
        wait::until(&format!("it heeds {signal}"), wait::LONG, || match self.heeds(signal) {
            true => Ok(()),
            false => Err(format!("{self:?}")),
        });
        let id = i32::try_from(self.id()).unwrap();
        kill(Pid::from_raw(id), signal)
            .unwrap_or_else(|error| panic!("{signal} to {self:?}: {error}"));
    }

    /// Whether it has a handler of its own for the signal, by the mask that proc(5) calls `SigCgt`; an ended process
    /// hears nothing any more, so nothing is to be waited for.
    fn heeds(&self, signal: Signal) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()));
        let status = status.unwrap_or_default();
        let field = |name| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let ended = field("State:").is_none_or(|state| state.starts_with('Z'));
        let caught = field("SigCgt:").and_then(|mask| u64::from_str_radix(mask, 16).ok());
        ended || caught.is_some_and(|mask| mask >> (signal as u32 - 1) & 1 == 1)
    }

    /// How it ended, if it has.
    pub fn has_ended(&mut self) -> Option<Ran> {
        let status = self.child.try_wait().expect("ask for its end")?;
        Some(self.ran(status))
    }

    /// Panics if it doesn't end by itself within `within`.
    pub fn ends_within(mut self, within: Duration) -> Ran {
        wait::until("the command ends", within, || {
            self.has_ended().ok_or_else(|| format!("{self:?}"))
        })
    }

    /// Waits until it has said `words` on standard error.
    pub fn says(&mut self, words: &str) {
        wait::until(&format!("it says {words:?}"), wait::LONG, || {
            let ended = self.has_ended();
            let said = read(&self.stderr);
            if said.contains(words) {
                return Ok(());
            }
            assert!(ended.is_none(), "ended without saying {words:?}: {ended:?}");
            Err(format!("{self:?}"))
        });
    }

    /// Waits for a whole line on either output with `words` in it; what follows the words on that line.
    pub fn told_after(&mut self, words: &str) -> String {
        wait::until(&format!("it says {words:?}"), wait::LONG, || {
            let ended = self.has_ended();
            let said = [read(&self.stdout), read(&self.stderr)];
            let whole = said.iter().flat_map(|said| said.split_inclusive('\n'));
            let mut whole = whole.filter(|line| line.ends_with('\n'));
            if let Some((_, rest)) = whole.find_map(|line| line.split_once(words)) {
                return Ok(rest.trim_end().to_owned());
            }
            assert!(ended.is_none(), "ended without saying {words:?}: {ended:?}");
            Err(format!("{self:?}"))
        })
    }

    fn ran(&self, status: ExitStatus) -> Ran {
        Ran {
            command: self.command.clone(),
            code: status.code(),
            stdout: read(&self.stdout),
            stderr: read(&self.stderr),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already, and then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (stdout, stderr) = (read(&self.stdout), read(&self.stderr));
        write!(f, "{} is running\nstdout: {stdout}\nstderr: {stderr}", self.command)
    }
}

fn read(file: &NamedTempFile) -> String {
    let mut bytes = Vec::new();
    File::open(file.path()).and_then(|mut file| file.read_to_end(&mut bytes)).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A command that has ended.
#[derive(Clone)]
pub struct Ran {
    command: String,
    /// `None`: a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// Panics unless it succeeded.
    #[track_caller]
    pub fn succeeds(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    /// Panics unless it failed by a message of its own that holds all of `words`.
    #[track_caller]
    pub fn fails_with(self, words: &[&str]) -> Self {
        let told = format!("{}{}", self.stdout, self.stderr);
        assert!(matches!(self.code, Some(1 | 2)), "{self:?}");
        assert!(!told.contains("panicked") && !told.contains("RUST_BACKTRACE"), "{self:?}");
        for word in words {
            assert!(told.contains(word), "{word:?} is missing: {self:?}");
        }
        self
    }

    /// The last line of its standard output.
    #[track_caller]
    pub fn json(&self) -> Value {
        let line = self.stdout.trim_end().lines().last().unwrap_or_default();
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Each line of its standard output.
    #[track_caller]
    pub fn json_lines(&self) -> Vec<Value> {
        let value = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {self:?}"));
        self.stdout.lines().map(value).collect()
    }
}

impl fmt::Debug for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { command, code, stdout, stderr } = self;
        write!(f, "{command} ended with {code:?}\nstdout: {stdout}\nstderr: {stderr}")
    }
}
