//! What `dispatch` is called with: a request's method, URL and parameters as values.

use nexus_guest::USUAL_METHODS;

use super::JsGuest;
use crate::web::url_parser;

impl JsGuest {
    /// A request's URL, serialised, and its layout for `dispatch`. What is no URL (no client but an odd one sends it)
    /// stays as it is.
    pub(super) fn url_value<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        url: &str,
    ) -> (v8::Local<'s, v8::Value>, v8::Local<'s, v8::Value>) {
        let mut layouts = self.layouts.borrow_mut();
        let layout = layouts.of(url.as_bytes());
        let (text, layout) = if layout != 0 {
            (crate::ops::latin1_string(scope, url.as_bytes()), layout)
        } else {
            match url_parser::parse(url, None) {
                Some(parsed) => {
                    let (url, _) = parsed.serialize();
                    (crate::ops::latin1_string(scope, url.as_bytes()), layouts.of(url.as_bytes()))
                }
                None => (v8::String::new(scope, url).unwrap_or_else(|| v8::String::empty(scope)), 0),
            }
        };
        (text.into(), v8::Integer::new_from_unsigned(scope, layout).into())
    }
}

/// What the names in a route's path stand for: `ctx.params`.
pub(super) fn params_object<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    values: &[(String, String)],
) -> v8::Local<'s, v8::Value> {
    let (mut names, mut texts): (Vec<v8::Local<'_, v8::Name>>, Vec<v8::Local<'_, v8::Value>>) =
        (vec![], vec![]);
    for (name, value) in values {
        let (Some(name), Some(value)) = (v8::String::new(scope, name), v8::String::new(scope, value)) else {
            continue;
        };
        names.push(name.into());
        texts.push(value.into());
    }
    let prototype = v8::null(scope).into();
    let params = v8::Object::with_prototype_and_properties(scope, prototype, &names, &texts);
    params.set_integrity_level(scope, v8::IntegrityLevel::Frozen);
    params.into()
}

/// A method for `dispatch`: the usual ones as small numbers, which cost no string.
pub(super) fn method_value<'s>(scope: &mut v8::PinScope<'s, '_>, method: &str) -> v8::Local<'s, v8::Value> {
    match USUAL_METHODS.iter().position(|usual| *usual == method) {
        Some(index) => v8::Integer::new(scope, index as i32).into(),
        None => crate::ops::latin1_string(scope, method.as_bytes()).into(),
    }
}
