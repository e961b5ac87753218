//! Made-up users: names and addresses as they are in the United States.

use fake::Fake;
use fake::faker::address::en::{CityName, PostCode, StateAbbr, StreetName};
use fake::faker::name::en::Name;
use rand::RngExt;
use rand::rngs::StdRng;

use crate::event::User;

/// The first year somebody registered.
const FIRST_YEAR: i32 = 1970;
/// The share of users whose name and address are hard on parsers.
const ODD: f64 = 0.005;
/// The share of addresses at a military unit.
const MILITARY: f64 = 0.05;
/// Where the mail of military units goes: region, and first and last ZIP code.
const REGIONS: [(&str, u32, u32); 3] =
    [("AE", 9_000, 9_999), ("AP", 96_200, 96_699), ("AA", 34_000, 34_099)];
const ODD_NAMES: [&str; 6] =
    ["Zoë Ångström", "A$AP Ferg", "Seán O'Néill", r"Back\Slash", "Two\nLines", "李 Wei"];

/// A user, registered in some year up to `this_year`.
pub fn user(rng: &mut StdRng, this_year: i32) -> User {
    let address = if rng.random_bool(MILITARY) { military(rng) } else { civilian(rng) };
    let (name, address) = if rng.random_bool(ODD) {
        let name = ODD_NAMES[rng.random_range(0..ODD_NAMES.len())];
        (name.to_owned(), format!("c/o $ave & Co, {address}"))
    } else {
        (Name().fake_with_rng(rng), address)
    };
    let year = rng.random_range(FIRST_YEAR..=this_year.max(FIRST_YEAR)).to_string();
    User { name, address, year }
}

fn civilian(rng: &mut StdRng) -> String {
    let number = rng.random_range(1..20_000);
    let street: String = StreetName().fake_with_rng(rng);
    let flat = match rng.random_range(0..10) {
        0..=1 => format!(" Apt. {}", rng.random_range(1..1_000)),
        2 => format!(" Suite {}", rng.random_range(1..1_000)),
        _ => String::new(),
    };
    let city: String = CityName().fake_with_rng(rng);
    let state: String = StateAbbr().fake_with_rng(rng);
    let zip: String = PostCode().fake_with_rng(rng);
    format!("{number} {street}{flat}\n{city}, {state} {zip}")
}

fn military(rng: &mut StdRng) -> String {
    let (unit, mailbox) = (rng.random_range(1..10_000), rng.random_range(1..10_000));
    let (line, office) = match rng.random_range(0..3) {
        0 => (format!("Unit {unit:04} Box {mailbox:04}"), "APO"),
        1 => (format!("PSC {unit:04}, Box {mailbox:04}"), "APO"),
        _ => (format!("USS {}", Name().fake_with_rng::<String, _>(rng)), "FPO"),
    };
    let (region, first, last) = REGIONS[rng.random_range(0..REGIONS.len())];
    format!("{line}\n{office} {region} {:05}", rng.random_range(first..=last))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use millstream_sources::seeded;
    use millstream_topic::Outgoing;

    use super::*;

    fn users(seed: u64, count: usize) -> Vec<User> {
        let mut rng = seeded(seed);
        (0..count).map(|_| user(&mut rng, 2026)).collect()
    }

    #[test]
    fn a_seed_gives_the_same_users_again() {
        assert_eq!(users(7, 100), users(7, 100));
        assert_ne!(users(7, 100), users(8, 100));
    }

    #[test]
    fn addresses_have_two_lines_and_years_are_from_1970_on() {
        for user in users(1, 5_000) {
            let lines: Vec<_> = user.address.lines().collect();
            assert!(lines.len() == 2 && lines.iter().all(|line| line.len() > 5), "{user:?}");
            assert!((1970..=2026).contains(&user.year.parse::<i32>().unwrap()), "{user:?}");
            let (_, zip) = lines[1].rsplit_once(' ').unwrap();
            assert!(zip.len() >= 5 && zip.starts_with(|c: char| c.is_ascii_digit()), "{user:?}");
        }
    }

    #[test]
    fn some_are_odd_some_are_military_and_nearly_none_are_the_same() {
        let users = users(1, 5_000);
        let share = |is: fn(&User) -> bool| users.iter().filter(|user| is(user)).count();
        let odd = share(|user| user.address.contains('$'));
        let military = share(|user| user.address.contains("PO A"));
        assert!((5..100).contains(&odd), "{odd} odd ones");
        assert!((150..350).contains(&military), "{military} military ones");
        let different: HashSet<_> = users.iter().map(|user| format!("{user:?}")).collect();
        assert!(different.len() > 4_990, "{}", different.len());
    }

    #[test]
    fn the_record_is_keyed_by_the_whole_name() {
        let user = &users(1, 1)[0];
        let Outgoing { key, .. } = user.record();
        assert_eq!(key.unwrap(), user.name);
    }
}
