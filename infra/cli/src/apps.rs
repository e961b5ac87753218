use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use millstream_app::{App, Places, Setup};
use millstream_engine::Pipeline;

/// Every app, in the order in which they are shown.
pub const APPS: [App; 5] = [wordcount::APP, users::APP, health::APP, weather::APP, recalls::APP];

/// Where data and settings are.
#[derive(Clone, Debug, clap::Args)]
pub struct Where {
    /// Directory of the embedded log, stores and lake; several commands may use it at once
    #[arg(
        long,
        global = true,
        env = "MILLSTREAM_DATA",
        value_name = "DIR",
        default_value = ".millstream"
    )]
    pub data: PathBuf,
    /// Settings of an app that differ from its own, as in `--config weather=my.toml`; may be repeated
    #[arg(long, global = true, value_name = "APP=FILE", value_parser = app_and_file)]
    pub config: Vec<(String, PathBuf)>,
}

fn app_and_file(text: &str) -> Result<(String, PathBuf), String> {
    let names: Vec<_> = APPS.iter().map(|app| app.name).collect();
    match text.split_once('=') {
        Some((app, file)) if names.contains(&app) => Ok((app.to_owned(), file.into())),
        _ => Err(format!("expected APP=FILE, where APP is one of {}", names.join(", "))),
    }
}

impl Where {
    /// The places of one app.
    pub fn of(&self, app: &App) -> Places {
        let files: BTreeMap<_, _> = self.config.iter().cloned().collect();
        Places { data: self.data.clone(), config: files.get(app.name).cloned() }
    }

    /// Every app, made ready.
    pub fn open_all(&self) -> Result<Vec<Setup>> {
        APPS.iter().map(|app| Setup::open(app, &self.of(app))).collect()
    }

    /// The app and pipeline called `app.pipeline`.
    pub fn pipeline(&self, id: &str) -> Result<(Setup, Pipeline)> {
        let setups = self.open_all()?;
        let known: Vec<_> =
            setups.iter().flat_map(|setup| setup.pipelines.iter().map(Pipeline::id)).collect();
        let found = setups.into_iter().find_map(|setup| {
            let pipeline = setup.pipelines.iter().find(|pipeline| pipeline.id() == id).cloned();
            pipeline.map(|pipeline| (setup, pipeline))
        });
        found
            .with_context(|| format!("there is no pipeline {id:?}; there are {}", known.join(", ")))
    }

    /// Fails unless the data directory is there, or all is on servers: most commands have nothing to do without it.
    pub fn must_exist(&self) -> Result<()> {
        let is_embedded = |app: &App| {
            let settings = Setup::settings(app, self.of(app).config.as_deref());
            let url = settings.and_then(|settings| Ok(settings.section::<String>("topics.url")?));
            url.map_or(true, |url| url.starts_with("sqlite://"))
        };
        if !self.data.is_dir() && APPS.iter().all(is_embedded) {
            let data = self.data.display();
            bail!(
                "there is no data in {data}: name its directory by --data, or try `millstream demo`"
            );
        }
        Ok(())
    }
}
