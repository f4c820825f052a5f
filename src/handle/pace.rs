//! How long a reader may hold a place: what it takes must come to more than a trickle.

use std::time::Duration;

/// Bytes a second that a reader has to take in the long run. Below it the place is worth more to others.
const SLOWEST: u32 = 16 << 10;

/// What a reader has taken, and how long it has been waited for. The time that the driver takes is not counted.
#[derive(Debug)]
pub(super) struct Pace {
    /// How long a reader may take nothing at once, and how much later it may be in all than the slowest.
    patience: Duration,
    waited: Duration,
    earned: Duration,
}

impl Pace {
    /// A reader that has taken nothing yet.
    pub fn new(patience: Duration) -> Self {
        Self { patience, waited: Duration::ZERO, earned: Duration::ZERO }
    }

    /// How long it may be waited for from now on, until it takes the next piece.
    pub fn left(&self) -> Duration {
        (self.patience + self.earned).saturating_sub(self.waited).min(self.patience)
    }

    /// It has taken a piece of so many bytes, and has been waited for.
    pub fn took(&mut self, bytes: usize, waited: Duration) {
        self.waited += waited;
        self.earned += Duration::from_secs(u64::try_from(bytes).unwrap_or(u64::MAX)) / SLOWEST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// Pieces of so many bytes, each after so long: how many are taken before it is broken off.
    fn taken(bytes: usize, after: Duration) -> usize {
        let mut pace = Pace::new(PATIENCE);
        (0..1000)
            .take_while(|_| {
                let goes_on = after < pace.left();
                pace.took(bytes, after);
                goes_on
            })
            .count()
    }

    #[test]
    fn a_trickle_is_not_enough() {
        let slowest = usize::try_from(SLOWEST).unwrap();
        assert_eq!(taken(slowest, Duration::from_secs(1)), 1000);
        assert_eq!(taken(100 * slowest, Duration::from_secs(59)), 1000, "pauses are not slowness");
        assert_eq!(taken(1 << 30, PATIENCE), 0, "but for such as take all patience");
        assert_eq!(taken(slowest / 2, Duration::from_secs(1)), 118, "half as fast is twice the patience");
        assert_eq!(taken(1, Duration::from_secs(10)), 6);
        assert_eq!(taken(0, Duration::ZERO), 1000, "it is the driver that is slow");
    }
}
