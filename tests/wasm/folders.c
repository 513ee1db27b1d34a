// Checks of folders and of the names in them: making and removing, links, lists, and ways out.
#include "wasi.h"

#include <stdio.h>
#include <string.h>

static int make_folder(Fd folder, const char *path) { return __wasi_path_create_directory(folder, path); }
static int remove_folder(Fd folder, const char *path) { return __wasi_path_remove_directory(folder, path); }
static int unlink_file(Fd folder, const char *path) { return __wasi_path_unlink_file(folder, path); }
static int move(Fd folder, const char *from, const char *to) {
  return __wasi_path_rename(folder, from, folder, to);
}
static int link_file(Fd folder, const char *from, const char *to) {
  return __wasi_path_link(folder, 0, from, folder, to);
}
static int link_to(const char *content, Fd folder, const char *path) {
  return __wasi_path_symlink(content, folder, path);
}

void create_and_remove(Fd folder) {
  OK(make_folder(folder, "a"));
  GIVES(make_folder(folder, "a"), EXISTS);
  OK(make_folder(folder, "a/b"));
  GIVES(make_folder(folder, "no/b"), NOENT);
  HOLDS(stat_at(folder, 0, "a/b").filetype == __WASI_FILETYPE_DIRECTORY);
  GIVES(remove_folder(folder, "a"), NOTEMPTY);
  make(folder, "a/file", "");
  GIVES(remove_folder(folder, "a/file"), NOTDIR);
  GIVES(unlink_file(folder, "a/b"), ISDIR, PERM);
  GIVES(unlink_file(folder, "a/b/"), ISDIR, PERM);
  GIVES(unlink_file(folder, "a/file/"), NOTDIR);
  OK(remove_folder(folder, "a/b"));
  OK(unlink_file(folder, "a/file"));
  GIVES(unlink_file(folder, "a/file"), NOENT);
  OK(remove_folder(folder, "a"));
  GIVES(remove_folder(folder, "a"), NOENT);
  // A file is no folder to begin at.
  Fd file = opened(folder, "file", CREATE, READS), fd;
  GIVES(open_at(file, "below", CREATE, READS, &fd), NOTDIR, BADF, NOTCAPABLE);
}

void rename_and_unlink(Fd folder) {
  make(folder, "a", "a");
  OK(move(folder, "a", "b"));
  HOLDS(has(folder, "b", "a"));
  GIVES(move(folder, "a", "b"), NOENT);
  make(folder, "a", "new");
  OK(move(folder, "a", "b"));
  HOLDS(has(folder, "b", "new"));
  OK(make_folder(folder, "empty"));
  GIVES(move(folder, "b", "empty"), ISDIR);
  GIVES(move(folder, "empty", "b"), NOTDIR);
  OK(make_folder(folder, "full"));
  OK(move(folder, "b", "full/b"));
  GIVES(move(folder, "empty", "full"), NOTEMPTY);
  OK(move(folder, "full/", "empty/"));
  HOLDS(has(folder, "empty/b", "new"));
  GIVES(move(folder, "empty", "empty/below"), INVAL);
}

void links(Fd folder) {
  make(folder, "file", "content");
  OK(link_file(folder, "file", "other"));
  __wasi_filestat_t file = stat_at(folder, 0, "file"), other = stat_at(folder, 0, "other");
  HOLDS(file.ino == other.ino && file.dev == other.dev && file.nlink == 2 && other.nlink == 2);
  GIVES(link_file(folder, "file", "other"), EXISTS);
  OK(make_folder(folder, "a"));
  GIVES(link_file(folder, "a", "b"), PERM, __WASI_ERRNO_ACCES);
  GIVES(__wasi_path_link(folder, FOLLOW, "file", folder, "third"), INVAL, 0);

  OK(link_to("file", folder, "link"));
  GIVES(link_to("file", folder, "link"), EXISTS);
  uint8_t content[6] = "------";
  size_t length;
  OK(__wasi_path_readlink(folder, "link", content, sizeof content, &length));
  HOLDS(length == 4 && memcmp(content, "file--", 6) == 0);
  OK(__wasi_path_readlink(folder, "link", content, 2, &length));
  HOLDS(length == 2);
  GIVES(__wasi_path_readlink(folder, "file", content, sizeof content, &length), INVAL);
  HOLDS(stat_at(folder, 0, "link").filetype == __WASI_FILETYPE_SYMBOLIC_LINK);
  HOLDS(stat_at(folder, FOLLOW, "link").filetype == __WASI_FILETYPE_REGULAR_FILE);
  Fd fd;
  GIVES(open_at(folder, "link", 0, READS, &fd), LOOP);
  OK(__wasi_path_open(folder, FOLLOW, "link", 0, READS, 0, 0, &fd));
  GIVES(__wasi_path_open(folder, FOLLOW, "link", FOLDER, READS, 0, 0, &fd), NOTDIR);
  OK(unlink_file(folder, "link"));
  HOLDS(has(folder, "file", "content"));

  OK(link_to("nothing", folder, "dangling"));
  GIVES(__wasi_path_open(folder, FOLLOW, "dangling", 0, READS, 0, 0, &fd), NOENT);
  GIVES(open_at(folder, "dangling", FOLDER, READS, &fd), NOTDIR, LOOP);
  OK(link_to("loop", folder, "loop"));
  GIVES(__wasi_path_open(folder, FOLLOW, "loop", 0, READS, 0, 0, &fd), LOOP);
}

/// Neither a path nor a link leads out of a folder. Beside this one lies `outside`, and the host has made links to
/// it here: `relative` and `absolute`.
void escapes(Fd folder) {
  Fd fd;
  const char *ways[] = {"..",         "../outside",         "a/../../outside", "/",       "/outside",
                        "a/b/../../../outside", "up",    "up/outside",      "relative", "absolute"};
  OK(make_folder(folder, "a"));
  OK(make_folder(folder, "a/b"));
  OK(link_to("..", folder, "up"));
  for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
    const char *way = ways[i];
    __wasi_filestat_t stat;
    GIVES(__wasi_path_open(folder, FOLLOW, way, 0, READS, 0, 0, &fd), PERM, NOTCAPABLE);
    GIVES(__wasi_path_open(folder, FOLLOW, way, CREATE | __WASI_OFLAGS_TRUNC, WRITES, 0, 0, &fd), PERM, NOTCAPABLE);
    GIVES(__wasi_path_filestat_get(folder, FOLLOW, way, &stat), PERM, NOTCAPABLE);
  }
  make(folder, "file", "");
  for (size_t i = 1; i < 6; i++) {
    const char *way = ways[i];
    GIVES(make_folder(folder, way), PERM, NOTCAPABLE);
    GIVES(remove_folder(folder, way), PERM, NOTCAPABLE, INVAL);
    GIVES(unlink_file(folder, way), PERM, NOTCAPABLE);
    GIVES(move(folder, "file", way), PERM, NOTCAPABLE);
    GIVES(move(folder, way, "file"), PERM, NOTCAPABLE);
    GIVES(link_file(folder, way, "new"), PERM, NOTCAPABLE);
    GIVES(link_file(folder, "file", way), PERM, NOTCAPABLE);
    GIVES(link_to("file", folder, way), PERM, NOTCAPABLE);
  }
  GIVES(link_to("/outside", folder, "new"), PERM, NOTCAPABLE);
  HOLDS(has(folder, "a/../a/./b/../..//file", ""));
}

/// One call's entries: how many are whole, what the next one's cookie is, and which names were seen.
static int list(Fd folder, uint8_t *bytes, size_t size, uint64_t *cookie, int *seen, size_t *used) {
  OK(__wasi_fd_readdir(folder, bytes, size, *cookie, used));
  int entries = 0;
  __wasi_dirent_t entry;
  for (size_t at = 0; at + sizeof entry <= *used; entries++) {
    memcpy(&entry, bytes + at, sizeof entry);
    if (at + sizeof entry + entry.d_namlen > *used) {
      break;
    }
    char name[32] = "";
    HOLDS(entry.d_namlen < sizeof name);
    memcpy(name, bytes + at + sizeof entry, entry.d_namlen);
    int number;
    if (sscanf(name, "file-%d", &number) == 1) {
      seen[number]++;
      HOLDS(entry.d_type == __WASI_FILETYPE_REGULAR_FILE && entry.d_ino == stat_at(folder, 0, name).ino);
    } else {
      HOLDS(entry.d_type == __WASI_FILETYPE_DIRECTORY && (strcmp(name, ".") == 0 || strcmp(name, "..") == 0));
    }
    at += sizeof entry + entry.d_namlen;
    *cookie = entry.d_next;
  }
  return entries;
}

/// With a buffer for a few entries at a time each comes once; with one for all of them in one call; and a cookie
/// goes on where it was given.
void listing(Fd folder) {
  enum { FILES = 200 };
  static uint8_t small[100], large[20000];
  static int seen[FILES];
  char name[32];
  size_t used;
  uint64_t cookie = 0;
  HOLDS(list(folder, small, sizeof small, &cookie, seen, &used) == 2 && used < sizeof small);
  for (int i = 0; i < FILES; i++) {
    snprintf(name, sizeof name, "file-%d", i);
    make(folder, name, "");
  }
  cookie = 0;
  int entries = 0;
  do {
    entries += list(folder, small, sizeof small, &cookie, seen, &used);
  } while (used == sizeof small);
  HOLDS(entries == FILES + 2);
  for (int i = 0; i < FILES; i++) {
    HOLDS(seen[i] == 1);
  }
  cookie = 0;
  HOLDS(list(folder, large, sizeof large, &cookie, seen, &used) == FILES + 2);
  uint64_t end = cookie;
  HOLDS(list(folder, large, sizeof large, &end, seen, &used) == 0 && used == 0);
  __wasi_dirent_t first;
  OK(__wasi_fd_readdir(folder, large, sizeof large, 0, &used));
  memcpy(&first, large, sizeof first);
  cookie = first.d_next;
  HOLDS(list(folder, large, sizeof large, &cookie, seen, &used) == FILES + 1);
  GIVES(__wasi_fd_readdir(1, small, sizeof small, 0, &used), BADF, NOTDIR);
}

int path_open(Fd, int, const char *, int, int, int64_t, int64_t, int, Fd *)
    __attribute__((import_module("wasi_snapshot_preview1"), import_name("path_open")));

/// Names that are unusual, or none.
void paths(Fd folder) {
  make(folder, "ä ö\n", "1");
  HOLDS(has(folder, "./ä ö\n", "1"));
  Fd fd;
  GIVES(open_at(folder, "ä ö\n/", 0, READS, &fd), NOTDIR, NOENT);
  GIVES(open_at(folder, "", CREATE, READS, &fd), NOENT, INVAL);
  GIVES(path_open(folder, 0, "\xff\xfe", 2, CREATE, READS, 0, 0, &fd), ILSEQ, INVAL);
  GIVES(path_open(folder, 0, "with\0nul", 8, CREATE, READS, 0, 0, &fd), ILSEQ, INVAL, NOENT);
  char name[300];
  memset(name, 'x', sizeof name);
  GIVES(path_open(folder, 0, name, sizeof name, CREATE, READS, 0, 0, &fd), __WASI_ERRNO_NAMETOOLONG);
  OK(path_open(folder, 0, name, 255, CREATE, READS, 0, 0, &fd));
  GIVES(open_at(99, "file", 0, READS, &fd), BADF);
}
