//! A guest's limits, looked at from within its turns.

/// Looks at the limits of the guest that this thread is running.
///
/// # Safety
/// V8 calls it on the isolate's thread, in the middle of a turn, as the callback of an interrupt.
pub(crate) unsafe extern "C" fn look(_isolate: v8::UnsafeRawIsolatePtr, _data: *mut std::ffi::c_void) {}
