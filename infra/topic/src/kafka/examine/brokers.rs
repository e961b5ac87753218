use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use millstream_config::Finding;

use super::{Kafka, blocking};
use crate::TopicError;
use crate::kafka::access::Rights;
use crate::kafka::described::{self, May};
use crate::kafka::errors::Doing;
use crate::kafka::looker::Looker;
use crate::kafka::versions;

/// How long connecting to a broker may take.
const CONNECT: Duration = Duration::from_secs(3);

/// A cluster that let us in.
pub(super) struct Cluster {
    pub(super) brokers: usize,
    /// What we may do with it as a whole.
    pub(super) may: May,
}

struct Broker {
    number: i32,
    address: String,
}

/// Reaches the cluster and every broker it tells of.
pub(super) async fn look(kafka: &Kafka) -> Result<(Cluster, Vec<Finding>), TopicError> {
    let looker = kafka.looker()?;
    let settings = kafka.settings.clone();
    blocking(move || {
        let (brokers, id) = found(&looker)?;
        let doing = doing(&looker);
        // Who may not even describe the cluster may still use it.
        let may = looker.describe(&doing, described::cluster).unwrap_or(None);
        let version = versions::look(&settings);
        let mut findings =
            vec![Finding::good("topics.url", told(&looker, &brokers, &id, version.as_ref()))];
        if let Some(version) = version.filter(|version| version.is_old()) {
            findings.push(Finding::warning(
                "topics.url",
                format!("the brokers are {version}"),
                "upgrade them: Millstream is tested with Apache Kafka 4",
            ));
        }
        let away = brokers.iter().filter_map(|broker| unreachable(&looker, broker));
        findings.extend(away);
        Ok((Cluster { brokers: brokers.len(), may }, findings))
    })
    .await
}

fn found(looker: &Looker) -> Result<(Vec<Broker>, String), TopicError> {
    let doing = doing(looker);
    let metadata = looker.ask(&doing, |client, time| client.fetch_metadata(None, time))?;
    let broker = |broker: &rdkafka::metadata::MetadataBroker| Broker {
        number: broker.id(),
        address: format!("{}:{}", broker.host(), broker.port()),
    };
    let brokers = metadata.brokers().iter().map(broker).collect();
    let id = looker.client().fetch_cluster_id(CONNECT).unwrap_or_default();
    Ok((brokers, id))
}

fn told(
    looker: &Looker,
    brokers: &[Broker],
    id: &str,
    version: Option<&versions::Version>,
) -> String {
    let asker = looker.asker();
    let addresses: Vec<_> = brokers.iter().map(|broker| broker.address.as_str()).collect();
    let number = brokers.len();
    let plural = if number == 1 { "" } else { "s" };
    let version = version.map(|version| format!(", {version}")).unwrap_or_default();
    let safe = if asker.tls { "with TLS" } else { "without TLS" };
    let who = match asker.mechanism.as_str() {
        "" => asker.principal.clone(),
        mechanism => format!("{} by {mechanism}", asker.principal),
    };
    let (_, librdkafka) = rdkafka::util::get_rdkafka_version();
    format!(
        "{number} broker{plural} ({}) of cluster {id}{version}; as {who}, {safe}; librdkafka {librdkafka}",
        addresses.join(", ")
    )
}

/// Brokers are named by themselves: those of `topics.url` only tell the names.
fn unreachable(looker: &Looker, broker: &Broker) -> Option<Finding> {
    let addresses = broker.address.to_socket_addrs();
    let connected = addresses.and_then(|addresses| {
        let mut last = std::io::Error::other("its name has no address");
        for address in addresses {
            match TcpStream::connect_timeout(&address, CONNECT) {
                Ok(_) => return Ok(()),
                Err(error) => last = error,
            }
        }
        Err(last)
    });
    let error = connected.err()?;
    let Broker { number, address } = broker;
    Some(Finding::bad(
        format!("broker {number}"),
        format!("it says that it is at {address}, and there it can't be reached: {error}"),
        format!(
            "start it, open the way to it, or correct its advertised.listeners (we asked {})",
            looker.asker().servers
        ),
    ))
}

fn doing(looker: &Looker) -> Doing {
    Doing::new("look at the Kafka cluster", looker.asker(), Rights::default())
}
