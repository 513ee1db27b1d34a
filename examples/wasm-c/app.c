// A service in C: GET /greet?name=Ann answers {"greeting":"Hello, Ann!"}.
//
// `guest.h` is generated from wit/world.wit by wit-bindgen. app.wasm is built
// by `python3 tests/wasm/build.py wasm-c`, which shows the commands.
#include "guest.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/// Writes the value of `name` in a query, decoded and escaped for JSON.
static void name_of(const char *query, char *to, size_t room) {
  const char *from = query ? strstr(query, "name=") : NULL;
  char *end = to + room - 8;
  for (from = from ? from + 5 : "world"; *from && *from != '&' && to < end; from++) {
    unsigned char byte = *from == '+' ? ' ' : *from;
    if (byte == '%' && isxdigit(from[1]) && isxdigit(from[2])) {
      byte = strtol((char[]){from[1], from[2], 0}, NULL, 16);
      from += 2;
    }
    if (byte == '"' || byte == '\\' || byte < ' ') {
      to += sprintf(to, "\\u%04x", byte);
    } else {
      *to++ = byte;
    }
  }
  *to = 0;
}

/// Sends the head of an answer first, so that the body can stream.
static void answer(wasi_http_types_own_response_outparam_t out, int status, const char *json) {
  wasi_http_types_own_fields_t fields = wasi_http_types_constructor_fields();
  guest_string_t name = {(uint8_t *)"content-type", 12};
  wasi_http_types_field_value_t type = {(uint8_t *)"application/json", 16};
  guest_list_u8_t bytes = {(uint8_t *)json, strlen(json)};
  wasi_http_types_header_error_t refused;
  wasi_http_types_method_fields_append(wasi_http_types_borrow_fields(fields), &name, &type, &refused);

  wasi_http_types_own_outgoing_response_t response = wasi_http_types_constructor_outgoing_response(fields);
  wasi_http_types_own_outgoing_body_t body;
  wasi_http_types_method_outgoing_response_set_status_code(wasi_http_types_borrow_outgoing_response(response), status);
  wasi_http_types_method_outgoing_response_body(wasi_http_types_borrow_outgoing_response(response), &body);
  wasi_http_types_result_own_outgoing_response_error_code_t result = {.is_err = false, .val.ok = response};
  wasi_http_types_static_response_outparam_set(out, &result);

  wasi_io_streams_own_output_stream_t stream;
  wasi_io_streams_stream_error_t gone;
  wasi_http_types_error_code_t unfinished;
  wasi_http_types_method_outgoing_body_write(wasi_http_types_borrow_outgoing_body(body), &stream);
  wasi_io_streams_method_output_stream_blocking_write_and_flush(wasi_io_streams_borrow_output_stream(stream), &bytes, &gone);
  wasi_io_streams_output_stream_drop_own(stream);
  wasi_http_types_static_outgoing_body_finish(body, NULL, &unfinished);
}

void exports_wasi_http_incoming_handler_handle(wasi_http_types_own_incoming_request_t request,
                                               wasi_http_types_own_response_outparam_t out) {
  char path[512] = "/", name[256], json[512];
  guest_string_t asked;
  if (wasi_http_types_method_incoming_request_path_with_query(wasi_http_types_borrow_incoming_request(request), &asked)) {
    snprintf(path, sizeof path, "%.*s", (int)asked.len, asked.ptr);
    guest_string_free(&asked);
  }
  char *query = strchr(path, '?');
  if (query) {
    *query++ = 0;
  }
  if (strcmp(path, "/greet") == 0) {
    name_of(query, name, sizeof name);
    snprintf(json, sizeof json, "{\"greeting\":\"Hello, %s!\"}\n", name);
    answer(out, 200, json);
  } else {
    answer(out, 404, "{\"error\":\"no such path\"}\n");
  }
  wasi_http_types_incoming_request_drop_own(request);
}
