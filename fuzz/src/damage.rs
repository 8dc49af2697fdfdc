//! Damage to bytes, as the fuzzer says.

/// Takes pieces off `orders` and changes `bytes` accordingly: a byte says what to do and to how many bytes, three say
/// where, and the bytes to write follow. So a small input can damage any place of a large file.
pub fn damage(bytes: &mut Vec<u8>, mut orders: &[u8]) {
    while let Some(([order, a, b, c], rest)) = orders.split_first_chunk::<4>() {
        let count = usize::from(order & 15) + 1;
        let at = u32::from_be_bytes([0, *a, *b, *c]) as usize % (bytes.len() + 1);
        let (new, rest) = rest.split_at(count.min(rest.len()));
        match order >> 6 {
            0 | 1 => {
                for (byte, new) in bytes[at..].iter_mut().zip(new) {
                    *byte = *new;
                }
            }
            2 => drop(bytes.splice(at..at, new.iter().copied())),
            _ => {
                let end = (at + count).min(bytes.len());
                if order & 32 == 0 { drop(bytes.drain(at..end)) } else { bytes.truncate(at) }
            }
        }
        orders = rest;
    }
}
