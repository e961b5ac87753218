//! What somebody asks of the search: read strictly from a query string, and written back as one.
//!
//! `Asked::read(&asked.render())` gives `asked` again. What can't be read is a [`Refusal`] that says what is allowed;
//! parameters of other names are passed over.

use millstream_sinks::search::{Query, Sort};

use super::params::{Refusal, number, one, pairs, shown, text};

/// Hits on a page.
pub const PER_PAGE: usize = 20;
/// Hits that can be paged through. All of them can be exported.
pub const OFFSET_MAX: usize = 10_000;
/// The last page that can be asked for.
pub const PAGES_MAX: usize = OFFSET_MAX / PER_PAGE;

const PICKS_MAX: usize = 60;
/// Longest name or number that is let through, in characters.
const VALUE_MAX: usize = 512;

/// A column that narrows a search down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Facet {
    Classification,
    Status,
    State,
    Year,
    /// Not offered beside the results; reached from a recall's page.
    Event,
    /// The same, by the firm's whole name.
    Firm,
}

impl Facet {
    pub const ALL: [Facet; 6] = [
        Facet::Classification,
        Facet::Status,
        Facet::State,
        Facet::Year,
        Facet::Event,
        Facet::Firm,
    ];
    /// Those offered beside the results.
    pub const OFFERED: [Facet; 4] =
        [Facet::Classification, Facet::Status, Facet::State, Facet::Year];

    /// Its parameter, and its column in the index.
    pub const fn name(self) -> &'static str {
        match self {
            Facet::Classification => "classification",
            Facet::Status => "status",
            Facet::State => "state",
            Facet::Year => "year",
            Facet::Event => "event_id",
            Facet::Firm => "recalling_firm",
        }
    }

    pub const fn label(self) -> &'static str {
        match self {
            Facet::Classification => "Class",
            Facet::Status => "Status",
            Facet::State => "State of the firm",
            Facet::Year => "Year it began",
            Facet::Event => "Event",
            Facet::Firm => "Firm",
        }
    }

    /// Whether `value` can be one of its values.
    pub fn allows(self, value: &str) -> bool {
        match self {
            Facet::Classification => CLASSES.contains(&value),
            Facet::Status => STATUSES.contains(&value),
            // Firms abroad have regions of all kinds.
            Facet::State => value.chars().count() <= VALUE_MAX,
            Facet::Year => value.len() == 4 && value.bytes().all(|byte| byte.is_ascii_digit()),
            Facet::Event | Facet::Firm => value.chars().count() <= VALUE_MAX,
        }
    }

    fn allowed(self) -> String {
        match self {
            Facet::Classification => format!("it is one of {}", CLASSES.join(", ")),
            Facet::Status => format!("it is one of {}", STATUSES.join(", ")),
            Facet::Year => "it is a year of four digits, as 2013".to_owned(),
            Facet::State | Facet::Event | Facet::Firm => {
                format!("it has at most {VALUE_MAX} characters")
            }
        }
    }
}

pub const CLASSES: [&str; 4] = ["Class I", "Class II", "Class III", "Not Yet Classified"];
pub const STATUSES: [&str; 4] = ["Ongoing", "Completed", "Terminated", "Pending"];

/// The order of what is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Relevance,
    Newest,
    Oldest,
    Firm,
}

impl Order {
    pub const ALL: [Order; 4] = [Order::Relevance, Order::Newest, Order::Oldest, Order::Firm];

    pub const fn name(self) -> &'static str {
        match self {
            Order::Relevance => "relevance",
            Order::Newest => "newest",
            Order::Oldest => "oldest",
            Order::Firm => "firm",
        }
    }

    pub const fn label(self) -> &'static str {
        match self {
            Order::Relevance => "Best match",
            Order::Newest => "Newest report",
            Order::Oldest => "Oldest report",
            Order::Firm => "Firm, A–Z",
        }
    }

    fn sort(self) -> Sort {
        match self {
            Order::Relevance => Sort::Relevance,
            Order::Newest => Sort::Newest("report_date".into()),
            Order::Oldest => Sort::Oldest("report_date".into()),
            Order::Firm => Sort::Az("recalling_firm".into()),
        }
    }
}

/// A search as a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Trimmed, without control characters, at most [`TEXT_MAX`] characters.
    pub text: String,
    /// For each of [`Facet::ALL`] the values that are let through, sorted; none: all.
    pub picked: [Vec<String>; Facet::ALL.len()],
    pub order: Option<Order>,
    /// From 1.
    pub page: usize,
}

impl Default for Asked {
    fn default() -> Self {
        Asked { text: String::new(), picked: Default::default(), order: None, page: 1 }
    }
}

impl Asked {
    /// Reads a query string (what stands after `?`).
    pub fn read(query: &str) -> Result<Asked, Refusal> {
        Asked::of(&pairs(query.as_bytes())?)
    }

    /// Reads parameters.
    pub fn of(pairs: &[(String, String)]) -> Result<Asked, Refusal> {
        let text = text(one(pairs, "q")?.unwrap_or_default())?;
        let mut picked: [Vec<String>; Facet::ALL.len()] = Default::default();
        for (facet, values) in Facet::ALL.into_iter().zip(&mut picked) {
            *values = picks(pairs, facet)?;
        }
        let order = one(pairs, "sort")?.map(order).transpose()?;
        let page = number(pairs, "page", 1..=PAGES_MAX, 1)?;
        Ok(Asked { text, picked, order, page })
    }

    /// The query string that reads as this; empty for the search for everything.
    pub fn render(&self) -> String {
        let mut form = form_urlencoded::Serializer::new(String::new());
        if !self.text.is_empty() {
            form.append_pair("q", &self.text);
        }
        for (facet, value) in self.picks() {
            form.append_pair(facet.name(), value);
        }
        if let Some(order) = self.order {
            form.append_pair("sort", order.name());
        }
        if self.page > 1 {
            form.append_pair("page", &self.page.to_string());
        }
        form.finish()
    }

    /// The address of its page of results.
    pub fn href(&self) -> String {
        self.at("/search")
    }

    /// The address of the same search under another path.
    pub fn at(&self, path: &str) -> String {
        match self.render() {
            query if query.is_empty() => path.to_owned(),
            query => format!("{path}?{query}"),
        }
    }

    /// All values that are picked.
    pub fn picks(&self) -> impl Iterator<Item = (Facet, &String)> {
        Facet::ALL
            .into_iter()
            .zip(&self.picked)
            .flat_map(|(facet, values)| values.iter().map(move |value| (facet, value)))
    }

    pub fn has(&self, facet: Facet, value: &str) -> bool {
        self.picks().any(|(of, picked)| of == facet && picked == value)
    }

    /// The same search on another page.
    pub fn on(&self, page: usize) -> Asked {
        Asked { page, ..self.clone() }
    }

    /// The same search with one more pick, from the first page.
    pub fn with(&self, facet: Facet, value: &str) -> Asked {
        let mut asked = self.without(facet, value);
        for (of, values) in Facet::ALL.into_iter().zip(&mut asked.picked) {
            if of == facet {
                values.push(value.to_owned());
                values.sort();
            }
        }
        asked
    }

    /// The same search without one of its picks, from the first page.
    pub fn without(&self, facet: Facet, value: &str) -> Asked {
        let mut asked = self.on(1);
        for (of, values) in Facet::ALL.into_iter().zip(&mut asked.picked) {
            if of == facet {
                values.retain(|picked| picked != value);
            }
        }
        asked
    }

    /// What it is sorted by: as asked, else by how well it matches, or by date where no words say what to match.
    pub fn sorted(&self) -> Order {
        match (self.order, self.text.is_empty()) {
            (None | Some(Order::Relevance), true) => Order::Newest,
            (None, false) => Order::Relevance,
            (Some(order), _) => order,
        }
    }

    /// It as the index is asked, without facets.
    pub fn query(&self, offset: usize, limit: usize) -> Query {
        let filters = Facet::ALL
            .into_iter()
            .zip(&self.picked)
            .filter(|(_, values)| !values.is_empty())
            .map(|(facet, values)| (facet.name().to_owned(), values.clone()))
            .collect();
        let sort = self.sorted().sort();
        Query { text: self.text.clone(), filters, sort, offset, limit, ..Query::default() }
    }
}

fn picks(pairs: &[(String, String)], facet: Facet) -> Result<Vec<String>, Refusal> {
    let name = facet.name();
    let mut values: Vec<String> = pairs
        .iter()
        .filter(|(of, value)| of == name && !value.is_empty())
        .map(|(_, value)| value.clone())
        .collect();
    if let Some(value) = values.iter().find(|value| !facet.allows(value)) {
        return Err(Refusal::new(format!("{name} {} is unknown", shown(value)), facet.allowed()));
    }
    values.sort();
    values.dedup();
    if values.len() > PICKS_MAX {
        let what = format!("{} values of {name} are picked", values.len());
        return Err(Refusal::new(what, format!("pick at most {PICKS_MAX}")));
    }
    Ok(values)
}

fn order(name: &str) -> Result<Order, Refusal> {
    Order::ALL.into_iter().find(|order| order.name() == name).ok_or_else(|| {
        let names: Vec<&str> = Order::ALL.into_iter().map(Order::name).collect();
        Refusal::new(
            format!("sort {} is unknown", shown(name)),
            format!("it is one of {}", names.join(", ")),
        )
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refused(query: &str) -> String {
        Asked::read(query).expect_err(query).to_string()
    }

    #[test]
    fn a_query_string_is_read_whole() {
        let asked = Asked::read(
            "q=pump+%C3%A9clair&classification=Class+II&classification=Class%20I&state=CA&year=2013&sort=firm&page=3&x=y",
        )
        .expect("read");
        assert_eq!(asked.text, "pump éclair");
        assert_eq!(asked.picked[0], ["Class I", "Class II"]);
        assert!(asked.has(Facet::State, "CA") && asked.has(Facet::Year, "2013"));
        assert_eq!((asked.sorted(), asked.page), (Order::Firm, 3));
        assert_eq!(asked.without(Facet::Year, "2013").page, 1);
        assert_eq!(Asked::read("year=2013&year=2013").expect("read").render(), "year=2013");
    }

    #[test]
    fn nothing_asked_is_everything_newest_first() {
        for query in ["", "&&", "q=&classification=&sort=&page=", "unknown=%20"] {
            let asked = Asked::read(query).expect(query);
            assert_eq!((asked.href().as_str(), asked.sorted()), ("/search", Order::Newest));
        }
    }

    #[test]
    fn a_refusal_says_what_is_allowed() {
        assert!(refused("classification=Class+IV").contains("one of Class I, Class II"));
        assert!(refused("status=ongoing").contains("one of Ongoing"));
        assert!(refused(&format!("recalling_firm={}", "x".repeat(513))).contains("512 characters"));
        assert!(refused("year=20").contains("four digits"));
        assert!(refused("q=a&q=b").contains("more than once"));
        assert!(refused("sort=size").contains("relevance, newest, oldest, firm"));
        for page in ["0", "-1", "+1", "x", "501", "99999999999999999999"] {
            assert!(refused(&format!("page={page}")).contains("from 1 to 500"), "{page}");
        }
        assert!(refused("q=%").contains('%') && refused("q=%f").contains('%'));
        assert!(refused("q=%zz").contains('%') && refused("q=%ff").contains("UTF-8"));
    }

    #[test]
    fn a_text_may_have_512_characters() {
        let long = |count: usize| format!("q={}", "%C3%A9".repeat(count));
        assert_eq!(Asked::read(&long(512)).expect("512").text.chars().count(), 512);
        assert!(refused(&long(513)).contains("513 characters"));
    }

    prop_compose! {
        fn asked()(
            raw in ".{0,80}",
            classes in proptest::sample::subsequence(CLASSES.to_vec(), 0..=4),
            statuses in proptest::sample::subsequence(STATUSES.to_vec(), 0..=4),
            states in proptest::collection::btree_set(".{1,8}", 0..5),
            firms in proptest::collection::btree_set(".{1,40}", 0..3),
            events in proptest::collection::btree_set("[0-9]{1,6}", 0..3),
            years in proptest::collection::btree_set("(19|20)[0-9]{2}", 0..5),
            order in proptest::option::of(proptest::sample::select(Order::ALL.to_vec())),
            page in 1usize..=PAGES_MAX,
        ) -> Asked {
            let sorted = |values: Vec<&str>| {
                let mut values: Vec<String> = values.into_iter().map(str::to_owned).collect();
                values.sort();
                values
            };
            let others = [states, years, events, firms].map(|values| values.into_iter().collect::<Vec<String>>());
            let [states, years, events, firms] = others;
            let picked = [sorted(classes), sorted(statuses), states, years, events, firms];
            Asked { text: text(&raw).unwrap_or_default(), picked, order, page }
        }
    }

    proptest! {
        #[test]
        fn what_is_rendered_reads_the_same(asked in asked()) {
            prop_assert_eq!(Asked::read(&asked.render()), Ok(asked));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            match pairs(&bytes).and_then(|pairs| Asked::of(&pairs)) {
                Ok(asked) => prop_assert_eq!(Asked::read(&asked.render()), Ok(asked)),
                Err(refusal) => prop_assert!(!refusal.remedy.is_empty()),
            }
        }

        #[test]
        fn any_values_of_known_names_are_read_or_refused(
            pairs in proptest::collection::vec(
                (proptest::sample::select(vec!["q", "classification", "status", "state", "year", "event_id", "recalling_firm", "sort", "page"]), ".{0,12}"),
                0..8,
            )
        ) {
            let pairs: Vec<(String, String)> = pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            if let Ok(asked) = Asked::of(&pairs) {
                prop_assert_eq!(Asked::read(&asked.render()), Ok(asked));
            }
        }
    }
}
