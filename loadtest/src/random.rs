//! Numbers that are the same for the same seed (splitmix64).

/// A sequence of them.
#[derive(Debug, Clone)]
pub struct Random(pub u64);

/// Makes a number look like no other.
pub fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

impl Random {
    /// The next one.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }
    /// Below a bound.
    pub fn below(&mut self, bound: u64) -> u64 {
        u64::try_from((u128::from(self.next()) * u128::from(bound)) >> 64).expect("below a u64")
    }
    /// The same, for small ones.
    pub fn below_u32(&mut self, bound: u32) -> u32 {
        u32::try_from(self.below(u64::from(bound))).expect("below a u32")
    }
    /// Below the bound, small ones far more often: the bits kept are drawn first.
    pub fn skewed(&mut self, bound: u64) -> u64 {
        let bits = u64::from(64 - bound.leading_zeros());
        let kept = self.below(bits + 1);
        self.below(1 << kept).min(bound - 1)
    }
    /// Below the bound, few far more often than others: the bound is itself drawn, by halves.
    pub fn halved(&mut self, bound: u32) -> u32 {
        let halves = self.next() % 18;
        self.below_u32((bound >> halves).max(1))
    }
    /// Below a bound, and as likely in every doubling: number n about as often as 1 in n.
    pub fn often_low(&mut self, bound: u32) -> u32 {
        let doubling = 1_u32 << self.below_u32(32 - bound.max(1).leading_zeros());
        (doubling - 1 + self.below_u32(doubling)).min(bound.max(1) - 1)
    }
}
