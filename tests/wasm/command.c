// A WASI command with subcommands, one for each thing that a command is granted.
// It ends with 0, with 1 and a line on stderr if something was refused, or with
// 2 if it was called wrongly.
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

/// Says what could not be done to what, and why.
static int refused(const char *what, const char *to) {
  fprintf(stderr, "%s %s: %s\n", what, to, strerror(errno));
  return 1;
}

static int copy(FILE *from, const char *name) {
  char buffer[4096];
  size_t length;
  while ((length = fread(buffer, 1, sizeof buffer, from)) > 0) {
    if (fwrite(buffer, 1, length, stdout) != length) {
      return refused("write", "stdout");
    }
  }
  return ferror(from) ? refused("read", name) : 0;
}

static int read_file(const char *path) {
  FILE *file = fopen(path, "r");
  if (!file) {
    return refused("open", path);
  }
  int failed = copy(file, path);
  fclose(file);
  return failed;
}

static int write_file(const char *path, const char *content) {
  FILE *file = fopen(path, "w");
  if (!file) {
    return refused("open", path);
  }
  int failed = fputs(content, file) < 0;
  failed |= fclose(file) != 0;
  return failed ? refused("write", path) : 0;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/// The names in a folder, sorted, without "." and "..".
static int list(const char *path) {
  DIR *folder = opendir(path);
  if (!folder) {
    return refused("open", path);
  }
  char **names = NULL;
  size_t count = 0;
  for (struct dirent *entry; (entry = readdir(folder));) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
      continue;
    }
    names = realloc(names, (count + 1) * sizeof *names);
    names[count++] = strdup(entry->d_name);
  }
  closedir(folder);
  qsort(names, count, sizeof *names, by_name);
  for (size_t i = 0; i < count; i++) {
    puts(names[i]);
  }
  return 0;
}

/// The wall clock in seconds, and what the monotonic clock went on by, in ns.
static int clocks(void) {
  struct timespec wall, before, after;
  if (clock_gettime(CLOCK_REALTIME, &wall) || clock_gettime(CLOCK_MONOTONIC, &before) ||
      clock_gettime(CLOCK_MONOTONIC, &after)) {
    return refused("read", "clock");
  }
  long long passed = (after.tv_sec - before.tv_sec) * 1000000000LL + (after.tv_nsec - before.tv_nsec);
  printf("wall %lld\nmonotonic %lld\n", (long long)wall.tv_sec, passed);
  return 0;
}

static int random_bytes(void) {
  unsigned char bytes[16];
  if (getentropy(bytes, sizeof bytes)) {
    return refused("read", "random");
  }
  for (size_t i = 0; i < sizeof bytes; i++) {
    printf("%02x", bytes[i]);
  }
  puts("");
  return 0;
}

int main(int argc, char **argv) {
  const char *subcommand = argc > 1 ? argv[1] : "";
  // Whether the subcommand is this one, with that many arguments of its own.
#define IS(name, arguments) (strcmp(subcommand, name) == 0 && argc == 2 + (arguments))
  if (strcmp(subcommand, "args") == 0) {
    for (int i = 2; i < argc; i++) {
      puts(argv[i]);
    }
    return 0;
  }
  if (IS("env", 0)) {
    for (char **variable = environ; *variable; variable++) {
      puts(*variable);
    }
    return 0;
  }
  if (IS("cat", 0)) {
    return copy(stdin, "stdin");
  }
  if (IS("exit", 1)) {
    exit(atoi(argv[2]));
  }
  if (IS("trap", 0)) {
    __builtin_trap();
  }
  if (IS("write", 2)) {
    return write_file(argv[2], argv[3]);
  }
  if (IS("read", 1)) {
    return read_file(argv[2]);
  }
  if (IS("ls", 1)) {
    return list(argv[2]);
  }
  if (IS("stderr", 1)) {
    fprintf(stderr, "%s\n", argv[2]);
    return 0;
  }
  if (IS("clock", 0)) {
    return clocks();
  }
  if (IS("random", 0)) {
    return random_bytes();
  }
  fprintf(stderr, "usage: command args … | env | cat | exit N | trap | write PATH TEXT | read PATH | ls PATH | "
                  "stderr TEXT | clock | random\n");
  return 2;
}
