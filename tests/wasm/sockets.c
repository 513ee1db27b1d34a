// A guest that uses sockets of its own. The README.md beside it has its paths.
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


typedef wasi_sockets_network_error_code_t error_t;
typedef wasi_sockets_network_ip_socket_address_t place_t;

/// An IPv4 address and a port; what the text leaves out is 127.0.0.1 and 9.
static place_t place_of(const char *text) {
  uint8_t ip[4] = {127, 0, 0, 1};
  uint16_t port = 9;
  sscanf(text, "%hhu.%hhu.%hhu.%hhu:%hu", &ip[0], &ip[1], &ip[2], &ip[3], &port);
  place_t place = {.tag = WASI_SOCKETS_NETWORK_IP_SOCKET_ADDRESS_IPV4};
  place.val.ipv4.port = port;
  place.val.ipv4.address.f0 = ip[0];
  place.val.ipv4.address.f1 = ip[1];
  place.val.ipv4.address.f2 = ip[2];
  place.val.ipv4.address.f3 = ip[3];
  return place;
}

/// Connects, sends `ping` and puts what comes first into `answer`, if there is one; NULL, or the step that failed.
static const char *connect_to(place_t place, char *answer, size_t room, error_t *error) {
  wasi_sockets_tcp_own_tcp_socket_t socket;
  if (!wasi_sockets_tcp_create_socket_create_tcp_socket(WASI_SOCKETS_NETWORK_IP_ADDRESS_FAMILY_IPV4, &socket, error)) {
    return "create";
  }
  const char *failed = NULL;
  wasi_sockets_tcp_borrow_tcp_socket_t borrowed = wasi_sockets_tcp_borrow_tcp_socket(socket);
  wasi_sockets_network_own_network_t network = wasi_sockets_instance_network_instance_network();
  if (!wasi_sockets_tcp_method_tcp_socket_start_connect(
          borrowed, wasi_sockets_network_borrow_network(network), &place, error)) {
    failed = "start";
  } else {
    wasi_sockets_tcp_tuple2_own_input_stream_own_output_stream_t streams;
    wait_for(wasi_sockets_tcp_method_tcp_socket_subscribe(borrowed));
    if (wasi_sockets_tcp_method_tcp_socket_finish_connect(borrowed, &streams, error)) {
      guest_list_u8_t piece;
      wasi_io_streams_stream_error_t broken;
      if (answer && write_all(streams.f1, "ping", 4) &&
          wasi_io_streams_method_input_stream_blocking_read(
              wasi_io_streams_borrow_input_stream(streams.f0), room - 1, &piece, &broken)) {
        snprintf(answer, room, "%.*s", (int)piece.len, piece.ptr);
        guest_list_u8_free(&piece);
      }
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

/// Makes so many TCP sockets, or as many as there are to be had, and keeps them.
static void hoard(unsigned long number, char *answer, size_t room) {
  unsigned long made = 0;
  error_t error;
  wasi_sockets_tcp_own_tcp_socket_t socket;
  while (made < number) {
    if (!wasi_sockets_tcp_create_socket_create_tcp_socket(WASI_SOCKETS_NETWORK_IP_ADDRESS_FAMILY_IPV4, &socket, &error)) {
      snprintf(answer, room, "%lu sockets, then %s", made, codes[error]);
      return;
    }
    made++;
  }
  snprintf(answer, room, "%lu sockets", made);
}

/// Connects and keeps the connection; NULL, or the step that failed.
static const char *keep(place_t place, error_t *error) {
  wasi_sockets_tcp_own_tcp_socket_t socket;
  if (!wasi_sockets_tcp_create_socket_create_tcp_socket(WASI_SOCKETS_NETWORK_IP_ADDRESS_FAMILY_IPV4, &socket, error)) {
    return "create";
  }
  wasi_sockets_tcp_borrow_tcp_socket_t borrowed = wasi_sockets_tcp_borrow_tcp_socket(socket);
  wasi_sockets_network_own_network_t network = wasi_sockets_instance_network_instance_network();
  if (!wasi_sockets_tcp_method_tcp_socket_start_connect(
          borrowed, wasi_sockets_network_borrow_network(network), &place, error)) {
    return "start";
  }
  wasi_sockets_tcp_tuple2_own_input_stream_own_output_stream_t streams;
  wait_for(wasi_sockets_tcp_method_tcp_socket_subscribe(borrowed));
  return wasi_sockets_tcp_method_tcp_socket_finish_connect(borrowed, &streams, error) ? NULL : "finish";
}

/// Binds to a place, and listens; the step that failed.
static const char *listen_at(place_t place, error_t *error) {
  wasi_sockets_tcp_own_tcp_socket_t socket;
  if (!wasi_sockets_tcp_create_socket_create_tcp_socket(WASI_SOCKETS_NETWORK_IP_ADDRESS_FAMILY_IPV4, &socket, error)) {
    return "create";
  }
  wasi_sockets_tcp_borrow_tcp_socket_t borrowed = wasi_sockets_tcp_borrow_tcp_socket(socket);
  wasi_sockets_network_own_network_t network = wasi_sockets_instance_network_instance_network();
  if (!wasi_sockets_tcp_method_tcp_socket_start_bind(borrowed, wasi_sockets_network_borrow_network(network), &place, error)) {
    return "bind";
  }
  wait_for(wasi_sockets_tcp_method_tcp_socket_subscribe(borrowed));
  if (!wasi_sockets_tcp_method_tcp_socket_finish_bind(borrowed, error)) {
    return "bound";
  }
  if (!wasi_sockets_tcp_method_tcp_socket_start_listen(borrowed, error)) {
    return "listen";
  }
  wait_for(wasi_sockets_tcp_method_tcp_socket_subscribe(borrowed));
  return wasi_sockets_tcp_method_tcp_socket_finish_listen(borrowed, error) ? NULL : "listening";
}

/// Sends a datagram with `ping`, and puts the one that comes back into `answer`; NULL, or the step that failed.
static const char *exchange(place_t place, char *answer, size_t room, error_t *error) {
  wasi_sockets_udp_own_udp_socket_t socket;
  if (!wasi_sockets_udp_create_socket_create_udp_socket(WASI_SOCKETS_NETWORK_IP_ADDRESS_FAMILY_IPV4, &socket, error)) {
    return "create";
  }
  wasi_sockets_udp_borrow_udp_socket_t borrowed = wasi_sockets_udp_borrow_udp_socket(socket);
  wasi_sockets_network_own_network_t network = wasi_sockets_instance_network_instance_network();
  place_t any = place_of("0.0.0.0:0");
  if (!wasi_sockets_udp_method_udp_socket_start_bind(borrowed, wasi_sockets_network_borrow_network(network), &any, error)) {
    return "bind";
  }
  wait_for(wasi_sockets_udp_method_udp_socket_subscribe(borrowed));
  wasi_sockets_udp_tuple2_own_incoming_datagram_stream_own_outgoing_datagram_stream_t streams;
  if (!wasi_sockets_udp_method_udp_socket_finish_bind(borrowed, error) ||
      !wasi_sockets_udp_method_udp_socket_stream(borrowed, NULL, &streams, error)) {
    return "bound";
  }
  wasi_sockets_udp_borrow_outgoing_datagram_stream_t to = wasi_sockets_udp_borrow_outgoing_datagram_stream(streams.f1);
  uint64_t permit, sent;
  wait_for(wasi_sockets_udp_method_outgoing_datagram_stream_subscribe(to));
  wasi_sockets_udp_outgoing_datagram_t datagram = {
      .data = bytes("ping", 4), .remote_address = {.is_some = true, .val = place}};
  wasi_sockets_udp_list_outgoing_datagram_t all = {&datagram, 1};
  if (!wasi_sockets_udp_method_outgoing_datagram_stream_check_send(to, &permit, error) ||
      !wasi_sockets_udp_method_outgoing_datagram_stream_send(to, &all, &sent, error)) {
    return "send";
  }
  wasi_sockets_udp_borrow_incoming_datagram_stream_t from = wasi_sockets_udp_borrow_incoming_datagram_stream(streams.f0);
  wasi_sockets_udp_list_incoming_datagram_t come;
  do {
    wait_for(wasi_sockets_udp_method_incoming_datagram_stream_subscribe(from));
    if (!wasi_sockets_udp_method_incoming_datagram_stream_receive(from, 1, &come, error)) {
      return "receive";
    }
  } while (come.len == 0);
  snprintf(answer, room, "%.*s", (int)come.ptr[0].data.len, come.ptr[0].data.ptr);
  return NULL;
}

/// The name's IPv4 addresses, in text with commas; false and the error if there are none.
static bool look_up(const char *name, char *addresses, size_t room, error_t *error) {
  wasi_sockets_ip_name_lookup_own_resolve_address_stream_t stream;
  guest_string_t asked = text(name);
  wasi_sockets_network_own_network_t network = wasi_sockets_instance_network_instance_network();
  if (!wasi_sockets_ip_name_lookup_resolve_addresses(wasi_sockets_network_borrow_network(network), &asked, &stream, error)) {
    return false;
  }
  wasi_sockets_ip_name_lookup_borrow_resolve_address_stream_t found =
      wasi_sockets_ip_name_lookup_borrow_resolve_address_stream(stream);
  size_t length = 0;
  addresses[0] = '\0';
  for (;;) {
    wasi_sockets_ip_name_lookup_option_ip_address_t next;
    wait_for(wasi_sockets_ip_name_lookup_method_resolve_address_stream_subscribe(found));
    if (!wasi_sockets_ip_name_lookup_method_resolve_address_stream_resolve_next_address(found, &next, error)) {
      return false;
    }
    if (!next.is_some) {
      wasi_sockets_ip_name_lookup_resolve_address_stream_drop_own(stream);
      return true;
    }
    if (next.val.tag == WASI_SOCKETS_NETWORK_IP_ADDRESS_IPV4 && length < room) {
      wasi_sockets_network_ipv4_address_t ip = next.val.val.ipv4;
      length += snprintf(addresses + length, room - length, "%s%d.%d.%d.%d", length ? "," : "", ip.f0, ip.f1, ip.f2, ip.f3);
    }
  }
}

static const char *after(const char *path, const char *prefix) {
  size_t length = strlen(prefix);
  return strncmp(path, prefix, length) == 0 ? path + length : NULL;
}

/// How many requests asked this instance.
static unsigned asked;

void exports_wasi_http_incoming_handler_handle(request_t request, outparam_t out) {
  char path[1024], answer[512] = "connected", addresses[512];
  path_of(wasi_http_types_borrow_incoming_request(request), path, sizeof path);
  wasi_http_types_incoming_request_drop_own(request);

  const char *rest, *failed = NULL;
  error_t error;
  asked++;
  if (strcmp(path, "/counter") == 0) {
    snprintf(answer, sizeof answer, "%u", asked);
  } else if ((rest = after(path, "/hoard/"))) {
    hoard(strtoul(rest, NULL, 10), answer, sizeof answer);
  } else if ((rest = after(path, "/keep/"))) {
    failed = keep(place_of(rest), &error);
  } else if ((rest = after(path, "/talk/"))) {
    failed = connect_to(place_of(rest), answer, sizeof answer, &error);
  } else if ((rest = after(path, "/udp/"))) {
    failed = exchange(place_of(rest), answer, sizeof answer, &error);
  } else if ((rest = after(path, "/listen/"))) {
    failed = listen_at(place_of(rest), &error);
  } else if ((rest = after(path, "/look-up/"))) {
    failed = look_up(rest, answer, sizeof answer, &error) ? NULL : "look-up";
  } else if ((rest = after(path, "/reach/"))) {
    // NAME:PORT, by the first of its addresses.
    char *port = strrchr(path, ':');
    *port++ = '\0';
    if (!look_up(rest, addresses, sizeof addresses, &error)) {
      failed = "look-up";
    } else {
      addresses[strcspn(addresses, ",")] = '\0';
      strcat(strcat(addresses, ":"), port);
      failed = connect_to(place_of(addresses), NULL, 0, &error);
    }
  } else {
    rest = after(path, "/connect/");
    failed = connect_to(place_of(rest ? rest : ""), NULL, 0, &error);
  }
  if (failed) {
    respondf(out, 200, "%s: %s", failed, codes[error]);
  } else {
    respondf(out, 200, "%s", answer);
  }
}
