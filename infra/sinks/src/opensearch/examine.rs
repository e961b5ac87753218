//! What `millstream doctor` says of a search server.

use std::time::Duration;

use millstream_config::Finding;
use serde_json::{Value, json};

use super::builds::now_ms;
use super::faults::Fault;
use super::server::{Call, OpenSearch, Replicas, Server};

/// Clocks that differ by more than this make ages and times of the index's documents misleading.
const SKEW: Duration = Duration::from_secs(5);
/// The disk's share from which servers begin to refuse.
const DISK: u64 = 85;

impl OpenSearch {
    /// Whether it can be used: reachable, authenticated, version, health, disks, rights, clock. Makes and removes one
    /// index, `<prefix>millstream-doctor`.
    pub async fn examine(&self) -> Vec<Finding> {
        let server = &*self.0;
        let what = server.origin.key.clone();
        let dialect = match server.dialect().await {
            Ok(dialect) => dialect,
            Err(fault) => return vec![unreachable(server, fault)],
        };
        let shown = format!("{} is {dialect}", server.origin.shown);
        let mut found = vec![Finding::good(&what, shown)];
        if server.is_plain {
            found.push(Finding::warning(
                &what,
                "its password travels unencrypted",
                "let the server speak TLS, and begin the URL with https://",
            ));
        }
        found.extend(health(server, &what).await);
        found.extend(disks(server, &what).await);
        found.push(rights(server, &what).await);
        found.extend(clock(server, &what).await);
        found
    }
}

fn unreachable(server: &Server, fault: Fault) -> Finding {
    let key = &server.origin.key;
    let told = fault.told("connect to the search server", &server.origin);
    let remedy = match &told {
        millstream_engine::SinkError::Refused { remedy, .. } => remedy.clone(),
        millstream_engine::SinkError::Unavailable { .. } => {
            format!("start it, or correct {key}; see whether a firewall is between")
        }
    };
    Finding::bad(key, millstream_engine::chain(&told), remedy)
}

/// What can't be asked for want of rights is no fault of the server's.
async fn ask(server: &Server, what: &str, path: &str, of: &str) -> Result<Value, Option<Finding>> {
    match server.send(&Call::get(path)).await {
        Ok(answer) => Ok(answer),
        Err(fault) if fault.status() == Some(403) => Err(Some(Finding::warning(
            what,
            format!("its {of} can't be seen with these rights"),
            "give this user the cluster right `monitor` if the doctor is to see it",
        ))),
        Err(fault) => Err(Some(Finding::warning(
            what,
            format!("its {of} can't be seen: {fault}"),
            "see the server's log",
        ))),
    }
}

async fn health(server: &Server, what: &str) -> Option<Finding> {
    let answer = match ask(server, what, "_cluster/health", "health").await {
        Ok(answer) => answer,
        Err(finding) => return finding,
    };
    let status = answer["status"].as_str().unwrap_or("unknown");
    let nodes = answer["number_of_nodes"].as_u64().unwrap_or_default();
    let told = format!("the cluster is {status} with {nodes} node(s)");
    let log = "look for what is missing: GET _cluster/allocation/explain";
    Some(match (status, nodes, &server.replicas) {
        ("red", ..) => Finding::bad(what, told, log),
        ("yellow", 2.., _) => Finding::warning(what, told, log),
        (_, nodes, Replicas::Number(wanted)) if u64::from(*wanted) >= nodes => Finding::warning(
            what,
            format!("{told}, and replicas={wanted} takes {} nodes", u64::from(*wanted) + 1),
            "add nodes, or lower replicas",
        ),
        (_, 1, _) => Finding::good(what, format!("{told}: rows have no second copy")),
        _ => Finding::good(what, told),
    })
}

async fn disks(server: &Server, what: &str) -> Vec<Finding> {
    let path = "_cat/allocation?format=json&h=node,disk.percent";
    let answer = match ask(server, what, path, "disks").await {
        Ok(answer) => answer,
        Err(finding) => return finding.into_iter().collect(),
    };
    let mut found = Vec::new();
    for node in answer.as_array().into_iter().flatten() {
        let used = node["disk.percent"].as_str().and_then(|text| text.parse::<u64>().ok());
        if let Some(used) = used.filter(|used| *used >= DISK) {
            let name = node["node"].as_str().unwrap_or("a node");
            found.push(Finding::warning(
                what,
                format!("the disk of {name} is {used} % full; at 95 % it takes no documents"),
                "free space, or add a node",
            ));
        }
    }
    let prefix = &server.prefix;
    let blocks =
        format!("{prefix}*/_settings?filter_path=*.settings.index.blocks&expand_wildcards=open");
    if let Ok(Value::Object(blocked)) = server.send(&Call::get(blocks)).await {
        for (index, settings) in blocked {
            let blocks = &settings["settings"]["index"]["blocks"];
            if blocks["read_only_allow_delete"] == "true" || blocks["write"] == "true" {
                found.push(Finding::bad(
                    what,
                    format!("index {index} takes no documents: it is blocked, as when the disk is nearly full"),
                    "free space; the server then takes the block away by itself, or set index.blocks to null",
                ));
            }
        }
    }
    if found.is_empty() {
        found.push(Finding::good(what, "there is room on its disks"));
    }
    found
}

/// Tries everything that a worker and a reader do.
async fn rights(server: &Server, what: &str) -> Finding {
    let name = format!("{}millstream-doctor", server.prefix);
    let aliases = json!({format!("{name}-writes"): {}});
    let make =
        json!({"settings": {"number_of_shards": 1, "number_of_replicas": 0}, "aliases": aliases});
    // One may be left from a doctor that was broken off.
    let _ = server.send(&Call::delete(name.as_str(), None)).await;
    let tried = async {
        server
            .send(&Call::put(name.as_str(), make))
            .await
            .map_err(|fault| ("make an index", fault))?;
        let item = super::bulk::Item::newest("a".to_owned(), 1, &json!({"a": 1}));
        let written = super::bulk::one(server, &name, item).await;
        written.map_err(|fault| ("write documents", fault))?;
        let read = super::fetch::which(server, &name, &["a".to_owned()]).await;
        read.map_err(|fault| ("read documents", fault))?;
        let show = server.send(&Call::bare_post(format!("{name}/_refresh"))).await;
        show.map_err(|fault| ("have what was written found", fault))?;
        let dialect = server.dialect().await.map_err(|fault| ("look", fault))?;
        let point = server.send(&dialect.open_point(&name, "1m")).await;
        let point = point.map_err(|fault| ("hold a point in time", fault))?;
        let id = dialect.point_of(&point).map_err(|fault| ("hold a point in time", fault))?;
        let close = server.send(&dialect.close_point(&id)).await;
        close.map_err(|fault| ("let go of a point in time", fault))?;
        let action = json!({"remove": {"index": name, "alias": format!("{name}-writes")}});
        let switch = Call::post("_aliases", json!({"actions": [action]}));
        server.send(&switch).await.map_err(|fault| ("change aliases", fault))?;
        Ok::<_, (&str, Fault)>(())
    };
    let tried = tried.await;
    let removed = server.send(&Call::delete(name.as_str(), None)).await;
    let failed = match (tried, removed) {
        (Ok(()), Ok(_)) => {
            let told = "indexes can be made, written, searched, switched and removed";
            return Finding::good(what, told);
        }
        (Err(failed), _) => failed,
        (Ok(()), Err(fault)) => ("remove an index", fault),
    };
    let (doing, fault) = failed;
    let remedy = match fault.status() {
        Some(401 | 403) => format!(
            "give {} the rights create_index, delete_index, manage_aliases, read, write, refresh and point in time on {}*",
            if server.origin.user.is_empty() {
                "everybody, or a user named in the URL,"
            } else {
                &server.origin.user
            },
            server.prefix
        ),
        _ => "see the server's log".to_owned(),
    };
    Finding::bad(what, format!("it doesn't let us {doing}: {fault}"), remedy)
}

async fn clock(server: &Server, what: &str) -> Option<Finding> {
    let before = now_ms();
    let path = "_nodes/stats/os?filter_path=nodes.*.os.timestamp,nodes.*.timestamp";
    let answer = match ask(server, what, path, "clock").await {
        Ok(answer) => answer,
        Err(finding) => return finding,
    };
    let after = now_ms();
    let times = answer["nodes"].as_object().into_iter().flat_map(|nodes| nodes.values());
    let off = |at: i64| (before - at).max(at - after).max(0);
    let worst =
        times.filter_map(|node| node["os"]["timestamp"].as_i64().or(node["timestamp"].as_i64()));
    let worst = worst.map(off).max()?;
    let limit = i64::try_from(SKEW.as_millis()).unwrap_or(i64::MAX);
    // Statistics are up to a second old.
    Some(if worst > limit {
        Finding::warning(
            what,
            format!("its clock and ours differ by {:.1} s", worst as f64 / 1_000.0),
            "let both follow a time server",
        )
    } else {
        Finding::good(what, "its clock agrees with ours")
    })
}
