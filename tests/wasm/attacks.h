// The paths of http.c that a host must survive: loops, growth, recursion, traps
// and answers that never come.
#pragma once
#include "answer.h"

/// What the loops below write to, so that they are not optimised away.
static volatile uint64_t sink;

__attribute__((noreturn)) static void loop(void) {
  for (;;) {
    sink += 1;
  }
}

static void spin(ask_t ask, outparam_t out) {
  if (!*ask.rest) {
    loop();
  }
  uint64_t until = wasi_clocks_monotonic_clock_now() + strtoull(ask.rest, NULL, 10) * 1000000;
  while (wasi_clocks_monotonic_clock_now() < until) {
    for (int i = 0; i < 10000; i++) {
      sink += i;
    }
  }
  respondf(out, 200, "spun");
}

static void spin_after(ask_t ask, outparam_t out) {
  respondf(out, 200, "answered\n");
  loop();
}

static void grow(ask_t ask, outparam_t out) {
  long steps = *ask.rest ? atol(ask.rest) : -1;
  for (long i = 0; i != steps; i++) {
    volatile char *more = malloc(1 << 20);
    if (!more) {
      if (steps < 0) {
        abort();
      }
      respondf(out, 200, "refused");
      return;
    }
    for (size_t page = 0; page < 1 << 20; page += 4096) {
      more[page] = 1;
    }
  }
  respondf(out, 200, "grown");
}

/// Goes down until `depth` is `most`. The sink is read after the call, so
/// that the recursion cannot become a loop; nothing is kept in memory, so that
/// it is the engine's stack that ends.
__attribute__((noinline)) static uint64_t down(uint64_t depth, uint64_t most) {
  if (depth == most) {
    return depth;
  }
  uint64_t below = down(depth + 1, most);
  return below ^ sink;
}

static void recurse(ask_t ask, outparam_t out) {
  sink = down(0, UINT64_MAX);
  respondf(out, 200, "returned");
}

static void trap(ask_t ask, outparam_t out) { __builtin_trap(); }

static void silent(ask_t ask, outparam_t out) {}

static void error(ask_t ask, outparam_t out) {
  wasi_http_types_result_own_outgoing_response_error_code_t result = {.is_err = true};
  result.val.err.tag = WASI_HTTP_TYPES_ERROR_CODE_INTERNAL_ERROR;
  result.val.err.val.internal_error.is_some = true;
  result.val.err.val.internal_error.val = text("the guest gives up");
  wasi_http_types_static_response_outparam_set(out, &result);
}

static void resources(ask_t ask, outparam_t out) {
  int made = 0;
  while (made < 1000000) {
    sink += wasi_http_types_constructor_fields().__handle;
    made++;
  }
  respondf(out, 200, "%d", made);
}
