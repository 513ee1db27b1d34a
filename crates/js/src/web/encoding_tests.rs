//! Tests of decoders, piece by piece and as a whole.

use super::*;
use proptest::prelude::*;

fn text(stream: &mut Stream, bytes: &[u8], fatal: bool, last: bool) -> Option<String> {
    match stream.decode(bytes, fatal, last) {
        Text::Same => Some(bytes.iter().map(|&byte| char::from(byte)).collect()),
        Text::Units(units, bom) => Some(String::from_utf16(&units[bom..]).unwrap()),
        Text::Malformed => None,
    }
}

fn whole(encoding: &'static Encoding, pieces: &[&[u8]], fatal: bool) -> Option<String> {
    let mut stream = Stream::new(encoding, false);
    let mut whole = String::new();
    for piece in pieces {
        whole += &text(&mut stream, piece, fatal, false)?;
    }
    whole += &text(&mut stream, &[], fatal, true)?;
    Some(whole)
}

#[test]
fn every_label_but_the_replacements_leads_to_an_encoding_of_the_table() {
    for encoding in ENCODINGS {
        let found = Encoding::for_label_no_replacement(encoding.name().as_bytes());
        assert_eq!(found, Some(encoding));
    }
    assert_eq!(ENCODINGS[0], encoding_rs::UTF_8);
}

#[test]
fn a_truncated_sequence_at_the_end_is_replaced_or_fatal() {
    assert_eq!(whole(encoding_rs::UTF_8, &[b"a\xe2\x82"], false).as_deref(), Some("a\u{fffd}"));
    assert_eq!(whole(encoding_rs::UTF_8, &[b"a\xe2\x82"], true), None);
}

#[test]
fn a_bom_is_removed_at_the_start_only() {
    let pieces: [&[u8]; 3] = [b"\xef", b"\xbb\xbfa", b"\xef\xbb\xbfb"];
    assert_eq!(whole(encoding_rs::UTF_8, &pieces, true).as_deref(), Some("a\u{feff}b"));
}

#[test]
fn long_texts_are_decoded_piece_by_piece() {
    let text = "a\u{e9}\u{20ac}\u{1f600}".repeat(UNITS);
    let units: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    for fatal in [false, true] {
        assert!(whole(encoding_rs::UTF_8, &[text.as_bytes()], fatal).as_ref() == Some(&text));
        assert!(whole(encoding_rs::UTF_16BE, &[&units], fatal).as_ref() == Some(&text));
    }
    for encoding in ENCODINGS {
        whole(encoding, &[&[0x81; 3 * UNITS]], false).unwrap();
    }
}

#[test]
fn an_error_takes_the_rest_of_its_input_with_it() {
    for (encoding, input, next, expected) in [
        (encoding_rs::UTF_8, &b"a\xffb\xe2"[..], &b"c"[..], "c"),
        (encoding_rs::GB18030, b"\x81\x30\x21\x21\x21", b"\x80", "\u{20ac}"),
        (encoding_rs::GBK, b"\x81\x30\x81\x42\x42", b"\x80", "\u{20ac}"),
        (encoding_rs::ISO_2022_JP, b"\x1b\x21\x22", b"B", "B"),
        // What was switched to stays.
        (encoding_rs::ISO_2022_JP, b"\x1b(J\xffa", b"~", "\u{203e}"),
        (encoding_rs::ISO_2022_JP, b"\x1b(I\xffa", b"B", "\u{ff82}"),
    ] {
        let mut stream = Stream::new(encoding, false);
        assert_eq!(text(&mut stream, input, true, false), None);
        assert_eq!(text(&mut stream, next, true, true).as_deref(), Some(expected), "{input:?}");
    }
}

#[test]
fn text_between_the_escapes_of_iso_2022_jp_counts_across_pieces() {
    let pieces: [&[u8]; 3] = [b"\x1b(B", b"a", b"\x1b(Bb"];
    assert_eq!(whole(encoding_rs::ISO_2022_JP, &pieces, true).as_deref(), Some("ab"));
}

proptest! {
    #[test]
    fn the_text_does_not_depend_on_how_the_bytes_are_cut(
        bytes in prop::collection::vec(any::<u8>(), 0..80),
        cuts in prop::collection::vec(0usize..80, 0..5),
        which in 0..ENCODINGS.len(),
        fatal: bool,
    ) {
        let encoding = ENCODINGS[which];
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        prop_assert_eq!(whole(encoding, &pieces, fatal), whole(encoding, &[&bytes], fatal));
    }
}
