//! Seeded randomness: xoshiro256++, filled by splitmix64.

/// A stream of numbers that depends on the seed alone.
#[derive(Clone, Debug)]
pub struct Rng([u64; 4]);

/// One step of splitmix64: turns neighbouring seeds into unrelated ones.
pub fn mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Rng {
    /// A stream of its own for each seed.
    pub fn new(seed: u64) -> Rng {
        let mut s = seed;
        Rng([mix(&mut s), mix(&mut s), mix(&mut s), mix(&mut s)])
    }

    /// The next 64 bits.
    #[inline]
    pub fn bits(&mut self) -> u64 {
        let s = &mut self.0;
        let out = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        out
    }

    /// A number below `n`; zero when `n` is zero.
    #[inline]
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(n)) >> 64) as u64
    }

    /// A number in `from..=to`.
    #[inline]
    pub fn range(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to.saturating_sub(from) + 1)
    }

    /// True `n` times in a thousand.
    #[inline]
    pub fn permille(&mut self, n: u32) -> bool {
        self.below(1000) < u64::from(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_repeat_and_differ() {
        let take = |seed| {
            let mut r = Rng::new(seed);
            [r.bits(), r.bits(), r.bits()]
        };
        assert_eq!(take(1), take(1));
        assert_ne!(take(1), take(2));
        let mut r = Rng::new(3);
        assert!((0..1000).all(|_| r.range(5, 7) - 5 <= 2));
    }
}
