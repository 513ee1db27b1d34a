// A guest that asks its database, and its settings: nexus:sql and wasi:config. The README.md beside it has its paths.
#include "answer.h"

typedef nexus_sql_database_error_t error_t;
typedef nexus_sql_database_value_t value_t;
typedef nexus_sql_database_outcome_t outcome_t;
typedef nexus_sql_database_borrow_connection_t connection_t;

/// An answer as it grows.
static char answer_text[1 << 20];
static size_t answer_length;

__attribute__((format(printf, 1, 2))) static void add(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  size_t room = sizeof answer_text - answer_length;
  int length = vsnprintf(answer_text + answer_length, room, format, arguments);
  va_end(arguments);
  answer_length += (size_t)length < room ? (size_t)length : room - 1;
}

/// Says why something was not done.
static void tell(outparam_t out, error_t *error) {
  static const char *const names[] = {"no-such-database", "access-denied", "unavailable", "quota", "invalid", "other"};
  const guest_string_t *why = &error->val.other;
  if (error->tag == NEXUS_SQL_DATABASE_ERROR_NO_SUCH_DATABASE) {
    respondf(out, 403, "%s", names[error->tag]);
  } else {
    respondf(out, 500, "%s: %.*s", names[error->tag], (int)why->len, why->ptr);
  }
}

/// Undoes percent-encoding, in place.
static void decode(char *at) {
  char *to = at;
  for (; *at; at++, to++) {
    *to = *at;
    if (*at == '%' && at[1] && at[2]) {
      char digits[] = {at[1], at[2], 0};
      *to = (char)strtoul(digits, NULL, 16);
      at += 2;
    }
  }
  *to = '\0';
}

/// A parameter: `n`, `i42`, `r1.5`, `ttext`, `b` and a text that stands for its bytes.
static value_t value(const char *from) {
  value_t made = {.tag = NEXUS_SQL_DATABASE_VALUE_NULL};
  if (*from == 'i') {
    made = (value_t){.tag = NEXUS_SQL_DATABASE_VALUE_INTEGER, .val.integer = strtoll(from + 1, NULL, 10)};
  } else if (*from == 'r') {
    made = (value_t){.tag = NEXUS_SQL_DATABASE_VALUE_REAL, .val.real = strtod(from + 1, NULL)};
  } else if (*from == 't') {
    made = (value_t){.tag = NEXUS_SQL_DATABASE_VALUE_TEXT, .val.text = text(from + 1)};
  } else if (*from == 'b') {
    made = (value_t){.tag = NEXUS_SQL_DATABASE_VALUE_BLOB, .val.blob = bytes(from + 1, strlen(from + 1))};
  }
  return made;
}

static void show(const value_t *shown) {
  switch (shown->tag) {
    case NEXUS_SQL_DATABASE_VALUE_INTEGER: add("%lld", (long long)shown->val.integer); break;
    case NEXUS_SQL_DATABASE_VALUE_REAL: add("%g", shown->val.real); break;
    case NEXUS_SQL_DATABASE_VALUE_TEXT: add("'%.*s'", (int)shown->val.text.len, shown->val.text.ptr); break;
    case NEXUS_SQL_DATABASE_VALUE_BLOB: add("%zu bytes", shown->val.blob.len); break;
    default: add("null");
  }
}

/// `a,b: 1,'x'; 2,null; (changes, row id)`
static void outcome(const outcome_t *shown) {
  for (size_t at = 0; at < shown->columns.len; at++) {
    add("%s%.*s", at ? "," : "", (int)shown->columns.ptr[at].len, shown->columns.ptr[at].ptr);
  }
  add(": ");
  for (size_t row = 0; row < shown->rows.len; row++) {
    for (size_t at = 0; at < shown->rows.ptr[row].len; at++) {
      add("%s", at ? "," : "");
      show(&shown->rows.ptr[row].ptr[at]);
    }
    add("; ");
  }
  add("(%llu, %lld)\n", (unsigned long long)shown->changes, (long long)shown->last_row_id);
}

static bool config(outparam_t out, const char *name) {
  wasi_config_store_error_t error;
  if (*name) {
    guest_string_t key = text(name);
    guest_option_string_t found;
    if (wasi_config_store_get(&key, &found, &error)) {
      found.is_some ? respondf(out, 200, "%.*s", (int)found.val.len, found.val.ptr) : respondf(out, 404, "none");
      return true;
    }
  } else {
    guest_list_tuple2_string_string_t all;
    if (wasi_config_store_get_all(&all, &error)) {
      for (size_t at = 0; at < all.len; at++) {
        add("%.*s=%.*s\n", (int)all.ptr[at].f0.len, all.ptr[at].f0.ptr, (int)all.ptr[at].f1.len, all.ptr[at].f1.ptr);
      }
      respond(out, 200, answer_text, answer_length);
      return true;
    }
  }
  return false;
}

void exports_wasi_http_incoming_handler_handle(
    exports_wasi_http_incoming_handler_own_incoming_request_t request,
    exports_wasi_http_incoming_handler_own_response_outparam_t out) {
  static char path[4096];
  path_of(wasi_http_types_borrow_incoming_request(request), path, sizeof path);
  answer_length = 0;
  // `/ACT/PART/PART/…`, each percent-encoded.
  char *parts[32] = {"", ""}, *at = path;
  size_t count = 0;
  while (at && count < 32) {
    parts[count++] = ++at;
    at = strchr(at, '/');
    if (at) {
      *at = '\0';
    }
  }
  for (size_t place = 0; place < count; place++) {
    decode(parts[place]);
  }
  const char *act = parts[0];
  if (!strcmp(act, "config")) {
    if (!config(out, parts[1])) {
      respondf(out, 500, "wasi:config failed");
    }
    return;
  }
  guest_string_t name = text(strcmp(act, "open") ? "DB" : parts[1]);
  nexus_sql_database_own_connection_t opened;
  error_t error;
  if (!nexus_sql_database_static_connection_open(&name, &opened, &error)) {
    tell(out, &error);
    return;
  }
  connection_t connection = nexus_sql_database_borrow_connection(opened);
  guest_string_t asked = text(parts[1]);
  bool done = true;
  if (!strcmp(act, "open")) {
    add("opened");
  } else if (!strcmp(act, "query") || !strcmp(act, "loop")) {
    // `/loop/N/TEXT/…` does the same N times, and shows the last outcome.
    size_t skip = !strcmp(act, "loop"), times = skip ? strtoull(parts[1], NULL, 10) : 1;
    asked = text(parts[1 + skip]);
    value_t values[30];
    for (size_t place = 2 + skip; place < count; place++) {
      values[place - 2 - skip] = value(parts[place]);
    }
    nexus_sql_database_list_value_t parameters = {values, count > 2 + skip ? count - 2 - skip : 0};
    for (size_t time = 1; done && time <= times; time++) {
      outcome_t result;
      done = nexus_sql_database_method_connection_query(connection, &asked, &parameters, &result, &error);
      if (done && time == times) {
        outcome(&result);
      }
      if (done) {
        nexus_sql_database_outcome_free(&result);
      }
    }
  } else if (!strcmp(act, "batch")) {
    nexus_sql_database_statement_t statements[30];
    for (size_t place = 1; place < count; place++) {
      statements[place - 1] = (nexus_sql_database_statement_t){.text = text(parts[place])};
    }
    nexus_sql_database_list_statement_t list = {statements, count - 1};
    nexus_sql_database_list_outcome_t results;
    done = nexus_sql_database_method_connection_batch(connection, &list, &results, &error);
    for (size_t place = 0; done && place < results.len; place++) {
      outcome(&results.ptr[place]);
    }
  } else if (!strcmp(act, "script")) {
    uint64_t ran;
    done = nexus_sql_database_method_connection_script(connection, &asked, &ran, &error);
    add("%llu statements", (unsigned long long)(done ? ran : 0));
  } else {
    respondf(out, 404, "no such path\n");
    return;
  }
  if (done) {
    respond(out, 200, answer_text, answer_length);
  } else {
    tell(out, &error);
  }
}
