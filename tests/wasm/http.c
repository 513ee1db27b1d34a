// The guest that most tests ask: one behaviour a path, good and hostile.
// README.md lists the paths. With PROXY defined, the paths that need more than
// wasi:http/proxy gives are left out.
#include "answer.h"
#include "attacks.h"

/// Text that grows; it leaves out what there is no memory for.
typedef struct {
  char *content;
  size_t length, room;
} text_t;

static void add(text_t *text, const void *data, size_t length) {
  if (text->length + length > text->room) {
    size_t room = (text->length + length) * 2;
    char *larger = realloc(text->content, room);
    if (!larger) {
      return;
    }
    text->content = larger;
    text->room = room;
  }
  memcpy(text->content + text->length, data, length);
  text->length += length;
}

static void add_text(text_t *text, const char *content) { add(text, content, strlen(content)); }

static void respond_text(outparam_t out, text_t *text) {
  respond(out, 200, text->content, text->length);
  free(text->content);
}

static void sleep_ms(uint64_t ms) { wait_for(wasi_clocks_monotonic_clock_subscribe_duration(ms * 1000000)); }

// ------------------------------------------------------------ plain answers

static void hello(ask_t ask, outparam_t out) { respondf(out, 200, "hello from wasm\n"); }

static const char *method_name(const wasi_http_types_method_t *method) {
  static const char *names[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"};
  return method->tag < sizeof names / sizeof *names ? names[method->tag] : NULL;
}

static void headers(ask_t ask, outparam_t out) {
  text_t text = {0};
  guest_string_t string;

  wasi_http_types_method_t method;
  wasi_http_types_method_incoming_request_method(ask.request, &method);
  add_text(&text, "method: ");
  const char *name = method_name(&method);
  if (name) {
    add_text(&text, name);
  } else {
    add(&text, method.val.other.ptr, method.val.other.len);
  }
  wasi_http_types_method_free(&method);

  add_text(&text, "\npath: ");
  if (wasi_http_types_method_incoming_request_path_with_query(ask.request, &string)) {
    add(&text, string.ptr, string.len);
    guest_string_free(&string);
  }
  add_text(&text, "\nauthority: ");
  if (wasi_http_types_method_incoming_request_authority(ask.request, &string)) {
    add(&text, string.ptr, string.len);
    guest_string_free(&string);
  }
  add_text(&text, "\nscheme: ");
  wasi_http_types_scheme_t scheme;
  if (wasi_http_types_method_incoming_request_scheme(ask.request, &scheme)) {
    switch (scheme.tag) {
    case WASI_HTTP_TYPES_SCHEME_HTTP: add_text(&text, "http"); break;
    case WASI_HTTP_TYPES_SCHEME_HTTPS: add_text(&text, "https"); break;
    default: add(&text, scheme.val.other.ptr, scheme.val.other.len);
    }
    wasi_http_types_scheme_free(&scheme);
  }
  add_text(&text, "\n");

  fields_t fields = wasi_http_types_method_incoming_request_headers(ask.request);
  wasi_http_types_list_tuple2_field_name_field_value_t entries;
  wasi_http_types_method_fields_entries(wasi_http_types_borrow_fields(fields), &entries);
  for (size_t i = 0; i < entries.len; i++) {
    add(&text, entries.ptr[i].f0.ptr, entries.ptr[i].f0.len);
    add_text(&text, ": ");
    add(&text, entries.ptr[i].f1.ptr, entries.ptr[i].f1.len);
    add_text(&text, "\n");
  }
  wasi_http_types_list_tuple2_field_name_field_value_free(&entries);
  wasi_http_types_fields_drop_own(fields);
  respond_text(out, &text);
}

static void status(ask_t ask, outparam_t out) {
  end(begin(out, atoi(ask.rest), wasi_http_types_constructor_fields()));
}

static void set_headers(ask_t ask, outparam_t out) {
  fields_t fields = wasi_http_types_constructor_fields();
  header(fields, "content-type", "text/plain", 10);
  header(fields, "cache-control", "no-store", 8);
  header(fields, "x-guest", "wasm", 4);
  header(fields, "set-cookie", "a=1; Path=/", 11);
  header(fields, "set-cookie", "b=2; HttpOnly", 13);
  answer_t answer = begin(out, 200, fields);
  write_all(answer.stream, "set\n", 4);
  end(answer);
}

static void counter(ask_t ask, outparam_t out) {
  static unsigned requests = 0;
  respondf(out, 200, "%u", ++requests);
}

// ------------------------------------------------------------------- bodies

/// The body of a request being read.
typedef struct {
  wasi_http_types_own_incoming_body_t body;
  wasi_io_streams_own_input_stream_t stream;
} reader_t;

static reader_t open_body(ask_t ask) {
  reader_t reader;
  if (!wasi_http_types_method_incoming_request_consume(ask.request, &reader.body) ||
      !wasi_http_types_method_incoming_body_stream(wasi_http_types_borrow_incoming_body(reader.body), &reader.stream)) {
    abort();
  }
  return reader;
}

/// The next piece, waiting for it; false at the end and after an error.
static bool read_piece(reader_t reader, guest_list_u8_t *piece) {
  wasi_io_streams_borrow_input_stream_t stream = wasi_io_streams_borrow_input_stream(reader.stream);
  wasi_io_streams_stream_error_t error;
  while (wasi_io_streams_method_input_stream_read(stream, 65536, piece, &error)) {
    if (piece->len > 0) {
      return true;
    }
    guest_list_u8_free(piece);
    wait_for(wasi_io_streams_method_input_stream_subscribe(stream));
  }
  wasi_io_streams_stream_error_free(&error);
  return false;
}

static void close_body(reader_t reader) {
  wasi_io_streams_input_stream_drop_own(reader.stream);
  wasi_http_types_future_trailers_drop_own(wasi_http_types_static_incoming_body_finish(reader.body));
}

/// Writes as much at a time as the stream permits, and flushes; false after an error.
static bool write_piece(out_t out, guest_list_u8_t piece) {
  wasi_io_streams_borrow_output_stream_t stream = wasi_io_streams_borrow_output_stream(out);
  wasi_io_streams_stream_error_t error;
  while (piece.len > 0) {
    uint64_t permit;
    if (!wasi_io_streams_method_output_stream_check_write(stream, &permit, &error)) {
      wasi_io_streams_stream_error_free(&error);
      return false;
    }
    if (permit == 0) {
      wait_for(wasi_io_streams_method_output_stream_subscribe(stream));
      continue;
    }
    guest_list_u8_t part = bytes(piece.ptr, piece.len < permit ? piece.len : (size_t)permit);
    if (!wasi_io_streams_method_output_stream_write(stream, &part, &error)) {
      wasi_io_streams_stream_error_free(&error);
      return false;
    }
    piece.ptr += part.len;
    piece.len -= part.len;
  }
  if (!wasi_io_streams_method_output_stream_flush(stream, &error)) {
    wasi_io_streams_stream_error_free(&error);
    return false;
  }
  return true;
}

static void echo(ask_t ask, outparam_t out) {
  fields_t fields = wasi_http_types_constructor_fields();
  fields_t asked = wasi_http_types_method_incoming_request_headers(ask.request);
  guest_string_t name = text("content-type");
  wasi_http_types_list_field_value_t types;
  wasi_http_types_method_fields_get(wasi_http_types_borrow_fields(asked), &name, &types);
  if (types.len > 0) {
    header(fields, "content-type", types.ptr[0].ptr, types.ptr[0].len);
  }
  wasi_http_types_list_field_value_free(&types);
  wasi_http_types_fields_drop_own(asked);

  answer_t answer = begin(out, 200, fields);
  reader_t reader = open_body(ask);
  guest_list_u8_t piece;
  bool writable = true;
  while (writable && read_piece(reader, &piece)) {
    writable = write_piece(answer.stream, piece);
    guest_list_u8_free(&piece);
  }
  close_body(reader);
  wasi_io_streams_stream_error_t error;
  if (writable &&
      !wasi_io_streams_method_output_stream_blocking_flush(wasi_io_streams_borrow_output_stream(answer.stream), &error)) {
    wasi_io_streams_stream_error_free(&error);
  }
  end(answer);
}

static void count(ask_t ask, outparam_t out) {
  unsigned long long total = 0;
  reader_t reader = open_body(ask);
  guest_list_u8_t piece;
  while (read_piece(reader, &piece)) {
    total += piece.len;
    guest_list_u8_free(&piece);
  }
  close_body(reader);
  respondf(out, 200, "%llu", total);
}

static void stream(ask_t ask, outparam_t out) {
  answer_t answer = begin(out, 200, wasi_http_types_constructor_fields());
  for (int i = 1; i <= 5; i++) {
    char chunk[16];
    int length = snprintf(chunk, sizeof chunk, "chunk %d\n", i);
    if (!write_all(answer.stream, chunk, length)) {
      break;
    }
    if (i < 5) {
      sleep_ms(20);
    }
  }
  end(answer);
}

static void drip(ask_t ask, outparam_t out) {
  static char chunk[1024];
  memset(chunk, '.', sizeof chunk);
  answer_t answer = begin(out, 200, wasi_http_types_constructor_fields());
  while (write_all(answer.stream, chunk, sizeof chunk)) {
  }
  end(answer);
}

// ------------------------------------------------------- what the host gives

static void print(out_t stream, const char *content, size_t length) {
  write_all(stream, content, length);
  wasi_io_streams_output_stream_drop_own(stream);
}

static void log_lines(ask_t ask, outparam_t out) {
  print(wasi_cli_stdout_get_stdout(), "out line\n", 9);
  print(wasi_cli_stderr_get_stderr(), "err line\n", 9);
  print(wasi_cli_stdout_get_stdout(), "partial", 7);
  respondf(out, 200, "logged\n");
}

static void flood(ask_t ask, outparam_t out) {
  out_t stream = wasi_cli_stdout_get_stdout();
  char line[100];
  memset(line, '#', sizeof line);
  line[sizeof line - 1] = '\n';
  for (int i = 0; i < 10000 && write_all(stream, line, sizeof line); i++) {
  }
  wasi_io_streams_output_stream_drop_own(stream);
  respondf(out, 200, "flooded\n");
}

static void random_bytes(ask_t ask, outparam_t out) {
  guest_list_u8_t random;
  wasi_random_random_get_random_bytes(16, &random);
  char hex[33] = "";
  for (size_t i = 0; i < random.len && i < 16; i++) {
    snprintf(hex + 2 * i, 3, "%02x", random.ptr[i]);
  }
  guest_list_u8_free(&random);
  respondf(out, 200, "%s", hex);
}

static void clocks(ask_t ask, outparam_t out) {
  wasi_clocks_wall_clock_datetime_t now;
  wasi_clocks_wall_clock_now(&now);
  respondf(out, 200, "%llu %llu", (unsigned long long)now.seconds,
           (unsigned long long)wasi_clocks_monotonic_clock_now());
}

static void sleeping(ask_t ask, outparam_t out) {
  sleep_ms(atoi(ask.rest));
  respondf(out, 200, "slept");
}

static void wait_after(ask_t ask, outparam_t out) {
  respondf(out, 200, "answered\n");
  sleep_ms(3600 * 1000);
}

// ------------------------------------------- what wasi:http/proxy leaves out

#ifndef PROXY
static void environment(ask_t ask, outparam_t out) {
  guest_list_tuple2_string_string_t variables;
  wasi_cli_environment_get_environment(&variables);
  text_t text = {0};
  for (size_t i = 0; i < variables.len; i++) {
    add(&text, variables.ptr[i].f0.ptr, variables.ptr[i].f0.len);
    add_text(&text, "=");
    add(&text, variables.ptr[i].f1.ptr, variables.ptr[i].f1.len);
    add_text(&text, "\n");
  }
  guest_list_tuple2_string_string_free(&variables);
  respond_text(out, &text);
}

static void arguments(ask_t ask, outparam_t out) {
  guest_list_string_t given;
  wasi_cli_environment_get_arguments(&given);
  text_t text = {0};
  for (size_t i = 0; i < given.len; i++) {
    add(&text, given.ptr[i].ptr, given.ptr[i].len);
    add_text(&text, "\n");
  }
  guest_list_string_free(&given);
  respond_text(out, &text);
}

static void exiting(ask_t ask, outparam_t out) { wasi_cli_exit_exit_with_code(atoi(ask.rest)); }

/// Reads `path` in one preopened folder; says the error's number if it cannot.
static void try_open(text_t *text, wasi_filesystem_types_borrow_descriptor_t folder, const char *path) {
  guest_string_t name = {(uint8_t *)path, strlen(path)};
  wasi_filesystem_types_own_descriptor_t file;
  wasi_filesystem_types_error_code_t error;
  guest_tuple2_list_u8_bool_t content;
  char line[32];
  if (!wasi_filesystem_types_method_descriptor_open_at(
          folder, WASI_FILESYSTEM_TYPES_PATH_FLAGS_SYMLINK_FOLLOW, &name, 0,
          WASI_FILESYSTEM_TYPES_DESCRIPTOR_FLAGS_READ, &file, &error)) {
    snprintf(line, sizeof line, "error %d\n", error);
    add_text(text, line);
    return;
  }
  if (wasi_filesystem_types_method_descriptor_read(
          wasi_filesystem_types_borrow_descriptor(file), 4096, 0, &content, &error)) {
    add(text, content.f0.ptr, content.f0.len);
    guest_list_u8_free(&content.f0);
    add_text(text, "\n");
  } else {
    snprintf(line, sizeof line, "read error %d\n", error);
    add_text(text, line);
  }
  wasi_filesystem_types_descriptor_drop_own(file);
}

static void open_file(ask_t ask, outparam_t out) {
  wasi_filesystem_preopens_list_tuple2_own_descriptor_string_t folders;
  wasi_filesystem_preopens_get_directories(&folders);
  text_t text = {0};
  for (size_t i = 0; i < folders.len; i++) {
    add(&text, folders.ptr[i].f1.ptr, folders.ptr[i].f1.len);
    add_text(&text, ": ");
    try_open(&text, wasi_filesystem_types_borrow_descriptor(folders.ptr[i].f0), *ask.rest ? ask.rest : "secret.txt");
  }
  if (folders.len == 0) {
    add_text(&text, "no preopens");
  }
  wasi_filesystem_preopens_list_tuple2_own_descriptor_string_free(&folders);
  respond_text(out, &text);
}

/// Opens a file of the first folder so many times, keeps all of them open for a while, and says how many there are.
static void hoard_files(ask_t ask, outparam_t out) {
  wasi_filesystem_preopens_list_tuple2_own_descriptor_string_t folders;
  wasi_filesystem_preopens_get_directories(&folders);
  guest_string_t name = {(uint8_t *)"secret.txt", 10};
  int opened = 0;
  for (int wanted = atoi(ask.rest); folders.len && opened < wanted; opened++) {
    wasi_filesystem_types_own_descriptor_t file;
    wasi_filesystem_types_error_code_t error;
    if (!wasi_filesystem_types_method_descriptor_open_at(
            wasi_filesystem_types_borrow_descriptor(folders.ptr[0].f0), 0, &name, 0,
            WASI_FILESYSTEM_TYPES_DESCRIPTOR_FLAGS_READ, &file, &error)) {
      break;
    }
  }
  sleep_ms(300);
  respondf(out, 200, "%d open", opened);
}
#endif

// ------------------------------------------------------------------ dispatch

/// A path, whether something may follow it after a slash, and what it does.
static const struct {
  const char *path;
  bool more;
  void (*act)(ask_t, outparam_t);
} paths[] = {
    {"/hello", false, hello},
    {"/headers", false, headers},
    {"/echo", false, echo},
    {"/count", false, count},
    {"/stream", false, stream},
    {"/drip", false, drip},
    {"/status", true, status},
    {"/set-headers", false, set_headers},
    {"/log", false, log_lines},
    {"/flood", false, flood},
    {"/random", false, random_bytes},
    {"/clock", false, clocks},
    {"/sleep", true, sleeping},
    {"/spin", true, spin},
    {"/spin-after", false, spin_after},
    {"/wait-after", false, wait_after},
    {"/grow", true, grow},
    {"/recurse", false, recurse},
    {"/trap", false, trap},
    {"/silent", false, silent},
    {"/error", false, error},
    {"/counter", false, counter},
    {"/resources", false, resources},
#ifndef PROXY
    {"/env", false, environment},
    {"/args", false, arguments},
    {"/exit", true, exiting},
    {"/open", true, open_file},
    {"/hoard-files", true, hoard_files},
#endif
};

static void dispatch(ask_t ask, const char *path, outparam_t out) {
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
    size_t length = strlen(paths[i].path);
    if (strncmp(path, paths[i].path, length) != 0) {
      continue;
    }
    if (path[length] == '\0' || (paths[i].more && path[length] == '/')) {
      ask.rest = path[length] ? path + length + 1 : "";
      paths[i].act(ask, out);
      return;
    }
  }
  respondf(out, 404, "no such path\n");
}

void exports_wasi_http_incoming_handler_handle(request_t request, outparam_t out) {
  ask_t ask = {wasi_http_types_borrow_incoming_request(request), ""};
  char path[1024];
  path_of(ask.request, path, sizeof path);
  dispatch(ask, path, out);
  wasi_http_types_incoming_request_drop_own(request);
}
