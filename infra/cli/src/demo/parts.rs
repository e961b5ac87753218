use anyhow::{Context, Result};
use millstream_app::{ProduceOptions, Rate, Setup};
use millstream_config::Origin;

use crate::apps::{APPS, Where};

/// An app in the demo.
pub struct Part {
    pub setup: Setup,
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
            Ok(Part { setup })
        })
        .collect()
}

impl Part {
    /// What its producer is asked for in the demo's main part.
    pub fn asked(&self, endless: bool) -> ProduceOptions {
        match self.records() {
            Some(_) if endless => fast(None),
            Some(records) => fast(Some(records)),
            None => ProduceOptions { once: !endless, ..ProduceOptions::default() },
        }
    }

    /// What its producer is asked for while somebody looks at the pages: enough to see them move. `None`: its
    /// pages produce by themselves.
    pub fn gently(&self) -> Option<ProduceOptions> {
        let rate = match self.setup.app.name {
            "wordcount" => Some(Rate::PerSecond(20.0)),
            "users" => Some(Rate::PerSecond(5.0)),
            "health" => Some(Rate::PerSecond(10.0)),
            _ => None,
        };
        let serves = self.setup.app.serve.is_some();
        (!serves).then(|| ProduceOptions { rate, ..ProduceOptions::default() })
    }

    /// More than 100,000 in all, most of them where they cost least. `None`: what its feed has.
    fn records(&self) -> Option<u64> {
        match self.setup.app.name {
            "wordcount" => Some(60_000),
            "users" | "health" => Some(21_000),
            "weather" => Some(3_000),
            _ => None,
        }
    }
}

fn fast(limit: Option<u64>) -> ProduceOptions {
    ProduceOptions { rate: Some(Rate::Max), limit, ..ProduceOptions::default() }
}
