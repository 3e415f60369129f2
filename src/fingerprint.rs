//! A hash that identifies a text for as long as it is stored.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::{Digest, Sha256};

/// The first 128 bits of a text's SHA-256: the same in every version of this crate and on every machine, and
/// infeasible to forge for another text. Stored as 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Fingerprint(u128);

impl Fingerprint {
    pub(crate) fn of(text: impl AsRef<[u8]>) -> Self {
        let hash = Sha256::digest(text);
        Self(hash.iter().take(16).fold(0, |bits, byte| bits << 8 | u128::from(*byte)))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bits = u128::from_str_radix(&text, 16).ok().map(Self);
        bits.filter(|bits| bits.to_string() == text)
            .ok_or_else(|| D::Error::custom("a fingerprint has 32 hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_never_changes() {
        // `printf abc | sha256sum | cut -c 1-32`
        assert_eq!(Fingerprint::of("abc").to_string(), "ba7816bf8f01cfea414140de5dae2223");
        assert_ne!(Fingerprint::of("abc"), Fingerprint::of("abd"));
    }

    #[test]
    fn a_fingerprint_is_read_back_in_its_one_form() {
        let fingerprint = Fingerprint::of("abc");
        let stored = serde_json::to_string(&fingerprint).unwrap();
        assert_eq!(serde_json::from_str::<Fingerprint>(&stored).unwrap(), fingerprint);
        for other in ["\"\"", "\"+1\"", "\"BA7816BF8F01CFEA414140DE5DAE2223\"", "7", "\"00\""] {
            assert!(serde_json::from_str::<Fingerprint>(other).is_err(), "{other}");
        }
    }
}
