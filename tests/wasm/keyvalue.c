// A guest that keeps something: wasi:keyvalue, in its first draft, or with DRAFT2 in its second. The README.md beside it has
// its paths.
#include "answer.h"

#ifdef DRAFT2
#define K(name) wasi_keyvalue_0_2_0_draft2_##name
typedef int64_t number_t;
#define CURSOR guest_string_t
#define OTHER WASI_KEYVALUE_0_2_0_DRAFT2_STORE_ERROR_OTHER
#else
#define K(name) wasi_keyvalue_0_2_0_draft_##name
typedef uint64_t number_t;
#define CURSOR uint64_t
#define OTHER WASI_KEYVALUE_0_2_0_DRAFT_STORE_ERROR_OTHER
#endif

typedef K(store_own_bucket_t) bucket_t;
typedef K(store_error_t) error_t;

/// Says why something was not done.
static void tell(outparam_t out, error_t *error) {
  static const char *const names[] = {"no-such-store", "access-denied", "other"};
  if (error->tag == OTHER) {
    respondf(out, 500, "other: %.*s", (int)error->val.other.len, error->val.other.ptr);
  } else {
    respondf(out, 403, "%s", names[error->tag]);
  }
}

/// All keys, a page after the other, one a line.
static void keys(outparam_t out, bucket_t bucket) {
  char *all = calloc(1, 1 << 20);
  size_t length = 0, pages = 0;
  CURSOR cursor, *from = NULL;
  for (;;) {
    K(store_key_response_t) page;
    error_t error;
    if (!K(store_method_bucket_list_keys)(K(store_borrow_bucket)(bucket), from, &page, &error)) {
      tell(out, &error);
      return;
    }
    pages++;
    for (size_t at = 0; at < page.keys.len && length < (1 << 20) - 600; at++) {
      memcpy(all + length, page.keys.ptr[at].ptr, page.keys.ptr[at].len);
      length += page.keys.ptr[at].len;
      all[length++] = '\n';
    }
    if (!page.cursor.is_some) {
      break;
    }
    cursor = page.cursor.val;
    from = &cursor;
  }
  length += snprintf(all + length, 40, "%zu pages\n", pages);
  respond(out, 200, all, length);
}

/// A number of entries at once: `PREFIX0` and so on, each with its own name as its value.
static void many(outparam_t out, bucket_t bucket, const char *prefix, size_t count) {
  char (*names)[64] = calloc(count, sizeof *names);
  guest_tuple2_string_list_u8_t *entries = calloc(count, sizeof *entries);
  guest_string_t *all = calloc(count, sizeof *all);
  for (size_t at = 0; at < count; at++) {
    snprintf(names[at], sizeof *names, "%s%zu", prefix, at);
    all[at] = text(names[at]);
    entries[at] = (guest_tuple2_string_list_u8_t){text(names[at]), bytes(names[at], strlen(names[at]))};
  }
  guest_list_tuple2_string_list_u8_t list = {entries, count};
  guest_list_string_t asked = {all, count};
  guest_list_option_tuple2_string_list_u8_t found;
  error_t error;
  K(store_borrow_bucket_t) borrowed = K(store_borrow_bucket)(bucket);
  if (!K(batch_set_many)(borrowed, &list, &error) || !K(batch_get_many)(borrowed, &asked, &found, &error)) {
    tell(out, &error);
    return;
  }
  size_t right = 0;
  for (size_t at = 0; at < found.len; at++) {
    guest_tuple2_string_list_u8_t *pair = &found.ptr[at].val;
    right += found.ptr[at].is_some && pair->f0.len == all[at].len && pair->f1.len == all[at].len &&
        !memcmp(pair->f0.ptr, all[at].ptr, all[at].len) && !memcmp(pair->f1.ptr, all[at].ptr, all[at].len);
  }
  // All but the first go again.
  guest_list_string_t rest = {all + 1, count - 1};
  if (!K(batch_delete_many)(borrowed, &rest, &error) || !K(batch_get_many)(borrowed, &asked, &found, &error)) {
    tell(out, &error);
    return;
  }
  size_t left = 0;
  for (size_t at = 0; at < found.len; at++) {
    left += found.ptr[at].is_some;
  }
  respondf(out, 200, "%zu right, %zu left", right, left);
}

#ifdef DRAFT2
/// Puts a value in the place of what there is, unless that has changed meanwhile: with `again`, it does, and the handle for
/// another attempt is used.
static void swap(outparam_t out, bucket_t bucket, const char *name, const char *value, bool again) {
  guest_string_t key = text(name);
  K(atomics_own_cas_t) cas;
  error_t error;
  guest_option_list_u8_t current;
  K(store_borrow_bucket_t) borrowed = K(store_borrow_bucket)(bucket);
  if (!K(atomics_static_cas_new)(borrowed, &key, &cas, &error) ||
      !K(atomics_method_cas_current)(K(atomics_borrow_cas)(cas), &current, &error)) {
    tell(out, &error);
    return;
  }
  guest_list_u8_t content = bytes(value, strlen(value)), other = bytes("other", 5);
  if (again && !K(store_method_bucket_set)(borrowed, &key, &other, &error)) {
    tell(out, &error);
    return;
  }
  int attempts = 1;
  K(atomics_cas_error_t) why;
  while (!K(atomics_swap)(cas, &content, &why)) {
    if (why.tag != WASI_KEYVALUE_0_2_0_DRAFT2_ATOMICS_CAS_ERROR_CAS_FAILED) {
      tell(out, &why.val.store_error);
      return;
    }
    cas = why.val.cas_failed;
    attempts++;
  }
  respondf(out, 200, "was %.*s, attempt %d", current.is_some ? (int)current.val.len : 4,
      current.is_some ? (char *)current.val.ptr : "none", attempts);
}
#endif

static void answer(outparam_t out, const char *act, const char *name, const char *value) {
  guest_string_t binding = text(strcmp(act, "open") ? "KV" : name), key = text(name);
  bucket_t bucket;
  error_t error;
  if (!K(store_open)(&binding, &bucket, &error)) {
    tell(out, &error);
    return;
  }
  K(store_borrow_bucket_t) borrowed = K(store_borrow_bucket)(bucket);
  bool done = true;
  if (!strcmp(act, "open")) {
    respondf(out, 200, "opened");
  } else if (!strcmp(act, "get")) {
    guest_option_list_u8_t found;
    done = K(store_method_bucket_get)(borrowed, &key, &found, &error);
    if (done && found.is_some) {
      respond(out, 200, (char *)found.val.ptr, found.val.len);
    } else if (done) {
      respondf(out, 404, "none");
    }
  } else if (!strcmp(act, "set")) {
    guest_list_u8_t content = bytes(value, strlen(value));
    done = K(store_method_bucket_set)(borrowed, &key, &content, &error);
    if (done) {
      respondf(out, 200, "set");
    }
  } else if (!strcmp(act, "large")) {
    size_t size = strtoull(value, NULL, 10);
    guest_list_u8_t content = bytes(calloc(1, size), size);
    done = K(store_method_bucket_set)(borrowed, &key, &content, &error);
    if (done) {
      respondf(out, 200, "set");
    }
  } else if (!strcmp(act, "delete")) {
    done = K(store_method_bucket_delete)(borrowed, &key, &error);
    if (done) {
      respondf(out, 200, "deleted");
    }
  } else if (!strcmp(act, "exists")) {
    bool exists;
    done = K(store_method_bucket_exists)(borrowed, &key, &exists, &error);
    if (done) {
      respondf(out, 200, exists ? "yes" : "no");
    }
  } else if (!strcmp(act, "add")) {
    number_t sum;
    done = K(atomics_increment)(borrowed, &key, (number_t)strtoll(value, NULL, 10), &sum, &error);
    if (done) {
      respondf(out, 200, "%lld", (long long)sum);
    }
  } else if (!strcmp(act, "keys")) {
    keys(out, bucket);
  } else if (!strcmp(act, "many")) {
    many(out, bucket, name, strtoull(value, NULL, 10));
#ifdef DRAFT2
  } else if (!strcmp(act, "swap") || !strcmp(act, "race")) {
    swap(out, bucket, name, value, !strcmp(act, "race"));
#endif
  } else if (!strcmp(act, "loop")) {
    for (size_t at = 0, count = strtoull(value, NULL, 10); done && at < count; at++) {
      guest_option_list_u8_t found;
      done = K(store_method_bucket_get)(borrowed, &key, &found, &error);
      if (done && found.is_some) {
        guest_option_list_u8_free(&found);
      }
    }
    if (done) {
      respondf(out, 200, "looped");
    }
  } else {
    respondf(out, 404, "no such path\n");
  }
  if (!done) {
    tell(out, &error);
  }
}

void exports_wasi_http_incoming_handler_handle(
    exports_wasi_http_incoming_handler_own_incoming_request_t request,
    exports_wasi_http_incoming_handler_own_response_outparam_t out) {
  static char path[2048];
  path_of(wasi_http_types_borrow_incoming_request(request), path, sizeof path);
  // `/ACT/NAME/VALUE`
  char *parts[3] = {"", "", ""}, *at = path;
  for (size_t place = 0; place < 3 && at; place++) {
    parts[place] = ++at;
    at = strchr(at, '/');
    if (at) {
      *at = '\0';
    }
  }
  answer(out, parts[0], parts[1], parts[2]);
}
