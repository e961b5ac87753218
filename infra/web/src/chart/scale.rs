//! Axes that count in steps people count in.

/// The marks of an axis from zero to at least `most`, about `wanted` of them, in steps of 1, 2 or 5 times a
/// power of ten. Counts never get marks between whole numbers.
pub(super) fn marks(most: f64, wanted: usize, whole: bool) -> Vec<f64> {
    let most = if most.is_finite() && most > 0.0 { most } else { 1.0 };
    let step = step(most / wanted.max(1) as f64, whole);
    let count = (most / step - 1e-9).ceil().max(1.0) as usize;
    (0..=count).map(|at| at as f64 * step).collect()
}

fn step(rough: f64, whole: bool) -> f64 {
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|times| times * power)
        .find(|step| *step >= rough * (1.0 - 1e-9))
        .unwrap_or(10.0 * power);
    if whole { step.max(1.0) } else { step }
}

/// What can be drawn of a number: neither negative nor endless.
pub(super) fn drawable(value: f64) -> f64 {
    if value.is_finite() { value.max(0.0) } else { 0.0 }
}

/// Every how many labels one is shown, so that those shown don't touch.
pub(super) fn every(labels: usize, widest: f64, room: f64) -> usize {
    let fit = (room / widest.max(1.0)).floor().max(1.0) as usize;
    let least = labels.div_ceil(fit).max(1);
    // Months: show quarters, halves or years rather than every fifth.
    if labels > 12 {
        [1, 2, 3, 6, 12, 24, 60, 120].into_iter().find(|n| *n >= least).unwrap_or(least)
    } else {
        least
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn steps_are_those_people_count_in() {
        assert_eq!(marks(97.0, 5, true), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert_eq!(marks(3.0, 5, true), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(marks(1.0, 4, false).last(), Some(&1.0));
        assert_eq!(marks(0.0, 4, true), [0.0, 1.0]);
        assert_eq!(marks(f64::NAN, 4, true), [0.0, 1.0]);
        assert_eq!(marks(12_345.0, 4, true), [0.0, 5000.0, 10_000.0, 15_000.0]);
    }

    #[test]
    fn labels_are_thinned_out() {
        assert_eq!(every(4, 50.0, 600.0), 1);
        assert_eq!(every(48, 60.0, 600.0), 6);
        assert_eq!(every(0, 60.0, 600.0), 1);
    }

    proptest! {
        #[test]
        fn an_axis_holds_its_values_with_few_marks(most in 1e-6f64..1e15, wanted in 1usize..12) {
            let marks = marks(most, wanted, false);
            prop_assert!(marks.last().copied().unwrap_or(0.0) >= most * 0.999_999);
            prop_assert!((2..=wanted + 2).contains(&marks.len()));
        }
    }
}
