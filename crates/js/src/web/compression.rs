//! Natives of `compression.js`: one slice of work a call, so that a guest can be stopped in between.

use super::codec::{Corrupt, Engine, Format, Progress};
use super::encoding::with_bytes;
use super::held::Held;
use crate::ops::{self, arg_u32, room, throw_range_error, throw_type_error, uint8_array};
use crate::state::State;

pub(crate) const OPS: &[ops::Op] = ops::ops![
    codecOpen => op_codec_open,
    codecRun => op_codec_run,
    codecKeep => op_codec_keep,
    codecClose => op_codec_close,
];

/// An engine, and what it has of an input that JavaScript let go.
struct Running {
    engine: Engine,
    /// What it takes at most, as it seemed when it was made. All of that counts from the beginning: what a guest opens
    /// in one turn must not grow beyond its limit unseen.
    expected: usize,
    kept: Option<Vec<u8>>,
}

impl Running {
    fn size(&self) -> usize {
        self.engine.size().max(self.expected) + self.kept.as_ref().map_or(0, Vec::capacity)
    }
}

/// `codecOpen(holder, format, decompress, chunk)`: a number for the others, from 1. `chunk` is the first that will be
/// decompressed: its beginning says how much memory that takes. Throws if there is none.
fn op_codec_open<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    let Ok(holder) = v8::Local::<v8::Object>::try_from(args.get(0)) else { return };
    let Some(&format) = Format::ALL.get(arg_u32(&args, 1) as usize) else { return };
    let decompress = args.get(2).is_true();
    let size = if decompress {
        with_bytes(args.get(3), |bytes| format.decompressor_size(bytes)).unwrap_or_default()
    } else {
        format.compressor_size()
    };
    if !room(scope, size) {
        return;
    }
    let Some(engine) = Engine::new(format, decompress) else {
        throw_range_error(scope, "there is no memory for this");
        return;
    };
    let id = Held::open(scope, holder, Running { engine, expected: size, kept: None }, size);
    rv.set(v8::Integer::new_from_unsigned(scope, id).into());
}

/// `codecRun(id, chunk, last)`: a slice of work on the chunk, or on what was kept of it. Gives a `Uint8Array` of output,
/// `true` if there is more to do, `false` if the chunk is used up, `null` if it goes on behind the end of the compressed
/// data. To be called until it is one of the latter two.
fn op_codec_run<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    let (id, chunk, last) = (arg_u32(&args, 0), args.get(1), args.get(2).is_true());
    let mut piece = (Vec::new(), 0);
    let mut grown = 0;
    let progress = Held::with(scope, id, |running: &mut Running| {
        let Running { engine, kept, expected } = running;
        let progress = match kept {
            Some(bytes) => engine.pump(bytes, last),
            None => with_bytes(chunk, |bytes| engine.pump(bytes, last)).unwrap_or(Err(Corrupt)),
        };
        match progress {
            Ok(Progress::Piece) => piece = engine.lend(),
            Ok(Progress::Idle | Progress::Trailing) => {
                engine.rewind();
                *kept = None;
            }
            Ok(Progress::More) | Err(Corrupt) => {}
        }
        grown = engine.size().saturating_sub(*expected);
        *expected += grown;
        (progress, running.size())
    });
    // The data has asked for more than its beginning said, as another frame of zstd's may. It has it already, but not
    // twice.
    if grown > 0 && !State::of(scope).has_room(scope, 0) {
        Held::<Running>::close(scope, id);
        let message = ops::no_room(scope);
        throw_range_error(scope, &message);
        return;
    }
    match progress {
        Some(Ok(Progress::Piece)) => {
            let (out, filled) = piece;
            match uint8_array(scope, &out[..filled]) {
                Some(array) => rv.set(array.into()),
                None => {
                    let message = ops::no_room(scope);
                    throw_range_error(scope, &message);
                }
            }
            Held::with(scope, id, |running: &mut Running| {
                running.engine.give_back(out);
                ((), running.size())
            });
        }
        Some(Ok(Progress::More)) => rv.set_bool(true),
        Some(Ok(Progress::Idle)) => rv.set_bool(false),
        Some(Ok(Progress::Trailing)) => rv.set_null(),
        Some(Err(Corrupt)) if last => throw_type_error(scope, "the compressed data ends too early"),
        Some(Err(Corrupt)) => throw_type_error(scope, "the compressed data is corrupt"),
        None => throw_type_error(scope, "the stream is over"),
    }
}

/// `codecKeep(id, chunk)`: keeps what is not used of the chunk, before anything else may change it.
fn op_codec_keep<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    _rv: v8::ReturnValue<'s, v8::Value>,
) {
    let (id, chunk) = (arg_u32(&args, 0), args.get(1));
    if !room(scope, ops::byte_length(chunk)) {
        return;
    }
    Held::with(scope, id, |running: &mut Running| {
        if running.kept.is_none() {
            let at = running.engine.at();
            running.kept = with_bytes(chunk, |bytes| bytes.get(at..).unwrap_or_default().to_vec());
            running.engine.rewind();
        }
        ((), running.size())
    });
}

/// `codecClose(id)`: its stream has ended.
fn op_codec_close<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    _rv: v8::ReturnValue<'s, v8::Value>,
) {
    Held::<Running>::close(scope, arg_u32(&args, 0));
}
