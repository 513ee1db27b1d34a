// What the checks of wasi.c share. A check is called with the descriptor of an empty folder; whatever is not as it
// should be ends the program with 1 and a line that says where.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <wasi/api.h>

typedef __wasi_fd_t Fd;

/// Ends the program unless a call gives one of these error numbers.
#define GIVES(call, ...) expect((call), (const int[]){__VA_ARGS__, -1}, __FILE_NAME__, __LINE__)
/// Ends the program unless a call succeeds.
#define OK(call) GIVES(call, 0)
/// Ends the program unless this holds.
#define HOLDS(condition) ((condition) ? (void)0 : fail(-1, __FILE_NAME__, __LINE__))

/// The file is named without its folders: what is built shows nothing of the machine.
void expect(int error, const int *expected, const char *file, int line);
_Noreturn void fail(int error, const char *file, int line);

enum {
  BADF = __WASI_ERRNO_BADF,
  EXISTS = __WASI_ERRNO_EXIST,
  ILSEQ = __WASI_ERRNO_ILSEQ,
  INVAL = __WASI_ERRNO_INVAL,
  ISDIR = __WASI_ERRNO_ISDIR,
  LOOP = __WASI_ERRNO_LOOP,
  NOENT = __WASI_ERRNO_NOENT,
  NOTCAPABLE = __WASI_ERRNO_NOTCAPABLE,
  NOTDIR = __WASI_ERRNO_NOTDIR,
  NOTEMPTY = __WASI_ERRNO_NOTEMPTY,
  NOTSOCK = __WASI_ERRNO_NOTSOCK,
  NOTSUP = __WASI_ERRNO_NOTSUP,
  PERM = __WASI_ERRNO_PERM,
  SPIPE = __WASI_ERRNO_SPIPE,
};

#define READS (__WASI_RIGHTS_FD_READ | __WASI_RIGHTS_FD_SEEK | __WASI_RIGHTS_FD_TELL)
#define WRITES __WASI_RIGHTS_FD_WRITE
#define CREATE __WASI_OFLAGS_CREAT
#define FOLDER __WASI_OFLAGS_DIRECTORY
#define FOLLOW __WASI_LOOKUPFLAGS_SYMLINK_FOLLOW

/// Opens a file; what the descriptor is comes in `opened`. Links are not followed.
int open_at(Fd folder, const char *path, __wasi_oflags_t how, __wasi_rights_t rights, Fd *opened);
/// Opens a file that can be opened.
Fd opened(Fd folder, const char *path, __wasi_oflags_t how, __wasi_rights_t rights);
/// Makes a file with this content.
void make(Fd folder, const char *path, const char *content);
/// Reads as much as there is, up to this length; how much it was.
size_t read_some(Fd file, void *into, size_t length);
/// Writes all of it.
void write_all(Fd file, const char *text);
/// Moves the position, and gives it.
uint64_t seek(Fd file, int64_t by, __wasi_whence_t from);
/// Whether a file has this content and no more.
bool has(Fd folder, const char *path, const char *content);
__wasi_filestat_t stat_at(Fd folder, __wasi_lookupflags_t how, const char *path);

// The checks, in files.c and folders.c.
void open_flags(Fd folder);
void append(Fd folder);
void sizes(Fd folder);
void positions(Fd folder);
void offsets(Fd folder);
void timestamps(Fd folder);
void syncs(Fd folder);
void descriptors(Fd folder);
void create_and_remove(Fd folder);
void rename_and_unlink(Fd folder);
void links(Fd folder);
void escapes(Fd folder);
void listing(Fd folder);
void paths(Fd folder);
