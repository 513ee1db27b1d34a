//! Subresource Integrity. <https://www.w3.org/TR/sri-2/>

use nexus_crypto::{Digest, Hash};

use super::base64;

/// "Do bytes match metadataList?", for the text of an `integrity` option.
pub(super) struct Check {
    /// Of the strongest algorithm, for of several only that counts.
    wanted: Vec<String>,
    /// None if the metadata says nothing that is known.
    digest: Option<Digest>,
}

impl Check {
    pub(super) fn new(metadata: &str) -> Self {
        let items = || {
            metadata.split_ascii_whitespace().filter_map(|item| {
                // Options after a `?` mean nothing so far.
                let (algorithm, digest) = item.split('?').next().unwrap_or_default().split_once('-')?;
                Some((Algorithm::named(algorithm)?, digest))
            })
        };
        let strongest = items().map(|(algorithm, _)| algorithm).max();
        let of_it = items().filter(|(algorithm, _)| Some(*algorithm) == strongest);
        // base64url is taken as well, as browsers do.
        let wanted = of_it.map(|(_, digest)| digest.replace('-', "+").replace('_', "/")).collect();
        let digest = strongest.and_then(|algorithm| Digest::new(algorithm.hash()).ok());
        Self { wanted, digest }
    }

    /// The next of the bytes.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        if let Some(digest) = &mut self.digest
            && digest.update(bytes).is_err()
        {
            self.wanted.clear();
        }
    }

    /// Whether the bytes were what the metadata says; true if that says nothing that is known.
    pub(super) fn matches(&mut self) -> bool {
        let Some(digest) = self.digest.take() else { return true };
        let Ok(digest) = digest.finish() else { return false };
        let digest = base64::encode(&digest);
        self.wanted.iter().any(|wanted| wanted.as_bytes() == digest)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Algorithm {
    Sha256,
    Sha384,
    Sha512,
}

impl Algorithm {
    fn hash(self) -> Hash {
        match self {
            Self::Sha256 => Hash::Sha256,
            Self::Sha384 => Hash::Sha384,
            Self::Sha512 => Hash::Sha512,
        }
    }

    fn named(name: &str) -> Option<Self> {
        let all = [("sha256", Self::Sha256), ("sha384", Self::Sha384), ("sha512", Self::Sha512)];
        all.into_iter().find(|(own, _)| name.eq_ignore_ascii_case(own)).map(|(_, algorithm)| algorithm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(bytes: &[u8], metadata: &str) -> bool {
        let mut check = Check::new(metadata);
        bytes.chunks(2).for_each(|piece| check.update(piece));
        check.matches()
    }

    // `printf 'hello' | openssl dgst -sha256 -binary | base64`
    const SHA256: &str = "sha256-LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=";
    const SHA384: &str = "sha384-WeF0h3dEjGnea4ANejO7+5/xtGPkQ1TDVTvNucZm+pASWjx5+QOXvfX2oT3oKGhP";

    #[test]
    fn bytes_match_their_own_digest_only() {
        assert!(matches(b"hello", SHA256));
        assert!(matches(b"hello", SHA384));
        assert!(!matches(b"hellO", SHA256));
        assert!(matches(b"hello", &SHA256.replace("LPJNul+wow4", "LPJNul-wow4")));
    }

    #[test]
    fn the_strongest_of_several_counts() {
        assert!(!matches(b"hello", &format!("{SHA256} sha384-AAAA")));
        assert!(matches(b"hello", &format!("sha256-AAAA {SHA384} sha384-AAAA?x")));
    }

    #[test]
    fn metadata_that_says_nothing_known_matches_all() {
        for text in ["", "md5-abc", "sha256", "  "] {
            assert!(matches(b"hello", text), "{text}");
        }
    }
}
