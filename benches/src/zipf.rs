//! Calls as users make them: few keys are asked for often, and most rarely. The same ones in each run.

/// Ranks after a zipf distribution, and the random numbers that they are made of.
#[derive(Debug)]
pub struct Zipf {
    // By rank, the weight of it and of all before it.
    sums: Vec<f64>,
    state: u64,
}

impl Zipf {
    /// The weight of a rank, from 1 on, is `rank ^ -exponent`.
    #[must_use]
    pub fn new(ranks: usize, exponent: f64) -> Self {
        let mut sum = 0.0;
        let weight = |rank: usize| {
            sum += (rank as f64).powf(-exponent);
            sum
        };
        Self { sums: (1..=ranks).map(weight).collect(), state: 0x9e37_79b9_7f4a_7c15 }
    }

    /// A number from 0 to 1, without 1 (xorshift).
    pub fn random(&mut self) -> f64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A rank, from 0 on.
    pub fn rank(&mut self) -> usize {
        let last = self.sums.len() - 1;
        let at = self.random() * self.sums[last];
        self.sums.partition_point(|sum| *sum < at).min(last)
    }
}
