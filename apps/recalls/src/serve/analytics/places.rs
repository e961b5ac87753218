//! Where the firms are.

use std::collections::BTreeMap;

use millstream_web::chart::Tiles;

use super::figures::{Count, NOT_GIVEN, OTHER};

const UNITED_STATES: &str = "United States";
/// More countries than this come together as others.
const COUNTRIES_MOST: usize = 40;

/// States of the United States, and countries, out of counts by `country TAB state`. What is in the United
/// States, but in none of its states, counts as a country of that name.
pub fn sorted(places: Vec<Count>) -> (Vec<Count>, Vec<Count>) {
    let (mut states, mut countries) = (BTreeMap::new(), BTreeMap::new());
    for (place, n) in places {
        let (country, state) = place.split_once('\t').unwrap_or((&place, ""));
        let at_home = [UNITED_STATES, "USA", "US", NOT_GIVEN].contains(&country);
        match Tiles::state(state).filter(|_| at_home) {
            Some(_) => *states.entry(state.to_ascii_uppercase()).or_insert(0) += n,
            None => *countries.entry(country.to_owned()).or_insert(0) += n,
        }
    }
    let mut countries = most_first(countries);
    if countries.len() > COUNTRIES_MOST {
        let rest = countries.split_off(COUNTRIES_MOST).iter().map(|(_, n)| n).sum();
        countries.push((OTHER.to_owned(), rest));
    }
    (most_first(states), countries)
}

fn most_first(counts: BTreeMap<String, i64>) -> Vec<Count> {
    let mut list: Vec<_> = counts.into_iter().collect();
    list.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_told_from_countries() {
        let count = |place: &str, n| (place.to_owned(), n);
        let (states, countries) = sorted(vec![
            count("United States\tCA", 5),
            count("Not given\tCA", 2),
            count("United States\tZZ", 1),
            count("Canada\tCA", 9),
            count(OTHER, 3),
        ]);
        assert_eq!(states, [count("CA", 7)]);
        assert_eq!(countries, [count("Canada", 9), count(OTHER, 3), count("United States", 1)]);
    }
}
