// A command that works on folders: it counts the words of the texts in one, and
// writes a report into another. It reaches what it is granted and nothing else:
//
//     mkdir reports
//     nexus run --allow-read texts --allow-write reports words.wasm texts reports
//
// words.wasm is a core module of WASI preview 1. Any C compiler for
// wasm32-wasi makes it, Zig's for one:
//
//     zig cc -target wasm32-wasi -Os -s -o words.wasm words.c
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct counts {
  long words, lines;
};

/// Says what could not be done with a file or folder, and ends.
static void fail(const char *what, const char *path) {
  fprintf(stderr, "words: cannot %s %s: %s\n", what, path, strerror(errno));
  exit(1);
}

static int is_text(const char *name) {
  const char *ending = strrchr(name, '.');
  return ending && strcmp(ending, ".txt") == 0;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/// The names of the texts in a folder, sorted; sets how many there are.
static char **texts_in(const char *folder, int *found) {
  char **names = NULL;
  *found = 0;
  DIR *entries = opendir(folder);
  if (!entries) {
    fail("list", folder);
  }
  for (struct dirent *entry; (entry = readdir(entries));) {
    if (is_text(entry->d_name)) {
      names = realloc(names, (*found + 1) * sizeof *names);
      names[(*found)++] = strdup(entry->d_name);
    }
  }
  closedir(entries);
  qsort(names, *found, sizeof *names, by_name);
  return names;
}

static FILE *open_in(const char *folder, const char *name, const char *mode) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, mode);
  if (!file) {
    fail("open", path);
  }
  return file;
}

static struct counts count(const char *folder, const char *name) {
  struct counts counts = {0};
  FILE *file = open_in(folder, name, "r");
  for (int byte, is_within = 0; (byte = getc(file)) != EOF;) {
    counts.lines += byte == '\n';
    counts.words += !isspace(byte) && !is_within;
    is_within = !isspace(byte);
  }
  if (ferror(file)) {
    fail("read", name);
  }
  fclose(file);
  return counts;
}

int main(int argc, char **argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: words TEXTS REPORTS\n");
    return 2;
  }
  int found;
  char **texts = texts_in(argv[1], &found);
  FILE *report = open_in(argv[2], "words.txt", "w");
  struct counts all = {0};
  fprintf(report, "%8s %8s\n", "words", "lines");
  for (int i = 0; i < found; i++) {
    struct counts one = count(argv[1], texts[i]);
    fprintf(report, "%8ld %8ld  %s\n", one.words, one.lines, texts[i]);
    all.words += one.words;
    all.lines += one.lines;
  }
  fprintf(report, "%8ld %8ld  in all\n", all.words, all.lines);
  if (fclose(report) != 0) {
    fail("write", "the report");
  }
  printf("%ld words in %d texts: %s/words.txt\n", all.words, found, argv[2]);
}
