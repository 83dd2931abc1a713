/* SPDX-License-Identifier: Apache-2.0 */
#include "base/http.h"

#include <curl/curl.h>
#include <strings.h>

#include "base/secret.h"

enum {
        BODY_MAX = 8 * 1024 * 1024,
};

DEFINE_CLEANUP_FUNC(CURL *, curl_easy_cleanup)

void http_response_done(HttpResponse *r) {
        r->body = secret_free_sized(r->body, r->size);
        r->size = r->room = 0;
}

static size_t receive_body(char *data, size_t size, size_t n, void *userdata) {
        HttpResponse *r = userdata;
        size_t length = size * n;

        /* 0 ends the transfer with CURLE_WRITE_ERROR. */
        if (length > BODY_MAX - r->size || secret_make_room(&r->body, r->size, r->size + length + 1, &r->room) < 0)
                return 0;
        memcpy(r->body + r->size, data, length);
        r->size += length;
        r->body[r->size] = 0;
        return length;
}

/* Copies the value of a header of this name, without control characters; accepted: its other characters (NULL: any). */
static void take_header(const char *line, size_t length, const char *name, const char *accepted, char *ret,
                        size_t size) {
        size_t used = 0;

        if (length <= strlen(name) || strncasecmp(line, name, strlen(name)) != 0)
                return;
        for (size_t i = strlen(name); i < length && used + 1 < size; i++)
                if ((unsigned char) line[i] >= ' ' && (!accepted || strchr(accepted, line[i])))
                        ret[used++] = line[i];
        ret[used] = 0;
}

static size_t receive_header(char *data, size_t size, size_t n, void *userdata) {
        HttpResponse *r = userdata;

        /* The version becomes part of a path. */
        take_header(data, size * n, "Api-Version:", "0123456789.", r->api_version, sizeof(r->api_version));
        take_header(data, size * n, "WWW-Authenticate: ", NULL, r->challenge, sizeof(r->challenge));
        return size * n;
}

static int curl_to_errno(CURL *curl, CURLcode code, const HttpResponse *r) {
        long os_errno = 0;

        switch (code) {
        case CURLE_OPERATION_TIMEDOUT:
                return -ETIMEDOUT;
        case CURLE_WRITE_ERROR:
                return r->size > 0 ? -EFBIG : -ENOMEM;
        case CURLE_OUT_OF_MEMORY:
                return -ENOMEM;
        case CURLE_COULDNT_CONNECT:
                if (curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &os_errno) == CURLE_OK && os_errno > 0)
                        return -(int) os_errno;
                return -ECONNREFUSED;
        case CURLE_COULDNT_RESOLVE_HOST:
                return -EHOSTUNREACH;
        default:
                return -EBADMSG;
        }
}

DEFINE_CLEANUP_FUNC(struct curl_slist *, curl_slist_free_all)

static int prepare(CURL *curl, const HttpRequest *q, struct curl_slist **headers) {
        char header[128];

        if (q->socket && curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, q->socket) != CURLE_OK)
                return -ENAMETOOLONG;
        if (curl_easy_setopt(curl, CURLOPT_URL, q->url) != CURLE_OK ||
            curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, q->method) != CURLE_OK ||
            curl_easy_setopt(curl, CURLOPT_PROXY, "") != CURLE_OK ||
            curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) != CURLE_OK ||
            curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long) (q->timeout_usec / USEC_PER_MSEC)) != CURLE_OK)
                return -EINVAL;
        if (q->username && (curl_easy_setopt(curl, CURLOPT_USERNAME, q->username) != CURLE_OK ||
                            curl_easy_setopt(curl, CURLOPT_PASSWORD, q->password) != CURLE_OK))
                return -ENOMEM;
        if (!q->body)
                return 0;

        (void) snprintf(header, sizeof(header), "Content-Type: %s",
                        q->content_type ? q->content_type : "application/json");
        *headers = curl_slist_append(NULL, header);
        if (!*headers)
                return -ENOMEM;
        return curl_easy_setopt(curl, CURLOPT_HTTPHEADER, *headers) != CURLE_OK ||
                               curl_easy_setopt(curl, CURLOPT_POSTFIELDS, q->body) != CURLE_OK
                       ? -EINVAL
                       : 0;
}

static int note_addresses(CURL *curl, HttpResponse *r) {
        const char *peer = NULL, *local = NULL;
        long port = 0;

        if (curl_easy_getinfo(curl, CURLINFO_PRIMARY_IP, &peer) != CURLE_OK ||
            curl_easy_getinfo(curl, CURLINFO_LOCAL_IP, &local) != CURLE_OK ||
            curl_easy_getinfo(curl, CURLINFO_PRIMARY_PORT, &port) != CURLE_OK)
                return -EBADMSG;
        (void) snprintf(r->peer, sizeof(r->peer), "%s", peer ? peer : "");
        (void) snprintf(r->local, sizeof(r->local), "%s", local ? local : "");
        r->port = (unsigned) port;
        return 0;
}

int http_request(const HttpRequest *request, HttpResponse *ret) {
        _cleanup_(curl_easy_cleanupp) CURL *curl = curl_easy_init();
        _cleanup_(curl_slist_free_allp) struct curl_slist *headers = NULL;
        _cleanup_http_ HttpResponse response = {0};
        CURLcode code;
        int r;

        if (!curl)
                return -ENOMEM;

        r = prepare(curl, request, &headers);
        if (r < 0)
                return r;
        if (curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, receive_body) != CURLE_OK ||
            curl_easy_setopt(curl, CURLOPT_WRITEDATA, &response) != CURLE_OK ||
            curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, receive_header) != CURLE_OK ||
            curl_easy_setopt(curl, CURLOPT_HEADERDATA, &response) != CURLE_OK)
                return -EINVAL;

        code = curl_easy_perform(curl);
        if (code != CURLE_OK)
                return curl_to_errno(curl, code, &response);

        if (curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &response.status) != CURLE_OK)
                return -EBADMSG;
        r = request->socket ? 0 : note_addresses(curl, &response);
        if (r < 0)
                return r;

        *ret = response;
        response = (HttpResponse){0};
        return 0;
}
