/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/secret.h"
#include "proxy/request-head.h"

#define H "Host: docker\r\nUser-Agent: Go-http-client/1.1\r\n"
#define END "\r\n"

typedef struct Case {
        const char *head;
        RequestKind kind;
        const char *image;
        const char *rewritten; /* with the credentials AUTH and the time 7; NULL: not rewritten */
} Case;

static void check(const Case *c) {
        _cleanup_secret_ char *rewritten = NULL;
        RequestHead head;

        assert_int_equal(request_head_parse(c->head, strlen(c->head), &head), 0);
        if (head.kind != c->kind)
                fail_msg("%s: kind %d", c->head, head.kind);
        assert_int_equal(head.length, strlen(c->head));
        assert_string_equal(head.kind == REQUEST_PULL ? head.image : "", c->image ? c->image : "");
        if (!c->rewritten)
                return;
        rewritten = request_head_rewrite(c->head, &head, head.kind == REQUEST_PULL ? "AUTH" : NULL,
                                         head.kind == REQUEST_EVENTS ? "7" : NULL);
        assert_string_equal(rewritten, c->rewritten);
}

/* The agent's own requests (measured, v1.105.1). */
static void test_requests_of_the_agent(void **state _unused_) {
        static const Case cases[] = {
                {"HEAD /_ping HTTP/1.1\r\n" H END, REQUEST_OTHER, NULL,
                 "HEAD /_ping HTTP/1.1\r\n" H "Connection: close\r\n" END},
                {"POST /images/load?quiet=0 HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n" END, REQUEST_OTHER, NULL,
                 "POST /images/load?quiet=0 HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nConnection: close\r\n" END},
                {"GET /v1.44/events HTTP/1.1\r\n" H END, REQUEST_EVENTS, NULL,
                 "GET /v1.44/events?since=7 HTTP/1.1\r\n" H "Connection: close\r\n" END},
                {"GET /events?filters=x HTTP/1.1\r\n" H END, REQUEST_EVENTS, NULL,
                 "GET /events?filters=x&since=7 HTTP/1.1\r\n" H "Connection: close\r\n" END},
                {"GET /events?since=3 HTTP/1.1\r\n" H END, REQUEST_OTHER, NULL, NULL},
                {"GET /v1.44/distribution/r.example:5000/team/app:1/json HTTP/1.1\r\n" H
                 "X-Registry-Auth: e30=\r\n" END,
                 REQUEST_PULL, "r.example:5000/team/app",
                 "GET /v1.44/distribution/r.example:5000/team/app:1/json HTTP/1.1\r\n" H
                 "X-Registry-Auth: AUTH\r\nConnection: close\r\n" END},
                {"POST /v1.44/images/create?fromImage=r.example%3A5000%2Fapp&tag=sha256%3Aab HTTP/1.1\r\n" H
                 "X-Registry-Auth: e30=\r\nContent-Length: 0\r\n" END,
                 REQUEST_PULL, "r.example:5000/app",
                 "POST /v1.44/images/create?fromImage=r.example%3A5000%2Fapp&tag=sha256%3Aab HTTP/1.1\r\n" H
                 "Content-Length: 0\r\nX-Registry-Auth: AUTH\r\nConnection: close\r\n" END},
                {"POST /images/create?fromImage=nginx&tag=1 HTTP/1.1\r\n" H "Content-Length: 0\r\n" END, REQUEST_PULL,
                 "nginx",
                 "POST /images/create?fromImage=nginx&tag=1 HTTP/1.1\r\n" H
                 "Content-Length: 0\r\nX-Registry-Auth: AUTH\r\nConnection: close\r\n" END},
                {"POST /exec/1/start HTTP/1.1\r\n" H "Connection: Upgrade\r\nUpgrade: tcp\r\n" END, REQUEST_OTHER, NULL,
                 "POST /exec/1/start HTTP/1.1\r\n" H "Connection: Upgrade\r\nUpgrade: tcp\r\n" END},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                check(&cases[i]);
}

#define PULL "POST /images/create?fromImage=r.example/app HTTP/1.1\r\n"

/* The agent brings credentials, or Docker could read the head in another way. */
static void test_left_alone(void **state _unused_) {
        static const Case cases[] = {
                {PULL H "X-Registry-Auth: eyJ1c2VybmFtZSI6InUifQ==\r\n" END, REQUEST_OTHER, NULL,
                 NULL}, /* {"username":"u"} */
                {PULL H "X-Registry-Auth: eyJpZGVudGl0eXRva2VuIjoidCJ9\r\n" END, REQUEST_OTHER, NULL, NULL},
                {PULL H "X-Registry-Auth: W10=\r\n" END, REQUEST_OTHER, NULL, NULL},
                {PULL H "X-Registry-Auth: e30\r\n" END, REQUEST_OTHER, NULL, NULL},
                {PULL H "X-Registry-Auth: eyJ1c2VybmFtZSI6IiJ9\r\n" END, REQUEST_PULL, "r.example/app", NULL},
                {PULL H "x-registry-auth:\r\n" END, REQUEST_PULL, "r.example/app", NULL},
                {PULL H "X-Registry-Auth: e30=\r\nX-Registry-Auth: e30=\r\n" END, REQUEST_UNCLEAR, NULL, NULL},
                {PULL H "X-Registry-Auth: e30=\r\n folded\r\n" END, REQUEST_UNCLEAR, NULL, NULL},
                {PULL H "X-Registry-Auth : e30=\r\n" END, REQUEST_UNCLEAR, NULL, NULL},
                {PULL H "Transfer-Encoding: chunked\r\n" END, REQUEST_OTHER, NULL, NULL},
                {PULL H "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n" END, REQUEST_UNCLEAR, NULL, NULL},
                {PULL H "Content-Length: 3\r\nContent-Length: 3\r\n" END, REQUEST_UNCLEAR, NULL, NULL},
                {PULL "Host: a\r\nHost: b\r\n" END, REQUEST_UNCLEAR, NULL, NULL},
                {PULL END, REQUEST_UNCLEAR, NULL, NULL},
                {PULL "Host: a\nX: b\r\n" END, REQUEST_UNCLEAR, NULL, NULL},
                {PULL "Host: a\rX: b\r\n" END, REQUEST_UNCLEAR, NULL, NULL},
                {PULL "Host: a\r\nX\r\n" END, REQUEST_UNCLEAR, NULL, NULL},
                {PULL H "A: \x01\r\n" END, REQUEST_UNCLEAR, NULL, NULL},
                {"POST  /images/create?fromImage=a HTTP/1.1\r\n" H END, REQUEST_UNCLEAR, NULL, NULL},
                {"POST /images/create?fromImage=a HTTP/1.0\r\n" H END, REQUEST_UNCLEAR, NULL, NULL},
                {"POST http://x/images/create?fromImage=a HTTP/1.1\r\n" H END, REQUEST_UNCLEAR, NULL, NULL},
                {"post /images/create?fromImage=a HTTP/1.1\r\n" H END, REQUEST_OTHER, NULL, NULL},
                {"POST /images/%63reate?fromImage=a HTTP/1.1\r\n" H END, REQUEST_OTHER, NULL, NULL},
                {"POST /images/create?fromImage=a&fromImage=b HTTP/1.1\r\n" H END, REQUEST_OTHER, NULL, NULL},
                {"POST /images/create?fromImage=a&%66romImage=b HTTP/1.1\r\n" H END, REQUEST_OTHER, NULL, NULL},
                {"POST /images/create?fromImage=a;b HTTP/1.1\r\n" H END, REQUEST_OTHER, NULL, NULL},
                {"POST /images/create?fromImage=a%0d%0ab HTTP/1.1\r\n" H END, REQUEST_OTHER, NULL, NULL},
                {"POST /images/create?fromImage=a+b HTTP/1.1\r\n" H END, REQUEST_OTHER, NULL, NULL},
                {"POST /images/create?fromImage= HTTP/1.1\r\n" H END, REQUEST_OTHER, NULL, NULL},
                {"POST /images/create?fromSrc=-&fromImage=a HTTP/1.1\r\n" H END, REQUEST_OTHER, NULL, NULL},
                {"POST /images/create/?fromImage=a HTTP/1.1\r\n" H END, REQUEST_OTHER, NULL, NULL},
                {"GET /distribution/a%2fb/json HTTP/1.1\r\n" H END, REQUEST_OTHER, NULL, NULL},
                {"GET /distribution/@app:1/json HTTP/1.1\r\n" H END, REQUEST_OTHER, NULL, NULL},
                {"GET /distribution//json HTTP/1.1\r\n" H END, REQUEST_OTHER, NULL, NULL},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                check(&cases[i]);
}

static void test_images(void **state _unused_) {
        static const char *const cases[][2] = {
                {"r.example/app:1", "r.example/app"},
                {"r.example:5000/app", "r.example:5000/app"},
                {"r.example:5000/a/b:c@sha256:ab", "r.example:5000/a/b"},
                {"[::1]:5000/app:1", "[::1]:5000/app"},
                {"nginx:1", "nginx"},
                {"org/app@sha256:ab", "org/app"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *text = NULL;

                assert_true(asprintf(&text, "GET /distribution/%s/json HTTP/1.1\r\n" H END, cases[i][0]) > 0);
                check(&(Case){text, REQUEST_PULL, cases[i][1], NULL});
        }
}

static void test_incomplete(void **state _unused_) {
        static const char text[] = PULL H END "body";
        const size_t head_size = sizeof(text) - sizeof("body");
        RequestHead head;

        for (size_t n = 0; n < sizeof(text); n++)
                assert_int_equal(request_head_parse(text, n, &head), n < head_size ? -EAGAIN : 0);
        assert_int_equal(head.length, head_size);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_requests_of_the_agent),
                cmocka_unit_test(test_left_alone),
                cmocka_unit_test(test_images),
                cmocka_unit_test(test_incomplete),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
