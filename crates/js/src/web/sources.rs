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
/// is internal, one with a `scope.` is inherited by the global object; the others are globals, enumerable if they begin
/// with a small letter.
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
    (
        &["blob.js"],
        &[
            "Blob",
            "File",
            "nexus.newBlob",
            "nexus.newFile",
            "nexus.partsStream",
            "nexus.partsSize",
            "nexus.joinParts",
        ],
    ),
    (
        &["body_reading.js"],
        &[
            "nexus.readStream",
            "nexus.consumeParts",
            "nexus.packageBytes",
            "nexus.cloneBody",
            "nexus.takeBody",
            "nexus.flattenBody",
            "nexus.textStream",
        ],
    ),
    (&["dom_exception.js"], &["DOMException", "QuotaExceededError", "nexus.DOMException"]),
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
            "nexus.globalHandler",
            "nexus.setGlobalHandler",
            "scope.addEventListener",
            "scope.removeEventListener",
            "scope.dispatchEvent",
        ],
    ),
    (&["compression.js"], &["CompressionStream", "DecompressionStream"]),
    (&["encoding.js"], &["TextEncoder", "TextDecoder", "atob", "btoa", "nexus.encodings"]),
    (&["text_streams.js"], &["TextEncoderStream", "TextDecoderStream"]),
    (
        &["error_event.js", "promise_rejection_event.js"],
        &["ErrorEvent", "nexus.ErrorEvent", "PromiseRejectionEvent", "nexus.PromiseRejectionEvent"],
    ),
    (&["console_more.js"], &["nexus.consoleMore"]),
    (&["bindings.js", "scheduled.js"], &["nexus.makeBinding", "nexus.dispatchScheduled", "nexus.scheduled"]),
    (&["blob_url.js"], &["nexus.blobUrls"]),
    (
        &["crypto_algorithms.js", "crypto_keys.js", "crypto.js"],
        &["Crypto", "CryptoKey", "SubtleCrypto", "nexus.crypto"],
    ),
    (&["event_source.js"], &["EventSource"]),
    (&["fetched.js", "fetch.js"], &["fetch", "nexus.fetchInternal", "nexus.fetchThrough"]),
    (&["fetch_schemes.js"], &["nexus.schemeFetch", "nexus.withIntegrity"]),
    (&["progress_event.js", "file_reader.js"], &["ProgressEvent", "nexus.ProgressEvent", "FileReader"]),
    (&["form_data.js"], &["FormData", "nexus.newFormData"]),
    (&["inspect.js"], &["nexus.inspect"]),
    (
        &["console_format.js"],
        &["nexus.formatLog", "nexus.formatList", "nexus.formatTable", "nexus.indentLines"],
    ),
    (&["message_channel.js"], &["MessageChannel", "MessagePort", "MessageEvent", "nexus.makeServerEvent"]),
    (
        &["mime_type.js"],
        &[
            "nexus.parseMimeType",
            "nexus.serializeMimeType",
            "nexus.extractMimeType",
            "nexus.mimeParameter",
            "nexus.mimeTypeOf",
        ],
    ),
    (&["multipart.js"], &["nexus.serializeMultipart", "nexus.parseForm"]),
    (&["navigator.js"], &["Navigator", "nexus.navigator"]),
    (&["performance.js"], &["Performance", "nexus.performance"]),
    (
        &["performance_timeline.js"],
        &["PerformanceEntry", "PerformanceMark", "PerformanceMeasure", "nexus.timeline"],
    ),
    (&["queuing_strategies.js"], &["CountQueuingStrategy", "ByteLengthQueuingStrategy"]),
    (
        &["streams.js", "readable_stream.js"],
        &[
            "ReadableStream",
            "ReadableStreamDefaultReader",
            "ReadableStreamDefaultController",
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
    (&["readable_tools.js"], &["nexus.readableTools"]),
    (
        &["byte_controller.js", "byte_stream.js"],
        &[
            "ReadableByteStreamController",
            "ReadableStreamBYOBReader",
            "ReadableStreamBYOBRequest",
            "nexus.byteWorkings",
            "nexus.byteStreams",
        ],
    ),
    (
        &["writable_streams.js", "writable_stream.js"],
        &[
            "WritableStream",
            "WritableStreamDefaultWriter",
            "WritableStreamDefaultController",
            "nexus.writableWorkings",
            "nexus.writables",
        ],
    ),
    (
        &["transform_stream.js"],
        &[
            "TransformStream",
            "TransformStreamDefaultController",
            "nexus.transforms",
            "nexus.createTransformStream",
        ],
    ),
    (&["pipe.js"], &["nexus.pipe"]),
    (
        &["stream_transfer.js"],
        &[
            "nexus.transferReadable",
            "nexus.receiveReadable",
            "nexus.transferWritable",
            "nexus.receiveWritable",
            "nexus.transferTransform",
            "nexus.receiveTransform",
        ],
    ),
    (
        &["url_search_params.js"],
        &[
            "URLSearchParams",
            "nexus.makeURLSearchParams",
            "nexus.resetURLSearchParams",
            "nexus.serializeURLSearchParams",
            "nexus.parseUrlEncoded",
        ],
    ),
    (&["url_pattern_parser.js", "url_pattern_init.js", "url_pattern.js"], &["URLPattern"]),
    (&["sending.js"], &["nexus.sending"]),
    (&["scheduler.js"], &["Scheduler", "nexus.scheduler"]),
    (&["request_init.js"], &["nexus.buildRequest"]),
    (&["structured_clone.js"], &["structuredClone", "nexus.structuredCloneInternal"]),
    // Its name is defined when an isolate is made.
    (&["wasm.js"], &[]),
];

/// The files that other lazy files run, by `ops.loadLazy`.
#[allow(dead_code)]
pub(crate) const LOADED: &[&str] = &["kv.js", "sql.js"];
