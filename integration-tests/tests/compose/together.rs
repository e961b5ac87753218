//! The document's commands, run in order on containers of this test's own.

use std::process::Command;
use std::time::Duration;

use integration_tests::stack::{free_port, unique};
use integration_tests::tree::{self, Written, commands};
use integration_tests::{Ran, Running, binaries, wait};

const DOCUMENT: &str = "docs/deploy-compose.md";
/// To make what is missing, to start and to get healthy.
const UP: Duration = Duration::from_secs(900);
/// One command on containers that are up.
const COMMAND: Duration = Duration::from_secs(300);
/// Until the first rows of every app are where people look.
const ROWS: Duration = Duration::from_secs(240);
/// All that runs, in MiB.
const MOST_MIB: u64 = 6 * 1024;
const PORTS: [&str; 7] = ["CONSOLE", "RECALLS", "KAFKA", "CASSANDRA", "MYSQL", "OPENSEARCH", "S3"];

/// Containers under a name of their own, on free ports; they go with the test.
struct Stack {
    environment: Vec<(String, String)>,
}

impl Stack {
    fn new() -> Self {
        let mut environment: Vec<_> = PORTS
            .iter()
            .map(|port| (format!("STACK_{port}_PORT"), free_port().to_string()))
            .collect();
        environment.push(("STACK_PROJECT".to_owned(), unique("stack").replace('_', "")));
        Self { environment }
    }

    fn ran(&self, command: &str, within: Duration) -> Ran {
        let mut shell = Command::new("sh");
        shell.current_dir(binaries::root()).arg("-c").arg(command);
        shell.envs(self.environment.iter().cloned()).env_remove("OPENWEATHER_API_KEY");
        Running::start(shell).ends_within(within)
    }

    #[track_caller]
    fn ok(&self, command: &str, within: Duration) -> String {
        let ran = self.ran(command, within);
        assert_eq!(ran.code, Some(0), "{command}: {ran:?}");
        ran.stdout
    }

    /// A command's number, when it has got to be more than 0.
    fn counts(&self, what: &str, command: &str) {
        let number = wait::until(what, ROWS, || {
            let ran = self.ran(command, COMMAND);
            let number = ran.stdout.lines().filter_map(|line| line.trim().parse::<u64>().ok());
            number.max().filter(|&number| number > 0).ok_or_else(|| format!("{ran:?}"))
        });
        println!("{what}: {number}");
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let logs = self.ran("scripts/stack logs --no-color --tail 30", COMMAND);
            eprintln!("{}\n{}", logs.stdout, logs.stderr);
        }
        let removed = self.ran("scripts/stack remove", COMMAND);
        if removed.code != Some(0) {
            eprintln!("{removed:?}");
        }
    }
}

/// What runs in place of `make`: the same script, with binaries that are built already.
fn of_make(command: &str) -> Option<String> {
    let binaries = binaries::directory().display();
    match command {
        "make stack" => Some(format!("scripts/stack up --binaries {binaries}")),
        "make stack ARGS=stop" => Some("scripts/stack stop".to_owned()),
        "make images" => Some("scripts/images".to_owned()),
        "make images ARGS=\"kafka mysql\"" => Some("scripts/images kafka mysql".to_owned()),
        _ => None,
    }
}

/// Rows of every app, by clients that aren't ours.
fn rows_are_there(stack: &Stack) {
    stack.counts(
        "words in MySQL",
        "scripts/stack exec -T mysql bash -c 'MYSQL_PWD=\"$MYSQL_PASSWORD\" mysql -N -u millstream wordcount -e \"SELECT COUNT(*) FROM wordCount\"'",
    );
    let cql = |table: &str| format!("scripts/stack cql 'SELECT COUNT(*) FROM {table}'");
    stack.counts("users in Cassandra", &cql("my_keyspace.user_details_5"));
    stack.counts("cities in Cassandra", &cql("weather.weather"));
    stack.counts("patients on S3", "scripts/stack parquet count s3://lake/patient_data");
    stack.counts(
        "recalls in OpenSearch",
        "scripts/stack exec -T opensearch curl -s 'http://127.0.0.1:9200/_cat/indices?h=docs.count'",
    );
}

fn memory_is_bounded(stack: &Stack) {
    let told = stack.ok("scripts/stack memory", COMMAND);
    println!("{told}");
    let together = told.lines().find(|line| line.starts_with("together")).expect(&told);
    let mib: u64 = together.split_whitespace().nth(1).unwrap().parse().expect(together);
    assert!((500..=MOST_MIB).contains(&mib), "{told}");
}

#[test]
fn the_documents_commands_bring_it_up_and_show_rows() {
    let stack = Stack::new();
    let backup = tempfile::tempdir().unwrap();
    let mut is_up = false;
    for Written { place, command } in commands(DOCUMENT, &tree::text(DOCUMENT)) {
        println!("{place}: {command}");
        let run = if command.starts_with("make ") {
            of_make(&command).unwrap_or_else(|| panic!("{place}: nothing known for {command}"))
        } else {
            assert!(command.starts_with("scripts/stack "), "{place}: {command}");
            let file = backup.path().join("stack-backup.tar.gz");
            command.replace("stack-backup.tar.gz", &file.display().to_string())
        };
        let said = stack.ok(&run, UP);
        if command == "make stack" && !is_up {
            is_up = true;
            rows_are_there(&stack);
            memory_is_bounded(&stack);
        }
        if command.contains(" exec ") || command.contains(" cql ") || command.contains(" parquet ")
        {
            assert!(!said.trim().is_empty(), "{place}: {command} showed nothing");
        }
        if command.contains(" restore ") {
            rows_are_there(&stack);
        }
    }
    assert!(is_up, "{DOCUMENT} doesn't say `make stack`");
}
