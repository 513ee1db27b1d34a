// The Web APIs' JavaScript files. `build.rs` is a second reader: it runs the eager ones in this order, after
// `nexus.js`, and keeps their heap as the snapshot.

/// The files that are in the snapshot, in the order in which they run.
#[allow(dead_code)]
pub(crate) const EAGER: &[&str] = &[
    "webidl.js",
    "url.js",
    "console.js",
    "global_scope.js",
    "headers.js",
    "body.js",
    "request.js",
    "response.js",
    "timers.js",
    "dispatch.js",
];

/// The files that are run, in order, on the first use of one of the names beside them. A name with a `nexus.` in front
/// is internal; the others are globals.
#[allow(dead_code)]
pub(crate) const LAZY: &[(&[&str], &[&str])] = &[
    (
        &["abort.js"],
        &[
            "AbortController",
            "AbortSignal",
            "nexus.newAbortSignal",
            "nexus.dependentSignal",
            "nexus.signalAbort",
            "nexus.addAbortAlgorithm",
            "nexus.removeAbortAlgorithm",
            "nexus.abortReason",
            "nexus.isAborted",
        ],
    ),
    (&["dom_exception.js"], &["DOMException", "nexus.DOMException"]),
    (
        &["event_target.js"],
        &[
            "Event",
            "CustomEvent",
            "EventTarget",
            "nexus.Event",
            "nexus.EventTarget",
            "nexus.hasListeners",
            "nexus.watchListeners",
            "nexus.fireEvent",
            "nexus.defineEventHandler",
        ],
    ),
    (&["encoding.js"], &["TextEncoder", "TextDecoder", "atob", "btoa"]),
    (&["error_event.js"], &["ErrorEvent"]),
    (&["inspect.js"], &["nexus.inspect", "nexus.formatLog", "nexus.formatTable", "nexus.indentLines"]),
    (&["navigator.js"], &["navigator", "Navigator"]),
    (&["performance.js"], &["performance", "Performance"]),
    (&["queuing_strategies.js"], &["CountQueuingStrategy", "ByteLengthQueuingStrategy"]),
    (
        &["streams.js", "readable_stream.js"],
        &[
            "ReadableStream",
            "ReadableStreamDefaultReader",
            "ReadableStreamDefaultController",
            "ReadableByteStreamController",
            "nexus.streams",
            "nexus.createReadableStream",
            "nexus.getReaderInternal",
            "nexus.releaseReaderInternal",
            "nexus.cancelReaderInternal",
            "nexus.readInternal",
            "nexus.streamPull",
            "nexus.pumpStream",
            "nexus.teeReadableStream",
        ],
    ),
    (&["structured_clone.js"], &["structuredClone"]),
    // Its name is defined when an isolate is made.
    (&["wasm.js"], &[]),
];
