#ifndef WARREN_CPLATFORM_H
#define WARREN_CPLATFORM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/// CRC32C (Castagnoli) of `length` bytes at `bytes`, continuing from `crc`
/// (0 for a fresh checksum). Uses the CPU's instructions where it has them.
uint32_t warren_crc32c(uint32_t crc, const void *_Nullable bytes, size_t length);

/// The same by the table alone, for CPUs without the instructions and as the reference of the tests.
uint32_t warren_crc32c_portable(uint32_t crc, const void *_Nullable bytes, size_t length);

// Files. Every function below returns 0, or the errno of the call that failed; interrupted calls are repeated.

/// Opens the directory at `path`.
int warren_open_directory(const char *_Nonnull path, int *_Nonnull fd);

/// Opens `name` in `directory` for reading and writing; with `create` it must not exist yet.
int warren_open_at(int directory, const char *_Nonnull name, int create, int *_Nonnull fd);

/// Creates or opens `name` and takes its lock (flock), which ends with the process; EWOULDBLOCK when somebody has it.
int warren_lock_at(int directory, const char *_Nonnull name, int *_Nonnull fd);

/// Calls `each` with every name in `directory` that does not start with a dot, in no particular order.
int warren_list_directory(int directory, void (*_Nonnull each)(void *_Nullable, const char *_Nonnull),
                          void *_Nullable context);

/// The file's length in bytes.
int warren_file_length(int fd, uint64_t *_Nonnull length);

/// Reads `count` bytes at `offset`; `done` is less only at the end of the file.
int warren_pread(int fd, void *_Nonnull buffer, size_t count, uint64_t offset, size_t *_Nonnull done);

/// The same from the page cache alone (RWF_NOWAIT): EAGAIN when any of it would have to come from the device.
int warren_pread_cached(int fd, void *_Nonnull buffer, size_t count, uint64_t offset, size_t *_Nonnull done);

/// Writes all of the `count` parts, one after the other, at `offset`. The array is changed.
int warren_pwritev(int fd, struct iovec *_Nonnull parts, int count, uint64_t offset);

/// Allocates the first `length` bytes of an empty file, where the file system can; ENOSPC when there is no room for them.
int warren_allocate(int fd, uint64_t length);

/// Exchanges two names in `directory` in one step; EOPNOTSUPP when the file system or the kernel cannot.
int warren_exchange_at(int directory, const char *_Nonnull name, const char *_Nonnull other);

/// Makes the contents of `fd` durable. After an error the pages may be marked clean: never call it again as if nothing was.
int warren_fdatasync(int fd);

/// Makes everything of `fd`, which may be a directory, durable.
int warren_fsync(int fd);

/// Asks the kernel to start reading that range into the page cache.
int warren_will_need(int fd, uint64_t offset, uint64_t length);

/// Asks the kernel to drop that range's clean pages from the page cache, those that it touches in part included.
int warren_wont_need(int fd, uint64_t offset, uint64_t length);

/// The system's words for an errno; never changes and lives forever.
const char *_Nonnull warren_error_text(int error);

/// CLOCK_MONOTONIC in nanoseconds.
uint64_t warren_monotonic_nanoseconds(void);

/// How late the calling thread's timed waits may end; Linux has 50 µs unless told otherwise.
void warren_set_timer_slack(uint64_t nanoseconds);

/// Names the calling thread, for debuggers and `top`; at most 15 bytes are used.
void warren_set_thread_name(const char *_Nonnull name);

#endif
