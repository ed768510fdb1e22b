/* What glibc shows only with _GNU_SOURCE, which Swift's own module of it lacks. */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

/* Processors that this process may run on: less than the machine has under
   Slurm, taskset or a container. */
static inline int volpipe_processors(void) {
  cpu_set_t set;
  CPU_ZERO(&set);
  return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

/* A file without a name in `folder`, for reading and writing by this process
   alone; -1 where the file system has none. */
static inline int volpipe_open_unnamed_at(int folder) {
  return openat(folder, ".", O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, 0600);
}

static inline ssize_t volpipe_copy_range(int from, int64_t *offset, int to, size_t count) {
  return copy_file_range(from, offset, to, 0, count, 0);
}

static inline void volpipe_set_pipe_size(int descriptor, int bytes) {
  (void)fcntl(descriptor, 1031 /* F_SETPIPE_SZ */, bytes);
}

static inline int volpipe_is_ignored(int number) {
  struct sigaction action;
  return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

static inline int volpipe_rename_new(int folder, const char *from, const char *to) {
  return renameat2(folder, from, folder, to, RENAME_NOREPLACE);
}

/* A function of a variable number of arguments, which Swift cannot call. */
static inline int volpipe_open_at(int folder, const char *name, int flags, mode_t mode) {
  return openat(folder, name, flags, mode);
}

/* The arguments as the kernel put them before the environment, a null between
   them and their number before them: the ABI of Linux. For where there is no
   /proc, from which Swift reads them. To be called before the environment is
   changed. */
static inline char **volpipe_arguments(int *count) {
  char **words = environ - 1;
  intptr_t number = 0;
  while ((intptr_t)words[-1] != number) {
    words--;
    number++;
  }
  *count = (int)number;
  return words;
}

static inline void volpipe_set_mmap_threshold(int bytes) {
  (void)mallopt(M_MMAP_THRESHOLD, bytes);
}
