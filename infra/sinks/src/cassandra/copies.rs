//! What doctor says of how often a keyspace's rows are kept.

use millstream_config::Finding;

use super::statements::quoted;

/// With so many, one node that is down leaves a quorum.
pub(super) const USUAL: usize = 3;

/// Copies in a datacenter; `dc: None`: anywhere in the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Copies {
    pub dc: Option<String>,
    pub copies: usize,
    /// Nodes that may hold one.
    pub nodes: usize,
}

impl Copies {
    fn told(&self) -> String {
        let place = self.dc.as_deref().unwrap_or("the cluster");
        format!("{} on {} nodes of {place}", self.copies, self.nodes)
    }

    /// How many there should be.
    fn wanted(&self) -> usize {
        self.copies.min(self.nodes).max(self.nodes.min(USUAL))
    }

    /// As it stands in `replication = {…}`.
    fn option(&self) -> String {
        let name = self.dc.as_deref().unwrap_or("replication_factor").replace('\'', "''");
        format!("'{name}': {}", self.wanted())
    }
}

/// A keyspace's replication as Cassandra tells it: its class, and copies by datacenter.
#[derive(Clone, Debug)]
pub(super) struct Replication {
    pub keyspace: String,
    pub class: String,
    pub places: Vec<Copies>,
    /// Nodes of the whole cluster.
    pub nodes: usize,
}

impl Replication {
    pub fn judge(&self, what: &str) -> Finding {
        let Self { keyspace, places, nodes, .. } = self;
        let list: Vec<_> = places.iter().map(Copies::told).collect();
        let told = format!("keyspace {keyspace} keeps copies: {}", list.join(", "));
        if places.iter().any(|place| place.copies > place.nodes) {
            let remedy = format!(
                "start more nodes, or run: {}; as it is, no quorum can answer once one more is missing",
                self.alter()
            );
            return Finding::bad(what, told, remedy);
        }
        let single = places.iter().map(|place| place.copies).sum::<usize>() == 1 && *nodes > 1;
        let fewer = places.iter().any(|place| place.copies < place.wanted());
        let why = match single {
            true => "a disk that fails loses rows, and one node that is down stops writing",
            false => "one node that is down stops writing",
        };
        if fewer {
            let remedy = format!(
                "run: {}; then, on every node, nodetool repair -full {keyspace}: as it is, {why}",
                self.alter()
            );
            return Finding::warning(what, told, remedy);
        }
        if single {
            let remedy = format!(
                "replicate it to datacenters that have more nodes (ALTER KEYSPACE {}): as it is, {why}",
                quoted(keyspace)
            );
            return Finding::warning(what, told, remedy);
        }
        Finding::good(what, told)
    }

    /// CQL that makes it as it should be.
    fn alter(&self) -> String {
        let options: Vec<_> = self.places.iter().map(Copies::option).collect();
        format!(
            "ALTER KEYSPACE {} WITH replication = {{'class': '{}', {}}}",
            quoted(&self.keyspace),
            self.class,
            options.join(", ")
        )
    }
}

/// `asked`: copies of a new keyspace, as the URL says; `nodes`: those that may hold one. None where all is well.
pub(super) fn judge_option(what: &str, asked: usize, nodes: usize) -> Option<Finding> {
    let told =
        format!("option replication={asked}: new keyspaces have {asked} copies on {nodes} nodes");
    if asked > nodes {
        return Some(Finding::bad(
            what,
            told,
            format!("start more nodes, or set replication={nodes}"),
        ));
    }
    let usual = nodes.min(USUAL);
    (asked < usual).then(|| {
        let remedy = format!("set replication={usual}, or leave it out: with fewer, one node that is down stops writing");
        Finding::warning(what, told, remedy)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_config::Health;

    /// `copies`: how many, on how many nodes, by datacenter.
    fn judged(copies: &[(usize, usize)], nodes: usize) -> Finding {
        let place = |(n, (copies, nodes)): (usize, &(usize, usize))| Copies {
            dc: Some(format!("dc{n}")),
            copies: *copies,
            nodes: *nodes,
        };
        let places = copies.iter().enumerate().map(place).collect();
        let class = "NetworkTopologyStrategy".to_owned();
        Replication { keyspace: "k".to_owned(), class, places, nodes }.judge("stores.tables")
    }

    #[test]
    fn replication_is_judged_by_the_nodes_there_are() {
        for (copies, nodes, expected) in [
            (&[(1, 1)][..], 1, Health::Good),
            (&[(2, 2)], 2, Health::Good),
            (&[(3, 3), (3, 5)], 8, Health::Good),
            (&[(1, 1), (1, 1), (1, 1)], 3, Health::Good),
            (&[(1, 2)], 2, Health::Warning),
            (&[(1, 3)], 3, Health::Warning),
            (&[(2, 3)], 3, Health::Warning),
            (&[(1, 1)], 3, Health::Warning),
            (&[(3, 3), (1, 2)], 5, Health::Warning),
            (&[(3, 1)], 1, Health::Bad),
            (&[(3, 3), (1, 0)], 3, Health::Bad),
        ] {
            let finding = judged(copies, nodes);
            assert_eq!(finding.state, expected, "{copies:?} in a cluster of {nodes}: {finding:?}");
            assert_eq!(finding.remedy.is_none(), expected == Health::Good);
        }
    }

    #[test]
    fn the_remedy_is_cql_that_can_be_run() {
        let remedy = judged(&[(1, 3), (3, 4)], 7).remedy.unwrap();
        let cql = "ALTER KEYSPACE \"k\" WITH replication = {'class': 'NetworkTopologyStrategy', 'dc0': 3, 'dc1': 3}";
        assert!(remedy.contains(cql) && remedy.contains("nodetool repair -full k"), "{remedy}");
        let places = vec![Copies { dc: None, copies: 1, nodes: 5 }];
        let class = "SimpleStrategy".to_owned();
        let finding = Replication { keyspace: "k".to_owned(), class, places, nodes: 5 }.judge("x");
        let remedy = finding.remedy.unwrap();
        assert!(
            remedy.contains("{'class': 'SimpleStrategy', 'replication_factor': 3}"),
            "{remedy}"
        );
        assert!(remedy.contains("a disk that fails loses rows"), "{remedy}");
        assert_eq!(finding.told, "keyspace k keeps copies: 1 on 5 nodes of the cluster");
    }

    #[test]
    fn an_option_that_asks_for_a_single_copy_is_told_before_it_is_made() {
        let judged = |asked, nodes| judge_option("x", asked, nodes).map(|finding| finding.state);
        assert_eq!(
            (judged(1, 1), judged(3, 3), judged(3, 9), judged(5, 5)),
            (None, None, None, None)
        );
        assert_eq!((judged(1, 2), judged(2, 3)), (Some(Health::Warning), Some(Health::Warning)));
        assert_eq!(judged(3, 2), Some(Health::Bad));
    }
}
