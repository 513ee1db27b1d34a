//! The chunked transfer coding, read (RFC 9112 section 7.1).
//!
//! The decoder is a state machine that takes input in pieces of any size. It is strict: a line ends
//! in CR LF, a size has digits only, and extensions and trailers, which are read over, are bounded.

/// The most bytes that may be spent on chunk extensions and trailers over a whole body: what they
/// carry is thrown away, so a client must not be able to send them forever.
const MAX_OVERHEAD: usize = 16 * 1024;

/// Decodes one body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ChunkedDecoder {
    state: State,
    overhead: usize,
    /// The sum of the sizes of the chunks so far, also of what has not come of the last one.
    declared: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before or in the size's digits.
    Size {
        size: u64,
        digits: u8,
    },
    /// White space after the size: only an extension may follow.
    SizeSpace {
        size: u64,
    },
    Extension {
        size: u64,
    },
    SizeLf {
        size: u64,
    },
    Data {
        left: u64,
    },
    DataCr,
    DataLf,
    /// At the start of a trailer line, which is the end if it is empty.
    TrailerStart,
    Trailer {
        colon: bool,
    },
    TrailerLf,
    EndLf,
    Done,
}

impl ChunkedDecoder {
    pub(super) fn new() -> Self {
        Self { state: State::Size { size: 0, digits: 0 }, overhead: 0, declared: 0 }
    }

    /// Whether the whole body, trailers included, was read.
    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// How long the body is at least, by what its chunks say of themselves.
    pub(super) fn declared(&self) -> u64 {
        self.declared
    }

    /// Reads on, and appends the data to `data`. Says how many bytes of `input` belong to the body: all of
    /// them, unless the body is done.
    ///
    /// # Errors
    /// What is wrong, in words for the client. After an error the decoder is of no use.
    pub(super) fn decode(&mut self, input: &[u8], data: &mut Vec<u8>) -> Result<usize, &'static str> {
        let mut at = 0;
        while at < input.len() {
            if let State::Data { left } = self.state {
                let rest = &input[at..];
                let taken = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                data.extend_from_slice(&rest[..taken]);
                at += taken;
                let left = left - taken as u64;
                self.state = if left == 0 { State::DataCr } else { State::Data { left } };
                continue;
            }
            if self.state == State::Done {
                break;
            }
            self.state = self.step(input[at])?;
            at += 1;
        }
        Ok(at)
    }

    fn step(&mut self, byte: u8) -> Result<State, &'static str> {
        Ok(match self.state {
            State::Size { size, digits } => match (hex_digit(byte), byte) {
                (Some(digit), _) if digits < 16 => {
                    State::Size { size: size << 4 | u64::from(digit), digits: digits + 1 }
                }
                (Some(_), _) => return Err("a chunk size has more than 16 digits"),
                _ if digits == 0 => return Err("a chunk size is missing"),
                (_, b'\r') => State::SizeLf { size },
                (_, b';') => State::Extension { size },
                (_, b' ' | b'\t') => State::SizeSpace { size },
                _ => return Err("a chunk size is not a hexadecimal number"),
            },
            State::SizeSpace { size } => match byte {
                b' ' | b'\t' => {
                    self.spend()?;
                    State::SizeSpace { size }
                }
                b';' => State::Extension { size },
                _ => return Err("a chunk size is not a hexadecimal number"),
            },
            State::Extension { size } => match byte {
                b'\r' => State::SizeLf { size },
                byte if is_control(byte) => return Err("a chunk extension has a control character"),
                _ => {
                    self.spend()?;
                    State::Extension { size }
                }
            },
            State::SizeLf { size } => match (byte, size) {
                (b'\n', 0) => State::TrailerStart,
                (b'\n', left) => {
                    self.declared = self.declared.saturating_add(left);
                    State::Data { left }
                }
                _ => return Err("a chunk size does not end in CR LF"),
            },
            State::Data { .. } | State::Done => return Err("the chunked decoder read past its end"),
            State::DataCr if byte == b'\r' => State::DataLf,
            State::DataLf if byte == b'\n' => State::Size { size: 0, digits: 0 },
            State::DataCr | State::DataLf => return Err("a chunk is longer than its size"),
            State::TrailerStart => match byte {
                b'\r' => State::EndLf,
                b' ' | b'\t' | b':' => return Err("a trailer has no name"),
                byte if is_control(byte) => return Err("a trailer has a control character"),
                _ => {
                    self.spend()?;
                    State::Trailer { colon: false }
                }
            },
            State::Trailer { colon } => match byte {
                b'\r' if colon => State::TrailerLf,
                b'\r' => return Err("a trailer has no colon"),
                byte if is_control(byte) => return Err("a trailer has a control character"),
                _ => {
                    self.spend()?;
                    State::Trailer { colon: colon || byte == b':' }
                }
            },
            State::TrailerLf if byte == b'\n' => State::TrailerStart,
            State::EndLf if byte == b'\n' => State::Done,
            State::TrailerLf | State::EndLf => return Err("a trailer does not end in CR LF"),
        })
    }

    fn spend(&mut self) -> Result<(), &'static str> {
        self.overhead += 1;
        if self.overhead > MAX_OVERHEAD {
            return Err("chunk extensions and trailers are too long");
        }
        Ok(())
    }
}

fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

fn is_control(byte: u8) -> bool {
    (byte < b' ' && byte != b'\t') || byte == 0x7f
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The data, how much was read, whether it is done.
    fn decode(input: &[u8]) -> Result<(Vec<u8>, usize, bool), &'static str> {
        let mut decoder = ChunkedDecoder::new();
        let mut data = Vec::new();
        let read = decoder.decode(input, &mut data)?;
        Ok((data, read, decoder.is_done()))
    }

    #[test]
    fn chunks_extensions_and_trailers_are_read() {
        let input = b"5\r\nhello\r\n6 ;a=\"b\"\r\n world\r\n000\r\nx: y\r\nz:\r\n\r\nGET";
        assert_eq!(decode(input), Ok((b"hello world".to_vec(), input.len() - 3, true)));
        assert_eq!(decode(b"A\r\n01234"), Ok((b"01234".to_vec(), 8, false)));
    }

    #[test]
    fn everything_that_two_parsers_could_read_in_two_ways_is_an_error() {
        let bad: &[&[u8]] = &[
            b"\r\n",
            b"5\nhello\r\n0\r\n\r\n",
            b"5\r\nhello\n0\r\n\r\n",
            b"5\r\nhello0\r\n\r\n",
            b"5\r\nhello\rX",
            b"0x5\r\nhello\r\n",
            b"+5\r\nhello\r\n",
            b"-1\r\n",
            b" 5\r\nhello\r\n",
            b"5 \r\nhello\r\n",
            b"5 5\r\nhello\r\n",
            b"5;a\nhello\r\n",
            b"5;a\rb\r\n",
            b"5\rhello",
            b"00000000000000005\r\nhello\r\n",
            b"11111111111111111\r\n",
            b"g\r\n",
            b"0\r\n\n",
            b"0\r\n x: y\r\n\r\n",
            b"0\r\n: y\r\n\r\n",
            b"0\r\nx\r\n\r\n",
            b"0\r\nx: y\n\r\n",
            b"0\r\nx: \0\r\n\r\n",
            b"0\r\n\rX",
        ];
        for bad in bad {
            assert!(decode(bad).is_err(), "{:?}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn the_largest_size_is_no_overflow() {
        assert_eq!(decode(b"FFFFFFFFFFFFFFFF\r\nabc"), Ok((b"abc".to_vec(), 21, false)));
    }

    #[test]
    fn extensions_and_trailers_are_bounded_over_the_whole_body() {
        let long = "a".repeat(MAX_OVERHEAD + 1);
        assert!(decode(format!("1;{long}\r\n").as_bytes()).is_err());
        assert!(decode(format!("0\r\nx:{long}\r\n").as_bytes()).is_err());
        let many = "1;aa\r\nx\r\n".repeat(MAX_OVERHEAD / 2 + 1);
        assert!(decode(many.as_bytes()).is_err());
    }

    /// Inputs that get past the first byte more often than random ones do.
    fn plausible() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(b"5\r\nhello\r\n".to_vec()),
            Just(b"0\r\n".to_vec()),
            Just(b"\r\n".to_vec()),
            Just(b"x: y\r\n".to_vec()),
            Just(b"3;ext=1\r\nabc\r\n".to_vec()),
            proptest::collection::vec(any::<u8>(), 0..4),
        ];
        proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn no_input_makes_the_decoder_panic(input: Vec<u8>) {
            let _ = decode(&input);
        }

        #[test]
        fn where_the_input_is_split_makes_no_difference(input in plausible(), cuts: Vec<prop::sample::Index>) {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
            cuts.sort_unstable();
            cuts.push(input.len());
            let mut decoder = ChunkedDecoder::new();
            let mut data = Vec::new();
            let mut at = 0;
            let mut outcome = Ok(());
            for cut in cuts {
                if outcome.is_ok() && !decoder.is_done() && cut > at {
                    outcome = decoder.decode(&input[at..cut], &mut data).map(|read| at += read);
                }
            }
            let split = outcome.map(|()| (data, at, decoder.is_done()));
            prop_assert_eq!(split, decode(&input));
        }
    }
}
