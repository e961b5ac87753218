use std::io::IsTerminal;

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

const FILTER: &str = "MILLSTREAM_LOG";
const FORMAT: &str = "MILLSTREAM_LOG_FORMAT";

/// Clients of servers. What they meet comes back to us as an error, and is told once, in our words, with what to do;
/// they would say it before that, at every try.
const CLIENTS: [&str; 9] =
    ["aws", "h2", "hyper", "librdkafka", "mysql_async", "rdkafka", "reqwest", "rustls", "scylla"];

/// Which lines are written, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logging {
    /// In the syntax of tracing's `EnvFilter`.
    pub filter: String,
    pub format: Format,
    /// Only of [`Format::Text`].
    pub colours: bool,
}

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, for machines.
    Json,
}

/// Why nothing can be logged.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    #[error(
        "{FILTER}={filter:?} isn't a filter: {source}; write e.g. {FILTER}=debug or {FILTER}=warn,millstream_topic=trace"
    )]
    Filter { filter: String, source: tracing_subscriber::filter::ParseError },
    #[error("{FORMAT}={0:?} isn't a format; write text or json")]
    Format(String),
    #[error("start logging: {0}; it can be started once a process")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

impl Logging {
    /// What the environment asks for; else `level` for Millstream's crates and `apps`, warnings for others, and nothing
    /// of the clients of servers: their troubles are told by those who use them.
    ///
    /// # Errors
    /// [`LoggingError::Format`] when the environment names a format there is not.
    pub fn from_env(
        level: LevelFilter,
        apps: &[&str],
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, LoggingError> {
        let given = |name| env(name).filter(|text| !text.is_empty());
        let format = match given(FORMAT).as_deref() {
            None | Some("text") => Format::Text,
            Some("json") => Format::Json,
            Some(other) => return Err(LoggingError::Format(other.to_owned())),
        };
        // A filter's target is a prefix: `millstream` stands for all of Millstream's crates.
        let ours = |name: &&str| format!(",{}={level}", name.replace('-', "_"));
        let default = || {
            let others = level.min(LevelFilter::WARN);
            let clients = CLIENTS.map(|name| format!(",{name}=off")).concat();
            let ours: String = ["millstream"].iter().chain(apps).map(ours).collect();
            format!("{others}{clients}{ours}")
        };
        let colours = std::io::stderr().is_terminal() && given("NO_COLOR").is_none();
        Ok(Self { filter: given(FILTER).unwrap_or_else(default), format, colours })
    }
}

/// From now on, writes log lines to standard error as the environment asks; see [`Logging::from_env`].
///
/// # Errors
/// A variable that can't be understood, or logging started before.
pub fn init(level: LevelFilter, apps: &[&str]) -> Result<(), LoggingError> {
    let logging = Logging::from_env(level, apps, |name| std::env::var(name).ok())?;
    init_to(&logging, std::io::stderr)
}

/// As [`init`], to a writer of the caller's: one that makes way for a progress bar, for example.
///
/// # Errors
/// A filter that can't be understood, or logging started before.
pub fn init_to<W>(logging: &Logging, writer: W) -> Result<(), LoggingError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    Ok(subscriber(logging, writer)?.try_init()?)
}

fn subscriber<W>(
    logging: &Logging,
    writer: W,
) -> Result<Box<dyn Subscriber + Send + Sync>, LoggingError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let Logging { filter, format, colours } = logging;
    let filter = EnvFilter::try_new(filter)
        .map_err(|source| LoggingError::Filter { filter: filter.clone(), source })?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    Ok(match format {
        Format::Text => Box::new(lines.with_ansi(*colours).finish()),
        Format::Json => Box::new(lines.json().flatten_event(true).with_ansi(false).finish()),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("lock").write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn asked(env: &[(&str, &str)]) -> Result<Logging, LoggingError> {
        let find = |name: &str| {
            env.iter().find(|(known, _)| *known == name).map(|(_, text)| (*text).to_owned())
        };
        Logging::from_env(LevelFilter::INFO, &["word-count"], find)
    }

    /// Lines as the clients of servers write them.
    fn clients() {
        tracing::error!(target: "scylla::cluster::worker", "a client's");
        tracing::warn!(target: "scylla::network::connection", "a client's");
        tracing::error!(target: "rdkafka::client", "a client's");
        tracing::error!(target: "librdkafka", "a client's");
        tracing::warn!(target: "aws_config::profile::parser", "a client's");
        tracing::error!(target: "aws_smithy_runtime::client::retries", "a client's");
        tracing::error!(target: "mysql_async::conn", "a client's");
        tracing::warn!(target: "hyper_util::client::legacy", "a client's");
        tracing::warn!(target: "reqwest::retry", "a client's");
    }

    const CLIENTS_LINES: usize = 9;

    fn written(logging: &Logging) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = subscriber(logging, move || writer.clone()).expect("subscriber");
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(target: "millstream_topic::kafka", lag = 7, "ours");
            tracing::debug!(target: "millstream_topic", "ours, too fine");
            tracing::info!(target: "word_count", "an app's");
            tracing::info!(target: "tantivy", "somebody else's");
            tracing::warn!(target: "tantivy", "somebody else's warning");
            clients();
        });
        String::from_utf8(lines.0.lock().expect("lock").clone()).expect("UTF-8")
    }

    #[test]
    fn the_default_is_ours_at_the_level_and_others_warnings() {
        let text = written(&asked(&[]).expect("logging"));
        let messages: Vec<&str> = text.lines().filter_map(|line| line.split(": ").nth(1)).collect();
        assert_eq!(messages, ["ours lag=7", "an app's", "somebody else's warning"], "{text}");
    }

    #[test]
    fn what_clients_of_servers_meet_is_ours_to_tell_unless_asked_for() {
        let text = written(&asked(&[]).expect("logging"));
        assert!(!text.contains("a client's"), "{text}");
        for (filter, expected) in [("warn", CLIENTS_LINES), ("error,scylla=warn", 6), ("off", 0)] {
            let text = written(&asked(&[("MILLSTREAM_LOG", filter)]).expect("logging"));
            let lines = text.lines().filter(|line| line.contains("a client's")).count();
            assert_eq!(lines, expected, "{filter}: {text}");
        }
    }

    #[test]
    fn an_app_is_heard_whatever_its_name() {
        let logging = Logging::from_env(LevelFilter::INFO, &["aws-watch"], |_| None);
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = subscriber(&logging.expect("logging"), move || writer.clone());
        tracing::subscriber::with_default(subscriber.expect("subscriber"), || {
            tracing::info!(target: "aws_watch", "an app's");
        });
        assert!(!lines.0.lock().expect("lock").is_empty(), "the longer name decides");
    }

    #[test]
    fn quiet_is_quiet_of_others_too() {
        let logging = Logging::from_env(LevelFilter::ERROR, &[], |_| None).expect("logging");
        assert_eq!(written(&logging), "");
    }

    #[test]
    fn the_environment_rules() {
        let text =
            written(&asked(&[("MILLSTREAM_LOG", "millstream_topic=debug")]).expect("logging"));
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.contains("too fine"), "{text}");
    }

    #[test]
    fn json_is_one_object_a_line() {
        let text = written(&asked(&[("MILLSTREAM_LOG_FORMAT", "json")]).expect("logging"));
        let first: serde_json::Value =
            serde_json::from_str(text.lines().next().expect("line")).expect("JSON");
        assert_eq!(first["message"], "ours");
        assert_eq!(first["lag"], 7);
        assert_eq!(first["target"], "millstream_topic::kafka");
        assert_eq!(text.lines().count(), 3);
    }

    #[test]
    fn mistakes_are_told() {
        let error =
            asked(&[("MILLSTREAM_LOG_FORMAT", "xml")]).expect_err("no such format").to_string();
        assert!(
            error.contains("MILLSTREAM_LOG_FORMAT=\"xml\"") && error.contains("json"),
            "{error}"
        );
        let logging = asked(&[("MILLSTREAM_LOG", "millstream=loud")]).expect("read later");
        let error = subscriber(&logging, std::io::sink).err().expect("no such level").to_string();
        assert!(error.contains("MILLSTREAM_LOG=\"millstream=loud\""), "{error}");
    }

    #[test]
    fn colours_are_for_terminals_that_want_them() {
        let mut logging = asked(&[]).expect("logging");
        logging.colours = true;
        assert!(written(&logging).contains('\u{1b}'));
        logging.colours = false;
        assert!(!written(&logging).contains('\u{1b}'));
        assert!(!asked(&[("NO_COLOR", "1")]).expect("logging").colours);
    }
}
