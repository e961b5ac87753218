use anyhow::Result;
use futures::future::join_all;
use millstream_app::{App, Setup, check};
use millstream_aws::preflight;
use millstream_config::{Finding, Health};

use crate::apps::{APPS, Where};
use crate::catalog;
use crate::show::say;

/// What was found for one app, or for AWS's catalog.
struct Examined {
    app: &'static str,
    findings: Vec<Finding>,
}

/// Looks at every topic, feed and store that the apps' settings name. `false`: something is bad.
pub async fn doctor(place: &Where, only: &[String], json: bool) -> Result<bool> {
    let wanted = |app: &&App| only.is_empty() || only.iter().any(|name| name == app.name);
    let looking = APPS.iter().filter(wanted).map(|app| async {
        let findings = match Setup::open(app, &place.of(app)) {
            Ok(setup) => check::examine(&setup).await,
            Err(error) => vec![check::told("settings", Err(error))],
        };
        Examined { app: app.name, findings }
    });
    let mut examined = join_all(looking).await;
    if only.is_empty() {
        examined.extend(aws(place).await);
    }
    let bad = count(&examined, Health::Bad);
    if json {
        let apps = examined.iter().map(|one| (one.app.to_owned(), serde_json::json!(one.findings)));
        let apps = serde_json::Map::from_iter(apps);
        say!("{}", serde_json::json!({ "healthy": bad == 0, "apps": apps }));
    } else {
        show(&examined);
        match (bad, count(&examined, Health::Warning)) {
            (0, 0) => say!("all is well"),
            (0, warnings) => say!("all works; {}", things(warnings, "to think about")),
            (bad, _) => say!("{} first; see above", things(bad, "must be put right")),
        }
    }
    Ok(bad == 0)
}

/// Glue, Athena and the lake's bucket, where a catalog is named.
async fn aws(place: &Where) -> Option<Examined> {
    let findings = match catalog::configured(place) {
        Ok(Some(catalog)) => {
            let bucket = catalog::bucket(place);
            Box::pin(preflight::examine(&catalog, bucket.as_deref())).await
        }
        Ok(None) => return None,
        Err(error) => vec![check::told("catalog", Err(error))],
    };
    Some(Examined { app: "aws", findings })
}

fn show(examined: &[Examined]) {
    let mut shown: Vec<&Finding> = Vec::new();
    for Examined { app, findings } in examined {
        say!("{app}");
        // What several apps share is told once.
        let (known, new): (Vec<_>, Vec<_>) =
            findings.iter().partition(|finding| shown.contains(finding));
        new.iter().for_each(|finding| check::print(finding));
        if !known.is_empty() {
            say!("     and {} as above", known.len());
        }
        shown.extend(new);
    }
}

fn count(examined: &[Examined], state: Health) -> usize {
    let findings = examined.iter().flat_map(|one| &one.findings);
    findings.filter(|finding| finding.state == state).count()
}

fn things(count: usize, what: &str) -> String {
    let noun = if count == 1 { "thing" } else { "things" };
    format!("{count} {noun} {what}")
}
