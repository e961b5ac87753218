//! `docs/benchmarks.md`.

use std::path::Path;

use anyhow::{Context, Result};

use crate::report::{Report, markdown};

const INTRODUCTION: &str = "\
# Benchmarks

Written by a run of the bench; don't edit it. To repeat the run:

```sh
make bench ARGS=\"--docs docs/benchmarks.md --no-latency\"      # --json: as one object; --help: all else
```

Each way reads the same topic in a process of its own, to its end. The ways go in turns, round by round, each time another first; the figures
are medians of the rounds, the ratios medians of what they were within a round. CPU (user and system) and peak memory are the kernel's, of
all of a way's processes from their start; what MySQL and Cassandra took is not in them. All ways of one work must have written as many rows
as each other, with the same sums, or the run fails. Where the word counts of Spark and ours are compared, ours go to SQLite, whose work is in our process.
Whoever reads a ratio needs a quiet machine less than who reads a rate.

";

const NOTES: &str = "
## What is compared

- **Millstream**: the pipelines of the apps with their default settings (a range closes at 10 s, 200,000 records or 32 MB), exactly once;
  each file is synced, and so are its plan and its end. Parquet is compressed with zstd, level 1.
- **hand-written limit** (`infra/bench/src/by_hand.rs`): librdkafka, one `poll` a message; serde into a struct; Arrow builders;
  Parquet with Snappy, one file per date, synced at the end. Neither exactly once nor able to start again.
- **librdkafka alone**, **our consumer alone**, **our consumer + decoder**: what reading costs without the rest.
- **Spark** (`infra/bench/peers/spark.py`): `local` with all cores, 2 GB, `availableNow`, checkpoint on disk, Parquet with Snappy; as many shuffle partitions as cores. Its
  figures hold its start.
- **Flink** (`infra/bench/peers/flink/job.sql`): SQL in one process, 2 GB, a subtask per core, a checkpoint each 10 s, Parquet with Snappy. Its figures
  hold its start.
- **Bento** (`infra/bench/peers/bento/bento.yaml`): built with the parts that are used; 50,000 records a batch, Parquet with Snappy; at least once.
- **Kafka Connect**: standalone, FileStream sink: each record's text as a line, neither parsed nor exactly once. A floor of its cost, not the same work.
- **first rows after**: when a reader could see the first ones. Millstream's is known to 0.1 s.
- `wide`: 16 partitions, 500 directories, no order of time. `start`: 1,000 events, from nothing to all committed.

## What is not measured yet

Latency isn't part of a run with `--no-latency`: `make bench ARGS=\"--ways latency-sqlite,latency-mysql,latency-cassandra\"` measures it, at 1,000 events/s and
a range each 0.1 s; docs/decisions/0018 has what it showed. Nor is `verify`: `make bench ARGS=\"--rounds 1 --ways
verify-lake,verify-cassandra,verify-mysql,verify-search\"` compares 10,000,000 events with each of the four.
";

/// Writes the page.
pub fn write(path: &Path, report: &Report) -> Result<()> {
    let text = format!("{INTRODUCTION}{}{NOTES}", markdown(report));
    std::fs::write(path, text).with_context(|| format!("write {}", path.display()))
}
