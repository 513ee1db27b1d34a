//! V8's process-wide set-up: flags, ICU data, the platform. Once, on the main thread.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Once;

/// The ICU data file's name, beside the program or in `../lib/nexus`.
const ICU_FILE: &str = "icudtl.dat";

/// Where set-up left the ICU data, if it did: right for programs run from the build folder.
const ICU_OF_BUILD: Option<&str> = option_env!("V8_ICU_DATA");

/// V8's flags. Each is there for a reason:
/// - `single-threaded-gc`: a guest's garbage is collected on its own thread, on its own account;
/// - `stack-size`: 864 of a worker's 2,048 KB of stack, so that deep recursion is a clean `RangeError`
///   and host frames below and above still fit;
/// - `no-turboshaft-loop-unrolling`: that phase also drops the stack check of loops that call built-ins only,
///   and with it the place where such a loop, once optimised, would notice that it was terminated.
/// - `no-wasm-native-module-cache`: two guests that compile the same bytes would wait for each other, for good if one
///   is parked meanwhile;
/// - `no-validate-asm`: functions with "use asm" are JavaScript like any other. V8 would make WebAssembly of them, which
///   nobody counts.
const FLAGS: &str = "--single-threaded-gc --stack-size=864 --no-turboshaft-loop-unrolling \
    --no-wasm-native-module-cache --no-validate-asm";

/// Why V8 could not be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitError(String);

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InitError {}

/// Starts V8 for the process. Must be called on the main thread before any other thread exists that
/// will run JavaScript (V8's memory protection keys are inherited from the thread that calls it).
/// Further calls do nothing.
///
/// # Errors
/// When no ICU data is found: beside the program, in `../lib/nexus`, or where set-up left it.
pub fn initialize(program: &Path) -> Result<(), InitError> {
    initialize_with(program, v8::new_default_platform)
}

/// Like [`initialize`], but from any thread, without V8's memory protection keys. For test harnesses only, which
/// start threads before any test can run.
///
/// # Errors
/// As [`initialize`].
pub fn initialize_for_tests(program: &Path) -> Result<(), InitError> {
    initialize_with(program, v8::new_unprotected_default_platform)
}

type NewPlatform = fn(u32, bool) -> v8::UniqueRef<v8::Platform>;

fn initialize_with(program: &Path, platform: NewPlatform) -> Result<(), InitError> {
    static ONCE: Once = Once::new();
    let mut result = Ok(());
    ONCE.call_once(|| result = initialize_once(program, platform));
    result
}

fn initialize_once(program: &Path, platform: NewPlatform) -> Result<(), InitError> {
    match find_icu(program) {
        Some(file) => {
            let unusable = |why: &dyn fmt::Display| {
                InitError(format!("the ICU data in {} cannot be used: {why}", file.display()))
            };
            let data = map(&file).map_err(|error| unusable(&error))?;
            v8::icu::set_common_data_77(data).map_err(|code| unusable(&format!("ICU's error {code}")))?;
        }
        None if ICU_OF_BUILD.is_some() => {
            return Err(InitError(format!(
                "V8's ICU data ({ICU_FILE}) is missing: it belongs beside the program or into ../lib/nexus"
            )));
        }
        // Built with a V8 that brings its data along.
        None => {}
    }
    crate::commit::link();
    v8::V8::set_flags_from_string(FLAGS);
    v8::V8::set_entropy_source(entropy);
    // Two threads compile hot code in the background for all isolates together.
    v8::V8::initialize_platform(platform(2, false).make_shared());
    v8::V8::initialize();
    crate::limits::hear_of_the_end();
    Ok(())
}

/// Seeds V8's generators, several for each isolate. V8 by itself opens a device and reads 4 KB each time.
fn entropy(seed: &mut [u8]) -> bool {
    let filled = rustix::rand::getrandom(&mut *seed, rustix::rand::GetRandomFlags::empty());
    filled.is_ok_and(|length| length == seed.len())
}

/// Maps the data for as long as the process lives. Of its 10 MB only what is used is ever read, and all
/// processes share it.
#[allow(clippy::disallowed_types)] // Runs at start-up, before there are guests.
fn map(file: &Path) -> std::io::Result<&'static [u8]> {
    let file = std::fs::File::open(file)?;
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(0);
    // SAFETY: a private read-only mapping at an address that the kernel chooses overlaps nothing of ours; it is never
    // unmapped. The file is part of the installation, like the program itself.
    unsafe {
        let data = rustix::mm::mmap(
            std::ptr::null_mut(),
            length,
            rustix::mm::ProtFlags::READ,
            rustix::mm::MapFlags::PRIVATE,
            &file,
            0,
        )?;
        Ok(std::slice::from_raw_parts(data.cast::<u8>(), length))
    }
}

#[allow(clippy::disallowed_methods)] // Runs at start-up, before there are guests.
fn find_icu(program: &Path) -> Option<PathBuf> {
    let folder = program.parent()?;
    let beside = [folder.join(ICU_FILE), folder.join("../lib/nexus").join(ICU_FILE)];
    beside.into_iter().chain(ICU_OF_BUILD.map(PathBuf::from)).find(|file| file.is_file())
}

/// The version of V8 that runs here.
pub fn v8_version() -> &'static str {
    v8::V8::get_version()
}
