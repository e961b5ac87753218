use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};
use millstream_sinks::search::{Query, SearchError, Sort};

use super::pieces::{card, search_box};
use super::states::live;
use crate::serve::asked::{Asked, Facet};
use crate::serve::highlight::Terms;
use crate::serve::record::{Recall, count};
use crate::serve::site::Site;

const NEWEST: usize = 5;

/// What the home page shows of the recalls.
#[derive(Debug, Default)]
pub struct Figures {
    total: usize,
    class_one: usize,
    ongoing: usize,
    firms_states: usize,
    newest: Vec<Recall>,
    urgent: Vec<Recall>,
}

/// `/`
pub async fn home(State(site): State<Arc<Site>>) -> Response {
    site.visited();
    let figures = match figures(&site).await {
        Ok(figures) => {
            let figures = Arc::new(figures);
            site.keep(figures.clone());
            figures
        }
        // The last good figures, under a notice that says so, are better than none.
        Err(error) => match site.kept() {
            Some(figures) => figures,
            None => return site.failed(&error),
        },
    };
    site.shell.page("Device recalls", "/", page(&site, &figures))
}

async fn figures(site: &Site) -> Result<Figures, SearchError> {
    let facets = [Facet::Classification, Facet::Status, Facet::State].map(|facet| facet.name().to_owned());
    let sort = Sort::Newest("report_date".into());
    let all = Query { sort: sort.clone(), limit: NEWEST, facets: facets.to_vec(), ..Query::default() };
    let filters = urgent().query(0, 0).filters;
    let urgent = Query { filters, sort, limit: NEWEST, ..Query::default() };
    let (all, urgent) = futures::try_join!(site.search(&all), site.search(&urgent))?;
    let values = |name: Facet| all.facets.iter().find(|(column, _)| column == name.name());
    let rows = |name: Facet, value: &str| {
        let values = values(name).map_or(&[][..], |(_, values)| values);
        values.iter().find(|(of, _)| of == value).map_or(0, |(_, rows)| *rows)
    };
    Ok(Figures {
        total: all.total,
        class_one: rows(Facet::Classification, "Class I"),
        ongoing: rows(Facet::Status, "Ongoing"),
        firms_states: values(Facet::State).map_or(0, |(_, values)| values.len()),
        newest: all.hits.into_iter().map(|hit| Recall::new(hit.row)).collect(),
        urgent: urgent.hits.into_iter().map(|hit| Recall::new(hit.row)).collect(),
    })
}

/// The search for what matters most: Class I, not over yet.
fn urgent() -> Asked {
    Asked::default().with(Facet::Classification, "Class I").with(Facet::Status, "Ongoing")
}

fn page(site: &Site, figures: &Figures) -> Markup {
    html! {
        div.hero {
            h1 { "Find a medical device recall" }
            p.lead { "The FDA's enforcement reports on medical devices, searchable by number, firm, product and reason." }
            (search_box(&Asked::default()))
        }
        (live(&site.pulse(), site.every))
        @if figures.total > 0 {
            (key_figures(figures))
            div.columns {
                (list("Newest recalls", &figures.newest, &Asked::default(), "All recalls, newest first"))
                (list("Class I, still ongoing", &figures.urgent, &urgent(), "All ongoing Class I recalls"))
            }
        } @else {
            p.empty { "There are no recalls here yet. This page fills as soon as they come in." }
        }
    }
}

fn key_figures(figures: &Figures) -> Markup {
    let class_one = Asked::default().with(Facet::Classification, "Class I");
    let ongoing = Asked::default().with(Facet::Status, "Ongoing");
    let stat = |label: &str, number: usize, href: Option<String>| {
        html! {
            div.stat {
                dt { (label) }
                dd { @match href { Some(href) => a href=(href) { (count(number)) }, None => (count(number)) } }
            }
        }
    };
    html! {
        dl.stats {
            (stat("Recalls", figures.total, Some(Asked::default().href())))
            (stat("Class I, most serious", figures.class_one, Some(class_one.href())))
            (stat("Ongoing", figures.ongoing, Some(ongoing.href())))
            (stat("States and regions of firms", figures.firms_states, None))
        }
    }
}

fn list(title: &str, recalls: &[Recall], all: &Asked, label: &str) -> Markup {
    html! {
        section.list {
            h2 { (title) }
            @for recall in recalls { (card(recall, &Terms::default(), 3)) }
            @if recalls.is_empty() { p.empty { "None." } } @else { p.more { a href=(all.href()) { (label) } } }
        }
    }
}
