// The tasks of `./x bench-capabilities` in WebAssembly. A path is a task, how many calls its mean is of, how many its 99th
// percentile, and where it is asked over loopback the port. The stores are the app's own; what fails traps.
#include "answer.h"

#define K(name) wasi_keyvalue_##name
#define KEYS 10000
#define PART 100
#define SIZE 100
// As many as the app in JavaScript needs to time short calls.
#define GROUP 50

typedef K(store_own_bucket_t) bucket_t;
typedef nexus_sql_database_value_t value_t;

static char value[SIZE];
static bucket_t bucket;
static nexus_sql_database_own_connection_t connection;
/// Whom `call` and `http` ask.
static char place[64];

static void must(bool done) {
  if (!done) {
    abort();
  }
}

static K(store_borrow_bucket_t) opened(void) {
  return K(store_borrow_bucket)(bucket);
}

static void open_stores(void) {
  guest_string_t kv = text("KV"), db = text("DB");
  K(store_error_t) refused;
  nexus_sql_database_error_t error;
  must(K(store_open)(&kv, &bucket, &refused));
  must(nexus_sql_database_static_connection_open(&db, &connection, &error));
}

static void nothing(size_t number) {
}

static void get(size_t number) {
  char name[16];
  snprintf(name, sizeof name, "key%zu", number % KEYS);
  guest_string_t key = text(name);
  guest_option_list_u8_t found;
  K(store_error_t) error;
  must(K(store_method_bucket_get)(opened(), &key, &found, &error) && found.is_some && found.val.len == SIZE);
  guest_option_list_u8_free(&found);
}

static void put(size_t number) {
  char name[16];
  snprintf(name, sizeof name, "key%zu", number % KEYS);
  guest_string_t key = text(name);
  guest_list_u8_t content = bytes(value, SIZE);
  K(store_error_t) error;
  must(K(store_method_bucket_set)(opened(), &key, &content, &error));
}

/// Runs a statement with one parameter, and must get so many rows.
static void query(const char *statement, value_t parameter, size_t rows) {
  guest_string_t asked = text(statement);
  nexus_sql_database_list_value_t parameters = {&parameter, 1};
  nexus_sql_database_outcome_t outcome;
  nexus_sql_database_error_t error;
  must(nexus_sql_database_method_connection_query(
      nexus_sql_database_borrow_connection(connection), &asked, &parameters, &outcome, &error));
  must(outcome.rows.len == rows);
  nexus_sql_database_outcome_free(&outcome);
}

static void select_one(size_t number) {
  value_t id = {.tag = NEXUS_SQL_DATABASE_VALUE_INTEGER, .val.integer = number % KEYS};
  query("SELECT v FROM t WHERE id = ?", id, 1);
}

static value_t row(void) {
  return (value_t){.tag = NEXUS_SQL_DATABASE_VALUE_TEXT, .val.text = {(uint8_t *)value, SIZE}};
}

static void insert(size_t number) {
  query("INSERT INTO u (v) VALUES (?)", row(), 0);
}

/// Sends a GET to `place`, and reads what comes, which must be three bytes.
static void call(size_t number) {
  wasi_http_types_own_outgoing_request_t request =
      wasi_http_types_constructor_outgoing_request(wasi_http_types_constructor_fields());
  wasi_http_types_borrow_outgoing_request_t asking = wasi_http_types_borrow_outgoing_request(request);
  wasi_http_types_scheme_t scheme = {.tag = WASI_HTTP_TYPES_SCHEME_HTTP};
  guest_string_t server = text(place), path = text("/");
  must(wasi_http_types_method_outgoing_request_set_scheme(asking, &scheme));
  must(wasi_http_types_method_outgoing_request_set_authority(asking, &server));
  must(wasi_http_types_method_outgoing_request_set_path_with_query(asking, &path));
  wasi_http_types_own_future_incoming_response_t future;
  wasi_http_types_error_code_t error;
  must(wasi_http_outgoing_handler_handle(request, NULL, &future, &error));
  wasi_http_types_borrow_future_incoming_response_t coming = wasi_http_types_borrow_future_incoming_response(future);
  wait_for(wasi_http_types_method_future_incoming_response_subscribe(coming));
  wasi_http_types_result_result_own_incoming_response_error_code_void_t result;
  must(wasi_http_types_method_future_incoming_response_get(coming, &result) && !result.is_err && !result.val.ok.is_err);
  wasi_http_types_future_incoming_response_drop_own(future);
  wasi_http_types_own_incoming_response_t response = result.val.ok.val.ok;
  wasi_http_types_own_incoming_body_t body;
  wasi_io_streams_own_input_stream_t stream;
  must(wasi_http_types_method_incoming_response_consume(wasi_http_types_borrow_incoming_response(response), &body));
  must(wasi_http_types_method_incoming_body_stream(wasi_http_types_borrow_incoming_body(body), &stream));
  size_t length = 0;
  guest_list_u8_t piece;
  wasi_io_streams_stream_error_t over;
  while (wasi_io_streams_method_input_stream_blocking_read(
      wasi_io_streams_borrow_input_stream(stream), 4096, &piece, &over)) {
    length += piece.len;
    guest_list_u8_free(&piece);
  }
  must(over.tag == WASI_IO_STREAMS_STREAM_ERROR_CLOSED && length == 3);
  wasi_io_streams_input_stream_drop_own(stream);
  wasi_http_types_incoming_body_drop_own(body);
  wasi_http_types_incoming_response_drop_own(response);
}

static void fill(void) {
  static char names[PART][16];
  guest_tuple2_string_list_u8_t entries[PART];
  for (size_t from = 0; from < KEYS; from += PART) {
    for (size_t at = 0; at < PART; at++) {
      snprintf(names[at], sizeof names[at], "key%zu", from + at);
      entries[at] = (guest_tuple2_string_list_u8_t){text(names[at]), bytes(value, SIZE)};
    }
    guest_list_tuple2_string_list_u8_t list = {entries, PART};
    K(store_error_t) error;
    must(K(batch_set_many)(opened(), &list, &error));
  }
  // The rows are made of one another.
  guest_string_t script = text(
      "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT NOT NULL); CREATE TABLE u (id INTEGER PRIMARY KEY, v TEXT NOT NULL)");
  uint64_t ran;
  nexus_sql_database_error_t error;
  must(nexus_sql_database_method_connection_script(
      nexus_sql_database_borrow_connection(connection), &script, &ran, &error));
  query("WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9999) INSERT INTO t SELECT i, ?1 FROM n", row(), 0);
}

static uint64_t now(void) {
  return wasi_clocks_monotonic_clock_now();
}

static int compare(const void *one, const void *other) {
  uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;
  return (a > b) - (a < b);
}

static const struct {
  const char *name;
  void (*act)(size_t number);
  bool is_short;
} TASKS[] = {
    {"nothing", nothing, true}, {"get", get, true}, {"put", put}, {"select", select_one, true}, {"insert", insert},
    {"call", call}, {"http", call},
};

/// The 99th percentile of the means of groups of so many calls, in microseconds.
static double p99(void (*act)(size_t), size_t count, size_t group) {
  size_t groups = (count + group - 1) / group;
  uint64_t *took = calloc(groups, sizeof *took);
  must(took && groups);
  for (size_t at = 0; at < groups; at++) {
    uint64_t begin = now();
    for (size_t call = 0; call < group; call++) {
      act(at * group + call);
    }
    took[at] = now() - begin;
  }
  qsort(took, groups, sizeof *took, compare);
  return (double)took[groups * 99 / 100] / 1000 / group;
}

static void run(void (*act)(size_t), bool is_short, size_t count, size_t samples, outparam_t out) {
  uint64_t begin = now();
  for (size_t at = 0; at < count; at++) {
    act(at);
  }
  double us = (double)(now() - begin) / 1000;
  char groups[64] = "";
  if (is_short) {
    snprintf(groups, sizeof groups, ", \"groups_us\": %.3f", p99(act, count, GROUP));
  }
  respondf(out, 200, "{\"us\": %.3f, \"per_second\": %.0f, \"p99_us\": %.3f%s}", us / count, count * 1e6 / us,
      p99(act, samples, 1), groups);
}

void exports_wasi_http_incoming_handler_handle(request_t request, outparam_t out) {
  static char path[256];
  path_of(wasi_http_types_borrow_incoming_request(request), path, sizeof path);
  wasi_http_types_incoming_request_drop_own(request);
  char *parts[4] = {"", "", "", ""}, *at = path;
  for (size_t part = 0; part < 4 && at; part++) {
    parts[part] = ++at;
    at = strchr(at, '/');
    if (at) {
      *at = '\0';
    }
  }
  memset(value, 'x', SIZE);
  open_stores();
  if (!strcmp(parts[0], "http")) {
    snprintf(place, sizeof place, "127.0.0.1:%s", parts[3]);
  } else {
    snprintf(place, sizeof place, "CALLEE.nexus.internal");
  }
  if (!strcmp(parts[0], "fill")) {
    fill();
    respondf(out, 200, "{}");
    return;
  }
  for (size_t task = 0; task < sizeof TASKS / sizeof *TASKS; task++) {
    if (!strcmp(parts[0], TASKS[task].name)) {
      run(TASKS[task].act, TASKS[task].is_short, strtoull(parts[1], NULL, 10), strtoull(parts[2], NULL, 10), out);
      return;
    }
  }
  respondf(out, 404, "no such path\n");
}
