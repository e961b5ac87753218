use anyhow::{Context, Result};
use millstream_app::Setup;
use millstream_aws::Catalog;
use millstream_config::Secret;

use crate::apps::{APPS, Where};

/// Where Glue's catalog and Athena are.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Aws {
    /// Glue's database as glue://DATABASE[?region=…&workgroup=…]; without it, what the apps' settings name ([stores] catalog)
    #[arg(long, env = "MILLSTREAM_CATALOG", value_name = "URL")]
    catalog: Option<String>,
    /// Another database of the same account
    #[arg(long, env = "MILLSTREAM_DATABASE", value_name = "NAME")]
    database: Option<String>,
    /// Athena's workgroup [default: the catalog's, else primary]
    #[arg(long, env = "MILLSTREAM_WORKGROUP", value_name = "NAME")]
    workgroup: Option<String>,
}

impl Aws {
    /// The catalog that is meant. Asks nobody yet.
    pub fn open(&self, place: &Where) -> Result<Catalog> {
        let configured = match given(self.catalog.as_ref()) {
            Some(url) => Some(Catalog::parse("MILLSTREAM_CATALOG", url, Secret::default())?),
            None => of_settings(place)?,
        };
        let catalog = match (configured, given(self.database.as_ref())) {
            (Some(catalog), Some(database)) => Some(catalog.database(database)),
            (None, Some(database)) => Some(Catalog::named(database)),
            (catalog, None) => catalog,
        };
        let catalog = catalog.context(
            "no catalog is named: give --database NAME, or --catalog glue://NAME?region=… (MILLSTREAM_CATALOG), \
             or set [stores] catalog; `terraform output glue_database` tells the name",
        )?;
        Ok(match given(self.workgroup.as_ref()) {
            Some(workgroup) => catalog.workgroup(workgroup),
            None => catalog,
        })
    }
}

/// A variable of the environment that is empty says nothing.
fn given(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.is_empty())
}

/// The catalog that the environment or an app's settings name, if any.
pub fn configured(place: &Where) -> Result<Option<Catalog>> {
    match std::env::var("MILLSTREAM_CATALOG") {
        Ok(url) if !url.is_empty() => {
            Ok(Some(Catalog::parse("MILLSTREAM_CATALOG", &url, Secret::default())?))
        }
        _ => of_settings(place),
    }
}

/// The bucket of the lake, where one of the apps keeps it in S3.
pub fn bucket(place: &Where) -> Option<String> {
    APPS.iter().find_map(|app| {
        let settings = Setup::settings(app, place.of(app).config.as_deref()).ok()?;
        let url = settings.section::<String>("stores.lake").ok()?;
        let rest = url.strip_prefix("s3://")?;
        let bucket = rest.split(['/', '?']).next()?;
        bucket.rsplit('@').next().map(str::to_owned)
    })
}

/// Apps share a catalog: the first that names one is meant.
fn of_settings(place: &Where) -> Result<Option<Catalog>> {
    for app in &APPS {
        let settings = Setup::settings(app, place.of(app).config.as_deref())?;
        let url = settings.section::<String>("stores.catalog").unwrap_or_default();
        if !url.is_empty() {
            let password = settings.section("stores.catalog_password").unwrap_or_default();
            return Ok(Some(Catalog::parse("stores.catalog", &url, password)?));
        }
    }
    Ok(None)
}
