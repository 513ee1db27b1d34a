// A guest that opens a TCP connection of its own. `/connect` connects to
// 127.0.0.1:9, `/connect/A.B.C.D:PORT` to that address. The answer is one line:
// "connected", or the step that failed and the name of WASI's error code.
#include "answer.h"

/// The names of wasi:sockets' error codes, in the order of their definition.
static const char *const codes[] = {
    "unknown", "access-denied", "not-supported", "invalid-argument", "out-of-memory", "timeout",
    "concurrency-conflict", "not-in-progress", "would-block", "invalid-state", "new-socket-limit",
    "address-not-bindable", "address-in-use", "remote-unreachable", "connection-refused", "connection-reset",
    "connection-aborted", "datagram-too-large", "name-unresolvable", "temporary-resolver-failure",
    "permanent-resolver-failure",
};
_Static_assert(sizeof codes / sizeof *codes == WASI_SOCKETS_NETWORK_ERROR_CODE_PERMANENT_RESOLVER_FAILURE + 1,
               "a name for each code");

/// Connects and closes; NULL, or the step that failed.
static const char *connect_to(const uint8_t ip[4], uint16_t port, wasi_sockets_tcp_error_code_t *error) {
  wasi_sockets_tcp_own_tcp_socket_t socket;
  if (!wasi_sockets_tcp_create_socket_create_tcp_socket(WASI_SOCKETS_NETWORK_IP_ADDRESS_FAMILY_IPV4, &socket, error)) {
    return "create";
  }
  const char *failed = NULL;
  wasi_sockets_tcp_borrow_tcp_socket_t borrowed = wasi_sockets_tcp_borrow_tcp_socket(socket);
  wasi_sockets_network_own_network_t network = wasi_sockets_instance_network_instance_network();
  wasi_sockets_tcp_ip_socket_address_t address = {.tag = WASI_SOCKETS_NETWORK_IP_SOCKET_ADDRESS_IPV4};
  address.val.ipv4.port = port;
  address.val.ipv4.address.f0 = ip[0];
  address.val.ipv4.address.f1 = ip[1];
  address.val.ipv4.address.f2 = ip[2];
  address.val.ipv4.address.f3 = ip[3];
  if (!wasi_sockets_tcp_method_tcp_socket_start_connect(
          borrowed, wasi_sockets_network_borrow_network(network), &address, error)) {
    failed = "start";
  } else {
    wasi_sockets_tcp_tuple2_own_input_stream_own_output_stream_t streams;
    wait_for(wasi_sockets_tcp_method_tcp_socket_subscribe(borrowed));
    if (wasi_sockets_tcp_method_tcp_socket_finish_connect(borrowed, &streams, error)) {
      wasi_io_streams_input_stream_drop_own(streams.f0);
      wasi_io_streams_output_stream_drop_own(streams.f1);
    } else {
      failed = "finish";
    }
  }
  wasi_sockets_network_network_drop_own(network);
  wasi_sockets_tcp_tcp_socket_drop_own(socket);
  return failed;
}

void exports_wasi_http_incoming_handler_handle(request_t request, outparam_t out) {
  char path[1024];
  path_of(wasi_http_types_borrow_incoming_request(request), path, sizeof path);
  wasi_http_types_incoming_request_drop_own(request);

  uint8_t ip[4] = {127, 0, 0, 1};
  uint16_t port = 9;
  // What the path leaves out stays as it is.
  sscanf(path, "/connect/%hhu.%hhu.%hhu.%hhu:%hu", &ip[0], &ip[1], &ip[2], &ip[3], &port);
  wasi_sockets_tcp_error_code_t error;
  const char *failed = connect_to(ip, port, &error);
  if (failed) {
    respondf(out, 200, "%s: %s", failed, codes[error]);
  } else {
    respondf(out, 200, "connected");
  }
}
