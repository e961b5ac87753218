use std::fmt::Write;

use millstream_engine::{Keeping, Pipeline};
use millstream_topic::{Cleanup, Topic, dead_letter};

use crate::Setup;

/// The way of the app's data, as text: topics, and per pipeline decode, transform and sink.
pub fn plan(setup: &Setup) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{}: {}", setup.app.name, setup.app.about);
    for topic in setup.app.topics {
        let _ = writeln!(text, "\n{}", topic_line(topic));
        let fed = setup.pipelines.iter().filter(|pipeline| pipeline.topic.name == topic.name);
        for pipeline in fed {
            let _ = write!(text, "{}", pipeline_lines(pipeline));
        }
    }
    text
}

fn topic_line(topic: &Topic) -> String {
    let key =
        if topic.key.is_empty() { "no key".to_owned() } else { format!("key: {}", topic.key) };
    let kept = match topic.cleanup {
        Cleanup::Delete => "",
        Cleanup::Compact => ", compacted",
    };
    format!("produce ─▶ topic {} ({key}; {} partitions{kept})", topic.name, topic.partitions)
}

fn pipeline_lines(pipeline: &Pipeline) -> String {
    let about = pipeline.target.about();
    let how = keeping(&about.keeping);
    let decode = first_words(&pipeline.decoder.id(), 2);
    let transform = pipeline.transform.id();
    let transform = transform.split_whitespace().collect::<Vec<_>>().join(" ");
    let roll = pipeline.roll;
    let lookups = pipeline.lookups().iter();
    let lookups =
        lookups.map(|one| format!("  │     lookup     {}: {}\n", one.name(), one.place()));
    format!(
        "  ├─▶ {id}  (group {group})\n  \
         │     decode     {decode}\n  \
         │     transform  {transform}\n{lookups}  \
         │     sink       {table} in {place}: {how}\n  \
         │     rolls      every {every} s, {records} records or {bytes} MB\n  \
         └─▶ bad records: topic {dead}\n",
        id = pipeline.id(),
        group = pipeline.group,
        table = about.table,
        place = about.place,
        lookups = lookups.collect::<String>(),
        every = roll.every.as_secs_f64(),
        records = roll.records,
        bytes = roll.bytes >> 20,
        dead = dead_letter::topic_for(&pipeline.topic.name),
    )
}

pub(crate) fn keeping(keeping: &Keeping) -> String {
    match keeping {
        Keeping::Append => "appended".to_owned(),
        Keeping::Upsert { key } => format!("one row per {}", key.join(", ")),
        Keeping::Count { key, count } => format!("{count} added up per {}", key.join(", ")),
    }
}

pub(crate) fn first_words(text: &str, count: usize) -> String {
    text.split_whitespace().take(count).collect::<Vec<_>>().join(" ")
}
