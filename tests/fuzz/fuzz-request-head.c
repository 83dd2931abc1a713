/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include "proxy/request-head.h"

/* A head that the agent, or anybody, sends to the proxy. */

#define AUTH "eyJ1c2VybmFtZSI6InUifQ=="

static unsigned count(const char *text, const char *line) {
        unsigned n = 0;

        for (const char *s = text; (s = strcasestr(s, line)); s += strlen(line))
                n++;
        return n;
}

/* Credentials go only into a head whose lines Docker reads in the same way, and only once. */
static void check_pull(const char *text, const RequestHead *head) {
        _cleanup_secret_ char *rewritten = request_head_rewrite(text, head, AUTH, NULL);
        RequestHead again;

        check(*head->image && !strchr(head->image, '%') && !strpbrk(head->image, " \t\r\n?&;#"));
        check(request_head_parse(rewritten, strlen(rewritten), &again) == 0);
        check(again.kind == REQUEST_OTHER); /* the agent would be said to bring credentials */
        check(again.length == strlen(rewritten));
        check(count(rewritten, "\nX-Registry-Auth: " AUTH "\r\n") == 1);
        check(count(rewritten, "\nX-Registry-Auth:") == 1);
}

static void check_other(const char *text, const RequestHead *head) {
        const char *since = head->kind == REQUEST_EVENTS ? "7" : NULL;
        _cleanup_secret_ char *rewritten = request_head_rewrite(text, head, NULL, since);
        RequestHead again;

        check(request_head_parse(rewritten, strlen(rewritten), &again) == 0);
        check(again.kind == (since ? REQUEST_OTHER : head->kind));
        check(again.length == strlen(rewritten));
        check(strncmp(rewritten, text, head->target_end) == 0);
        check(again.has_connection);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
        _cleanup_free_ char *text = fuzz_text(bytes, size);
        RequestHead head;

        if (request_head_parse(text, size, &head) < 0)
                return 0;
        check(head.length <= size && head.target_end <= head.length && head.auth_start <= head.auth_end &&
              head.auth_end < head.length);
        if (head.kind == REQUEST_PULL)
                check_pull(text, &head);
        else if (head.kind != REQUEST_UNCLEAR)
                check_other(text, &head);
        return 0;
}
