//! Numbers from a seed that a failing test prints, so that its run can be repeated.
use std::time::{SystemTime, UNIX_EPOCH};

/// A stream of numbers: `SplitMix64` (Steele, Lea, Flood 2014).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The stream of this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Another stream on every run, unless `KLAMM_TEST_SEED` names its seed; says which it is.
    pub fn announced(test: &str) -> Self {
        let clock = SystemTime::now().duration_since(UNIX_EPOCH);
        let drawn = clock.map_or(1, |time| time.as_nanos() as u64 % 1_000_000_007);
        let named = std::env::var("KLAMM_TEST_SEED").ok();
        let seed = named.and_then(|text| text.parse().ok()).unwrap_or(drawn);
        eprintln!("{test}: KLAMM_TEST_SEED={seed}");
        Self(seed)
    }

    /// The next number.
    pub fn next_number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to `limit`, without `limit` itself, which must not be 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next_number() % limit
    }

    /// One of some.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}
