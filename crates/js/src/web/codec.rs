//! The formats of the Compression Standard, both ways, in slices of bounded time.
//! <https://compression.spec.whatwg.org/#supported-formats>
//!
//! An [`Engine`] never runs for long: it takes [`SLICE`] bytes of input and makes [`PIECE`] bytes of output at most
//! before it returns, and what it holds is bounded whatever its input says.

use std::panic::{AssertUnwindSafe, catch_unwind};

use brotli::enc::encode::{BrotliEncoderOperation, BrotliEncoderParameter, BrotliEncoderStateStruct};
use brotli::{BrotliDecompressStream, BrotliResult, BrotliState};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use zstd_safe::zstd_sys::ZSTD_EndDirective;
use zstd_safe::{CCtx, CParameter, DCtx, DParameter, InBuffer, OutBuffer};

use super::codec_memory::{Counting, DEFLATE_SIZE, INFLATE_SIZE, ZSTD_WINDOW_BITS};

/// The most output that is handed over at once, in bytes.
pub(crate) const PIECE: usize = 64 * 1024;
/// The most input of one step, in bytes: 1 to 5 ms.
const SLICE: usize = 128 * 1024;

/// zlib's own default, which browsers use as well.
const DEFLATE_LEVEL: u32 = 6;
const WINDOW_BITS: u8 = 15;
/// Of brotli's levels, the highest that takes no longer than gzip; with this window it is denser. With a larger one it
/// would gather blocks that take longer than a step may, up to twice the window.
const BROTLI_QUALITY: u32 = 4;
const BROTLI_WINDOW_BITS: u32 = 18;
/// zstd's own default.
const ZSTD_LEVEL: i32 = 3;

/// A format's name in the standard; zstd as RFC 8878 has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Deflate,
    DeflateRaw,
    Gzip,
    Brotli,
    Zstd,
}

impl Format {
    pub(crate) const ALL: [Format; 5] =
        [Format::Deflate, Format::DeflateRaw, Format::Gzip, Format::Brotli, Format::Zstd];
}

/// The data is not what the format says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Corrupt;

enum Codec {
    Deflate(Compress),
    Inflate(Decompress),
    BrotliEncoder(Box<BrotliEncoderStateStruct<Counting>>, Counting),
    BrotliDecoder(Box<BrotliState<Counting, Counting, Counting>>, Counting),
    ZstdEncoder(CCtx<'static>),
    ZstdDecoder(DCtx<'static>),
}

/// What a step did: bytes read, bytes written, and whether the format's end is reached.
struct Step {
    read: usize,
    written: usize,
    end: bool,
}

impl Codec {
    fn compressor(format: Format) -> Option<Self> {
        let level = Compression::new(DEFLATE_LEVEL);
        Some(match format {
            Format::Deflate => Codec::Deflate(Compress::new(level, true)),
            Format::DeflateRaw => Codec::Deflate(Compress::new(level, false)),
            Format::Gzip => Codec::Deflate(Compress::new_gzip(level, WINDOW_BITS)),
            Format::Brotli => {
                let count = Counting::default();
                let mut encoder = Box::new(BrotliEncoderStateStruct::new(count.clone()));
                encoder.set_parameter(BrotliEncoderParameter::BROTLI_PARAM_QUALITY, BROTLI_QUALITY);
                encoder.set_parameter(BrotliEncoderParameter::BROTLI_PARAM_LGWIN, BROTLI_WINDOW_BITS);
                Codec::BrotliEncoder(encoder, count)
            }
            Format::Zstd => {
                let mut context = CCtx::try_create()?;
                context.set_parameter(CParameter::CompressionLevel(ZSTD_LEVEL)).ok()?;
                Codec::ZstdEncoder(context)
            }
        })
    }

    fn decompressor(format: Format) -> Option<Self> {
        Some(match format {
            Format::Deflate => Codec::Inflate(Decompress::new(true)),
            Format::DeflateRaw => Codec::Inflate(Decompress::new(false)),
            Format::Gzip => Codec::Inflate(Decompress::new_gzip(WINDOW_BITS)),
            Format::Brotli => {
                let count = Counting::default();
                let state = BrotliState::new_strict(count.clone(), count.clone(), count.clone());
                Codec::BrotliDecoder(Box::new(state), count)
            }
            Format::Zstd => {
                let mut context = DCtx::try_create()?;
                context.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_BITS)).ok()?;
                Codec::ZstdDecoder(context)
            }
        })
    }

    fn compresses(&self) -> bool {
        matches!(self, Codec::Deflate(_) | Codec::BrotliEncoder(..) | Codec::ZstdEncoder(_))
    }

    fn size(&self) -> usize {
        match self {
            Codec::Deflate(_) => DEFLATE_SIZE,
            Codec::Inflate(_) => INFLATE_SIZE,
            Codec::BrotliEncoder(state, count) => size_of_val(&**state) + count.bytes(),
            Codec::BrotliDecoder(state, count) => size_of_val(&**state) + count.bytes(),
            Codec::ZstdEncoder(context) => context.sizeof(),
            Codec::ZstdDecoder(context) => context.sizeof(),
        }
    }

    fn step(&mut self, input: &[u8], out: &mut [u8], finish: bool) -> Result<Step, Corrupt> {
        match self {
            Codec::Deflate(deflate) => {
                let (read, written) = (deflate.total_in(), deflate.total_out());
                let flush = if finish { FlushCompress::Finish } else { FlushCompress::None };
                let status = deflate.compress(input, out, flush).map_err(|_| Corrupt)?;
                Ok(Step {
                    read: (deflate.total_in() - read) as usize,
                    written: (deflate.total_out() - written) as usize,
                    end: status == Status::StreamEnd,
                })
            }
            Codec::Inflate(inflate) => {
                let (read, written) = (inflate.total_in(), inflate.total_out());
                let status = inflate.decompress(input, out, FlushDecompress::None).map_err(|_| Corrupt)?;
                Ok(Step {
                    read: (inflate.total_in() - read) as usize,
                    written: (inflate.total_out() - written) as usize,
                    end: status == Status::StreamEnd,
                })
            }
            Codec::BrotliEncoder(encoder, _) => {
                let operation = if finish {
                    BrotliEncoderOperation::BROTLI_OPERATION_FINISH
                } else {
                    BrotliEncoderOperation::BROTLI_OPERATION_PROCESS
                };
                let (mut available_in, mut read) = (input.len(), 0);
                let (mut available_out, mut written) = (out.len(), 0);
                let went_well = encoder.compress_stream(
                    operation,
                    &mut available_in,
                    input,
                    &mut read,
                    &mut available_out,
                    out,
                    &mut written,
                    &mut None,
                    &mut |_, _, _, _| (),
                );
                let end = encoder.is_finished();
                if went_well { Ok(Step { read, written, end }) } else { Err(Corrupt) }
            }
            Codec::BrotliDecoder(state, _) => {
                let (mut available_in, mut read) = (input.len(), 0);
                let (mut available_out, mut written, mut total) = (out.len(), 0, 0);
                let result = BrotliDecompressStream(
                    &mut available_in,
                    &mut read,
                    input,
                    &mut available_out,
                    &mut written,
                    out,
                    &mut total,
                    state,
                );
                match result {
                    BrotliResult::ResultFailure => Err(Corrupt),
                    result => Ok(Step { read, written, end: matches!(result, BrotliResult::ResultSuccess) }),
                }
            }
            Codec::ZstdEncoder(context) => {
                let (mut input, mut output) = (InBuffer::around(input), OutBuffer::around(out));
                let directive =
                    if finish { ZSTD_EndDirective::ZSTD_e_end } else { ZSTD_EndDirective::ZSTD_e_continue };
                let left =
                    context.compress_stream2(&mut output, &mut input, directive).map_err(|_| Corrupt)?;
                Ok(Step { read: input.pos(), written: output.pos(), end: finish && left == 0 })
            }
            Codec::ZstdDecoder(context) => {
                let (mut input, mut output) = (InBuffer::around(input), OutBuffer::around(out));
                let hint = context.decompress_stream(&mut output, &mut input).map_err(|_| Corrupt)?;
                Ok(Step { read: input.pos(), written: output.pos(), end: hint == 0 })
            }
        }
    }
}

/// How far [`Engine::pump`] got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// There is output to be taken, see [`Engine::lend`].
    Piece,
    /// It stopped because it had run long enough.
    More,
    /// All of the input is used, and all output that it gives was taken.
    Idle,
    /// As [`Progress::Idle`], but there is input behind the end of the compressed data.
    Trailing,
}

/// One compressor or decompressor with its place in the current input.
pub(crate) struct Engine {
    codec: Codec,
    /// The end of the compressed data (of a zstd frame) is reached.
    ended: bool,
    /// The last step filled all of the output, so there may be more without further input.
    pending: bool,
    at: usize,
    out: Vec<u8>,
    filled: usize,
}

impl Engine {
    /// `None` if there is no memory for it.
    pub(crate) fn new(format: Format, decompress: bool) -> Option<Self> {
        let codec = if decompress { Codec::decompressor(format) } else { Codec::compressor(format) }?;
        Some(Self { codec, ended: false, pending: false, at: 0, out: vec![0; PIECE], filled: 0 })
    }

    /// What it takes, in bytes.
    pub(crate) fn size(&self) -> usize {
        self.codec.size() + PIECE
    }

    /// How much of the current input is used.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Hands over the output so far: so many bytes of the buffer, which is to be given back.
    pub(crate) fn lend(&mut self) -> (Vec<u8>, usize) {
        (std::mem::take(&mut self.out), std::mem::take(&mut self.filled))
    }

    pub(crate) fn give_back(&mut self, out: Vec<u8>) {
        self.out = out;
    }

    /// A new input follows, or the rest of the current one by itself.
    pub(crate) fn rewind(&mut self) {
        self.at = 0;
    }

    /// Goes on with the current input, `last` if none follows. To be called again until it says that it is idle.
    pub(crate) fn pump(&mut self, input: &[u8], last: bool) -> Result<Progress, Corrupt> {
        let compresses = self.codec.compresses();
        let mut budget = SLICE;
        self.out.resize(PIECE, 0);
        loop {
            if self.filled == PIECE {
                return Ok(Progress::Piece);
            }
            let rest = input.get(self.at..).unwrap_or_default();
            if self.ended && (rest.is_empty() || !self.goes_on(rest)) {
                return Ok(match self.filled {
                    0 if rest.is_empty() => Progress::Idle,
                    0 => Progress::Trailing,
                    _ => Progress::Piece,
                });
            }
            if rest.is_empty() && !self.pending && !(compresses && last) {
                return if last { Err(Corrupt) } else { Ok(self.idle()) };
            }
            if budget == 0 {
                return Ok(Progress::More);
            }
            let slice = &rest[..rest.len().min(budget)];
            let finish = last && slice.len() == rest.len();
            let (codec, out) = (&mut self.codec, &mut self.out[self.filled..]);
            // Whatever a codec finds wrong with its data, no guest ends for it.
            let step =
                catch_unwind(AssertUnwindSafe(|| codec.step(slice, out, finish))).unwrap_or(Err(Corrupt))?;
            self.at += step.read;
            self.filled += step.written;
            budget -= step.read;
            self.ended = step.end;
            self.pending = self.filled == PIECE;
            let stands_still = step.read == 0 && step.written == 0 && !step.end;
            if stands_still && (!slice.is_empty() || (compresses && finish)) {
                return Err(Corrupt);
            }
        }
    }

    /// Whether the compressed data goes on behind an end: zstd's may be several frames, of which some are skipped.
    fn goes_on(&self, rest: &[u8]) -> bool {
        const FRAME: [u8; 4] = 0xfd2f_b528_u32.to_le_bytes();
        const SKIPPED: [u8; 3] = [0x2a, 0x4d, 0x18];
        if !matches!(self.codec, Codec::ZstdDecoder(_)) {
            return false;
        }
        let rest = &rest[..rest.len().min(4)];
        FRAME.starts_with(rest) || (rest[0] & 0xf0 == 0x50 && SKIPPED.starts_with(&rest[1..]))
    }

    fn idle(&self) -> Progress {
        if self.filled > 0 { Progress::Piece } else { Progress::Idle }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All that an engine makes of `pieces`, and whether there is something behind the end. Looks at its promises.
    fn run(
        format: Format,
        decompress: bool,
        pieces: &[&[u8]],
        finish: bool,
    ) -> Result<(Vec<u8>, bool), Corrupt> {
        let mut engine = Engine::new(format, decompress).unwrap();
        let start = pieces.iter().find(|piece| !piece.is_empty()).copied().unwrap_or_default();
        let most = if decompress { format.decompressor_size(start) } else { format.compressor_size() };
        let mut whole = Vec::new();
        let empty: &[u8] = &[];
        let ends = finish.then_some((empty, true));
        for (piece, last) in pieces.iter().map(|piece| (*piece, false)).chain(ends) {
            loop {
                let progress = engine.pump(piece, last)?;
                assert!(engine.size() <= most, "{format:?} takes {} instead of {most}", engine.size());
                match progress {
                    Progress::Piece => {
                        let (out, filled) = engine.lend();
                        assert!((1..=PIECE).contains(&filled));
                        whole.extend_from_slice(&out[..filled]);
                        engine.give_back(out);
                    }
                    Progress::More => {}
                    Progress::Idle => break engine.rewind(),
                    Progress::Trailing => return Ok((whole, true)),
                }
            }
        }
        Ok((whole, false))
    }

    fn compress(format: Format, bytes: &[u8]) -> Vec<u8> {
        run(format, false, &[bytes], true).unwrap().0
    }

    fn decompress(format: Format, bytes: &[u8]) -> Result<(Vec<u8>, bool), Corrupt> {
        run(format, true, &[bytes], true)
    }

    fn words(length: usize) -> Vec<u8> {
        let mut state = 1_u32;
        let mut text = Vec::new();
        while text.len() < length {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            text.extend_from_slice(format!("word{} ", state >> 22).as_bytes());
        }
        text.truncate(length);
        text
    }

    #[test]
    fn what_was_compressed_is_decompressed_to_itself() {
        for format in Format::ALL {
            for bytes in [vec![], vec![7], vec![0; 3_000_000], words(70_000), words(5_000_000)] {
                let compressed = compress(format, &bytes);
                assert!(bytes.len() < 1000 || compressed.len() < bytes.len() / 2, "{format:?}");
                assert!(decompress(format, &compressed) == Ok((bytes, false)), "{format:?}");
            }
        }
    }

    #[test]
    fn what_is_cut_off_is_corrupt_and_what_follows_the_end_is_told() {
        for format in Format::ALL {
            let mut compressed = compress(format, &words(1000));
            for length in 0..compressed.len() {
                assert_eq!(decompress(format, &compressed[..length]), Err(Corrupt), "{format:?} {length}");
            }
            compressed.push(0);
            assert_eq!(decompress(format, &compressed), Ok((words(1000), true)), "{format:?}");
            let (data, junk) = compressed.split_at(compressed.len() - 1);
            assert_eq!(run(format, true, &[data, junk], false), Ok((words(1000), true)), "{format:?}");
        }
    }

    #[test]
    fn frames_of_zstd_may_follow_each_other() {
        let mut stream = compress(Format::Zstd, b"one ");
        stream.extend_from_slice(b"\x55\x2a\x4d\x18\x03\0\0\0abc");
        stream.extend_from_slice(&compress(Format::Zstd, b"two"));
        assert_eq!(decompress(Format::Zstd, &stream), Ok((b"one two".to_vec(), false)));
        let pieces: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(run(Format::Zstd, true, &pieces, true), Ok((b"one two".to_vec(), false)));
        stream.extend_from_slice(b"\x28\xb5");
        assert_eq!(decompress(Format::Zstd, &stream), Err(Corrupt));
    }

    #[test]
    fn one_member_is_all_of_a_gzip_stream() {
        let mut stream = compress(Format::Gzip, b"one");
        stream.extend_from_slice(&compress(Format::Gzip, b"two"));
        assert_eq!(decompress(Format::Gzip, &stream), Ok((b"one".to_vec(), true)));
    }

    #[test]
    fn a_window_beyond_eight_megabytes_is_refused() {
        for (window, result) in [(13 << 3, Ok((b"a".to_vec(), false))), (14 << 3, Err(Corrupt))] {
            // A frame without a checksum, and one raw block, the last.
            let frame = [0x28, 0xb5, 0x2f, 0xfd, 0, window, 9, 0, 0, b'a'];
            assert_eq!(decompress(Format::Zstd, &frame), result);
        }
        // A "large window" of brotli.
        assert_eq!(decompress(Format::Brotli, &[0x11, 0x1e, 0x03]), Err(Corrupt));
    }

    #[test]
    fn empty_inputs_change_nothing() {
        for format in Format::ALL {
            let compressed = compress(format, &words(100));
            let mut pieces: Vec<&[u8]> = vec![&[]; 50];
            pieces.extend([&compressed[..9]]);
            pieces.extend(vec![&[][..]; 50]);
            pieces.extend([&compressed[9..]]);
            assert_eq!(run(format, true, &pieces, true), Ok((words(100), false)), "{format:?}");
        }
    }

    fn cut(bytes: &[u8], mut cuts: Vec<usize>) -> Vec<&[u8]> {
        cuts.extend([0, bytes.len()]);
        cuts.iter_mut().for_each(|cut| *cut = (*cut).min(bytes.len()));
        cuts.sort_unstable();
        cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
    }

    fn any_format() -> impl Strategy<Value = Format> {
        prop::sample::select(&Format::ALL[..])
    }

    proptest! {
        #[test]
        fn bytes_and_cuts_do_not_matter_to_a_round_trip(
            format in any_format(),
            bytes in prop::collection::vec(0_u8..8, 0..2000),
            repeated in 1_usize..100,
            cuts in prop::collection::vec(0_usize..200_000, 0..6),
            other_cuts in prop::collection::vec(0_usize..3000, 0..6),
        ) {
            let bytes = bytes.repeat(repeated);
            let (compressed, _) = run(format, false, &cut(&bytes, cuts), true).unwrap();
            let result = run(format, true, &cut(&compressed, other_cuts), true);
            prop_assert!(result == Ok((bytes, false)));
        }

        #[test]
        fn damaged_data_gives_the_same_however_it_is_cut(
            format in any_format(),
            length in 0_usize..3000,
            damage in prop::collection::vec((0_usize..1500, any::<u8>()), 0..4),
            cuts in prop::collection::vec(0_usize..1500, 0..6),
        ) {
            let mut compressed = compress(format, &words(length));
            for (at, byte) in damage {
                let at = at % compressed.len();
                compressed[at] = byte;
            }
            prop_assert_eq!(run(format, true, &cut(&compressed, cuts), true), decompress(format, &compressed));
        }

        #[test]
        fn any_bytes_are_decompressed_or_refused(
            format in any_format(),
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            cuts in prop::collection::vec(0_usize..300, 0..4),
        ) {
            let bytes = match format {
                // Random bytes are no header.
                Format::Zstd => [&b"\x28\xb5\x2f\xfd"[..], &bytes].concat(),
                Format::Gzip => [&b"\x1f\x8b\x08\0\0\0\0\0\0\x03"[..], &bytes].concat(),
                _ => bytes,
            };
            prop_assert_eq!(run(format, true, &cut(&bytes, cuts), true), decompress(format, &bytes));
        }
    }
}
