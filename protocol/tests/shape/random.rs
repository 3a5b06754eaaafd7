//! A small generator of numbers (`SplitMix64`), the same for the same seed, and damage made with it.

pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number less than `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub(crate) fn bytes(&mut self, at_most: usize) -> Vec<u8> {
        let len = self.below(at_most + 1);
        (0..len).map(|_| self.next() as u8).collect()
    }

    /// A copy with one to three kinds of damage.
    pub(crate) fn mutate(&mut self, body: &[u8]) -> Vec<u8> {
        let mut body = body.to_vec();
        for _ in 0..=self.below(3) {
            let at = self.below(body.len() + 1);
            match self.below(6) {
                0 => body.truncate(at),
                1 => {
                    let noise = self.bytes(6);
                    body.splice(at..at, noise);
                }
                2 => self.overwrite(&mut body, at, &[0x7f, 0xff, 0xff, 0xff]),
                3 => self.overwrite(&mut body, at, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
                4 => {
                    let small = [0, 0, self.next() as u8 & 3, self.next() as u8];
                    self.overwrite(&mut body, at, &small);
                }
                _ => {
                    let byte = [self.next() as u8];
                    self.overwrite(&mut body, at, &byte);
                }
            }
        }
        body
    }

    fn overwrite(&mut self, body: &mut [u8], at: usize, with: &[u8]) {
        let len = with.len().min(body.len() - at).min(1 + self.below(5));
        body[at..at + len].copy_from_slice(&with[..len]);
    }
}
