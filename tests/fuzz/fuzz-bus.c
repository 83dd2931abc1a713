/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include <sys/socket.h>
#include <systemd/sd-bus.h>

#include "service/service.h"

/* What systemd and Upstart answer, and when. The bus daemon lets only messages through that are well formed, and sd-bus
 * looks at them again: so these are real messages of a real sd-bus, which come over a socket, and the input says what
 * they hold (any types and values, in any order, as many or few as it likes) and what happens between them. A line is a
 * step: its first letter says which (step()), the words behind it are the body of the message (append()). An input that
 * begins with 'u' is Upstart's. */

enum {
        CALLS_MAX = 16,
        STEPS_MAX = 64,
        ROUNDS_MAX = 50, /* of the two ends, until neither has anything to do */
};

typedef struct Peer {
        sd_bus *bus;
        sd_bus_message *calls[CALLS_MAX]; /* that wait for a reply, the oldest first */
        size_t n_calls;

        sd_event *event;
        Service *service;
        const char *input;
        RestartMethod method;
        bool querying, working; /* we wait for an answer, or for the end of a job */
        bool broken;            /* the loop has ended: the daemon would, and be started again */
} Peer;

/* The service connects to this one; there is one at a time. */
static Peer *the_peer(Peer *set) {
        static Peer *peer;

        if (set)
                peer = set;
        return peer;
}

static int on_call(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        Peer *p = userdata;

        if (sd_bus_message_get_expect_reply(m) > 0 && p->n_calls < CALLS_MAX)
                p->calls[p->n_calls++] = sd_bus_message_ref(m);
        return 1;
}

static void disconnect(Peer *p) {
        for (size_t i = 0; i < p->n_calls; i++)
                sd_bus_message_unref(p->calls[i]);
        p->n_calls = 0;
        p->bus = sd_bus_close_unref(p->bus);
}

static void serve(Peer *p, int fd) {
        disconnect(p);
        check(sd_bus_new(&p->bus) >= 0 && sd_bus_set_fd(p->bus, fd, fd) >= 0);
        check(sd_bus_set_server(p->bus, 1, SD_ID128_NULL) >= 0 && sd_bus_set_anonymous(p->bus, 1) >= 0);
        check(sd_bus_add_filter(p->bus, NULL, on_call, p) >= 0 && sd_bus_start(p->bus) >= 0);
}

int __wrap_sd_bus_open_system(sd_bus **ret);
int __wrap_sd_bus_open_system(sd_bus **ret) {
        sd_bus *bus = NULL;
        int fds[2], r;

        r = sd_bus_new(&bus);
        if (r < 0)
                return r;
        fuzz_pause(true);
        check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
        serve(the_peer(NULL), fds[0]);
        fuzz_pause(false);
        r = sd_bus_set_fd(bus, fds[1], fds[1]);
        if (r >= 0)
                r = sd_bus_set_anonymous(bus, 1);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r < 0) {
                sd_bus_close_unref(bus);
                return r;
        }
        *ret = bus;
        return 0;
}

/* Restores the connection at once, without the pause. */
int __real_sd_event_add_time(sd_event *e, sd_event_source **ret, clockid_t clock, uint64_t usec, uint64_t accuracy,
                             sd_event_time_handler_t handler, void *userdata);
int __wrap_sd_event_add_time(sd_event *e, sd_event_source **ret, clockid_t clock, uint64_t usec, uint64_t accuracy,
                             sd_event_time_handler_t handler, void *userdata);
int __wrap_sd_event_add_time(sd_event *e, sd_event_source **ret, clockid_t clock, uint64_t usec _unused_,
                             uint64_t accuracy, sd_event_time_handler_t handler, void *userdata) {
        return __real_sd_event_add_time(e, ret, clock, 0, accuracy, handler, userdata);
}

/* Until neither end has anything to do. Only ours is under test. Without memory sd-event may try the same again and
 * again: that is not waited for. */
static void pump(Peer *p) {
        for (unsigned i = 0, n = 1; n > 0 && !p->broken; i++) {
                int r = 1;

                if (i == ROUNDS_MAX && fuzz_failed())
                        return;
                check(i < ROUNDS_MAX);
                fuzz_pause(true);
                for (n = 0; p->bus && sd_bus_process(p->bus, NULL) > 0; n++)
                        ;
                fuzz_pause(false);
                for (unsigned k = 0; k < ROUNDS_MAX && r > 0; k++, n += r > 0)
                        r = sd_event_run(p->event, 0);
                p->broken = r < 0 || sd_event_get_state(p->event) == SD_EVENT_FINISHED;
        }
}

/* --- what the service tells --- */

static void on_changed(void *userdata _unused_) {
}

static void on_queried(void *userdata, const UnitReport *unit) {
        Peer *p = userdata;

        check(p->querying);
        p->querying = false;
        if (unit->state == UNIT_ACTIVE)
                check(strstr(p->input, p->method == RESTART_METHOD_SYSTEMD ? "active" : "running"));
        if (unit->state == UNIT_REFUSED)
                check(strstr(p->input, "exit-code"));
}

static void on_finished(void *userdata, JobOutcome outcome, const char *result, const char *message) {
        Peer *p = userdata;

        check(p->working);
        p->working = false;
        check(!result || *result || outcome == JOB_FAILED);
        check(!message || outcome == JOB_REFUSED || outcome == JOB_FAILED);
        if (outcome == JOB_DONE && p->method == RESTART_METHOD_SYSTEMD)
                check(strstr(p->input, "sdone")); /* nobody but systemd says so */
}

/* --- the steps --- */

static int append_basic(sd_bus_message *m, char type, const char *text) {
        const uint64_t t = strtoull(text, NULL, 10);
        const uint32_t u = (uint32_t) t;
        const uint8_t y = (uint8_t) t;

        switch (type) {
        case 's':
        case 'o':
        case 'g':
                return sd_bus_message_append_basic(m, type, text);
        case 't':
        case 'x':
                return sd_bus_message_append_basic(m, type, &t);
        case 'u':
        case 'i':
        case 'b':
                return sd_bus_message_append_basic(m, type, &u);
        case 'y':
                return sd_bus_message_append_basic(m, type, &y);
        default:
                return -EINVAL;
        }
}

/* sTEXT oPATH uNUMBER ...: a value of that type. [TYPE {TYPES (TYPES <TYPE: an array, an entry, a struct, a variant of
 * these; what follows stands in it, up to a dot. What does not fit there is passed over. */
static void append(sd_bus_message *m, char *words) {
        char *rest = NULL;

        for (char *w = strtok_r(words, " ", &rest); w; w = strtok_r(NULL, " ", &rest)) {
                if (*w == '.')
                        (void) sd_bus_message_close_container(m);
                else if (*w == '[')
                        (void) sd_bus_message_open_container(m, 'a', w + 1);
                else if (*w == '{')
                        (void) sd_bus_message_open_container(m, 'e', w + 1);
                else if (*w == '(')
                        (void) sd_bus_message_open_container(m, 'r', w + 1);
                else if (*w == '<')
                        (void) sd_bus_message_open_container(m, 'v', w + 1);
                else
                        (void) append_basic(m, *w, w + 1);
        }
        while (sd_bus_message_close_container(m) >= 0)
                ;
}

static void reply(Peer *p, char *words, bool error) {
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *m = NULL, *call = NULL;
        char *text = NULL;
        int r;

        if (p->n_calls == 0)
                return;
        call = p->calls[0];
        /* NOLINTNEXTLINE(bugprone-sizeof-expression): the pointers themselves move. */
        memmove(p->calls, p->calls + 1, --p->n_calls * sizeof(p->calls[0]));
        if (error) {
                const char *name = strtok_r(words, " ", &text);

                r = sd_bus_message_new_method_errorf(call, &m, name ? name : "a.b", "%s", text ? text : "");
        } else {
                r = sd_bus_message_new_method_return(call, &m);
                if (r >= 0)
                        append(m, words);
        }
        if (r >= 0)
                (void) sd_bus_send(p->bus, m, NULL);
}

static void signal_from(Peer *p, const char *sender, const char *path, const char *interface, const char *member,
                        char *words) {
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *m = NULL;

        if (!p->bus || sd_bus_message_new_signal(p->bus, &m, path, interface, member) < 0 ||
            sd_bus_message_set_sender(m, sender) < 0)
                return;
        append(m, words);
        (void) sd_bus_send(p->bus, m, NULL);
}

#define SYSTEMD "org.freedesktop.systemd1"
#define UPSTART "com.ubuntu.Upstart"

/* What is done to the service. */
static bool ask(Peer *p, char letter) {
        int r = 0;

        switch (letter) {
        case 'q':
                r = p->service->method->query(p->service);
                check((r == -EBUSY) == p->querying);
                p->querying |= r == 0;
                return true;
        case 'r':
        case 's':
                r = (letter == 'r' ? p->service->method->restart : p->service->method->start)(p->service);
                check(!p->working || r < 0);
                check(r != -EBUSY || p->working);
                p->working |= r == 0;
                return true;
        case 'a':
                p->service->method->abandon_job(p->service);
                /* Upstart's goes on where it has stopped something. */
                p->working = p->working && service_is_busy(p->service);
                return true;
        default:
                return false;
        }
}

static void step(Peer *p, char letter, char *words) {
        char unit_path[] = "/org/freedesktop/systemd1/unit/ecs_2eservice";

        if (ask(p, letter))
                return;
        fuzz_pause(true);
        switch (letter) {
        case '=':
        case '!':
                reply(p, words, letter == '!');
                break;
        case 'J':
                signal_from(p, SYSTEMD, "/org/freedesktop/systemd1", SYSTEMD ".Manager", "JobRemoved", words);
                break;
        case 'P':
                signal_from(p, SYSTEMD, unit_path, "org.freedesktop.DBus.Properties", "PropertiesChanged", words);
                break;
        case 'I':
                signal_from(p, UPSTART, "/com/ubuntu/Upstart/jobs/ecs", UPSTART "0_6.Job", "InstanceRemoved", words);
                break;
        case 'O':
                signal_from(p, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                            "NameOwnerChanged", words);
                break;
        case 'D':
                disconnect(p);
                break;
        default:
                break;
        }
        fuzz_pause(false);
}

static void play(const char *input) {
        static const ServiceHandlers handlers = {.changed = on_changed, .queried = on_queried, .finished = on_finished};
        Peer p = {.input = input, .method = *input == 'u' ? RESTART_METHOD_UPSTART : RESTART_METHOD_SYSTEMD};
        const ServiceSettings settings = {.method = p.method, .unit = "ecs.service"};
        char *rest = NULL;
        _cleanup_free_ char *lines = NULL;
        unsigned n = 0;

        fuzz_pause(true);
        the_peer(&p);
        lines = strdup(input);
        check(lines && sd_event_new(&p.event) >= 0);
        fuzz_pause(false);
        p.broken = service_new(&p.service, p.event, &settings, &handlers, &p) < 0;
        if (!p.broken)
                pump(&p);
        (void) strtok_r(lines, "\n", &rest); /* whose it is */
        for (char *l = strtok_r(NULL, "\n", &rest); l && n++ < STEPS_MAX && !p.broken;
             l = strtok_r(NULL, "\n", &rest)) {
                step(&p, *l, l + 1);
                /* Two in one go, where the second line is indented. */
                if (!rest || *rest != ' ')
                        pump(&p);
                else
                        rest++;
        }

        /* Whatever has failed, in the end nobody waits for an answer that does not come. */
        (void) fuzz_stop();
        disconnect(&p);
        pump(&p);
        check(p.broken || (!p.querying && !p.working && p.bus)); /* and there is a connection again */
        service_free(p.service);
        disconnect(&p);
        /* NOLINTNEXTLINE(clang-analyzer-core.StackAddressEscape): until the next run, nobody asks for it. */
        sd_event_unref(p.event);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
        _cleanup_free_ char *text = fuzz_text(bytes, size);

        fuzz_count();
        play(text);
        while (fuzz_fail(bytes, size))
                play(text);
        return 0;
}
