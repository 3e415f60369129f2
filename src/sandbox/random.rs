//! Random numbers that depend on the seed alone.
//!
//! They are written here instead of taken from a crate such as `fastrand`, because a seed must give the same events in
//! every version: crates of random numbers don't promise that for theirs.

/// The finalizer of `SplitMix64`: each bit of the value changes half of the bits of the result on average.
pub(super) const fn mix(value: u64) -> u64 {
    let z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The use of a number. Each use has its own sequence, so that a further draw for one changes no other.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    Event = 1,
    Time,
    Order,
    World,
    Tracking,
    Token,
    Fault,
    Login,
}

/// The generator `SplitMix64`.
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) const fn new(seed: u64, purpose: Purpose, index: u64) -> Self {
        Self(mix(mix(seed ^ ((purpose as u64) << 56)).wrapping_add(index)))
    }

    pub(super) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// At least 0 and under `bound`; 0 for a bound of 0.
    pub(super) const fn below(&mut self, bound: usize) -> usize {
        (((self.next() >> 32) * (bound as u64)) >> 32) as usize
    }

    /// At least 0 and under `bound`.
    pub(super) fn span(&mut self, bound: i64) -> i64 {
        (self.next() >> 1).cast_signed() % bound.max(1)
    }

    pub(super) const fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// At least 0 and under 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    pub(super) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(super) const fn uuid(&mut self) -> u128 {
        uuid(self.next(), self.next())
    }

    pub(super) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    pub(super) const fn word<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

/// A UUID of version 4 from 122 of these 128 bits. Its first 32 bits are those of `high`.
pub(super) const fn uuid(high: u64, low: u64) -> u128 {
    let high = (high & !0xF000) | 0x4000;
    let low = (low & (u64::MAX >> 2)) | (1 << 63);
    ((high as u128) << 64) | low as u128
}

/// The 36 characters of a UUID.
pub(super) fn hyphenated(uuid: u128) -> [u8; 36] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [b'-'; 36];
    let mut digits = (0..32).rev().map(|digit| DIGITS[(uuid >> (4 * digit)) as usize & 15]);
    for at in (0..36).filter(|at| !matches!(at, 8 | 13 | 18 | 23)) {
        text[at] = digits.next().unwrap_or_default();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_has_the_version_and_the_variant_of_a_random_one() {
        let text = hyphenated(uuid(u64::MAX, u64::MAX));
        assert_eq!(&text, b"ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(&hyphenated(uuid(0, 0)), b"00000000-0000-4000-8000-000000000000");
    }

    #[test]
    fn draws_depend_only_on_seed_purpose_and_index() {
        let draw = |seed, purpose, index| Random::new(seed, purpose, index).next();
        assert_eq!(draw(7, Purpose::Event, 1), draw(7, Purpose::Event, 1));
        assert_ne!(draw(7, Purpose::Event, 1), draw(8, Purpose::Event, 1));
        assert_ne!(draw(7, Purpose::Event, 1), draw(7, Purpose::Time, 1));
        assert_ne!(draw(7, Purpose::Event, 1), draw(7, Purpose::Event, 2));
    }
}
