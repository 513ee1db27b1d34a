// A guest that calls other servers. The README.md beside it has its paths.
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


typedef wasi_http_outgoing_handler_own_future_incoming_response_t future_t;
typedef wasi_http_types_own_incoming_response_t response_t;
typedef wasi_http_types_error_code_t error_t;

/// The error's name, and its text where it has one.
static void show(error_t *error, char *line, size_t room) {
  guest_option_string_t none = {.is_some = false}, *why = &none;
  if (error->tag == WASI_HTTP_TYPES_ERROR_CODE_INTERNAL_ERROR) {
    why = &error->val.internal_error;
  } else if (error->tag == WASI_HTTP_TYPES_ERROR_CODE_DNS_ERROR) {
    why = &error->val.dns_error.rcode;
  }
  const char *name = codes[error->tag];
  if (why->is_some) {
    snprintf(line, room, "%s: %.*s", name, (int)why->val.len, why->val.ptr);
  } else {
    snprintf(line, room, "%s", name);
  }
  wasi_http_types_error_code_free(error);
}

/// A request to `AUTHORITY/PATH`.
static wasi_http_types_own_outgoing_request_t request_to(const char *place, fields_t fields) {
  wasi_http_types_own_outgoing_request_t request = wasi_http_types_constructor_outgoing_request(fields);
  wasi_http_types_borrow_outgoing_request_t borrowed = wasi_http_types_borrow_outgoing_request(request);
  wasi_http_types_scheme_t scheme = {.tag = WASI_HTTP_TYPES_SCHEME_HTTP};
  size_t length = strcspn(place, "/");
  guest_string_t server = {(uint8_t *)place, length}, path = text(place[length] ? place + length : "/");
  if (!wasi_http_types_method_outgoing_request_set_scheme(borrowed, &scheme) ||
      !wasi_http_types_method_outgoing_request_set_authority(borrowed, &server) ||
      !wasi_http_types_method_outgoing_request_set_path_with_query(borrowed, &path)) {
    abort();
  }
  return request;
}

static pollable_t until(future_t future) {
  return wasi_http_types_method_future_incoming_response_subscribe(
      wasi_http_types_borrow_future_incoming_response(future));
}

/// Waits for the response; false and the error if there is none.
static bool receive(future_t future, response_t *response, error_t *error) {
  wait_for(until(future));
  wasi_http_types_result_result_own_incoming_response_error_code_void_t result;
  if (!wasi_http_types_method_future_incoming_response_get(
          wasi_http_types_borrow_future_incoming_response(future), &result) || result.is_err) {
    abort();
  }
  wasi_http_types_future_incoming_response_drop_own(future);
  if (result.val.ok.is_err) {
    *error = result.val.ok.val.err;
    return false;
  }
  *response = result.val.ok.val.ok;
  return true;
}

static bool send_to(const char *place, future_t *future, error_t *error) {
  return wasi_http_outgoing_handler_handle(request_to(place, wasi_http_types_constructor_fields()), NULL, future, error);
}

static uint16_t status_of(response_t response) {
  return wasi_http_types_method_incoming_response_status(wasi_http_types_borrow_incoming_response(response));
}

/// Sends a GET; the status in `status`, or false and the error.
static bool get(const char *place, uint16_t *status, error_t *error) {
  future_t future;
  response_t response;
  if (!send_to(place, &future, error) || !receive(future, &response, error)) {
    return false;
  }
  *status = status_of(response);
  wasi_http_types_incoming_response_drop_own(response);
  return true;
}

/// Reads pieces and writes them until either side ends; false and the error if the body that is read breaks off.
static bool copy(wasi_io_streams_own_input_stream_t from, out_t to, error_t *why) {
  for (;;) {
    guest_list_u8_t piece;
    wasi_io_streams_stream_error_t error;
    if (wasi_io_streams_method_input_stream_blocking_read(wasi_io_streams_borrow_input_stream(from), 65536, &piece, &error)) {
      bool written = write_all(to, piece.ptr, piece.len);
      guest_list_u8_free(&piece);
      if (!written) {
        return true;
      }
      continue;
    }
    bool broke = error.tag == WASI_IO_STREAMS_STREAM_ERROR_LAST_OPERATION_FAILED &&
        wasi_http_types_http_error_code(wasi_io_error_borrow_error(error.val.last_operation_failed), why);
    wasi_io_streams_stream_error_free(&error);
    return !broke;
  }
}

/// `name=NUMBER` of the query in milliseconds; false if it is not there.
static bool option(const char *query, const char *name, wasi_http_types_duration_t *time) {
  const char *at = strstr(query, name);
  if (at) {
    *time = strtoull(at + strlen(name), NULL, 10) * 1000000;
  }
  return at;
}

/// Sends the request on as it comes, and the response back.
static void forward(request_t asked, const char *place, const char *query, outparam_t out) {
  wasi_http_types_borrow_incoming_request_t borrowed = wasi_http_types_borrow_incoming_request(asked);
  fields_t all = wasi_http_types_method_incoming_request_headers(borrowed), fields = wasi_http_types_constructor_fields();
  for (const char *const *name = (const char *const[]){"content-type", "content-length", "x-one", NULL}; *name; name++) {
    guest_string_t key = text(*name);
    wasi_http_types_list_field_value_t values;
    wasi_http_types_method_fields_get(wasi_http_types_borrow_fields(all), &key, &values);
    for (size_t at = 0; at < values.len; at++) {
      header(fields, *name, values.ptr[at].ptr, values.ptr[at].len);
    }
    wasi_http_types_list_field_value_free(&values);
  }
  wasi_http_types_fields_drop_own(all);
  wasi_http_types_own_outgoing_request_t request = request_to(place, fields);
  wasi_http_types_method_t method;
  wasi_http_types_method_incoming_request_method(borrowed, &method);
  if (!wasi_http_types_method_outgoing_request_set_method(wasi_http_types_borrow_outgoing_request(request), &method)) {
    abort();
  }
  wasi_http_types_own_request_options_t options = wasi_http_types_constructor_request_options();
  wasi_http_types_borrow_request_options_t set = wasi_http_types_borrow_request_options(options);
  wasi_http_types_duration_t time;
  if ((option(query, "connect=", &time) && !wasi_http_types_method_request_options_set_connect_timeout(set, &time)) ||
      (option(query, "first=", &time) && !wasi_http_types_method_request_options_set_first_byte_timeout(set, &time)) ||
      (option(query, "between=", &time) && !wasi_http_types_method_request_options_set_between_bytes_timeout(set, &time))) {
    abort();
  }
  body_t body;
  out_t stream;
  if (!wasi_http_types_method_outgoing_request_body(wasi_http_types_borrow_outgoing_request(request), &body) ||
      !wasi_http_types_method_outgoing_body_write(wasi_http_types_borrow_outgoing_body(body), &stream)) {
    abort();
  }
  wasi_http_types_own_incoming_body_t coming;
  wasi_io_streams_own_input_stream_t from;
  if (!wasi_http_types_method_incoming_request_consume(borrowed, &coming) ||
      !wasi_http_types_method_incoming_body_stream(wasi_http_types_borrow_incoming_body(coming), &from)) {
    abort();
  }
  future_t future;
  error_t error;
  char line[512];
  if (!wasi_http_outgoing_handler_handle(request, &options, &future, &error)) {
    show(&error, line, sizeof line);
    respondf(out, 502, "refused: %s", line);
    return;
  }
  bool whole = copy(from, stream, &error);
  wasi_io_streams_input_stream_drop_own(from);
  wasi_io_streams_output_stream_drop_own(stream);
  if (whole && !wasi_http_types_static_outgoing_body_finish(body, NULL, &error)) {
    wasi_http_types_error_code_free(&error);
  } else if (!whole) {
    wasi_http_types_outgoing_body_drop_own(body);
  }
  response_t response;
  if (!receive(future, &response, &error)) {
    show(&error, line, sizeof line);
    respondf(out, 502, "%s", line);
    return;
  }
  wasi_http_types_borrow_incoming_response_t got = wasi_http_types_borrow_incoming_response(response);
  fields_t theirs = wasi_http_types_method_incoming_response_headers(got);
  answer_t answer = begin(out, status_of(response), wasi_http_types_method_fields_clone(wasi_http_types_borrow_fields(theirs)));
  wasi_http_types_fields_drop_own(theirs);
  if (!wasi_http_types_method_incoming_response_consume(got, &coming) ||
      !wasi_http_types_method_incoming_body_stream(wasi_http_types_borrow_incoming_body(coming), &from)) {
    abort();
  }
  if (!copy(from, answer.stream, &error)) {
    show(&error, line, sizeof line);
    write_all(answer.stream, "[", 1);
    write_all(answer.stream, line, strlen(line));
    write_all(answer.stream, "]", 1);
  }
  end(answer);
}

/// Sends N requests, one after another.
static void many(const char *rest, outparam_t out) {
  char *place;
  unsigned long number = strtoul(rest, &place, 10), answered = 0;
  char last[512] = "none";
  for (unsigned long at = 0; at < number; at++) {
    uint16_t status;
    error_t error;
    if (get(place + 1, &status, &error)) {
      answered++;
    } else {
      show(&error, last, sizeof last);
    }
  }
  respondf(out, 200, "%lu answered, last error: %s", answered, last);
}

/// Sends N requests, one after another, and keeps the responses unread.
static void hoard(const char *rest, outparam_t out) {
  char *place;
  unsigned long number = strtoul(rest, &place, 10), kept = 0;
  char last[512] = "none";
  for (unsigned long at = 0; at < number; at++) {
    future_t future;
    response_t response;
    error_t error;
    if (send_to(place + 1, &future, &error) && receive(future, &response, &error)) {
      kept++;
    } else {
      show(&error, last, sizeof last);
    }
  }
  respondf(out, 200, "%lu kept, last error: %s", kept, last);
}

static void sleep_for(uint64_t ms) {
  wait_for(wasi_clocks_monotonic_clock_subscribe_duration(ms * 1000000));
}

/// Sends a request, and drops what it has of it after 100 ms, or once the response's head is there; then waits.
static void give_up(const char *place, bool with_head, outparam_t out) {
  future_t future;
  error_t error;
  response_t response;
  if (!send_to(place, &future, &error)) {
    abort();
  }
  if (!with_head) {
    sleep_for(100);
    wasi_http_types_future_incoming_response_drop_own(future);
  } else if (receive(future, &response, &error)) {
    wasi_http_types_incoming_response_drop_own(response);
  }
  sleep_for(60000);
  respondf(out, 200, "waited");
}

/// What a request has left behind in its instance.
static future_t left;

/// Sends half of a body.
static void half(const char *place, outparam_t out) {
  fields_t fields = wasi_http_types_constructor_fields();
  header(fields, "content-length", "10", 2);
  wasi_http_types_own_outgoing_request_t request = request_to(place, fields);
  wasi_http_types_method_t method = {.tag = WASI_HTTP_TYPES_METHOD_POST};
  wasi_http_types_method_outgoing_request_set_method(wasi_http_types_borrow_outgoing_request(request), &method);
  body_t body;
  out_t stream;
  future_t future;
  error_t error;
  if (!wasi_http_types_method_outgoing_request_body(wasi_http_types_borrow_outgoing_request(request), &body) ||
      !wasi_http_types_method_outgoing_body_write(wasi_http_types_borrow_outgoing_body(body), &stream) ||
      !wasi_http_outgoing_handler_handle(request, NULL, &future, &error)) {
    abort();
  }
  write_all(stream, "half,", 5);
  sleep_for(100);
  wasi_io_streams_output_stream_drop_own(stream);
  wasi_http_types_outgoing_body_drop_own(body);
  response_t response;
  if (receive(future, &response, &error)) {
    respondf(out, 200, "status %d", status_of(response));
  } else {
    char line[512];
    show(&error, line, sizeof line);
    respondf(out, 200, "%s", line);
  }
}

static const char *after(const char *path, const char *prefix) {
  size_t length = strlen(prefix);
  return strncmp(path, prefix, length) == 0 ? path + length : NULL;
}

void exports_wasi_http_incoming_handler_handle(request_t request, outparam_t out) {
  char path[1024], query[1024] = "";
  guest_string_t asked;
  wasi_http_types_borrow_incoming_request_t borrowed = wasi_http_types_borrow_incoming_request(request);
  path_of(borrowed, path, sizeof path);
  if (wasi_http_types_method_incoming_request_path_with_query(borrowed, &asked)) {
    snprintf(query, sizeof query, "%.*s", (int)(asked.len - strlen(path)), asked.ptr + strlen(path));
    guest_string_free(&asked);
  }
  const char *rest;
  if ((rest = after(path, "/forward/"))) {
    forward(request, rest, query, out);
    return;
  }
  wasi_http_types_incoming_request_drop_own(request);

  uint16_t status;
  error_t error;
  if ((rest = after(path, "/many/"))) {
    many(rest, out);
  } else if ((rest = after(path, "/hoard/"))) {
    hoard(rest, out);
  } else if ((rest = after(path, "/drop/"))) {
    give_up(rest, false, out);
  } else if ((rest = after(path, "/unread/"))) {
    give_up(rest, true, out);
  } else if ((rest = after(path, "/half/"))) {
    half(rest, out);
  } else if ((rest = after(path, "/leave/"))) {
    if (!send_to(rest, &left, &error)) {
      abort();
    }
    sleep_for(100);
    respondf(out, 200, "left");
  } else if (get((rest = after(path, "/outbound/")) ? rest : "127.0.0.1:9", &status, &error)) {
    respondf(out, 200, "status %d", status);
  } else {
    char line[512];
    show(&error, line, sizeof line);
    respondf(out, 200, "%s", line);
  }
}
