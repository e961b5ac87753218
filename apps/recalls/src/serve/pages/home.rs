use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};

use super::pieces::{card, search_box};
use super::states::live;
use crate::serve::asked::{Asked, Facet};
use crate::serve::figures::{Figures, urgent};
use crate::serve::highlight::Terms;
use crate::serve::record::{Recall, count};
use crate::serve::site::Site;

/// `/`
pub async fn home(State(site): State<Arc<Site>>) -> Response {
    site.visited();
    let figures = match Figures::of(site.searcher.as_ref()).await {
        Ok(figures) => Arc::new(figures),
        // The last good figures, under a notice that says so, are better than none.
        Err(error) => match site.pulse().figures {
            Some(figures) => figures,
            None => return site.failed(&error),
        },
    };
    site.shell.page("Device recalls", "/", page(&site, &figures))
}

fn page(site: &Site, figures: &Figures) -> Markup {
    html! {
        div.hero {
            h1 { "Find a medical device recall" }
            p.lead { "The FDA's enforcement reports on medical devices, searchable by number, firm, product and reason." }
            (search_box(&Asked::default()))
        }
        (live(&site.pulse(), site.every, Some(key_figures(figures))))
        @if figures.total > 0 {
            div.columns {
                (list("Newest recalls", &figures.newest, &Asked::default(), "All recalls, newest first"))
                (list("Class I, still ongoing", &figures.urgent, &urgent(), "All ongoing Class I recalls"))
            }
        } @else {
            p.empty { "There are no recalls here yet. This page fills as soon as they come in." }
        }
    }
}

/// The numbers. They stay current while the page is open.
pub fn key_figures(figures: &Figures) -> Markup {
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
            (stat("States and regions of firms", figures.states, None))
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
