/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/watch-files.h"

#include <fcntl.h>
#include <inotifytools/inotify.h>
#include <inotifytools/inotifytools.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "base/foreign-file.h"
#include "process/retry.h"
#include "process/worker.h"

/* --- the child --- */

/* A file is looked at when its writer is done with it: not IN_MODIFY. */
#define WATCH_EVENTS                                                                                         \
        (IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE | IN_ATTRIB | IN_DELETE_SELF | \
         IN_MOVE_SELF | IN_ONLYDIR)

#define CREATED_USEC (1 * USEC_PER_SEC)

/* The directories may be busy with other files. Above so many looks a second it takes what comes within a pause at
 * once. */
#define PAUSE_NSEC (5L * 1000000)

enum {
        LOOKS_MAX = 200,
};

/* One name in one directory on the way to a file. */
typedef struct Step {
        int wd;
        char *directory; /* without symbolic links, with a slash at its end */
        char *name;
        bool is_last; /* the file itself, and no link to it: what happens to it changes no other step */
} Step;

typedef struct WatchChild {
        const char *const *files;
        int fd; /* for messages */
        int inotify_fd;
        Step *steps;
        size_t n_steps;

        int error; /* of the last step that was added */
        bool steps_changed;
        bool changed;          /* by the last events */
        uint64_t created_usec; /* when a file that was created is reported; 0: never */

        unsigned n_looks; /* within a second that began then */
        uint64_t second_usec;
} WatchChild;

static void watch_forget(WatchChild *w) {
        inotifytools_cleanup();
        for (size_t i = 0; i < w->n_steps; i++) {
                free(w->steps[i].directory);
                free(w->steps[i].name);
        }
        free(w->steps);
        w->steps = NULL;
        w->n_steps = 0;
        w->steps_changed = false;
        w->created_usec = 0;
}

/* The library does not tell which its descriptor is: it is the only one of its kind in this process. */
static int find_inotify_fd(int *ret_fd) {
        _cleanup_closedir_ DIR *dir = opendir("/proc/self/fd");
        const struct dirent *entry;

        if (!dir)
                return negative_errno();

        while ((entry = readdir(dir))) {
                char target[64];
                ssize_t length = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);

                if (length < 0)
                        continue;
                target[length] = 0;
                if (streq(target, "anon_inode:inotify")) {
                        *ret_fd = (int) strtol(entry->d_name, NULL, 10);
                        return 0;
                }
        }
        return -EBADF;
}

static int library_error(void) {
        int e = inotifytools_error();

        return e > 0 ? -e : -EIO;
}

static int open_library(int *ret_fd) {
        return inotifytools_initialize() ? find_inotify_fd(ret_fd) : library_error();
}

/* Watches the directory unless it is watched already. Returns its watch descriptor. */
static int watch_directory(const WatchChild *w, const char *directory) {
        for (size_t i = 0; i < w->n_steps; i++)
                if (streq(w->steps[i].directory, directory))
                        return w->steps[i].wd;

        if (!inotifytools_watch_file(directory, WATCH_EVENTS))
                return library_error();
        return inotifytools_wd_from_filename(directory);
}

static int watch_add_step(WatchChild *w, const char *directory, const char *name) {
        _cleanup_free_ char *directory_copy = strdup(directory), *name_copy = strdup(name);
        int wd = watch_directory(w, directory);
        Step *steps;

        if (wd < 0)
                return wd;

        steps = reallocarray(w->steps, w->n_steps + 1, sizeof(Step));
        if (!steps)
                return -ENOMEM;
        w->steps = steps;

        if (!directory_copy || !name_copy)
                return -ENOMEM;
        steps[w->n_steps++] =
                (Step){.wd = wd, .directory = STEAL_POINTER(directory_copy), .name = STEAL_POINTER(name_copy)};
        return 0;
}

/* It leads nowhere else: a file, or nothing. */
static bool is_end(const char *path) {
        struct stat st;

        return lstat(path, &st) < 0 || (!S_ISLNK(st.st_mode) && !S_ISDIR(st.st_mode));
}

/* Watches the directory before the name in it is looked up, so that nothing that appears in between is missed. */
static int watch_step(void *userdata, const char *directory, const char *name, bool is_last) {
        char path[2 * PATH_MAX];
        WatchChild *w = userdata;

        w->error = watch_add_step(w, directory, name);
        if (w->error < 0)
                return w->error;
        (void) snprintf(path, sizeof(path), "%s%s", directory, name);
        w->steps[w->n_steps - 1].is_last = is_last && is_end(path);
        return 0;
}

/* Watches every directory on the way to file, as far as the path exists: the steps so far notice when that changes. */
static int watch_add_file(WatchChild *w, const char *file) {
        w->error = 0;
        (void) foreign_file_walk(file, watch_step, w);
        /* The directory has been removed (the step above it is watched), or is unreadable. */
        if (w->error == -ENOENT || w->error == -ENOTDIR || w->error == -EACCES)
                return 0;
        return w->error;
}

/* A file that was just created is still being written: IN_CLOSE_WRITE follows, but for one that was linked whole into
 * its place (linkat(2)). */
static bool is_being_written(const Step *step) {
        char path[2 * PATH_MAX];
        struct stat st;

        (void) snprintf(path, sizeof(path), "%s%s", step->directory, step->name);
        return lstat(path, &st) >= 0 && S_ISREG(st.st_mode) && st.st_nlink == 1;
}

/* What happened to it may have changed what the steps after it mean. */
static bool changes_steps(const Step *step) {
        char path[2 * PATH_MAX];

        (void) snprintf(path, sizeof(path), "%s%s", step->directory, step->name);
        return !step->is_last || !is_end(path);
}

static void take_event(WatchChild *w, const struct inotify_event *e) {
        if (e->mask & (IN_Q_OVERFLOW | IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT))
                w->steps_changed = true;
        for (size_t i = 0; e->len > 0 && i < w->n_steps; i++) {
                if (w->steps[i].wd != e->wd || !streq(w->steps[i].name, e->name))
                        continue;
                if (changes_steps(&w->steps[i]))
                        w->steps_changed = true;
                if (!(e->mask & IN_CREATE) || !is_being_written(&w->steps[i]))
                        w->changed = true;
                else
                        w->created_usec = clock_monotonic_usec() + CREATED_USEC;
        }
}

static int watch_start(WatchChild *w) {
        int r;

        watch_forget(w);

        r = open_library(&w->inotify_fd);
        for (size_t i = 0; r >= 0 && w->files[i]; i++)
                r = watch_add_file(w, w->files[i]);
        return r;
}

static int watch_tell(const WatchChild *w, WatchKind kind, int error) {
        const WatchMessage message = {.kind = kind, .error = error};

        return worker_send(w->fd, &message, sizeof(message));
}

/* Until something happens, or a file that was created has been left alone for long enough. */
static int watch_wait(const WatchChild *w) {
        struct pollfd p = {.fd = w->inotify_fd, .events = POLLIN};
        uint64_t now = clock_monotonic_usec();
        int timeout = -1;

        if (w->created_usec)
                timeout = w->created_usec > now ? (int) ((w->created_usec - now) / USEC_PER_MSEC) + 1 : 0;
        return poll(&p, 1, timeout) < 0 && errno != EINTR ? negative_errno() : 0;
}

static void watch_take_events(WatchChild *w) {
        const struct inotify_event *e;

        w->changed = false;
        /* The library reads ahead into a buffer of its own: what is left there would not wake us again. */
        while ((e = inotifytools_next_events(0, 1)))
                take_event(w, e);
        if (w->created_usec > 0 && clock_monotonic_usec() >= w->created_usec) {
                w->changed = true;
                w->created_usec = 0;
        }
}

static void watch_pause(WatchChild *w) {
        const struct timespec pause = {.tv_nsec = PAUSE_NSEC};
        const uint64_t now = clock_monotonic_usec();

        if (now >= w->second_usec + USEC_PER_SEC) {
                w->second_usec = now;
                w->n_looks = 0;
        }
        if (++w->n_looks > LOOKS_MAX)
                (void) nanosleep(&pause, NULL);
}

/* The library cannot forget a watch that the kernel has dropped by itself: begin anew. It is told first, since a file
 * system that hangs may keep us from ever telling more; what happens to any file meanwhile is seen by the look that
 * follows the start. */
static int watch_again(WatchChild *w) {
        int r = watch_tell(w, WATCH_AGAIN, 0);

        if (r >= 0)
                r = watch_start(w);
        return r < 0 ? r : watch_tell(w, WATCH_STARTED, 0);
}

static int watch_loop(WatchChild *w) {
        int r;

        r = watch_start(w);
        if (r >= 0)
                r = watch_tell(w, WATCH_STARTED, 0);
        while (r >= 0) {
                r = watch_wait(w);
                if (r < 0)
                        break;
                watch_take_events(w);
                if (w->steps_changed)
                        r = watch_again(w);
                else if (w->changed)
                        r = watch_tell(w, WATCH_CHANGED, 0);
                else
                        watch_pause(w);
        }
        return r;
}

/* Returns only if it fails. context: the list of files. */
static int watch_in_child(const void *context, int fd) {
        WatchChild w = {.files = context, .fd = fd, .inotify_fd = -1};

        (void) watch_tell(&w, WATCH_FAILED, watch_loop(&w));
        return EXIT_FAILURE;
}

/* --- the parent --- */

struct Watch {
        sd_event *event;
        Worker *worker;
        Retry retry;
        watch_handler_t handler;
        void *userdata;

        const char **files;
        bool failure_reported;
};

static void start(Watch *w);

static int on_retry(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata) {
        start(userdata);
        return 0;
}

static void on_message(void *userdata, int error, const void *message) {
        const WatchMessage ended = {.kind = WATCH_FAILED, .error = error};
        const WatchMessage *news = message ? message : &ended;
        Watch *w = userdata;
        bool reported = !message && w->failure_reported;

        if (!message)
                retry_later(&w->retry, w->event, on_retry, w);
        w->failure_reported = news->kind == WATCH_FAILED;
        if (!reported)
                w->handler(w->userdata, news);
}

static void start(Watch *w) {
        int r = worker_follow(w->worker, "ecs-authd-watch", watch_in_child, w->files, sizeof(WatchMessage), on_message,
                              w);

        if (r < 0)
                on_message(w, r, NULL);
}

int watch_new(Watch **ret, sd_event *event, watch_handler_t handler, void *userdata) {
        _cleanup_(watch_freep) Watch *w = calloc(1, sizeof(Watch));
        int r;

        if (!w)
                return -ENOMEM;

        w->event = sd_event_ref(event);
        w->handler = handler;
        w->userdata = userdata;
        r = worker_new(&w->worker, event);
        if (r < 0)
                return r;
        *ret = STEAL_POINTER(w);
        return 0;
}

Watch *watch_free(Watch *w) {
        if (!w)
                return NULL;

        worker_free(w->worker);
        retry_stop(&w->retry);
        sd_event_unref(w->event);
        free(w->files);
        free(w);
        return NULL;
}

void watch_set_files(Watch *w, const char **files) {
        retry_stop(&w->retry);
        w->retry = (Retry){0};
        free(w->files);
        w->files = files;
        w->failure_reported = false;
        start(w);
}
