//! Which of a file's precompressed forms a client wants (RFC 9110 section 12.5.3).

use nexus_guest::HeaderList;

/// A form in which a file may lie beside the file itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Brotli,
    Zstandard,
    Gzip,
}

/// All encodings, those that compress best first.
const ALL: [Encoding; 3] = [Encoding::Brotli, Encoding::Zstandard, Encoding::Gzip];

impl Encoding {
    /// The name as a content coding.
    pub(super) fn name(self) -> &'static str {
        match self {
            Encoding::Brotli => "br",
            Encoding::Zstandard => "zstd",
            Encoding::Gzip => "gzip",
        }
    }

    /// What follows the file's name.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Encoding::Brotli => ".br",
            Encoding::Zstandard => ".zst",
            Encoding::Gzip => ".gz",
        }
    }
}

/// The encodings that the client takes at least as gladly as the plain file, the most wanted first; ours first
/// among equals. A client that does not speak of the plain file wants any encoding more.
pub(super) fn wanted(headers: &HeaderList) -> Vec<Encoding> {
    let mut named = [None; ALL.len()];
    let (mut identity, mut any) = (None, None);
    for value in headers.get_all("accept-encoding") {
        for item in String::from_utf8_lossy(value).split(',') {
            let (name, weight) = item.split_once(';').unwrap_or((item, ""));
            let Some(weight) = parse_weight(weight) else { continue };
            let name = name.trim().to_ascii_lowercase();
            let slot = match name.as_str() {
                "identity" => &mut identity,
                "*" => &mut any,
                "x-gzip" => &mut named[2],
                name => match ALL.iter().position(|encoding| encoding.name() == name) {
                    Some(at) => &mut named[at],
                    None => continue,
                },
            };
            *slot = Some(weight);
        }
    }
    let least = identity.unwrap_or(0).max(1);
    let weights = ALL.into_iter().zip(named.map(|weight| weight.or(any).unwrap_or(0)));
    let mut wanted: Vec<_> = weights.filter(|(_, weight)| *weight >= least).collect();
    wanted.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
    wanted.into_iter().map(|(encoding, _)| encoding).collect()
}

/// `q=0.5` in thousandths; nothing is 1. `None` if it is no weight (RFC 9110 section 12.4.2).
fn parse_weight(text: &str) -> Option<u16> {
    let text = text.trim();
    if text.is_empty() {
        return Some(1000);
    }
    let number = text.strip_prefix("q=").or_else(|| text.strip_prefix("Q="))?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let fraction = format!("{fraction:0<3}").parse::<u16>().ok()?;
    match (whole, fraction) {
        ("0", fraction) => Some(fraction),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Encoding::{Brotli, Gzip, Zstandard};
    use super::*;
    use proptest::prelude::*;

    fn wanted_by(accept: &str) -> Vec<Encoding> {
        wanted(&[("accept-encoding", accept)].into_iter().collect())
    }

    #[test]
    fn the_clients_weights_decide_and_ours_among_equals() {
        for (accept, expected) in [
            ("", &[][..]),
            ("gzip, deflate, br, zstd", &[Brotli, Zstandard, Gzip]),
            ("gzip", &[Gzip]),
            ("X-GZip", &[Gzip]),
            ("gzip;q=1.0, br; q=0.5", &[Gzip, Brotli]),
            ("br;q=0, gzip", &[Gzip]),
            ("*", &[Brotli, Zstandard, Gzip]),
            ("*;q=0.1, br;q=0", &[Zstandard, Gzip]),
            ("identity, gzip;q=0.5", &[]),
            ("identity;q=0.5, gzip;q=0.5, br;q=0.4", &[Gzip]),
            ("identity;q=0, gzip;q=0.001", &[Gzip]),
            ("gzip;q=2, br;q=0.1234, zstd;q=x", &[]),
        ] {
            assert_eq!(wanted_by(accept), expected, "{accept}");
        }
        assert!(wanted(&HeaderList::new()).is_empty());
    }

    proptest! {
        #[test]
        fn an_encoding_that_is_refused_is_never_wanted(rest: String, zero in "0(\\.0{0,3})?") {
            let named = |accept: &str| wanted_by(accept).contains(&Brotli);
            let refused = format!("*,br;q={zero}");
            prop_assert!(!named(&refused));
            // Whatever else is said, as long as it is not about the same encoding again.
            if !rest.to_ascii_lowercase().contains("br") {
                let refused = format!("{rest},br;q={zero}");
                prop_assert!(!named(&refused));
            }
        }
    }
}
