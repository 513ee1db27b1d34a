//! What can be told of a statement's text without SQLite: where it ends, and with which word it begins.

/// What is behind blanks, comments and `;`.
pub(super) fn behind_blanks(text: &str) -> &str {
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\n', '\u{c}', '\r', ';', '\u{feff}']);
        if let Some(comment) = rest.strip_prefix("--") {
            rest = comment.find('\n').map_or("", |end| &comment[end..]);
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment.find("*/").map_or("", |end| &comment[end + 2..]);
        } else {
            return rest;
        }
    }
}

/// The word with which a statement begins.
pub(super) fn first_word(text: &str) -> &str {
    let text = behind_blanks(text);
    let end = text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len());
    &text[..end]
}

fn is_one_of(word: &str, words: &[&str]) -> bool {
    words.iter().any(|one| one.eq_ignore_ascii_case(word))
}

/// Whether a statement that begins like this writes for certain, so that nothing has to be asked to know it. Others may.
pub(super) fn writes(text: &str) -> bool {
    const WORDS: [&str; 6] = ["INSERT", "UPDATE", "DELETE", "REPLACE", "CREATE", "DROP"];
    is_one_of(first_word(text), &WORDS)
}

/// Why no statement may begin like this, if none may.
pub(super) fn refused(text: &str) -> Option<&'static str> {
    const TRANSACTIONS: [&str; 6] = ["BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE"];
    let word = first_word(text);
    if is_one_of(word, &TRANSACTIONS) {
        return Some("each call is a transaction of its own; what belongs together goes into one batch");
    }
    if is_one_of(word, &["ATTACH", "DETACH"]) {
        return Some("a call has one database; ATTACH and DETACH are not there");
    }
    if is_one_of(word, &["VACUUM"]) {
        return Some("VACUUM is not there: what is deleted leaves the file by itself");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_begins_behind_blanks_and_comments() {
        for (text, word) in [
            ("SELECT 1", "SELECT"),
            (" ;\n-- INSERT\n\t/* UPDATE */ /**/ with x", "with"),
            ("-- nothing", ""),
            ("/* never ends", ""),
            ("insert\u{a0}", "insert"),
            ("(1)", ""),
            ("\u{feff}BEGIN", "BEGIN"),
        ] {
            assert_eq!(first_word(text), word, "{text}");
        }
        assert_eq!(behind_blanks("; -- a\n ; /* b */"), "");
        assert!(
            writes("/**/inSert INTO t")
                && !writes("WITH a AS (SELECT 1) INSERT INTO t")
                && !writes("inserts")
        );
        assert!(
            refused("Savepoint a").is_some() && refused("vacuum").is_some() && refused("begins").is_none()
        );
    }
}
