//! A hash that is the same on every machine and in every release: shards and slots hang on it.

/// FNV-1a over the bytes, then a finaliser: FNV alone leaves the low bits of similar names alike.
#[must_use]
pub fn stable_hash(text: &str) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let hash = text.bytes().fold(OFFSET, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(PRIME)
    });
    mix(hash)
}

/// The finaliser of MurmurHash3: every bit of the input reaches every bit of the result.
fn mix(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// If this fails, sites change shards and slots when a release is installed: do not change the
    /// numbers, change the code back.
    #[test]
    fn the_hash_never_changes() {
        for (text, hash) in [
            ("", 0xefd0_1f60_ba99_2926),
            ("a", 0x82a2_a958_a9be_ce5b),
            ("example.org", 0xcd3b_846c_b925_6ccf),
            ("größe", 0x2eb8_95f5_6869_eaa1),
        ] {
            assert_eq!(stable_hash(text), hash, "{text:?}");
        }
    }
}
