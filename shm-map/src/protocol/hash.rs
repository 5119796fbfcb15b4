//! The hash of keys and tags: SipHash-1-3, whose key is the map's seed. Who does not know the seed cannot choose keys
//! that collide.

/// The seed.
pub(crate) type Seed = [u64; 2];

/// SipHash-1-3.
#[inline]
pub(crate) fn sip(seed: Seed, bytes: &[u8]) -> u64 {
    let mut state = State([
        seed[0] ^ 0x736f_6d65_7073_6575,
        seed[1] ^ 0x646f_7261_6e64_6f6d,
        seed[0] ^ 0x6c79_6765_6e65_7261,
        seed[1] ^ 0x7465_6462_7974_6573,
    ]);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        state.take(u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    state.take(u64::from_le_bytes(last) | (bytes.len() as u64) << 56);
    state.0[2] ^= 0xff;
    (0..3).for_each(|_| state.round());
    state.0.into_iter().fold(0, |all, part| all ^ part)
}

struct State([u64; 4]);

impl State {
    #[inline]
    fn take(&mut self, word: u64) {
        self.0[3] ^= word;
        self.round();
        self.0[0] ^= word;
    }

    #[inline]
    fn round(&mut self) {
        let [mut a, mut b, mut c, mut d] = self.0;
        a = a.wrapping_add(b);
        b = b.rotate_left(13) ^ a;
        a = a.rotate_left(32);
        c = c.wrapping_add(d);
        d = d.rotate_left(16) ^ c;
        a = a.wrapping_add(d);
        d = d.rotate_left(21) ^ a;
        c = c.wrapping_add(b);
        b = b.rotate_left(17) ^ c;
        c = c.rotate_left(32);
        self.0 = [a, b, c, d];
    }
}

#[cfg(test)]
mod tests {
    use super::sip;
    use std::hash::Hasher;

    #[test]
    fn the_hash_is_that_of_the_standard_library() {
        // Its default hasher is SipHash-1-3 with a key of zeros.
        for length in 0..40 {
            let bytes: Vec<u8> = (0..length).map(|byte| byte as u8 ^ 0x5a).collect();
            let mut theirs = std::hash::DefaultHasher::new();
            theirs.write(&bytes);
            assert_eq!(sip([0, 0], &bytes), theirs.finish());
        }
    }
}
