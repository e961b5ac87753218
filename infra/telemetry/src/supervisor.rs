use std::time::Duration;

use sd_notify::NotifyState;
use tracing::{debug, warn};

/// Between two beats at most, and how old a line about the process may be.
const AT_MOST: Duration = Duration::from_secs(5);
/// Longer lines are cut: `systemctl status` shows one.
const LINE_CHARS: usize = 200;

/// The service manager that started this process and wants to hear from it: systemd, where a unit says `Type=notify`.
/// Without one (no `NOTIFY_SOCKET`) nothing is told to anybody.
#[derive(Debug)]
pub struct Supervisor {
    said: String,
    /// Trouble is told once.
    troubled: bool,
}

impl Supervisor {
    /// `None`: nobody wants to hear.
    pub fn here() -> Option<Self> {
        let asked = std::env::var_os("NOTIFY_SOCKET").is_some_and(|socket| !socket.is_empty());
        asked.then(|| Self { said: String::new(), troubled: false })
    }

    /// How often [`Self::beat`] must be called: thrice within the time after which the process counts as hung.
    pub fn every(&self) -> Duration {
        let patience = sd_notify::watchdog_enabled().unwrap_or(AT_MOST * 3);
        (patience / 3).min(AT_MOST).max(Duration::from_millis(10))
    }

    /// The process is up.
    pub fn ready(&mut self) {
        self.tell(&[NotifyState::Ready]);
    }

    /// The process ends, by itself or because it was told to.
    pub fn stopping(&mut self) {
        self.tell(&[NotifyState::Stopping]);
    }

    /// The process is alive, and this is how it stands, in one line.
    pub fn beat(&mut self, line: &str) {
        let line = one_line(line);
        if self.said == line {
            self.tell(&[NotifyState::Watchdog]);
        } else {
            self.tell(&[NotifyState::Watchdog, NotifyState::Status(&line)]);
            self.said = line;
        }
    }

    fn tell(&mut self, states: &[NotifyState<'_>]) {
        match sd_notify::notify(states) {
            Ok(()) => self.troubled = false,
            Err(error) if self.troubled => debug!("tell the service manager: {error}"),
            Err(error) => {
                self.troubled = true;
                warn!(
                    "tell the service manager how this process stands: {error}; it may restart the process, see NotifyAccess= of the unit"
                );
            }
        }
    }
}

fn one_line(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    words.join(" ").chars().take(LINE_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn a_line_is_one_and_not_too_long() {
        assert_eq!(one_line("retrying: no\nanswer \t yet"), "retrying: no answer yet");
        assert_eq!(one_line(&"ü".repeat(500)), "ü".repeat(200));
    }
}
