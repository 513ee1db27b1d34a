// A command that asks others: by wasi:http, and by sockets as the service does.
// The README.md beside it has its subcommands.
#include "sockets.c"

/// What a GET from there gives: its status and its body, or the error. Waits for it, or asks over and over.
static int get(const char *server, bool waits) {
  wasi_http_types_own_outgoing_request_t request =
      wasi_http_types_constructor_outgoing_request(wasi_http_types_constructor_fields());
  wasi_http_types_borrow_outgoing_request_t borrowed = wasi_http_types_borrow_outgoing_request(request);
  wasi_http_types_scheme_t scheme = {.tag = WASI_HTTP_TYPES_SCHEME_HTTP};
  guest_string_t authority = text(server), path = text("/");
  if (!wasi_http_types_method_outgoing_request_set_scheme(borrowed, &scheme) ||
      !wasi_http_types_method_outgoing_request_set_authority(borrowed, &authority) ||
      !wasi_http_types_method_outgoing_request_set_path_with_query(borrowed, &path)) {
    abort();
  }
  wasi_http_outgoing_handler_own_future_incoming_response_t future;
  wasi_http_types_error_code_t error;
  wasi_http_types_result_result_own_incoming_response_error_code_void_t result;
  if (!wasi_http_outgoing_handler_handle(request, NULL, &future, &error)) {
    printf("refused: %d\n", error.tag);
    return 1;
  }
  wasi_http_types_borrow_future_incoming_response_t waiting = wasi_http_types_borrow_future_incoming_response(future);
  pollable_t until = wasi_http_types_method_future_incoming_response_subscribe(waiting);
  if (waits) {
    wait_for(until);
  } else {
    while (!wasi_io_poll_method_pollable_ready(wasi_io_poll_borrow_pollable(until))) {
    }
    wasi_io_poll_pollable_drop_own(until);
  }
  if (!wasi_http_types_method_future_incoming_response_get(waiting, &result) || result.is_err) {
    abort();
  }
  if (result.val.ok.is_err) {
    switch (result.val.ok.val.err.tag) {
      case WASI_HTTP_TYPES_ERROR_CODE_HTTP_REQUEST_DENIED: puts("HTTP-request-denied"); break;
      case WASI_HTTP_TYPES_ERROR_CODE_CONNECTION_REFUSED: puts("connection-refused"); break;
      case WASI_HTTP_TYPES_ERROR_CODE_HTTP_RESPONSE_TIMEOUT: puts("HTTP-response-timeout"); break;
      default: printf("error %d\n", result.val.ok.val.err.tag);
    }
    return 1;
  }
  wasi_http_types_borrow_incoming_response_t response =
      wasi_http_types_borrow_incoming_response(result.val.ok.val.ok);
  printf("status %d\n", wasi_http_types_method_incoming_response_status(response));
  wasi_http_types_own_incoming_body_t body;
  wasi_io_streams_own_input_stream_t from;
  if (!wasi_http_types_method_incoming_response_consume(response, &body) ||
      !wasi_http_types_method_incoming_body_stream(wasi_http_types_borrow_incoming_body(body), &from)) {
    abort();
  }
  guest_list_u8_t piece;
  wasi_io_streams_stream_error_t end;
  while (wasi_io_streams_method_input_stream_blocking_read(wasi_io_streams_borrow_input_stream(from), 65536, &piece, &end)) {
    fwrite(piece.ptr, 1, piece.len, stdout);
    guest_list_u8_free(&piece);
  }
  return 0;
}

int main(int count, char **args) {
  const char *what = count == 3 ? args[1] : "", *failed = NULL;
  char answer[512] = "connected";
  error_t error;
  if (strcmp(what, "get") == 0) {
    return get(args[2], true);
  } else if (strcmp(what, "spin") == 0) {
    return get(args[2], false);
  } else if (strcmp(what, "connect") == 0) {
    failed = connect_to(place_of(args[2]), NULL, 0, &error);
  } else if (strcmp(what, "talk") == 0) {
    failed = connect_to(place_of(args[2]), answer, sizeof answer, &error);
  } else if (strcmp(what, "udp") == 0) {
    failed = exchange(place_of(args[2]), answer, sizeof answer, &error);
  } else if (strcmp(what, "look-up") == 0) {
    failed = look_up(args[2], answer, sizeof answer, &error) ? NULL : "look-up";
  } else if (strcmp(what, "hoard") == 0) {
    hoard(strtoul(args[2], NULL, 10), answer, sizeof answer);
  } else {
    fputs("no such subcommand\n", stderr);
    return 2;
  }
  if (failed) {
    printf("%s: %s\n", failed, codes[error]);
    return 1;
  }
  puts(answer);
  return 0;
}
