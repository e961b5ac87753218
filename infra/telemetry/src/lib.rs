//! What a process says about itself, and how it hears that it shall stop.
//!
//! # Layout
//!
//! - [`init`]: log lines to standard error, as text or as JSON; [`Logging`] says which
//! - [`stop_signal`]: Ctrl-C and SIGTERM as a token; the second one exits at once
//! - [`Supervisor`]: the service manager, told that the process is up, alive, and how it stands
//!
//! # Environment
//!
//! - `MILLSTREAM_LOG`: which lines, such as `debug` or `warn,millstream_topic=trace` (the syntax of tracing's `EnvFilter`); without it,
//!   nothing of the clients of servers (`scylla`, `rdkafka`, `hyper` and so on), whose troubles our own lines tell once:
//!   `warn` shows theirs, too
//! - `MILLSTREAM_LOG_FORMAT`: `text` (the default) or `json`, one object a line
//! - `NOTIFY_SOCKET`, `WATCHDOG_USEC`: set by systemd where a unit says `Type=notify` and `WatchdogSec=`
//! - `NO_COLOR`: not empty, no colours; there are none either when standard error isn't a terminal

mod logging;
mod stop;
mod supervisor;

pub use logging::{Format, Logging, LoggingError, init, init_to};
pub use stop::stop_signal;
pub use supervisor::Supervisor;
