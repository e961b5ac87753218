use anyhow::{Context, Result};
use millstream_app::Setup;
use millstream_config::Origin;

use crate::apps::{APPS, Where};

/// An app in the demo.
pub struct Part {
    pub setup: Setup,
    /// How many records its producer sends.
    pub records: u64,
}

/// Ranges roll each second, so that a short run shows them; unless the user said otherwise.
pub fn open(place: &Where) -> Result<Vec<Part>> {
    APPS.iter()
        .map(|app| {
            let places = place.of(app);
            let mut settings = Setup::settings(app, places.config.as_deref())?;
            if matches!(settings.origin("roll.every_s"), Origin::Default) {
                settings.set("roll.every_s", 1).context("set roll.every_s")?;
            }
            let setup = Setup::with_settings(app, settings, &place.data)?;
            Ok(Part { setup, records: records(app.name) })
        })
        .collect()
}

/// More than 100,000 in all, most of them where they cost least.
fn records(app: &str) -> u64 {
    match app {
        "wordcount" => 60_000,
        "users" | "health" => 21_000,
        _ => 3_000,
    }
}
