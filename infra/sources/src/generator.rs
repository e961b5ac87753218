use millstream_topic::Outgoing;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::{Outlet, SourceError};

/// Sends what `make` makes, until stopped, or `count` records, or the outlet's limit; then flushes.
pub async fn generate(
    outlet: &mut Outlet,
    count: Option<u64>,
    mut make: impl FnMut() -> Outgoing,
) -> Result<(), SourceError> {
    let mut left = count;
    while left != Some(0) {
        if outlet.send(make()).await?.is_break() {
            break;
        }
        left = left.map(|left| left - 1);
    }
    outlet.flush().await
}

/// Randomness that is the same for the same seed; 0: another one every time.
pub fn seeded(seed: u64) -> StdRng {
    match seed {
        0 => rand::make_rng(),
        seed => StdRng::seed_from_u64(seed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt;

    #[test]
    fn a_seed_gives_the_same_again_and_none_something_else() {
        let draw = |seed| seeded(seed).random::<u64>();
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        assert_ne!(draw(0), draw(0));
    }
}
