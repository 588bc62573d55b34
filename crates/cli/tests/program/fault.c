/* Loaded before the C library: lets the n-th call of one kind fail that concerns a file below a directory.
 *
 * FAULT_CALL  open, read, write, sync, rename, unlink, stat, list or mkdir, or thread for the start of any
 * FAULT_NTH   which one of them fails, the first is 1; -1 and so on: all from there; 0 counts them only
 * FAULT_ERROR the error's number
 * FAULT_ROOT  the directory
 * FAULT_COUNT the file that gets the number of calls, outside of the directory
 *
 * FAULT_SHORT: reads and writes below the directory take less than they could, or are interrupted, now and then.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define FDS_MAX 4096

static const char *call, *root;
static long nth;
static int error, is_short;
static atomic_long count;
static __thread unsigned seed;
static _Atomic char is_below[FDS_MAX];

__attribute__((constructor)) static void begin(void) {
    const char *text;
    call = getenv("FAULT_CALL");
    root = getenv("FAULT_ROOT");
    nth = (text = getenv("FAULT_NTH")) ? atol(text) : 0;
    error = (text = getenv("FAULT_ERROR")) ? atoi(text) : EIO;
    is_short = getenv("FAULT_SHORT") != NULL;
}

static unsigned next(void) {
    if (!seed) seed = (unsigned)(unsigned long)&seed | 1;
    seed ^= seed << 13;
    seed ^= seed >> 17;
    return seed ^= seed << 5;
}
static int interrupted(int concerned) {
    if (!is_short || !concerned || next() % 5) return 0;
    errno = EINTR;
    return 1;
}
static size_t some(int concerned, size_t n) {
    return is_short && concerned && n > 1 && next() % 3 == 0 ? 1 + next() % n : n;
}

__attribute__((destructor)) static void end(void) {
    const char *path = getenv("FAULT_COUNT");
    FILE *file = path ? fopen(path, "w") : NULL;
    if (file) {
        fprintf(file, "%ld\n", (long)count);
        fclose(file);
    }
}

static int below(const char *path) {
    return root && path && strncmp(path, root, strlen(root)) == 0;
}
static int open_below(int fd) { return fd >= 0 && fd < FDS_MAX && is_below[fd]; }
static int at_below(int dir, const char *path) {
    return path[0] == '/' ? below(path) : open_below(dir);
}
static int opened(int fd, int marked) {
    if (fd >= 0 && fd < FDS_MAX) is_below[fd] = marked;
    return fd;
}

/* Whether this call is the one that fails. */
static int fails(const char *kind, int concerned) {
    if (!concerned || !call || strcmp(call, kind) != 0) return 0;
    long number = ++count;
    if (nth < 0 ? number < -nth : number != nth) return 0;
    errno = error;
    return 1;
}

#define REAL(result, name, ...)                              \
    static result (*real)(__VA_ARGS__);                      \
    if (!real) real = (result(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)
#define MODE(flags, mode)                                    \
    mode_t mode = 0;                                         \
    if ((flags) & (O_CREAT | __O_TMPFILE)) {                 \
        va_list rest;                                        \
        va_start(rest, flags);                               \
        mode = va_arg(rest, mode_t);                         \
        va_end(rest);                                        \
    }

#define OPEN(name)                                           \
    int name(const char *path, int flags, ...) {             \
        REAL(int, name, const char *, int, ...);             \
        MODE(flags, mode)                                    \
        if (fails("open", below(path))) return -1;           \
        return opened(real(path, flags, mode), below(path)); \
    }
OPEN(open)
OPEN(open64)
#define OPENAT(name)                                         \
    int name(int dir, const char *path, int flags, ...) {    \
        REAL(int, name, int, const char *, int, ...);        \
        MODE(flags, mode)                                    \
        int marked = at_below(dir, path);                    \
        if (fails("open", marked)) return -1;                \
        return opened(real(dir, path, flags, mode), marked); \
    }
OPENAT(openat)
OPENAT(openat64)

#define TRANSFER(name, kind, buffer, at, ats, atn)           \
    ssize_t name(int fd, buffer b, size_t n ats) {           \
        REAL(ssize_t, name, int, buffer, size_t at);         \
        int marked = open_below(fd);                         \
        if (fails(kind, marked) || interrupted(marked)) return -1; \
        return real(fd, b, some(marked, n) atn);             \
    }
#define NOTHING
#define AT , off_t
#define ATS , off_t at
#define ATN , at
TRANSFER(read, "read", void *, NOTHING, NOTHING, NOTHING)
TRANSFER(pread64, "read", void *, AT, ATS, ATN)
TRANSFER(write, "write", const void *, NOTHING, NOTHING, NOTHING)
TRANSFER(pwrite64, "write", const void *, AT, ATS, ATN)

#define ON_FD(result, name, kind, fd, parameters, arguments, ...) \
    result name parameters {                                 \
        REAL(result, name, __VA_ARGS__);                     \
        if (fails(kind, open_below(fd))) return -1;          \
        return real arguments;                               \
    }
ON_FD(ssize_t, readv, "read", fd, (int fd, const struct iovec *v, int n), (fd, v, n), int, const struct iovec *, int)
ON_FD(ssize_t, writev, "write", fd, (int fd, const struct iovec *v, int n), (fd, v, n), int, const struct iovec *, int)
ON_FD(int, fsync, "sync", fd, (int fd), (fd), int)
ON_FD(int, fdatasync, "sync", fd, (int fd), (fd), int)
ON_FD(int, fstat64, "stat", fd, (int fd, struct stat64 *s), (fd, s), int, struct stat64 *)

ssize_t copy_file_range(int from, off_t *f, int to, off_t *t, size_t n, unsigned flags) {
    REAL(ssize_t, copy_file_range, int, off_t *, int, off_t *, size_t, unsigned);
    int marked = open_below(from) || open_below(to);
    if (fails("write", marked) || interrupted(marked)) return -1;
    return real(from, f, to, t, n, flags);
}

#define ON_PATH(name, kind, concerned, parameters, arguments, ...) \
    int name parameters {                                    \
        REAL(int, name, __VA_ARGS__);                        \
        if (fails(kind, concerned)) return -1;               \
        return real arguments;                               \
    }
ON_PATH(rename, "rename", below(a) || below(b), (const char *a, const char *b), (a, b), const char *, const char *)
ON_PATH(renameat2, "rename", below(a) || below(b), (int d, const char *a, int e, const char *b, unsigned f), (d, a, e, b, f), int, const char *, int, const char *, unsigned)
ON_PATH(unlink, "unlink", below(a), (const char *a), (a), const char *)
ON_PATH(rmdir, "unlink", below(a), (const char *a), (a), const char *)
ON_PATH(unlinkat, "unlink", at_below(d, a), (int d, const char *a, int f), (d, a, f), int, const char *, int)
ON_PATH(mkdir, "mkdir", below(a), (const char *a, mode_t m), (a, m), const char *, mode_t)
ON_PATH(stat64, "stat", below(a), (const char *a, struct stat64 *s), (a, s), const char *, struct stat64 *)
ON_PATH(lstat64, "stat", below(a), (const char *a, struct stat64 *s), (a, s), const char *, struct stat64 *)

/* Rust's library asks once with null, to learn whether the kernel knows the call: the compiler must not take
 * the declaration's word for it that this is not null. */
int statx(int dir, const char *path, int flags, unsigned mask, struct statx *s) {
    REAL(int, statx, int, const char *, int, unsigned, struct statx *);
    const char *volatile asked = path;
    const char *name = asked;
    if (name && fails("stat", name[0] ? at_below(dir, name) : open_below(dir))) return -1;
    return real(dir, asked, flags, mask, s);
}

DIR *opendir(const char *path) {
    REAL(DIR *, opendir, const char *);
    if (fails("list", below(path))) return NULL;
    DIR *dir = real(path);
    if (dir) opened(dirfd(dir), below(path));
    return dir;
}
DIR *fdopendir(int fd) {
    REAL(DIR *, fdopendir, int);
    if (fails("list", open_below(fd))) return NULL;
    return real(fd);
}
struct dirent64 *readdir64(DIR *dir) {
    REAL(struct dirent64 *, readdir64, DIR *);
    if (fails("list", open_below(dirfd(dir)))) return NULL;
    return real(dir);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *own) {
    REAL(int, pthread_create, pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    if (fails("thread", 1)) return EAGAIN;
    return real(thread, attributes, run, own);
}
