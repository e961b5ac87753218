//! Tables on MySQL and MariaDB: the suite of sinks, crashes and faults at any moment, rivals, and what the servers' own
//! clients see. Each test runs on both servers.
//!
//! # Layout
//! - `place`: a database of the shared servers. `proxy`: what goes wrong between a worker and a server.
//! - `events`: numbered events as ranges, and what must be in a table in the end. `workers`: who writes them.
//! - `suites`, `values`, `crashes`, `replies`, `rivals`, `growth`, `outage`, `refusals`, `encrypted`, `doctor`, `speed`:
//!   the tests.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and tells what it saw"
)]

/// Each of the functions as a test per server, with a database of its own.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod mysql {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name(crate::place::Place::mysql(stringify!($name)).await).await;
                }
            )*
        }
        mod mariadb {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name(crate::place::Place::mariadb(stringify!($name)).await).await;
                }
            )*
        }
    };
}

mod crashes;
mod doctor;
mod encrypted;
mod events;
mod growth;
mod outage;
mod place;
mod proxy;
mod refusals;
mod replies;
mod rivals;
mod speed;
mod suites;
mod values;
mod workers;
