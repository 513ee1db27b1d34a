// Checks of what WASI preview 1 promises, call by call: `wasi CHECK` for one of them, in the folder that is granted
// as `/` (its first entry below it), `wasi` for their names. It ends with 0, or with 1 and a line on stderr.
#include "wasi.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fail(int error, const char *file, int line) {
  if (error < 0) {
    fprintf(stderr, "%s:%d does not hold\n", file, line);
  } else {
    fprintf(stderr, "%s:%d gives error %d\n", file, line, error);
  }
  exit(1);
}

void expect(int error, const int *expected, const char *file, int line) {
  for (; *expected >= 0; expected++) {
    if (error == *expected) {
      return;
    }
  }
  fail(error, file, line);
}

int open_at(Fd folder, const char *path, __wasi_oflags_t how, __wasi_rights_t rights, Fd *opened) {
  return __wasi_path_open(folder, 0, path, how, rights, 0, 0, opened);
}

Fd opened(Fd folder, const char *path, __wasi_oflags_t how, __wasi_rights_t rights) {
  Fd fd = 0;
  OK(open_at(folder, path, how, rights, &fd));
  HOLDS(fd > 2);
  return fd;
}

size_t read_some(Fd file, void *into, size_t length) {
  size_t read;
  __wasi_iovec_t in = {into, length};
  OK(__wasi_fd_read(file, &in, 1, &read));
  return read;
}

void write_all(Fd file, const char *text) {
  size_t written;
  __wasi_ciovec_t out = {(const uint8_t *)text, strlen(text)};
  OK(__wasi_fd_write(file, &out, 1, &written));
  HOLDS(written == out.buf_len);
}

void make(Fd folder, const char *path, const char *content) {
  Fd fd = opened(folder, path, CREATE | __WASI_OFLAGS_TRUNC, WRITES);
  write_all(fd, content);
  OK(__wasi_fd_close(fd));
}

uint64_t seek(Fd file, int64_t by, __wasi_whence_t from) {
  uint64_t at;
  OK(__wasi_fd_seek(file, by, from, &at));
  return at;
}

bool has(Fd folder, const char *path, const char *content) {
  char found[100];
  Fd fd = opened(folder, path, 0, READS);
  size_t length = read_some(fd, found, sizeof found);
  OK(__wasi_fd_close(fd));
  return length == strlen(content) && memcmp(found, content, length) == 0;
}

__wasi_filestat_t stat_at(Fd folder, __wasi_lookupflags_t how, const char *path) {
  __wasi_filestat_t stat = {0};
  OK(__wasi_path_filestat_get(folder, how, path, &stat));
  return stat;
}

// --------------------------------------------------- what needs no folder

static void clocks(Fd folder) {
  for (int clock = __WASI_CLOCKID_REALTIME; clock <= __WASI_CLOCKID_MONOTONIC; clock++) {
    __wasi_timestamp_t resolution, before, now;
    OK(__wasi_clock_res_get(clock, &resolution));
    HOLDS(resolution > 0 && resolution <= 1000000000);
    OK(__wasi_clock_time_get(clock, resolution, &before));
    for (int i = 0; clock == __WASI_CLOCKID_MONOTONIC && i < 10000; i++, before = now) {
      OK(__wasi_clock_time_get(clock, 0, &now));
      HOLDS(now >= before);
    }
  }
  __wasi_timestamp_t time;
  GIVES(__wasi_clock_time_get(__WASI_CLOCKID_PROCESS_CPUTIME_ID, 0, &time), INVAL, NOTSUP, BADF);
}

static void random_numbers(Fd folder) {
  static uint8_t bytes[2][100000];
  const size_t lengths[] = {0, 1, 31, 4096, 4097, 100000};
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    memset(bytes, 0, sizeof bytes);
    OK(__wasi_random_get(bytes[0], lengths[i]));
    OK(__wasi_random_get(bytes[1], lengths[i]));
    // 31 bytes are alike once in the life of the world.
    HOLDS(lengths[i] < 31 || memcmp(bytes[0], bytes[1], lengths[i]) != 0);
    HOLDS(lengths[i] < 31 || memcmp(bytes[0] + lengths[i] - 31, (uint8_t[31]){0}, 31) != 0);
    for (size_t after = lengths[i]; after < sizeof bytes[0]; after++) {
      HOLDS(bytes[0][after] == 0);
    }
  }
}

static __wasi_subscription_t clock_after(uint64_t nanoseconds, int clock, bool absolute) {
  __wasi_subscription_t wait = {.userdata = 7, .u.tag = __WASI_EVENTTYPE_CLOCK};
  wait.u.u.clock.id = clock;
  wait.u.u.clock.timeout = nanoseconds;
  wait.u.u.clock.flags = absolute ? __WASI_SUBCLOCKFLAGS_SUBSCRIPTION_CLOCK_ABSTIME : 0;
  return wait;
}

static __wasi_subscription_t readiness(Fd fd, int tag) {
  __wasi_subscription_t wait = {.userdata = 100 + fd, .u.tag = tag};
  wait.u.u.fd_read.file_descriptor = fd;
  return wait;
}

/// One clock: from now on, at a time, at a time that is past.
static void poll_clock(Fd folder) {
  const uint64_t while_ = 5000000;
  for (int clock = __WASI_CLOCKID_REALTIME; clock <= __WASI_CLOCKID_MONOTONIC; clock++) {
    for (int kind = 0; kind < 3; kind++) {
      __wasi_timestamp_t before, after;
      OK(__wasi_clock_time_get(clock, 0, &before));
      const uint64_t until[] = {while_, before + while_, 1};
      __wasi_subscription_t wait = clock_after(until[kind], clock, kind > 0);
      __wasi_event_t event;
      size_t events;
      OK(__wasi_poll_oneoff(&wait, &event, 1, &events));
      HOLDS(events == 1 && event.userdata == 7 && event.error == 0 && event.type == __WASI_EVENTTYPE_CLOCK);
      OK(__wasi_clock_time_get(clock, 0, &after));
      HOLDS(clock == __WASI_CLOCKID_REALTIME || kind == 2 || after - before >= while_);
    }
  }
}

static void poll_nothing(Fd folder) {
  __wasi_subscription_t wait = readiness(99, __WASI_EVENTTYPE_FD_READ);
  __wasi_event_t event;
  size_t events = 0;
  GIVES(__wasi_poll_oneoff(&wait, &event, 0, &events), INVAL);
  // A descriptor that is none is the call's error, or the event's.
  int error = __wasi_poll_oneoff(&wait, &event, 1, &events);
  HOLDS(error == BADF || (error == 0 && events == 1 && event.error == BADF));
}

/// Waits for standard input and for a clock; whether input came, and then not the clock.
static bool input_comes_first(uint64_t nanoseconds) {
  const __wasi_subscription_t waits[] = {
      readiness(0, __WASI_EVENTTYPE_FD_READ), clock_after(nanoseconds, __WASI_CLOCKID_MONOTONIC, false)};
  __wasi_event_t found[2];
  size_t events;
  OK(__wasi_poll_oneoff(waits, found, 2, &events));
  HOLDS(events == 1 && found[0].error == 0);
  HOLDS(found[0].userdata == (found[0].type == __WASI_EVENTTYPE_CLOCK ? 7 : 100));
  return found[0].type == __WASI_EVENTTYPE_FD_READ;
}

/// When there is input, or its end.
static void poll_input(Fd folder) { HOLDS(input_comes_first(60000000000)); }

/// When there is none so far.
static void poll_no_input(Fd folder) { HOLDS(!input_comes_first(20000000)); }

static void poll_output(Fd folder) {
  for (Fd fd = 1; fd <= 2; fd++) {
    const __wasi_subscription_t waits[] = {
        clock_after(60000000000, __WASI_CLOCKID_MONOTONIC, false), readiness(fd, __WASI_EVENTTYPE_FD_WRITE)};
    __wasi_event_t found[2];
    size_t events;
    OK(__wasi_poll_oneoff(waits, found, 2, &events));
    HOLDS(events == 1 && found[0].userdata == 100u + fd && found[0].error == 0);
    HOLDS(found[0].type == __WASI_EVENTTYPE_FD_WRITE);
  }
}

/// There are none to be had, and nothing else is one.
static void sockets(Fd folder) {
  uint8_t byte;
  size_t moved;
  __wasi_roflags_t flags;
  __wasi_iovec_t in = {&byte, 1};
  __wasi_ciovec_t out = {&byte, 1};
  Fd accepted, file = opened(folder, "file", CREATE, READS | WRITES);
  const Fd none[] = {99, 0x7fffffff}, other[] = {0, 1, 2, file, folder};
  for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
    GIVES(__wasi_sock_shutdown(none[i], __WASI_SDFLAGS_RD), BADF);
    GIVES(__wasi_sock_accept(none[i], 0, &accepted), BADF);
    GIVES(__wasi_sock_recv(none[i], &in, 1, 0, &moved, &flags), BADF);
    GIVES(__wasi_sock_send(none[i], &out, 1, 0, &moved), BADF);
  }
  for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
    GIVES(__wasi_sock_shutdown(other[i], __WASI_SDFLAGS_RD | __WASI_SDFLAGS_WR), NOTSOCK);
    GIVES(__wasi_sock_accept(other[i], 0, &accepted), NOTSOCK);
    GIVES(__wasi_sock_recv(other[i], &in, 1, 0, &moved, &flags), NOTSOCK);
    GIVES(__wasi_sock_send(other[i], &out, 1, 0, &moved), NOTSOCK);
  }
}

/// Standard streams are neither files nor folders.
static void streams(Fd folder) {
  for (Fd fd = 0; fd <= 2; fd++) {
    __wasi_fdstat_t stat;
    __wasi_filestat_t file;
    OK(__wasi_fd_fdstat_get(fd, &stat));
    OK(__wasi_fd_filestat_get(fd, &file));
    HOLDS(stat.fs_filetype != __WASI_FILETYPE_DIRECTORY && file.filetype == stat.fs_filetype);
  }
  size_t moved;
  uint8_t byte = 'x';
  __wasi_iovec_t in = {&byte, 1};
  __wasi_ciovec_t out[] = {{&byte, 0}, {(const uint8_t *)"once\n", 5}};
  GIVES(__wasi_fd_read(1, &in, 1, &moved), BADF, NOTCAPABLE);
  GIVES(__wasi_fd_write(0, out, 1, &moved), BADF, NOTCAPABLE);
  OK(__wasi_fd_write(1, out, 2, &moved));
  HOLDS(moved == 5);
  OK(__wasi_sched_yield());
  // Their numbers are free for others.
  Fd fd = opened(folder, "file", CREATE, READS);
  OK(__wasi_fd_renumber(0, fd));
  __wasi_fdstat_t stat;
  GIVES(__wasi_fd_fdstat_get(0, &stat), BADF);
}

/// Folders that are granted come from 3 on, by their names, with all rights; they are closed like others.
static void granted(Fd folder) {
  __wasi_prestat_t stat;
  uint8_t name[100];
  OK(__wasi_fd_prestat_get(3, &stat));
  HOLDS(stat.tag == __WASI_PREOPENTYPE_DIR && stat.u.dir.pr_name_len == 1);
  OK(__wasi_fd_prestat_dir_name(3, name, 1));
  HOLDS(name[0] == '/');
  GIVES(__wasi_fd_prestat_dir_name(3, name, 0), INVAL, __WASI_ERRNO_NAMETOOLONG);
  GIVES(__wasi_fd_prestat_get(4, &stat), BADF);
  GIVES(__wasi_fd_prestat_get(0, &stat), BADF);
  GIVES(__wasi_fd_prestat_dir_name(4, name, 1), BADF, NOTDIR);
  __wasi_fdstat_t rights;
  OK(__wasi_fd_fdstat_get(3, &rights));
  HOLDS(rights.fs_filetype == __WASI_FILETYPE_DIRECTORY);
  HOLDS(rights.fs_rights_base & __WASI_RIGHTS_PATH_OPEN && rights.fs_rights_base & __WASI_RIGHTS_FD_READDIR);
  HOLDS(rights.fs_rights_inheriting & __WASI_RIGHTS_FD_READ && rights.fs_rights_inheriting & WRITES);
  OK(__wasi_fd_close(3));
  GIVES(__wasi_fd_prestat_get(3, &stat), BADF);
  make(folder, "file", "another descriptor of it stays");
}

static const struct {
  const char *name;
  void (*check)(Fd folder);
} CHECKS[] = {
#define CHECK(name) {#name, name}
    CHECK(open_flags),        CHECK(append),         CHECK(sizes),       CHECK(positions), CHECK(offsets),
    CHECK(timestamps),        CHECK(syncs),          CHECK(descriptors), CHECK(create_and_remove),
    CHECK(rename_and_unlink), CHECK(links),          CHECK(escapes),     CHECK(listing),   CHECK(paths),
    CHECK(clocks),            CHECK(random_numbers), CHECK(poll_clock),  CHECK(poll_nothing),
    CHECK(poll_input),        CHECK(poll_no_input),  CHECK(poll_output), CHECK(sockets),  CHECK(streams),
    CHECK(granted),
};

int main(int argc, char **argv) {
  for (size_t i = 0; i < sizeof CHECKS / sizeof *CHECKS; i++) {
    if (argc < 2) {
      puts(CHECKS[i].name);
    } else if (strcmp(argv[1], CHECKS[i].name) == 0) {
      CHECKS[i].check(opened(3, "inside", FOLDER, 0));
      return 0;
    }
  }
  return argc < 2 ? 0 : 2;
}
