use std::time::Duration;

use aws_sdk_glue::types::{Crawler, CrawlerState, LastCrawlInfo, LastCrawlStatus};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Doing, Glue};
use crate::AwsError;
use crate::faults::code;

const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Crawls take a minute at least.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Until a crawler that was started says so.
const STARTING: Duration = Duration::from_secs(60);
const LOGS: &str = "/aws-glue/crawlers";

/// A crawl under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crawl {
    pub crawler: String,
    /// Glue's word: RUNNING, STOPPING.
    pub state: String,
    pub took: Duration,
}

/// How a crawl ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crawled {
    pub crawler: String,
    pub end: Ended,
    pub took: Duration,
    /// Of this run and those before.
    pub tables_created: i32,
    pub tables_updated: i32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    Succeeded,
    /// By somebody else, or by us.
    Cancelled,
    Failed {
        why: String,
        remedy: String,
    },
}

impl Glue {
    /// The database's crawlers, in the order of their names.
    pub async fn crawlers(&self) -> Result<Vec<String>, AwsError> {
        let doing = self.crawling("list the crawlers of", "", "glue:GetCrawlers");
        let client = self.client().await?;
        let (mut names, mut next) = (Vec::new(), None);
        loop {
            let answer = match client.get_crawlers().set_next_token(next).send().await {
                Ok(answer) => answer,
                Err(error) => return Err(doing.fault(error).await),
            };
            let ours =
                answer.crawlers().iter().filter(|one| one.database_name() == Some(self.database()));
            names.extend(ours.filter_map(Crawler::name).map(str::to_owned));
            next = answer.next_token.filter(|token| !token.is_empty());
            if next.is_none() {
                names.sort();
                return Ok(names);
            }
        }
    }

    /// Starts a crawler, unless it runs already, and waits until it has ended. `stop` has it stopped.
    pub async fn crawl(
        &self,
        name: &str,
        stop: &CancellationToken,
        told: &(dyn Fn(&Crawl) + Send + Sync),
    ) -> Result<Crawled, AwsError> {
        let before = self.crawler(name).await?.last_crawl;
        let doing = self.crawling("start", name, "glue:StartCrawler");
        let started = self.client().await?.start_crawler().name(name).send().await;
        match started {
            Ok(_) => {}
            // By its schedule, by somebody else, or by a reply that was lost.
            Err(error) if code(&error) == "CrawlerRunningException" => {}
            Err(error) => return Err(doing.fault(error).await),
        }
        let begun = Instant::now();
        let (mut pause, mut stopping) = (FIRST_PAUSE, false);
        loop {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled(), if !stopping => {
                    stopping = true;
                    self.stop_crawler(name).await?;
                }
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
            let crawler = self.crawler(name).await?;
            let is_new = crawler.last_crawl != before;
            if crawler.state() == Some(&CrawlerState::Ready)
                && (is_new || stopping || begun.elapsed() > STARTING)
            {
                let stopped = stopping && !is_new;
                return self
                    .crawled(name, crawler.last_crawl.filter(|_| !stopped), begun.elapsed())
                    .await;
            }
            let state = crawler.state().map_or("RUNNING", CrawlerState::as_str).to_owned();
            told(&Crawl { crawler: name.to_owned(), state, took: begun.elapsed() });
        }
    }

    async fn crawler(&self, name: &str) -> Result<Crawler, AwsError> {
        let doing = self.crawling("look at", name, "glue:GetCrawler");
        match self.client().await?.get_crawler().name(name).send().await {
            Ok(answer) => answer.crawler.ok_or_else(|| doing.built("no crawler in the answer")),
            Err(error) => Err(doing.fault(error).await),
        }
    }

    async fn stop_crawler(&self, name: &str) -> Result<(), AwsError> {
        let doing = self.crawling("stop", name, "glue:StopCrawler");
        match self.client().await?.stop_crawler().name(name).send().await {
            Ok(_) => Ok(()),
            Err(error)
                if ["CrawlerNotRunningException", "CrawlerStoppingException"]
                    .contains(&code(&error)) =>
            {
                Ok(())
            }
            Err(error) => Err(doing.fault(error).await),
        }
    }

    /// `last`: none, if it was stopped before it told anything.
    async fn crawled(
        &self,
        name: &str,
        last: Option<LastCrawlInfo>,
        took: Duration,
    ) -> Result<Crawled, AwsError> {
        let doing = self.crawling("read the numbers of", name, "glue:GetCrawlerMetrics");
        let asked = self.client().await?.get_crawler_metrics().crawler_name_list(name);
        let metrics = match asked.send().await {
            Ok(answer) => answer.crawler_metrics_list().first().cloned(),
            Err(error) => return Err(doing.fault(error).await),
        };
        let end = match &last {
            Some(last) => ended(name, last),
            None => Ended::Cancelled,
        };
        let (tables_created, tables_updated) =
            metrics.map_or((0, 0), |one| (one.tables_created(), one.tables_updated()));
        Ok(Crawled { crawler: name.to_owned(), end, took, tables_created, tables_updated })
    }

    fn crawling(&self, verb: &str, crawler: &str, action: &'static str) -> Doing<'_> {
        let doing = self.doing(verb, "", action);
        if crawler.is_empty() {
            return doing;
        }
        Doing {
            told: format!("{verb} crawler {crawler}"),
            resource: format!("arn:aws:glue:*:*:crawler/{crawler}"),
            missing: format!(
                "name one of database {}: `millstream crawl --list` shows them; Terraform makes them",
                self.database()
            ),
            ..doing
        }
    }
}

fn ended(name: &str, last: &LastCrawlInfo) -> Ended {
    match last.status() {
        Some(LastCrawlStatus::Failed) => {
            let why = last.error_message().unwrap_or("Glue gives no reason").to_owned();
            let remedy = remedy(name, &why, last);
            Ended::Failed { why, remedy }
        }
        Some(LastCrawlStatus::Cancelled) => Ended::Cancelled,
        _ => Ended::Succeeded,
    }
}

/// What to do about it, and where the crawler's own words are.
fn remedy(name: &str, why: &str, last: &LastCrawlInfo) -> String {
    let group = last.log_group().unwrap_or(LOGS);
    let stream = last.log_stream().unwrap_or(name);
    let logs = format!("its log: `aws logs tail {group} --log-stream-names {stream}`");
    let lower = why.to_lowercase();
    let to_do = if let Some((action, resource)) = crate::faults::named(why) {
        format!("allow {action} on {resource} in the policy of the crawler's role")
    } else if lower.contains("lake formation") {
        "grant the crawler's role DATA_LOCATION_ACCESS and CREATE_TABLE in Lake Formation"
            .to_owned()
    } else if lower.contains("assume") || lower.contains("not authorized") {
        "let glue.amazonaws.com assume the crawler's role (its trust policy)".to_owned()
    } else if lower.contains("access denied")
        || lower.contains("accessdenied")
        || lower.contains("403")
    {
        "allow s3:GetObject on the table's directory and s3:ListBucket on the bucket in the policy of the crawler's role".to_owned()
    } else if lower.contains("internal service exception") {
        "start it again; where it fails again, look for files of several formats in one directory"
            .to_owned()
    } else if lower.contains("no such bucket") || lower.contains("does not exist") {
        "correct the crawler's target, or the bucket's name".to_owned()
    } else {
        "read why, correct it, and start it again".to_owned()
    };
    format!("{to_do}; {logs}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(why: &str) -> String {
        let last = LastCrawlInfo::builder().status(LastCrawlStatus::Failed).error_message(why);
        let last = last.log_group("/aws-glue/crawlers").log_stream("users").build();
        match ended("users", &last) {
            Ended::Failed { why: told, remedy } => {
                assert_eq!(told, why);
                remedy
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn failures_say_what_to_do_and_where_the_log_is() {
        for (why, expected) in [
            (
                "User: arn:aws:sts::1:assumed-role/c/x is not authorized to perform: glue:CreateTable on resource: arn:aws:glue:eu-west-1:1:catalog (Service: AWSGlue)",
                "allow glue:CreateTable on arn:aws:glue:eu-west-1:1:catalog",
            ),
            (
                "Service Principal: glue.amazonaws.com is not authorized to assume role",
                "trust policy",
            ),
            ("Insufficient Lake Formation permission(s) on s3://b", "Lake Formation"),
            (
                "The following access was denied: Access Denied (Service: Amazon S3; Status Code: 403)",
                "s3:GetObject",
            ),
            ("Internal Service Exception", "start it again"),
            ("The S3 location does not exist", "target"),
            ("something new", "read why"),
        ] {
            let remedy = failed(why);
            assert!(remedy.contains(expected), "{why}: {remedy}");
            assert!(
                remedy.contains("aws logs tail /aws-glue/crawlers --log-stream-names users"),
                "{remedy}"
            );
        }
    }
}
