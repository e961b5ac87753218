//! What the home page tells of the recalls: asked of the index, and kept by `live` for pages that are open.

use std::sync::Arc;

use millstream_sinks::search::{Query, SearchError, Searcher, Sort};

use super::asked::{Asked, Facet};
use super::record::Recall;

const NEWEST: usize = 5;

/// The recalls at a glance.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    pub total: usize,
    pub class_one: usize,
    pub ongoing: usize,
    /// States and regions that firms are in.
    pub states: usize,
    pub newest: Vec<Recall>,
    /// The newest of [`urgent`].
    pub urgent: Vec<Recall>,
    /// What they were asked of: another commit of the index may have changed what isn't among them.
    pub commit: Option<Arc<str>>,
}

impl Figures {
    pub async fn of(searcher: &dyn Searcher) -> Result<Figures, SearchError> {
        let facets = [Facet::Classification, Facet::Status, Facet::State]
            .map(|facet| facet.name().to_owned());
        let sort = Sort::Newest("report_date".into());
        let all = Query {
            sort: sort.clone(),
            limit: NEWEST,
            facets: facets.to_vec(),
            ..Query::default()
        };
        let filters = urgent().query(0, 0).filters;
        let urgent = Query { filters, sort, limit: NEWEST, ..Query::default() };
        let (all, urgent) = futures::try_join!(searcher.search(&all), searcher.search(&urgent))?;
        let values = |name: Facet| all.facets.iter().find(|(column, _)| column == name.name());
        let rows = |name: Facet, value: &str| {
            let values = values(name).map_or(&[][..], |(_, values)| values);
            values.iter().find(|(of, _)| of == value).map_or(0, |(_, rows)| *rows)
        };
        Ok(Figures {
            commit: all.snapshot.map(|snapshot| snapshot.commit()),
            total: all.total,
            class_one: rows(Facet::Classification, "Class I"),
            ongoing: rows(Facet::Status, "Ongoing"),
            states: values(Facet::State).map_or(0, |(_, values)| values.len()),
            newest: all.hits.into_iter().map(|hit| Recall::new(hit.row)).collect(),
            urgent: urgent.hits.into_iter().map(|hit| Recall::new(hit.row)).collect(),
        })
    }
}

/// The search for what matters most: Class I, not over yet.
pub fn urgent() -> Asked {
    Asked::default().with(Facet::Classification, "Class I").with(Facet::Status, "Ongoing")
}
