use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};
use millstream_web::parts::scrolling;

use crate::serve::openapi::{OPERATIONS, Operation};
use crate::serve::record::FIELDS;
use crate::serve::site::Site;

/// `/api`: how programs ask.
pub async fn guide(State(site): State<Arc<Site>>) -> Response {
    let main = html! {
        h1 { "API" }
        p.lead { "Everything the pages show, as JSON, without a key. The document for tools is " a href="/api/v1/openapi.json" { "openapi.json" } "." }
        p { "Errors are problem documents (RFC 9457) with a " code { "detail" } " that says what is wrong and a " code { "remedy" } ". A parameter that isn't listed is refused." }
        @for operation in OPERATIONS { (section(operation)) }
        section {
            h2 { "Everything at once" }
            p { "A search's hits, all of them: " a href="/search.csv?q=pump" { "/search.csv?q=pump" } " and " a href="/search.json?q=pump" { "/search.json?q=pump" } ", with the parameters of " code { "/api/v1/recalls" } " except " code { "limit" } " and " code { "offset" } "." }
            p { "Cells of a CSV file that a spreadsheet would take for a formula begin with an apostrophe." }
        }
        section {
            h2 { "Fields of a recall" }
            p { "All are text; null where the feed has nothing." }
            (scrolling("Fields of a recall", html! {
                table {
                    thead { tr { th scope="col" { "Field" } th scope="col" { "Is" } } }
                    tbody { @for (name, _, about) in FIELDS { tr { th scope="row" { code { (name) } } td { (about) } } } }
                }
            }))
        }
    };
    site.shell.page("API", "/api", main)
}

fn section(operation: &Operation) -> Markup {
    html! {
        section {
            h2 { code { (operation.path) } }
            p { (operation.about) }
            p { "For example: " a href=(operation.example) { (operation.example) } }
            @if !operation.parameters.is_empty() {
                dl.facts {
                    @for parameter in operation.parameters {
                        div { dt { code { (parameter.name) } } dd { (parameter.about) } }
                    }
                }
            }
        }
    }
}
