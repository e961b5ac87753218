//! Forty patients and the vehicles that come for them. Time passes by a step per reading, and everything
//! follows from the seed.

use std::mem;

use chrono::{DateTime, TimeDelta, Utc};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::Serialize;
use uuid::Builder;

// Chances per reading, and the last one per call for help.
const FALLS_ILL: f64 = 0.004;
const GOES_SILENT: f64 = 0.002;
const COMES_LATE: f64 = 0.01;
const IS_REPEATED: f64 = 0.005;
const NO_VEHICLE_FREE: f64 = 0.1;

/// The square that patients walk about in (central London): its south-west corner and its width.
const SOUTH: f64 = 51.509_865;
const WEST: f64 = -0.128_092;
const WIDTH: f64 = 0.01;

/// One reading of a patient's device.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Patient {
    /// UUID; a repeated event has the same one.
    pub id: String,
    pub patient_id: String,
    /// Beats per minute.
    pub heart_rate: i64,
    /// Percent.
    pub oxygen_saturation: f64,
    /// ml/(kg·min).
    pub vo2_max: f64,
    pub location: Location,
    pub emergency_alert: bool,
    /// When it was measured.
    pub timestamp: DateTime<Utc>,
}

/// A vehicle's arrival at a patient.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Vehicle {
    pub id: String,
    pub vehicle_id: String,
    pub vehicle_type: &'static str,
    pub vehicle_capacity: &'static str,
    pub location: Location,
    pub patient_id: String,
    pub dispatch_time: DateTime<Utc>,
    /// When it arrived.
    pub timestamp: DateTime<Utc>,
}

/// Degrees, WGS 84.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Location {
    pub latitude: f64,
    pub longitude: f64,
}

/// The state of it all. Same seed, start, step and requests: same events.
#[derive(Debug)]
pub struct Simulation {
    rng: StdRng,
    now: DateTime<Utc>,
    step: TimeDelta,
    turn: usize,
    people: Vec<Person>,
    readings: Vec<Patient>,
    /// Late and repeated readings, with the turn at which they come out.
    held_back: Vec<(usize, Patient)>,
    /// Vehicles, with the time at which their feed tells of them.
    under_way: Vec<(DateTime<Utc>, Vehicle)>,
}

#[derive(Debug, Default)]
struct Person {
    id: String,
    resting_rate: f64,
    heart_rate: f64,
    oxygen: f64,
    vo2_max: f64,
    latitude: f64,
    longitude: f64,
    ill: bool,
    /// When the vehicle arrives that was called.
    help_at: Option<DateTime<Utc>>,
    /// Readings that the device will yet miss.
    silent: u32,
}

/// The device's own rule: one sign alone scores 3 by NEWS2 (its threshold for an urgent response).
pub fn is_emergency(heart_rate: i64, oxygen_saturation: f64) -> bool {
    heart_rate <= 40 || heart_rate >= 131 || oxygen_saturation < 91.5
}

impl Simulation {
    pub fn new(seed: u64, start: DateTime<Utc>, step: TimeDelta) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let ids = (1..=20).flat_map(|n| [format!("IOS-{n}"), format!("ANDROID-{n}")]);
        let people = ids.map(|id| Person::new(id, &mut rng)).collect();
        let (readings, held_back, under_way) = Default::default();
        Self { rng, now: start, step, turn: 0, people, readings, held_back, under_way }
    }

    /// The next `count` readings.
    pub fn patients(&mut self, count: usize) -> Vec<Patient> {
        while self.readings.len() < count {
            self.advance();
        }
        let rest = self.readings.split_off(count);
        mem::replace(&mut self.readings, rest)
    }

    /// At most `count` vehicles that have arrived since the last call. Few are told of twice.
    pub fn vehicles(&mut self, count: usize) -> Vec<Vehicle> {
        self.under_way.sort_by_key(|(due, _)| *due);
        let arrived = self.under_way.partition_point(|(due, _)| *due <= self.now).min(count);
        let told: Vec<_> = self.under_way.drain(..arrived).map(|(_, vehicle)| vehicle).collect();
        let again = told.iter().filter(|_| self.rng.random_bool(IS_REPEATED));
        self.under_way.extend(again.map(|vehicle| (self.now + self.step, vehicle.clone())));
        told
    }

    fn advance(&mut self) {
        self.now += self.step;
        self.turn += 1;
        let index = self.turn % self.people.len();
        if let Some(reading) = self.people[index].measure(self.now, &mut self.rng) {
            if reading.emergency_alert && self.people[index].help_at.is_none() {
                let vehicle = self.dispatch(&reading);
                self.people[index].help_at = Some(vehicle.timestamp);
                self.under_way.push((vehicle.timestamp, vehicle));
            }
            self.hand_out(reading);
        }
        let due = self.held_back.extract_if(.., |(due, _)| *due <= self.turn);
        self.readings.extend(due.map(|(_, reading)| reading));
    }

    /// The vehicle that answers an alert: on its way within ten minutes, unless none is free.
    fn dispatch(&mut self, alert: &Patient) -> Vehicle {
        let none_free = self.rng.random_bool(NO_VEHICLE_FREE);
        let wait_s = self.rng.random_range(if none_free { 960..=2_400 } else { 30..=600 });
        let dispatch_time = alert.timestamp + TimeDelta::seconds(wait_s);
        let (kind, vehicle_capacity) = match alert.oxygen_saturation {
            ..85.0 => ("ICU", "Intensive Care Unit"),
            ..91.5 => ("ALS", "Advanced Life Support"),
            _ => ("BLS", "Basic Life Support"),
        };
        Vehicle {
            id: uuid(&mut self.rng),
            vehicle_id: format!("{kind}-{}", self.rng.random_range(1..=20)),
            vehicle_type: "Ambulance",
            vehicle_capacity,
            location: alert.location,
            patient_id: alert.patient_id.clone(),
            dispatch_time,
            timestamp: dispatch_time + TimeDelta::seconds(self.rng.random_range(300..=1_800)),
        }
    }

    fn hand_out(&mut self, reading: Patient) {
        if self.rng.random_bool(IS_REPEATED) {
            self.held_back.push((self.turn + self.rng.random_range(1..=20), reading.clone()));
        }
        if self.rng.random_bool(COMES_LATE) {
            self.held_back.push((self.turn + self.rng.random_range(5..=40), reading));
        } else {
            self.readings.push(reading);
        }
    }
}

impl Person {
    fn new(id: String, rng: &mut StdRng) -> Self {
        let resting_rate = rng.random_range(56.0..84.0);
        let vo2_max = rng.random_range(25.0..45.0);
        let latitude = SOUTH + rng.random_range(0.0..WIDTH);
        let longitude = WEST + rng.random_range(0.0..WIDTH);
        let (heart_rate, oxygen) = (resting_rate, 97.0);
        let rest = Self::default();
        Self { id, resting_rate, heart_rate, oxygen, vo2_max, latitude, longitude, ..rest }
    }

    /// What the device sends now; nothing while it is silent.
    fn measure(&mut self, now: DateTime<Utc>, rng: &mut StdRng) -> Option<Patient> {
        if self.help_at.is_some_and(|arrival| arrival <= now) {
            // Treated on the spot: otherwise the next reading would call a second vehicle.
            (self.help_at, self.ill) = (None, false);
            (self.heart_rate, self.oxygen) = (self.resting_rate, 97.0);
        }
        self.ill |= rng.random_bool(FALLS_ILL);
        self.drift(rng);
        if rng.random_bool(GOES_SILENT) {
            self.silent = rng.random_range(2..=6);
        }
        if self.silent > 0 {
            self.silent -= 1;
            return None;
        }
        let (heart_rate, oxygen_saturation) = (self.heart_rate.round() as i64, tenths(self.oxygen));
        Some(Patient {
            id: uuid(rng),
            patient_id: self.id.clone(),
            heart_rate,
            oxygen_saturation,
            vo2_max: tenths(self.vo2_max),
            location: Location { latitude: self.latitude, longitude: self.longitude },
            emergency_alert: is_emergency(heart_rate, oxygen_saturation),
            timestamp: now,
        })
    }

    /// A step towards where the state pulls, and some chance.
    fn drift(&mut self, rng: &mut StdRng) {
        let (rate, oxygen) = if self.ill { (160.0, 84.0) } else { (self.resting_rate, 97.0) };
        let pulls = (0.3 * (rate - self.heart_rate), 0.3 * (oxygen - self.oxygen));
        let mut walk = |value: &mut f64, pull: f64, chance: f64, low: f64, high: f64| {
            *value = (*value + pull + rng.random_range(-chance..chance)).clamp(low, high);
        };
        walk(&mut self.heart_rate, pulls.0, 6.0, 50.0, 200.0);
        walk(&mut self.oxygen, pulls.1, 0.8, 80.0, 100.0);
        walk(&mut self.vo2_max, 0.0, 0.1, 15.0, 50.0);
        walk(&mut self.latitude, 0.0, 2e-4, SOUTH, SOUTH + WIDTH);
        walk(&mut self.longitude, 0.0, 2e-4, WEST, WEST + WIDTH);
    }
}

fn uuid(rng: &mut StdRng) -> String {
    Builder::from_random_bytes(rng.random()).into_uuid().to_string()
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap, HashSet};

    use super::*;

    fn start() -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_219_200, 0).expect("a time")
    }

    fn simulation(seed: u64) -> Simulation {
        Simulation::new(seed, start(), TimeDelta::seconds(20))
    }

    /// Readings and vehicles of a long run, polled as the producer does.
    fn run(seed: u64) -> (Vec<Patient>, Vec<Vehicle>) {
        let mut simulation = simulation(seed);
        let (mut patients, mut vehicles) = (vec![], vec![]);
        for _ in 0..200 {
            patients.extend(simulation.patients(100));
            vehicles.extend(simulation.vehicles(100));
        }
        (patients, vehicles)
    }

    #[test]
    fn alerts_follow_from_vitals_and_stay_within_the_ranges() {
        let (patients, _) = run(1);
        assert_eq!(patients.len(), 20_000);
        for p in &patients {
            assert_eq!(p.emergency_alert, is_emergency(p.heart_rate, p.oxygen_saturation), "{p:?}");
            assert!((50..=200).contains(&p.heart_rate), "{p:?}");
            assert!((80.0..=100.0).contains(&p.oxygen_saturation), "{p:?}");
            assert!((15.0..=50.0).contains(&p.vo2_max), "{p:?}");
            assert!((51.509_864..=51.519_866).contains(&p.location.latitude), "{p:?}");
            assert!((-0.128_093..=-0.118_091).contains(&p.location.longitude), "{p:?}");
        }
        let alerts = patients.iter().filter(|p| p.emergency_alert).count();
        assert!((50..2_000).contains(&alerts), "{alerts} alerts");
        let people: HashSet<_> = patients.iter().map(|p| &p.patient_id).collect();
        assert_eq!(people.len(), 40);
        assert!(people.contains(&"IOS-20".to_owned()) && people.contains(&"ANDROID-1".to_owned()));
    }

    #[test]
    fn a_patient_drifts_rather_than_jumps() {
        let (patients, _) = run(2);
        let mut by_patient: HashMap<&str, BTreeMap<DateTime<Utc>, i64>> = HashMap::new();
        for p in &patients {
            by_patient.entry(&p.patient_id).or_default().insert(p.timestamp, p.heart_rate);
        }
        let steps: Vec<i64> = by_patient
            .values()
            .flat_map(|rates| {
                rates.values().zip(rates.values().skip(1)).map(|(a, b)| (a - b).abs())
            })
            .collect();
        let large = steps.iter().filter(|step| **step > 15).count();
        assert!(large * 20 < steps.len(), "{large} of {} steps are large", steps.len());
    }

    #[test]
    fn every_vehicle_answers_an_alert_and_one_is_sent_at_a_time() {
        let (patients, vehicles) = run(3);
        let alerts: Vec<_> = patients.iter().filter(|p| p.emergency_alert).collect();
        assert!(vehicles.len() > 20, "{} vehicles", vehicles.len());
        let mut arrivals: HashMap<&str, BTreeMap<DateTime<Utc>, DateTime<Utc>>> = HashMap::new();
        for v in &vehicles {
            let seconds = (v.timestamp - v.dispatch_time).num_seconds();
            assert!((300..=1_800).contains(&seconds), "{v:?}");
            let answered = alerts.iter().any(|p| {
                let wait = v.dispatch_time - p.timestamp;
                p.patient_id == v.patient_id && (30..=2_400).contains(&wait.num_seconds())
            });
            assert!(answered, "no alert before {v:?}");
            arrivals.entry(&v.patient_id).or_default().insert(v.dispatch_time, v.timestamp);
        }
        for trips in arrivals.values() {
            let overlap = trips.values().zip(trips.keys().skip(1)).find(|(end, next)| end >= next);
            assert_eq!(overlap, None);
        }
    }

    #[test]
    fn alerts_are_answered_unless_the_run_ends_first() {
        let (patients, vehicles) = run(4);
        let end = patients.last().expect("patients").timestamp - TimeDelta::hours(2);
        let unanswered =
            patients.iter().filter(|p| p.emergency_alert && p.timestamp < end).find(|p| {
                !vehicles.iter().any(|v| {
                    v.patient_id == p.patient_id
                        && v.timestamp >= p.timestamp
                        && v.dispatch_time <= p.timestamp + TimeDelta::minutes(40)
                })
            });
        assert_eq!(unanswered, None);
        let waits_too_long = |p: &Patient| {
            !vehicles.iter().any(|v| {
                v.patient_id == p.patient_id
                    && v.timestamp >= p.timestamp
                    && v.dispatch_time <= p.timestamp + TimeDelta::minutes(15)
            })
        };
        let late =
            patients.iter().filter(|p| p.emergency_alert && p.timestamp < end && waits_too_long(p));
        assert!(late.count() > 0, "for the query of alerts that waited too long");
    }

    #[test]
    fn some_readings_come_late_some_twice_and_some_not_at_all() {
        let (patients, _) = run(5);
        let mut seen: HashMap<&str, &Patient> = HashMap::new();
        let repeats = patients
            .iter()
            .filter_map(|p| seen.insert(&p.id, p).map(|first| assert_eq!(first, p)))
            .count();
        assert!((20..300).contains(&repeats), "{repeats} repeats of 20,000");
        let late = patients.windows(2).filter(|pair| pair[1].timestamp < pair[0].timestamp).count();
        assert!((100..1_000).contains(&late), "{late} late or repeated of 20,000");
        let times: HashSet<_> = patients.iter().map(|p| p.timestamp).collect();
        let span = patients.iter().map(|p| p.timestamp).max().expect("patients") - start();
        let missing = span.num_seconds() / 20 - times.len() as i64;
        assert!((20..2_000).contains(&missing), "{missing} dropouts of 20,000");
    }

    #[test]
    fn the_seed_decides_everything() {
        assert_eq!(run(6), run(6));
        assert_ne!(run(6).0[0].id, run(7).0[0].id);
    }

    #[test]
    fn dates_pass_when_produced_fast() {
        let (patients, _) = run(8);
        let dates: HashSet<_> = patients.iter().map(|p| p.timestamp.date_naive()).collect();
        assert!(dates.len() >= 4, "{dates:?}");
    }
}
