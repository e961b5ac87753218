//! What `millstream doctor` asks a server, and what it says to the answers.

use std::time::{SystemTime, UNIX_EPOCH};

use millstream_config::Finding;
use millstream_engine::SinkError;

use super::faults::{Fault, grant};
use super::positions::NO_DATABASE;
use super::server::Mysql;
use super::session::{Session, value};

/// Of the two clocks, in milliseconds.
const SKEW_MS: i64 = 2_000;
/// Rows have to fit into a packet, each with all its texts.
const PACKET: usize = 16 << 20;
/// What a user needs on the databases.
const RIGHTS: [&str; 6] = ["SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "ALTER"];
/// No such variable: the other server's, or of an older one.
const NO_VARIABLE: u16 = 1193;

impl Mysql {
    /// Whether tables could be kept here: reachable, authenticated, authorised, versions, clock, durability. Changes
    /// nothing.
    pub async fn examine(&self) -> Vec<Finding> {
        let what = self.key().to_owned();
        let mut session = match Session::open(self, self.own_database()).await {
            Err(fault) if fault.code() == Some(NO_DATABASE) && self.creates() => {
                match Session::open(self, None).await {
                    Ok(session) => session,
                    Err(fault) => return vec![self.unreachable(fault)],
                }
            }
            Ok(session) => session,
            Err(fault) => return vec![self.unreachable(fault)],
        };
        let mut findings = vec![version(&what, &session, self)];
        let asked = self.ask(&what, &mut session, &mut findings).await;
        if let Err(fault) = asked {
            findings.push(self.unreachable(fault));
        }
        session.close().await;
        findings
    }

    async fn ask(
        &self,
        what: &str,
        session: &mut Session,
        findings: &mut Vec<Finding>,
    ) -> Result<(), Fault> {
        findings.push(clock(what, session).await?);
        findings.push(rights(what, session, self).await?);
        findings.extend(writable(what, session).await?);
        findings.extend(durable(what, session).await?);
        findings.extend(limits(what, session).await?);
        Ok(())
    }

    fn unreachable(&self, fault: Fault) -> Finding {
        match fault.told("connect", &self.place(self.own_database())) {
            SinkError::Refused { doing, why, remedy } => {
                Finding::bad(self.key(), format!("{doing}: {why}"), remedy)
            }
            SinkError::Unavailable { doing, source } => Finding::bad(
                self.key(),
                format!("{doing}: {source}"),
                format!("start the server, let this machine reach it, or correct {}", self.key()),
            ),
        }
    }
}

fn version(what: &str, session: &Session, server: &Mysql) -> Finding {
    let (dialect, (major, minor, patch)) = (session.dialect, session.dialect.oldest());
    let told = format!("{server} is {}", dialect.name());
    if dialect.version >= dialect.oldest() {
        return Finding::good(what, told);
    }
    Finding::bad(what, told, format!("upgrade it to {major}.{minor}.{patch} or later"))
}

async fn clock(what: &str, session: &mut Session) -> Result<Finding, Fault> {
    let before = now_ms();
    let query = "SELECT CAST(UNIX_TIMESTAMP(UTC_TIMESTAMP(3)) * 1000 AS SIGNED)";
    let there = session.row(query, vec![]).await?.and_then(|row| value::<i64>(&row, 0));
    let here = before.midpoint(now_ms());
    let skew = there.unwrap_or(here) - here;
    Ok(if skew.abs() <= SKEW_MS {
        Finding::good(what, format!("its clock is within {SKEW_MS} ms of ours"))
    } else {
        let told = format!("its clock is {skew} ms ahead of ours (negative: behind)");
        Finding::warning(
            what,
            told,
            "let both machines keep time by NTP; times in logs don't compare until then",
        )
    })
}

async fn rights(what: &str, session: &mut Session, server: &Mysql) -> Result<Finding, Fault> {
    let rows = session.rows("SHOW GRANTS FOR CURRENT_USER()", vec![]).await?;
    let grants: Vec<String> = rows.into_iter().filter_map(|row| value(&row, 0)).collect();
    let place = server.place(server.own_database());
    let missing = missing(&grants);
    Ok(if missing.is_empty() {
        Finding::good(what, format!("user {:?} may read, write, create and alter", place.user))
    } else {
        let told = format!("user {:?} may not {} on any database", place.user, missing.join(", "));
        // Rights that come by a role aren't listed.
        Finding::warning(what, told, format!("unless a role grants it: {}", grant(&place)))
    })
}

/// Rights that are granted on nothing at all.
fn missing(grants: &[String]) -> Vec<&'static str> {
    let upper: Vec<_> = grants.iter().map(|grant| grant.to_uppercase()).collect();
    let listed = |right: &str| {
        upper.iter().filter_map(|grant| grant.strip_prefix("GRANT ")?.split_once(" ON ")).any(
            |(rights, _)| {
                rights.starts_with("ALL")
                    || rights.split(',').any(|granted| granted.trim() == right)
            },
        )
    };
    RIGHTS.into_iter().filter(|right| !listed(right)).collect()
}

async fn writable(what: &str, session: &mut Session) -> Result<Vec<Finding>, Fault> {
    let mut findings = Vec::new();
    if is_on(session, "read_only").await? {
        let remedy = "name the primary server, or switch read_only off";
        findings.push(Finding::bad(what, "it is read-only", remedy));
    }
    let statements = variable(session, "binlog_format").await?.is_some_and(|f| f == "STATEMENT");
    if statements && is_on(session, "log_bin").await? {
        let remedy = "set binlog_format=ROW on the server";
        findings.push(Finding::bad(what, "its binary log takes statements, not rows", remedy));
    }
    Ok(findings)
}

async fn durable(what: &str, session: &mut Session) -> Result<Vec<Finding>, Fault> {
    let mut findings = Vec::new();
    let flush = variable(session, "innodb_flush_log_at_trx_commit").await?;
    if let Some(flush) = flush.filter(|flush| flush != "1") {
        findings.push(Finding::warning(
            what,
            format!("innodb_flush_log_at_trx_commit={flush}: a crash may lose what was acknowledged, rows and position together"),
            "set it to 1, unless losing a second of work to be done again is fine: the topic still has it",
        ));
    }
    let sync = variable(session, "sync_binlog").await?;
    if let Some(sync) = sync.filter(|sync| sync != "1")
        && is_on(session, "log_bin").await?
    {
        findings.push(Finding::warning(
            what,
            format!("sync_binlog={sync}: after a crash of the machine its replicas may hold other rows than it does"),
            "set it to 1",
        ));
    }
    Ok(findings)
}

async fn limits(what: &str, session: &mut Session) -> Result<Vec<Finding>, Fault> {
    let mut findings = Vec::new();
    if session.packet < PACKET {
        findings.push(Finding::warning(
            what,
            format!(
                "max_allowed_packet={}: a row with all its texts must fit into it",
                session.packet
            ),
            format!("set it to {PACKET} or more"),
        ));
    }
    let page =
        variable(session, "innodb_page_size").await?.and_then(|page| page.parse::<u32>().ok());
    if let Some(page) = page.filter(|page| *page < 16_384) {
        findings.push(Finding::bad(
            what,
            format!("innodb_page_size={page}: keys don't fit into its indexes"),
            "use a server with pages of 16 KiB or more",
        ));
    }
    Ok(findings)
}

async fn is_on(session: &mut Session, name: &str) -> Result<bool, Fault> {
    Ok(variable(session, name).await?.is_some_and(|value| matches!(value.as_str(), "1" | "ON")))
}

/// A setting of the server; `None`: it has none of that name.
async fn variable(session: &mut Session, name: &str) -> Result<Option<String>, Fault> {
    match session.row(&format!("SELECT CAST(@@GLOBAL.{name} AS CHAR)"), vec![]).await {
        Err(fault) if fault.code() == Some(NO_VARIABLE) => Ok(None),
        row => Ok(row?.and_then(|row| value(&row, 0))),
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_are_read_from_what_the_server_lists() {
        let missing =
            |grants: &[&str]| missing(&grants.iter().map(|&g| g.to_owned()).collect::<Vec<_>>());
        assert_eq!(
            missing(&["GRANT ALL PRIVILEGES ON *.* TO `root`@`%` WITH GRANT OPTION"]),
            [""; 0]
        );
        let some = "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE ON `words`.* TO `app`@`%`";
        assert_eq!(missing(&["GRANT USAGE ON *.* TO `app`@`%`", some]), ["ALTER"]);
        assert_eq!(missing(&["GRANT USAGE ON *.* TO `app`@`%`"]), RIGHTS);
        assert_eq!(missing(&["GRANT `all`@`%` TO `app`@`%`"]), RIGHTS, "a role");
    }
}
