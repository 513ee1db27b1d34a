//! JavaScript exceptions in words: one line, the place, the stack.

use nexus_guest::{LoadError, SourceExcerpt};

/// An exception as a log line tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Described {
    /// `TypeError: x is not a function`.
    pub(crate) message: String,
    /// The stack without the first lines, which repeat the message; with the causes.
    pub(crate) stack: Option<String>,
}

/// How many causes of causes are told.
const MAX_CAUSES: usize = 5;
/// The longest message or stack that is kept, in bytes.
const MAX_TEXT: usize = 64 * 1024;

/// Describes a thrown value. May run the guest's getters and its `toString`: call it within a turn.
pub(crate) fn describe(scope: &mut v8::PinScope<'_, '_>, exception: v8::Local<'_, v8::Value>) -> Described {
    v8::tc_scope!(let scope, scope);
    let mut described = describe_one(scope, exception);
    let mut current = exception;
    for _ in 0..MAX_CAUSES {
        let Some(cause) = property(scope, current, "cause").filter(|cause| !cause.is_undefined()) else {
            break;
        };
        let told = describe_one(scope, cause);
        let stack = described.stack.get_or_insert_default();
        if !stack.is_empty() {
            stack.push('\n');
        }
        stack.push_str("Caused by: ");
        stack.push_str(&told.message);
        if let Some(more) = told.stack {
            stack.push('\n');
            stack.push_str(&more);
        }
        current = cause;
    }
    shorten(&mut described.message);
    if let Some(stack) = &mut described.stack {
        shorten(stack);
    }
    described
}

fn describe_one(scope: &mut v8::PinScope<'_, '_>, exception: v8::Local<'_, v8::Value>) -> Described {
    if !exception.is_native_error() {
        let text = if let Ok(string) = v8::Local::<v8::String>::try_from(exception) {
            text(scope, string)
        } else {
            detail(scope, exception)
        };
        return Described { message: text, stack: None };
    }
    let message = exception.to_string(scope).map(|string| text(scope, string));
    let message = message.unwrap_or_else(|| "Error".into());
    let stack = property(scope, exception, "stack");
    let stack = stack.and_then(|stack| v8::Local::<v8::String>::try_from(stack).ok());
    let stack = stack.map(|string| text(scope, string));
    let stack =
        stack.map(|stack| stack.strip_prefix(&message).unwrap_or(&stack).trim_start_matches('\n').to_owned());
    Described { message, stack: stack.filter(|stack| !stack.is_empty()) }
}

fn detail(scope: &mut v8::PinScope<'_, '_>, value: v8::Local<'_, v8::Value>) -> String {
    match value.to_detail_string(scope) {
        Some(string) => text(scope, string),
        None => "value".into(),
    }
}

/// What is read of a string that the guest made: more than is kept, so that the cut is told.
fn text(isolate: &v8::Isolate, string: v8::Local<'_, v8::String>) -> String {
    prefix(isolate, string, 2 * MAX_TEXT)
}

fn property<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    value: v8::Local<'_, v8::Value>,
    name: &str,
) -> Option<v8::Local<'s, v8::Value>> {
    let object = v8::Local::<v8::Object>::try_from(value).ok()?;
    let name = v8::String::new(scope, name)?;
    object.get(scope, name.into())
}

/// The start of a string, at most `max` bytes of it, lone surrogates replaced: what a guest names or throws may be much
/// larger than what anybody wants to read.
pub(crate) fn prefix(isolate: &v8::Isolate, string: v8::Local<'_, v8::String>, max: usize) -> String {
    // Three bytes are the most of a UTF-16 unit.
    let mut bytes = vec![0; max.min(string.length() * 3)];
    let written = string.write_utf8_v2(isolate, &mut bytes, v8::WriteFlags::kReplaceInvalidUtf8, None);
    bytes.truncate(written);
    String::from_utf8(bytes).unwrap_or_default()
}

fn shorten(text: &mut String) {
    if text.len() > MAX_TEXT {
        let end = text.floor_char_boundary(MAX_TEXT);
        text.truncate(end);
        text.push_str("… (cut)");
    }
}

/// The load error of an exception that was thrown while an app was compiled or evaluated.
pub(crate) fn load_error(
    scope: &mut v8::PinScope<'_, '_>,
    exception: v8::Local<'_, v8::Value>,
    message: Option<v8::Local<'_, v8::Message>>,
) -> LoadError {
    let described = describe(scope, exception);
    let excerpt = message.and_then(|message| excerpt(scope, message));
    LoadError { message: described.message, excerpt, stack: described.stack }
}

fn excerpt(scope: &mut v8::PinScope<'_, '_>, message: v8::Local<'_, v8::Message>) -> Option<SourceExcerpt> {
    let name = message.get_script_resource_name(scope)?.to_rust_string_lossy(scope);
    let file = name.strip_prefix("file:///")?.to_owned();
    let line = message.get_line_number(scope)? as u32;
    let text = message.get_source_line(scope)?.to_rust_string_lossy(scope);
    let column = message.get_start_column() as u32 + 1;
    let width = (message.get_end_column() as u32).saturating_sub(column - 1).max(1);
    Some(source_excerpt(file, line, column, width, &text))
}

/// The longest source line that is shown whole, in characters.
const MAX_LINE: usize = 160;

/// An excerpt whose line is cut around the fault where it is very long (minified code).
pub(crate) fn source_excerpt(file: String, line: u32, column: u32, width: u32, text: &str) -> SourceExcerpt {
    let characters = text.chars().count();
    let width = width.min((characters as u32).saturating_sub(column - 1).max(1));
    if characters <= MAX_LINE {
        return SourceExcerpt { file, line, column, width, text: text.to_owned() };
    }
    // The column stays that of the file; the text starts at the fault.
    let text = text.chars().skip(column.saturating_sub(1) as usize).take(MAX_LINE).collect();
    SourceExcerpt {
        file: format!("{file}:{line}:{column}"),
        line,
        column: 1,
        width: width.min(MAX_LINE as u32),
        text,
    }
}
