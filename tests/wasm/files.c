// Checks of files that are open: what they are opened for, their positions, sizes, times and descriptors.
#include "wasi.h"

#include <string.h>

/// Each flag does what it says, and a descriptor can no more than it was opened for.
void open_flags(Fd folder) {
  Fd fd;
  GIVES(open_at(folder, "file", 0, READS, &fd), NOENT);
  make(folder, "file", "content");
  GIVES(open_at(folder, "file", CREATE | __WASI_OFLAGS_EXCL, READS, &fd), EXISTS);
  GIVES(open_at(folder, "file", FOLDER, READS, &fd), NOTDIR);
  GIVES(open_at(folder, ".", FOLDER, READS | WRITES, &fd), ISDIR);
  OK(__wasi_fd_close(opened(folder, "file", CREATE, READS)));
  HOLDS(has(folder, "file", "content"));

  size_t moved;
  char byte = 'x';
  __wasi_iovec_t in = {(uint8_t *)&byte, 1};
  __wasi_ciovec_t out = {(uint8_t *)&byte, 1};
  __wasi_fdstat_t stat;
  Fd reads = opened(folder, "file", 0, READS);
  GIVES(__wasi_fd_write(reads, &out, 1, &moved), BADF, NOTCAPABLE);
  OK(__wasi_fd_fdstat_get(reads, &stat));
  HOLDS(stat.fs_filetype == __WASI_FILETYPE_REGULAR_FILE);
  HOLDS((stat.fs_rights_base & __WASI_RIGHTS_FD_READ) && !(stat.fs_rights_base & WRITES));
  Fd writes = opened(folder, "file", 0, WRITES);
  GIVES(__wasi_fd_read(writes, &in, 1, &moved), BADF, NOTCAPABLE);
  OK(__wasi_fd_fdstat_get(writes, &stat));
  HOLDS(!(stat.fs_rights_base & __WASI_RIGHTS_FD_READ) && (stat.fs_rights_base & WRITES));
  // What one wrote the other reads at once.
  write_all(writes, "new");
  char start[3];
  HOLDS(read_some(reads, start, 3) == 3 && memcmp(start, "new", 3) == 0);
  // A folder is read by entries only.
  GIVES(__wasi_fd_read(folder, &in, 1, &moved), BADF, ISDIR);
  GIVES(__wasi_fd_write(folder, &out, 1, &moved), BADF, ISDIR);

  Fd empty = opened(folder, "file", __WASI_OFLAGS_TRUNC, READS | WRITES);
  HOLDS(read_some(empty, start, 3) == 0 && stat_at(folder, 0, "file").size == 0);
}

/// Whatever the position is, writing begins at the end, until the flag is taken away.
void append(Fd folder) {
  make(folder, "file", "one ");
  Fd fd;
  OK(__wasi_path_open(folder, 0, "file", 0, READS | WRITES, 0, __WASI_FDFLAGS_APPEND, &fd));
  __wasi_fdstat_t stat;
  OK(__wasi_fd_fdstat_get(fd, &stat));
  HOLDS(stat.fs_flags & __WASI_FDFLAGS_APPEND);
  write_all(fd, "two ");
  HOLDS(seek(fd, 0, __WASI_WHENCE_SET) == 0);
  write_all(fd, "three");
  HOLDS(has(folder, "file", "one two three"));
  OK(__wasi_fd_fdstat_set_flags(fd, 0));
  HOLDS(seek(fd, 0, __WASI_WHENCE_SET) == 0);
  write_all(fd, "ONE");
  HOLDS(has(folder, "file", "ONE two three"));
}

void sizes(Fd folder) {
  Fd fd = opened(folder, "file", CREATE, READS | WRITES | __WASI_RIGHTS_FD_FILESTAT_SET_SIZE);
  write_all(fd, "12345");
  OK(__wasi_fd_filestat_set_size(fd, 2));
  HOLDS(has(folder, "file", "12"));
  OK(__wasi_fd_filestat_set_size(fd, 4));
  HOLDS(stat_at(folder, 0, "file").size == 4);
  char content[5];
  seek(fd, 0, __WASI_WHENCE_SET);
  HOLDS(read_some(fd, content, 5) == 4 && memcmp(content, "12\0", 4) == 0);
  // Nothing is written for a hint, and there is no allocation ahead.
  for (int advice = __WASI_ADVICE_NORMAL; advice <= __WASI_ADVICE_NOREUSE; advice++) {
    OK(__wasi_fd_advise(fd, 0, 100, advice));
  }
  GIVES(__wasi_fd_allocate(fd, 0, 100), NOTSUP, 0);
  GIVES(__wasi_fd_filestat_set_size(folder, 0), BADF, ISDIR, INVAL);
  GIVES(__wasi_fd_filestat_set_size(opened(folder, "file", 0, READS), 0), INVAL, BADF, PERM, NOTCAPABLE);
}

void positions(Fd folder) {
  make(folder, "file", "0123456789");
  Fd fd = opened(folder, "file", 0, READS | WRITES);
  char byte;
  HOLDS(seek(fd, 0, __WASI_WHENCE_CUR) == 0);
  HOLDS(read_some(fd, &byte, 1) == 1 && byte == '0');
  HOLDS(seek(fd, 4, __WASI_WHENCE_CUR) == 5);
  HOLDS(read_some(fd, &byte, 1) == 1 && byte == '5');
  HOLDS(seek(fd, -1, __WASI_WHENCE_END) == 9);
  HOLDS(read_some(fd, &byte, 1) == 1 && byte == '9');
  HOLDS(read_some(fd, &byte, 1) == 0);
  uint64_t at;
  GIVES(__wasi_fd_seek(fd, -11, __WASI_WHENCE_CUR, &at), INVAL);
  GIVES(__wasi_fd_seek(fd, -1, __WASI_WHENCE_SET, &at), INVAL);
  OK(__wasi_fd_tell(fd, &at));
  HOLDS(at == 10);
  // Beyond the end there is nothing, until something is written there.
  HOLDS(seek(fd, 12, __WASI_WHENCE_SET) == 12 && read_some(fd, &byte, 1) == 0);
  write_all(fd, "!");
  OK(__wasi_fd_tell(fd, &at));
  HOLDS(at == 13 && stat_at(folder, 0, "file").size == 13);
  GIVES(__wasi_fd_seek(folder, 0, __WASI_WHENCE_CUR, &at), BADF, ISDIR, NOTCAPABLE);
  GIVES(__wasi_fd_tell(folder, &at), BADF, ISDIR, NOTCAPABLE);
  GIVES(__wasi_fd_seek(1, 0, __WASI_WHENCE_CUR, &at), SPIPE, BADF, NOTCAPABLE);
}

/// Reading and writing at an offset leave the position alone, and take several buffers.
void offsets(Fd folder) {
  make(folder, "file", "0123456789");
  Fd fd = opened(folder, "file", 0, READS | WRITES);
  seek(fd, 3, __WASI_WHENCE_SET);
  char first[2], second[8];
  __wasi_iovec_t in[] = {{(uint8_t *)first, 0}, {(uint8_t *)first, 2}, {(uint8_t *)second, 8}};
  size_t moved;
  OK(__wasi_fd_pread(fd, in, 3, 6, &moved));
  HOLDS(moved >= 2 && moved <= 4 && memcmp(first, "67", 2) == 0);
  OK(__wasi_fd_pread(fd, in, 3, 10, &moved));
  HOLDS(moved == 0);
  __wasi_ciovec_t out[] = {{(uint8_t *)"", 0}, {(uint8_t *)"ab", 2}};
  OK(__wasi_fd_pwrite(fd, out, 2, 8, &moved));
  HOLDS(moved == 2 && seek(fd, 0, __WASI_WHENCE_CUR) == 3);
  HOLDS(has(folder, "file", "01234567ab"));
  GIVES(__wasi_fd_pread(folder, in, 3, 0, &moved), BADF, ISDIR);
  GIVES(__wasi_fd_pwrite(folder, out, 2, 0, &moved), BADF, ISDIR);
  GIVES(__wasi_fd_pwrite(1, out, 2, 0, &moved), SPIPE, BADF);
}

void timestamps(Fd folder) {
  const __wasi_timestamp_t then = 1000000000123456700;
  const __wasi_fstflags_t modified = __WASI_FSTFLAGS_MTIM, accessed = __WASI_FSTFLAGS_ATIM;
  make(folder, "file", "content");
  __wasi_filestat_t before = stat_at(folder, 0, "file");
  OK(__wasi_path_filestat_set_times(folder, 0, "file", 0, then, modified));
  __wasi_filestat_t after = stat_at(folder, 0, "file");
  HOLDS(after.mtim == then && after.atim == before.atim && after.size == 7 && after.nlink == 1);
  Fd fd = opened(folder, "file", 0, READS | WRITES | __WASI_RIGHTS_FD_FILESTAT_SET_TIMES);
  OK(__wasi_fd_filestat_set_times(fd, then + 100, 0, accessed));
  OK(__wasi_fd_filestat_get(fd, &after));
  HOLDS(after.atim == then + 100 && after.mtim == then && after.ino == before.ino && after.dev == before.dev);
  OK(__wasi_fd_filestat_set_times(fd, 0, 0, __WASI_FSTFLAGS_MTIM_NOW));
  HOLDS(stat_at(folder, 0, "file").mtim >= before.mtim);
  // A time and now are one too many.
  GIVES(__wasi_fd_filestat_set_times(fd, 0, 0, modified | __WASI_FSTFLAGS_MTIM_NOW), INVAL);
  GIVES(__wasi_path_filestat_set_times(folder, 0, "file", 0, 0, accessed | __WASI_FSTFLAGS_ATIM_NOW), INVAL);
  // Of a link, or of what it leads to.
  OK(__wasi_path_symlink("file", folder, "link"));
  OK(__wasi_path_filestat_set_times(folder, 0, "link", 0, then, modified));
  HOLDS(stat_at(folder, 0, "link").mtim == then && stat_at(folder, FOLLOW, "link").mtim != then);
  OK(__wasi_path_filestat_set_times(folder, FOLLOW, "link", 0, then, modified));
  HOLDS(stat_at(folder, 0, "file").mtim == then);
}

void syncs(Fd folder) {
  Fd fd = opened(folder, "file", CREATE, WRITES | __WASI_RIGHTS_FD_SYNC | __WASI_RIGHTS_FD_DATASYNC);
  write_all(fd, "content");
  OK(__wasi_fd_sync(fd));
  OK(__wasi_fd_datasync(fd));
  OK(__wasi_fd_close(fd));
  GIVES(__wasi_fd_sync(fd), BADF);
  GIVES(__wasi_fd_datasync(fd), BADF);
}

/// Descriptors are closed once, renumbered onto each other, and there are many.
void descriptors(Fd folder) {
  make(folder, "a", "a");
  make(folder, "b", "b");
  Fd a = opened(folder, "a", 0, READS), b = opened(folder, "b", 0, READS);
  char byte;
  OK(__wasi_fd_renumber(a, b));
  HOLDS(read_some(b, &byte, 1) == 1 && byte == 'a');
  GIVES(__wasi_fd_close(a), BADF);
  GIVES(__wasi_fd_renumber(b, a), BADF);
  GIVES(__wasi_fd_renumber(a, b), BADF);
  OK(__wasi_fd_close(b));
  GIVES(__wasi_fd_close(b), BADF);

  // No buffers are no reason not to look at the descriptor.
  size_t moved;
  __wasi_fdstat_t stat;
  GIVES(__wasi_fd_write(-31337, NULL, 0, &moved), BADF);
  GIVES(__wasi_fd_read(b, NULL, 0, &moved), BADF);
  GIVES(__wasi_fd_fdstat_get(0x7fffffff, &stat), BADF);

  enum { MANY = 300 };
  Fd many[MANY];
  for (int i = 0; i < MANY; i++) {
    many[i] = opened(folder, "a", 0, READS);
  }
  // A file stays until nobody has it open.
  OK(__wasi_path_unlink_file(folder, "a"));
  for (int i = 0; i < MANY; i++) {
    HOLDS(read_some(many[i], &byte, 1) == 1 && byte == 'a');
    OK(__wasi_fd_close(many[i]));
  }
}
