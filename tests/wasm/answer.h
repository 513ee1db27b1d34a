// What every guest that answers HTTP needs: text as the bindings want it, one
// answer from a buffer, and writing to a stream.
//
// `guest.h` is generated from wit/world.wit. Errors of writes are passed on, not
// hidden: a guest must end when its client is gone.
#pragma once
#include "guest.h"
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef wasi_http_types_own_incoming_request_t request_t;
typedef wasi_http_types_own_response_outparam_t outparam_t;
typedef wasi_http_types_own_fields_t fields_t;
typedef wasi_http_types_own_outgoing_body_t body_t;
typedef wasi_io_streams_own_output_stream_t out_t;
typedef wasi_io_poll_own_pollable_t pollable_t;

/// A request as the paths below see it.
typedef struct {
  wasi_http_types_borrow_incoming_request_t request;
  /// What follows the matched path, "" if nothing does.
  const char *rest;
} ask_t;

/// The most that one blocking_write_and_flush takes, by WASI's definition.
#define WRITE_AT_MOST 4096

/// An answer on its way: its head is set, its body is open.
typedef struct {
  body_t body;
  out_t stream;
} answer_t;

/// Bytes that C owns, lent to a call.
static inline guest_list_u8_t bytes(const void *data, size_t length) {
  return (guest_list_u8_t){(uint8_t *)data, length};
}

/// Text that C owns, lent to a call.
static inline guest_string_t text(const char *content) {
  return (guest_string_t){(uint8_t *)content, strlen(content)};
}

/// The path of a request, without the query; cut off where `room` ends.
static inline void path_of(wasi_http_types_borrow_incoming_request_t request, char *path, size_t room) {
  guest_string_t asked;
  size_t length = 0;
  if (wasi_http_types_method_incoming_request_path_with_query(request, &asked)) {
    length = asked.len < room ? asked.len : room - 1;
    memcpy(path, asked.ptr, length);
    guest_string_free(&asked);
  }
  path[length] = '\0';
  path[strcspn(path, "?")] = '\0';
}

/// Waits for a pollable and drops it.
static inline void wait_for(pollable_t pollable) {
  wasi_io_poll_method_pollable_block(wasi_io_poll_borrow_pollable(pollable));
  wasi_io_poll_pollable_drop_own(pollable);
}

/// Writes all of it, waiting as long as it takes; false once the stream has an error.
static inline bool write_all(out_t stream, const void *data, size_t length) {
  const uint8_t *at = data;
  while (length > 0) {
    size_t part = length < WRITE_AT_MOST ? length : WRITE_AT_MOST;
    guest_list_u8_t list = bytes(at, part);
    wasi_io_streams_stream_error_t error;
    if (!wasi_io_streams_method_output_stream_blocking_write_and_flush(
            wasi_io_streams_borrow_output_stream(stream), &list, &error)) {
      wasi_io_streams_stream_error_free(&error);
      return false;
    }
    at += part;
    length -= part;
  }
  return true;
}

/// Adds a header; traps if the host refuses it.
static inline void header(fields_t fields, const char *name, const void *value, size_t length) {
  guest_string_t key = text(name);
  wasi_http_types_field_value_t content = {(uint8_t *)value, length};
  wasi_http_types_header_error_t error;
  if (!wasi_http_types_method_fields_append(wasi_http_types_borrow_fields(fields), &key, &content, &error)) {
    abort();
  }
}

/// Sends the head of an answer and opens its body. Takes `fields`.
static inline answer_t begin(outparam_t outparam, uint16_t status, fields_t fields) {
  wasi_http_types_own_outgoing_response_t response = wasi_http_types_constructor_outgoing_response(fields);
  wasi_http_types_borrow_outgoing_response_t borrowed = wasi_http_types_borrow_outgoing_response(response);
  answer_t answer;
  if (!wasi_http_types_method_outgoing_response_set_status_code(borrowed, status) ||
      !wasi_http_types_method_outgoing_response_body(borrowed, &answer.body)) {
    abort();
  }
  wasi_http_types_result_own_outgoing_response_error_code_t result = {.is_err = false, .val.ok = response};
  wasi_http_types_static_response_outparam_set(outparam, &result);
  if (!wasi_http_types_method_outgoing_body_write(wasi_http_types_borrow_outgoing_body(answer.body), &answer.stream)) {
    abort();
  }
  return answer;
}

/// Ends the body of an answer.
static inline void end(answer_t answer) {
  wasi_io_streams_output_stream_drop_own(answer.stream);
  wasi_http_types_error_code_t error;
  if (!wasi_http_types_static_outgoing_body_finish(answer.body, NULL, &error)) {
    wasi_http_types_error_code_free(&error);
  }
}

/// A whole answer of type text/plain.
static inline void respond(outparam_t outparam, uint16_t status, const char *content, size_t length) {
  fields_t fields = wasi_http_types_constructor_fields();
  header(fields, "content-type", "text/plain", strlen("text/plain"));
  answer_t answer = begin(outparam, status, fields);
  write_all(answer.stream, content, length);
  end(answer);
}

/// A whole answer from a format as for printf; what passes 1 KB is cut off.
__attribute__((format(printf, 3, 4)))
static inline void respondf(outparam_t outparam, uint16_t status, const char *format, ...) {
  char buffer[1024];
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(buffer, sizeof buffer, format, arguments);
  va_end(arguments);
  if (length >= (int)sizeof buffer) {
    length = sizeof buffer - 1;
  }
  respond(outparam, status, buffer, length);
}
