// A guest that calls another server. `/outbound` asks for http://127.0.0.1:9/,
// `/outbound/HOST:PORT` for the root of that server. The answer is one line:
// "status 200", or the name of WASI's error code.
#include "answer.h"

/// The names of wasi:http's error codes, in the order of their definition.
static const char *const codes[] = {
    "DNS-timeout", "DNS-error", "destination-not-found", "destination-unavailable", "destination-IP-prohibited",
    "destination-IP-unroutable", "connection-refused", "connection-terminated", "connection-timeout",
    "connection-read-timeout", "connection-write-timeout", "connection-limit-reached", "TLS-protocol-error",
    "TLS-certificate-error", "TLS-alert-received", "HTTP-request-denied", "HTTP-request-length-required",
    "HTTP-request-body-size", "HTTP-request-method-invalid", "HTTP-request-URI-invalid", "HTTP-request-URI-too-long",
    "HTTP-request-header-section-size", "HTTP-request-header-size", "HTTP-request-trailer-section-size",
    "HTTP-request-trailer-size", "HTTP-response-incomplete", "HTTP-response-header-section-size",
    "HTTP-response-header-size", "HTTP-response-body-size", "HTTP-response-trailer-section-size",
    "HTTP-response-trailer-size", "HTTP-response-transfer-coding", "HTTP-response-content-coding",
    "HTTP-response-timeout", "HTTP-upgrade-failed", "HTTP-protocol-error", "loop-detected", "configuration-error",
    "internal-error",
};
_Static_assert(sizeof codes / sizeof *codes == WASI_HTTP_TYPES_ERROR_CODE_INTERNAL_ERROR + 1, "a name for each code");

/// Sends a GET; the status in `status`, or false and the error.
static bool get(const char *authority, uint16_t *status, wasi_http_types_error_code_t *error) {
  wasi_http_types_own_outgoing_request_t request =
      wasi_http_types_constructor_outgoing_request(wasi_http_types_constructor_fields());
  wasi_http_types_borrow_outgoing_request_t borrowed = wasi_http_types_borrow_outgoing_request(request);
  wasi_http_types_scheme_t scheme = {.tag = WASI_HTTP_TYPES_SCHEME_HTTP};
  guest_string_t server = text(authority), root = text("/");
  if (!wasi_http_types_method_outgoing_request_set_scheme(borrowed, &scheme) ||
      !wasi_http_types_method_outgoing_request_set_authority(borrowed, &server) ||
      !wasi_http_types_method_outgoing_request_set_path_with_query(borrowed, &root)) {
    abort();
  }
  wasi_http_outgoing_handler_own_future_incoming_response_t future;
  if (!wasi_http_outgoing_handler_handle(request, NULL, &future, error)) {
    return false;
  }
  wasi_http_types_borrow_future_incoming_response_t waiting = wasi_http_types_borrow_future_incoming_response(future);
  wait_for(wasi_http_types_method_future_incoming_response_subscribe(waiting));
  wasi_http_types_result_result_own_incoming_response_error_code_void_t result;
  if (!wasi_http_types_method_future_incoming_response_get(waiting, &result) || result.is_err) {
    abort();
  }
  wasi_http_types_future_incoming_response_drop_own(future);
  if (result.val.ok.is_err) {
    *error = result.val.ok.val.err;
    return false;
  }
  wasi_http_types_own_incoming_response_t response = result.val.ok.val.ok;
  *status = wasi_http_types_method_incoming_response_status(wasi_http_types_borrow_incoming_response(response));
  wasi_http_types_incoming_response_drop_own(response);
  return true;
}

void exports_wasi_http_incoming_handler_handle(request_t request, outparam_t out) {
  static const char prefix[] = "/outbound/";
  char path[1024];
  path_of(wasi_http_types_borrow_incoming_request(request), path, sizeof path);
  wasi_http_types_incoming_request_drop_own(request);

  bool named = strncmp(path, prefix, sizeof prefix - 1) == 0;
  uint16_t status;
  wasi_http_types_error_code_t error;
  if (get(named ? path + sizeof prefix - 1 : "127.0.0.1:9", &status, &error)) {
    respondf(out, 200, "status %d", status);
  } else {
    respondf(out, 200, "%s", codes[error.tag]);
    wasi_http_types_error_code_free(&error);
  }
}
