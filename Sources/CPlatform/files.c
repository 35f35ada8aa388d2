#define _GNU_SOURCE
#include "CPlatform.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

// Linux takes at most this many parts a call (IOV_MAX).
enum { parts_limit = 1024 };
// RENAME_EXCHANGE, which older C libraries do not name.
enum { exchange_names = 1 << 1 };

int warren_open_directory(const char *path, int *fd) {
    do *fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (*fd < 0 && errno == EINTR);
    return *fd < 0 ? errno : 0;
}

int warren_open_at(int directory, const char *name, int create, int *fd) {
    int flags = O_RDWR | O_CLOEXEC | (create ? O_CREAT | O_EXCL : 0);
    do *fd = openat(directory, name, flags, 0640);
    while (*fd < 0 && errno == EINTR);
    return *fd < 0 ? errno : 0;
}

int warren_lock_at(int directory, const char *name, int *fd) {
    do *fd = openat(directory, name, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    while (*fd < 0 && errno == EINTR);
    if (*fd < 0) return errno;
    int result;
    do result = flock(*fd, LOCK_EX | LOCK_NB);
    while (result < 0 && errno == EINTR);
    if (result == 0) return 0;
    int error = errno;
    close(*fd);
    *fd = -1;
    return error;
}

int warren_list_directory(int directory, void (*each)(void *, const char *), void *context) {
    // A descriptor of its own: the stream takes it over, and its position starts at the beginning.
    int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return errno;
    DIR *stream = fdopendir(fd);
    if (!stream) {
        int error = errno;
        close(fd);
        return error;
    }
    int error = 0;
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(stream);
        if (!entry) {
            error = errno;
            break;
        }
        if (entry->d_name[0] != '.') each(context, entry->d_name);
    }
    closedir(stream);
    return error;
}

int warren_file_length(int fd, uint64_t *length) {
    struct stat status;
    if (fstat(fd, &status) < 0) return errno;
    *length = (uint64_t)status.st_size;
    return 0;
}

int warren_pread(int fd, void *buffer, size_t count, uint64_t offset, size_t *done) {
    *done = 0;
    while (*done < count) {
        ssize_t n = pread(fd, (char *)buffer + *done, count - *done, (off_t)(offset + *done));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno;
        if (n == 0) break;
        *done += (size_t)n;
    }
    return 0;
}

int warren_pread_cached(int fd, void *buffer, size_t count, uint64_t offset, size_t *done) {
    *done = 0;
    while (*done < count) {
        struct iovec part = {(char *)buffer + *done, count - *done};
        ssize_t n = preadv2(fd, &part, 1, (off_t)(offset + *done), RWF_NOWAIT);
        if (n < 0 && errno == EINTR) continue;
        // A filesystem without the flag is as good as a cold cache: the caller takes the other way.
        if (n < 0) return errno == EOPNOTSUPP ? EAGAIN : errno;
        if (n == 0) break;
        *done += (size_t)n;
    }
    return 0;
}

int warren_pwritev(int fd, struct iovec *parts, int count, uint64_t offset) {
    while (count > 0) {
        if (parts->iov_len == 0) {
            parts++;
            count--;
            continue;
        }
        ssize_t n = pwritev(fd, parts, count < parts_limit ? count : parts_limit, (off_t)offset);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno;
        offset += (uint64_t)n;
        size_t written = (size_t)n;
        while (count > 0 && written >= parts->iov_len) {
            written -= parts->iov_len;
            parts++;
            count--;
        }
        if (written > 0) {
            parts->iov_base = (char *)parts->iov_base + written;
            parts->iov_len -= written;
        }
    }
    return 0;
}

int warren_allocate(int fd, uint64_t length) {
    // Asked first: an allocation that fails may take the last blocks for a moment, and writes elsewhere meet a full disk.
    struct statvfs space;
    if (fstatvfs(fd, &space) == 0 && (uint64_t)space.f_bavail * space.f_frsize < length) return ENOSPC;
    int result;
    do result = fallocate(fd, 0, 0, (off_t)length);
    while (result < 0 && errno == EINTR);
    if (result == 0 || errno == EOPNOTSUPP || errno == ENOSYS) return 0;
    return errno;
}

int warren_exchange_at(int directory, const char *name, const char *other) {
    if (syscall(SYS_renameat2, directory, name, directory, other, exchange_names) == 0) return 0;
    // A file system without the flag says EINVAL, a kernel without the call ENOSYS.
    return errno == EINVAL || errno == ENOSYS ? EOPNOTSUPP : errno;
}

int warren_fdatasync(int fd) {
    // Repeated only when interrupted before it began: an error is never retried.
    int result;
    do result = fdatasync(fd);
    while (result < 0 && errno == EINTR);
    return result < 0 ? errno : 0;
}

int warren_fsync(int fd) {
    int result;
    do result = fsync(fd);
    while (result < 0 && errno == EINTR);
    return result < 0 ? errno : 0;
}

int warren_will_need(int fd, uint64_t offset, uint64_t length) {
    return posix_fadvise(fd, (off_t)offset, (off_t)length, POSIX_FADV_WILLNEED);
}

const char *warren_error_text(int error) {
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 32)
    const char *text = strerrordesc_np(error);
    return text ? text : "unknown error";
#else
    return strerror(error);
#endif
}

int warren_wont_need(int fd, uint64_t offset, uint64_t length) {
    // The kernel leaves pages alone that the range covers in part only.
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t start = offset / page * page;
    uint64_t end = (offset + length + page - 1) / page * page;
    return posix_fadvise(fd, (off_t)start, (off_t)(end - start), POSIX_FADV_DONTNEED);
}

uint64_t warren_monotonic_nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void warren_set_timer_slack(uint64_t nanoseconds) { prctl(PR_SET_TIMERSLACK, (unsigned long)nanoseconds, 0, 0, 0); }

void warren_set_thread_name(const char *name) {
    char shortened[16] = {0};
    strncpy(shortened, name, sizeof shortened - 1);
    prctl(PR_SET_NAME, shortened, 0, 0, 0);
}
