//! What `wasi:http` asks its host: which fields are the guest's, how much is held at once, who sends its requests.

use std::sync::{Arc, LazyLock};

use http::HeaderName;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi_http::p2::bindings::http::types::{self as p2, ErrorCode};
use wasmtime_wasi_http::p3::bindings::http::types as p3;
use wasmtime_wasi_http::{
    Error as HttpError, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpHooks, WasiHttpView,
};

/// The most of a body that is held between the guest and its client, in bytes.
const CHUNK: usize = 64 * 1024;

/// Resolves when a request's body was sent.
pub(crate) type Sending = Box<dyn Future<Output = Result<(), HttpError>> + Send>;
/// A response, or why there is none.
pub(crate) type Sent = Result<(http::Response<WasiBody>, Sending), HttpError>;

/// Sends the requests of an instance.
pub(crate) trait Sends: Send {
    /// Sends a request. Whoever drops the future, or the response's body, wants no more of it.
    fn send(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
    ) -> Box<dyn Future<Output = Sent> + Send>;
}

/// The hooks of an instance whose requests this one sends.
pub(crate) struct Hooks<T>(pub(crate) T);

/// Whether a field is the connection's own, or the host's: `DEFAULT_FORBIDDEN_HEADERS` of wasmtime-wasi-http, which makes
/// its list anew for each field.
fn is_forbidden(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "host"
            | "http2-settings"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// The same for those who keep it.
static FORBIDDEN: LazyLock<ForbiddenHeaderFilter> = LazyLock::new(|| Arc::new(is_forbidden));

impl<T: Sends> WasiHttpHooks for Hooks<T> {
    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        is_forbidden(name)
    }

    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        FORBIDDEN.clone()
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK
    }

    fn p3_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK
    }

    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _read: Sending,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        // How the guest has read the response concerns nobody here.
        self.0.send(request, options)
    }
}

/// The interfaces of 0.2 and 0.3 as Wasmtime links them.
const TYPES: &str = "wasi:http/types@0.2.12";
const TYPES_0_3: &str = "wasi:http/types@0.3.0";

/// The longest method, authority and path that a guest may give a request, in bytes. Wasmtime bounds the first two by
/// nothing, and paths by 64 KB; and nothing counts a request as memory before it is sent.
const METHOD: usize = 64;
const AUTHORITY: usize = 300;
const PATH: usize = 16 * 1024;

/// How a setter of `wasi:http` says that it has set something, or that it has not.
type Told = wasmtime::Result<(Result<(), ()>,)>;

/// Puts what knows more in the place of what Wasmtime links.
pub(crate) fn link<T: WasiHttpView + 'static>(
    linker: &mut Linker<T>,
    with_0_3: bool,
) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    link_errors(linker)?;
    link_requests_0_2(linker)?;
    if with_0_3 {
        link_requests_0_3(linker)?;
    }
    linker.allow_shadowing(false);
    Ok(())
}

/// A `http-error-code` that knows the errors of bodies: Wasmtime's looks for errors of another type than its bodies have,
/// so guests would learn that a body broke off, but not why.
fn link_errors<T: WasiHttpView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    linker.instance(TYPES)?.func_wrap(
        "http-error-code",
        |mut store: StoreContextMut<'_, T>, (error,): (Resource<wasmtime::Error>,)| {
            let error = store.data_mut().http().table.get(&error)?;
            let plain = || error.downcast_ref::<ErrorCode>().cloned();
            Ok((error.downcast_ref::<HttpError>().map(error_code).or_else(plain),))
        },
    )
}

/// Requests whose parts are no longer than what is sent could be: the setters of one version's resource, by its name and by
/// what Wasmtime makes of it.
macro_rules! link_requests {
    ($types:expr, $name:literal, $version:ident::$plain:ident, $request:ident) => {{
        type Handle = Resource<$version::$request>;
        type Text = Option<String>;
        let types = $types;
        types.func_wrap(
            concat!("[method]", $name, ".set-method"),
            |mut store: StoreContextMut<'_, T>, (request, method): (Handle, $version::Method)| -> Told {
                match &method {
                    $version::Method::Other(name) if name.len() > METHOD => Ok((Err(()),)),
                    _ => Ok(($version::$plain::set_method(&mut store.data_mut().http(), request, method)?,)),
                }
            },
        )?;
        types.func_wrap(
            concat!("[method]", $name, ".set-authority"),
            |mut store: StoreContextMut<'_, T>, (request, text): (Handle, Text)| -> Told {
                if is_long(text.as_ref(), AUTHORITY) {
                    return Ok((Err(()),));
                }
                Ok(($version::$plain::set_authority(&mut store.data_mut().http(), request, text)?,))
            },
        )?;
        types.func_wrap(
            concat!("[method]", $name, ".set-path-with-query"),
            |mut store: StoreContextMut<'_, T>, (request, text): (Handle, Text)| -> Told {
                if is_long(text.as_ref(), PATH) {
                    return Ok((Err(()),));
                }
                Ok(($version::$plain::set_path_with_query(&mut store.data_mut().http(), request, text)?,))
            },
        )
    }};
}

fn link_requests_0_2<T: WasiHttpView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    link_requests!(&mut linker.instance(TYPES)?, "outgoing-request", p2::HostOutgoingRequest, OutgoingRequest)
}

fn link_requests_0_3<T: WasiHttpView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    link_requests!(&mut linker.instance(TYPES_0_3)?, "request", p3::HostRequest, Request)
}

fn is_long(text: Option<&String>, most: usize) -> bool {
    text.is_some_and(|text| text.len() > most)
}

/// The code of an error that a body can have.
fn error_code(error: &HttpError) -> ErrorCode {
    match error {
        HttpError::ConnectionTerminated => ErrorCode::ConnectionTerminated,
        HttpError::ConnectionReadTimeout => ErrorCode::ConnectionReadTimeout,
        HttpError::HttpRequestBodySize(size) => ErrorCode::HttpRequestBodySize(*size),
        HttpError::HttpResponseBodySize(size) => ErrorCode::HttpResponseBodySize(*size),
        HttpError::HttpResponseIncomplete => ErrorCode::HttpResponseIncomplete,
        HttpError::HttpProtocolError => ErrorCode::HttpProtocolError,
        error => ErrorCode::InternalError(Some(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use wasmtime::component::{Component, ResourceTable};
    use wasmtime::{Config, Engine, Store};
    use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView};

    use super::*;

    #[test]
    fn the_forbidden_fields_are_the_engines() {
        let all = wasmtime_wasi_http::DEFAULT_FORBIDDEN_HEADERS;
        assert_eq!(all.len(), 9);
        assert!(all.iter().all(is_forbidden) && !is_forbidden(&http::header::CONTENT_TYPE));
    }

    struct Nobody;

    impl Sends for Nobody {
        fn send(
            &mut self,
            _: http::Request<WasiBody>,
            _: Option<RequestOptions>,
        ) -> Box<dyn Future<Output = Sent> + Send> {
            Box::new(ready(Err(HttpError::HttpRequestDenied)))
        }
    }

    struct Test {
        hooks: Hooks<Nobody>,
        table: ResourceTable,
        http: WasiHttpCtx,
    }

    impl WasiHttpView for Test {
        fn http(&mut self) -> WasiHttpCtxView<'_> {
            WasiHttpCtxView { hooks: &mut self.hooks, table: &mut self.table, ctx: &mut self.http }
        }
    }

    const PARTS: [&str; 3] = ["method", "authority", "path-with-query"];

    /// A component of functions that set a part of the request they get to `x` as often as they are told, and say whether
    /// it was set.
    fn component(types: &str, resource: &str) -> String {
        let each = |part: &dyn Fn(&str) -> String| PARTS.map(part).concat();
        let names = ["get", "head", "post", "put", "delete", "connect", "options", "trace", "patch"];
        let cases = names.map(|name| format!("(case \"{name}\") ")).concat();
        let imports = each(&|part| {
            let kind = if part == "method" { "$method" } else { "(option string)" };
            format!(
                "(export \"[method]{resource}.set-{part}\"
                  (func (param \"self\" (borrow $request)) (param \"{part}\" {kind}) (result (result))))"
            )
        });
        let lowered = each(&|part| {
            format!(
                "(core func ${part} (canon lower (func $types \"[method]{resource}.set-{part}\")
                  (memory (core memory $libc \"memory\"))))"
            )
        });
        let passed = each(&|part| format!("(export \"{part}\" (func ${part}))"));
        let taken = each(&|part| {
            format!("(import \"wasi\" \"{part}\" (func ${part} (param i32 i32 i32 i32) (result i32)))")
        });
        let calls = each(&|part| {
            let case = if part == "method" { names.len() } else { 1 };
            let from = u32::from(part != "path-with-query");
            format!(
                "(func (export \"{part}\") (param $request i32) (param $length i32) (result i32)
                  (i32.eqz (call ${part}
                    (local.get $request) (i32.const {case}) (i32.const {from}) (local.get $length))))"
            )
        });
        let lifted = each(&|part| {
            format!(
                "(func (export \"{part}\") (param \"request\" (own $request)) (param \"length\" u32) (result bool)
                  (canon lift (core func $app \"{part}\")))"
            )
        });
        format!(
            r#"(component
              (import "{types}" (instance $types
                (export "{resource}" (type $request (sub resource)))
                (type $cases (variant {cases} (case "other" string)))
                (export "method" (type $method (eq $cases)))
                {imports}))
              (alias export $types "{resource}" (type $request))
              (core module $libc-module
                (memory (export "memory") 2)
                (data (i32.const 0) "/")
                (func $start (memory.fill (i32.const 1) (i32.const 120) (i32.const 0x1ffff)))
                (start $start))
              (core instance $libc (instantiate $libc-module))
              {lowered}
              (core module $app-module {taken} {calls})
              (core instance $app (instantiate $app-module (with "wasi" (instance {passed}))))
              {lifted})"#
        )
    }

    /// Whether a part of a request can have these lengths.
    fn set<R: Send + 'static>(
        types: &str,
        resource: &str,
        request: impl Fn() -> R,
        lengths: [&[u32]; 3],
    ) -> Vec<bool> {
        let mut config = Config::new();
        config.wasm_component_model_async(true);
        let engine = Engine::new(&config).unwrap();
        let mut linker = Linker::new(&engine);
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker).unwrap();
        wasmtime_wasi_http::p3::add_to_linker(&mut linker).unwrap();
        link(&mut linker, true).unwrap();
        let binary = wat::parse_str(component(types, resource)).unwrap();
        let component = Component::new(&engine, binary).unwrap();
        let test = Test { hooks: Hooks(Nobody), table: ResourceTable::new(), http: WasiHttpCtx::new() };
        let mut store = Store::new(&engine, test);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let instance = linker.instantiate_async(&mut store, &component).await.unwrap();
            let mut all = Vec::new();
            for (part, lengths) in PARTS.iter().zip(lengths) {
                let set = instance.get_typed_func::<(Resource<R>, u32), (bool,)>(&mut store, part).unwrap();
                for length in lengths {
                    let request = store.data_mut().table.push(request()).unwrap();
                    all.push(set.call_async(&mut store, (request, *length)).await.unwrap().0);
                }
            }
            all
        })
    }

    #[test]
    fn a_guest_gives_a_request_no_longer_parts_than_could_be_sent() {
        let lengths: [&[u32]; 3] =
            [&[1, 64, 65, 100_000], &[1, 300, 301, 100_000], &[1, 16_384, 16_385, 60_000]];
        let expected = [true, true, false, false].repeat(3);
        let of_0_2 = || p2::OutgoingRequest {
            method: p2::Method::Get,
            scheme: None,
            authority: None,
            path_with_query: None,
            headers: Default::default(),
            body: None,
        };
        assert_eq!(set("wasi:http/types@0.2.0", "outgoing-request", of_0_2, lengths), expected);
        let of_0_3 = || {
            let body = http_body_util::Empty::<bytes::Bytes>::new();
            let fields = wasmtime_wasi_http::FieldMap::default();
            p3::Request::new(http::Method::GET, None, None, None, fields, None, body).0
        };
        assert_eq!(set("wasi:http/types@0.3.0", "request", of_0_3, lengths), expected);
    }
}
