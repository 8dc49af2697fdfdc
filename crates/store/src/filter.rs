//! A split-block Bloom filter: one cache line for a question, and never a wrong "no".
//!
//! Law: what was inserted may be contained, always. Of what was not, about one in two hundred may be, too.
//!
//! The block follows from the upper half of a key, so keys inserted in order fill the filter from front to back; the bits
//! in it follow from the lower half. Keys are bits of SHA-256, so they need no further hashing.

/// For each key.
const BITS: u64 = 12;

/// Odd numbers that spread 32 bits eight ways, those of the Parquet format.
const SALTS: [u32; 8] =
    [0x47b6_137b, 0x4497_4d91, 0x8824_ad5b, 0xa2b7_289d, 0x7054_95c7, 0x2df1_424b, 0x9efc_4947, 0x5c6b_fb31];

#[derive(Debug, Clone, Copy)]
#[repr(align(32))]
struct Block([u32; 8]);

/// A key with its bits, which are the same for every filter: one in each of the eight words of a block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Probe {
    key: u64,
    bits: Block,
}

impl Probe {
    pub(crate) fn of(key: u64) -> Self {
        Self { key, bits: Block(SALTS.map(|salt| 1 << ((key as u32).wrapping_mul(salt) >> 27))) }
    }
}

/// A set of keys that may say "perhaps" of others.
#[derive(Debug)]
pub(crate) struct Filter(Vec<Block>);

impl Filter {
    /// One with room for so many keys.
    pub(crate) fn for_keys(keys: u64) -> Self {
        let blocks = (keys * BITS).div_ceil(256).max(1);
        Self(vec![Block([0; 8]); blocks as usize])
    }

    fn place(&self, key: u64) -> usize {
        (((key >> 32) * self.0.len() as u64) >> 32) as usize
    }

    pub(crate) fn insert(&mut self, key: u64) {
        let place = self.place(key);
        for (word, bit) in self.0[place].0.iter_mut().zip(Probe::of(key).bits.0) {
            *word |= bit;
        }
    }

    pub(crate) fn may_contain(&self, probe: &Probe) -> bool {
        let block = &self.0[self.place(probe.key)];
        let words = block.0.iter().zip(probe.bits.0);
        words.fold(0, |missing, (word, bit)| missing | (!word & bit)) == 0
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|block| block.0).flat_map(u32::to_le_bytes).collect()
    }

    /// `None` if these are not the bytes of a filter.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (blocks, []) = bytes.as_chunks::<32>() else { return None };
        let word =
            |block: &[u8; 32], n: usize| u32::from_le_bytes(std::array::from_fn(|byte| block[4 * n + byte]));
        let blocks: Vec<_> =
            blocks.iter().map(|block| Block(std::array::from_fn(|n| word(block, n)))).collect();
        (!blocks.is_empty()).then_some(Self(blocks))
    }
}

#[cfg(test)]
mod tests {
    use milepost_model::EventKey;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_inserted_may_be_contained(keys in prop::collection::vec(any::<u64>(), 0..500), room in 0..500_u64) {
            let mut filter = Filter::for_keys(room);
            keys.iter().for_each(|key| filter.insert(*key));
            let back = Filter::from_bytes(&filter.to_bytes()).unwrap();
            for key in keys {
                prop_assert!(filter.may_contain(&Probe::of(key)) && back.may_contain(&Probe::of(key)));
            }
        }
    }

    #[test]
    fn few_others_may_be_contained() {
        let key = |n: u32| EventKey::of("ci", &n.to_string()).0;
        let mut filter = Filter::for_keys(100_000);
        (0..100_000).for_each(|n| filter.insert(key(n)));
        let wrong = (100_000..200_000).filter(|n| filter.may_contain(&Probe::of(key(*n)))).count();
        assert!((100..1_000).contains(&wrong), "{wrong} of 100000");
    }
}
