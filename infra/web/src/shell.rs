use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

use crate::assets;
use crate::explain::Explained;

/// The frame around every page of a site.
#[derive(Clone, Debug)]
pub struct Shell {
    /// What the site is called.
    pub site: &'static str,
    /// Path and label of each entry of the navigation. The first is where the site's name leads.
    pub nav: &'static [(&'static str, &'static str)],
    /// The site's own stylesheets and scripts ([`crate::assets::Asset::link`]), after the common ones.
    pub head: Markup,
}

impl Shell {
    /// A whole page. `here` is the path of the navigation's entry it belongs to, or empty.
    pub fn page(&self, title: &str, here: &str, main: Markup) -> Response {
        self.page_with(title, here, main, html! {})
    }

    /// The same with something of its own in the footer.
    pub fn page_with(&self, title: &str, here: &str, main: Markup, footer: Markup) -> Response {
        self.document(title, here, &main, &footer).into_response()
    }

    fn document(&self, title: &str, here: &str, main: &Markup, footer: &Markup) -> Markup {
        let home = self.nav.first().map_or("/", |(path, _)| path);
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (title) @if title != self.site { " · " (self.site) } }
                    (assets::links())
                    (self.head)
                }
                body {
                    a.skip href="#main" { "Skip to the content" }
                    header.top {
                        div.wrap {
                            a.brand href=(home) { (assets::mark()) (self.site) }
                            @if !self.nav.is_empty() {
                                nav aria-label="Main" {
                                    ul {
                                        @for (path, label) in self.nav {
                                            li {
                                                a href=(path) aria-current=[(*path == here).then_some("page")] { (label) }
                                            }
                                        }
                                    }
                                }
                            }
                        }
                    }
                    p.live-state data-live-state role="status" hidden {}
                    main #main tabindex="-1" { div.wrap { (main) } }
                    footer.foot { div.wrap { (footer) p { (self.site) ", served by Millstream" } } }
                }
            }
        }
    }
}

/// A page that says what is wrong and what to do about it. Served by [`crate::Server`], it becomes a problem
/// document for those who want JSON.
pub fn error_page(shell: &Shell, status: StatusCode, what: &str, remedy: &str) -> Response {
    let title = status.canonical_reason().unwrap_or("Error");
    let home = shell.nav.first().map_or("/", |(path, _)| path);
    let main = html! {
        div.error-page {
            p.error-code aria-hidden="true" { (status.as_u16()) }
            h1 { (title) }
            p.lead { (what) }
            p { (remedy) }
            p { a.button href=(home) { "To the start page" } }
        }
    };
    let mut response = shell.page(title, "", main);
    *response.status_mut() = status;
    response
        .extensions_mut()
        .insert(Explained { what: what.to_owned(), remedy: remedy.to_owned() });
    response
}
