//! The generator of everything random: `SplitMix64` (Steele, Lea, Flood 2014). Small, and the same
//! on every machine.

/// A stream of numbers from a seed.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to `limit`, without `limit` itself, which must not be 0.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        // The high half of the product: no division, and even enough for samples.
        ((u128::from(self.next()) * u128::from(limit)) >> 64) as u64
    }

    /// From 0 to 100, without 100 itself, in thousandths: exact in floating point.
    pub(super) fn percent(&mut self) -> f64 {
        self.below(100_000) as f64 / 1000.0
    }

    /// One of some.
    pub(super) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_splitmix64s() {
        // The published first outputs for seed 1234567.
        let mut random = Random::new(1_234_567);
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
    }
}
