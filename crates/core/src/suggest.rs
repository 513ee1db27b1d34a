//! The word that somebody probably meant.

/// The candidate nearest to `word`, if one is near enough to be what was meant: letters left out, added or swapped,
/// case and separators aside.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = plain(word);
    if plain.is_empty() || plain.len() > 64 {
        return None;
    }
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let other = self::plain(candidate);
            let shorter = plain.len().min(other.len());
            let distance = distance(&plain, &other);
            // `warning` is `warn`, and `addr` is `address`.
            let begins_alike = shorter >= 4 && plain[..shorter] == other[..shorter];
            (begins_alike || distance <= shorter.div_ceil(3)).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Words compare without case and separators: `maxBody` and `max-body` are `max_body`.
fn plain(word: &str) -> Vec<char> {
    word.chars().filter(|c| !matches!(c, '-' | '_' | '.')).flat_map(char::to_lowercase).collect()
}

/// How many letters were left out, added, replaced or swapped with their neighbour.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut cost = (last[j] + usize::from(x != y)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                cost = cost.min(before_last[j - 1] + 1);
            }
            row.push(cost);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WORDS: [&str; 4] = ["port", "max_head", "max_body", "response_timeout"];

    #[test]
    fn a_slip_of_the_finger_finds_its_word() {
        for (slip, word) in [
            ("prot", "port"),
            ("Port", "port"),
            ("ports", "port"),
            ("max-body", "max_body"),
            ("maxHead", "max_head"),
            ("response_time_out", "response_timeout"),
            ("reponse_timeout", "response_timeout"),
            ("response", "response_timeout"),
        ] {
            assert_eq!(nearest(slip, WORDS), Some(word), "{slip}");
        }
    }

    #[test]
    fn a_different_word_finds_none() {
        for word in ["colour", "x", "", "__", "timeout_of_everything"] {
            assert_eq!(nearest(word, WORDS), None, "{word}");
        }
    }

    proptest! {
        #[test]
        fn any_word_may_be_asked_and_a_word_is_nearest_to_itself(word in "\\PC{0,80}", index in 0usize..4) {
            let _ = nearest(&word, WORDS);
            prop_assert_eq!(nearest(WORDS[index], WORDS), Some(WORDS[index]));
        }
    }
}
