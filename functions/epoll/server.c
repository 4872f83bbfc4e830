/* An HTTP/1.1 echo in C: one thread, epoll, kept-alive connections. POST a body and it comes back.
 *
 * It does as little per request as a server can, so what is measured through it is the platform. Linked dynamically on
 * purpose: a shim can then be preloaded into it, as into every ordinary dynamic program.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER_BYTES = 1 << 16, EVENTS_MAX = 64, HEAD_BYTES_MAX = 160 };

struct link {
    int fd;
    size_t have;       /* bytes of input that are there */
    size_t due, sent;  /* bytes of output, and how many of them are gone */
    int ending;        /* close once the output is gone */
    char in[BUFFER_BYTES];
    char out[BUFFER_BYTES + HEAD_BYTES_MAX];
};

static void die(const char *what) {
    perror(what);
    exit(1);
}

/* The value of a header within [head, end), or NULL; names end at their colon. */
static const char *header(const char *head, const char *end, const char *name) {
    size_t length = strlen(name);
    for (const char *at = memmem(head, end - head, "\r\n", 2); at && at + 2 + length < end;
         at = memmem(at + 2, end - at - 2, "\r\n", 2))
        if (strncasecmp(at + 2, name, length) == 0) return at + 2 + length;
    return NULL;
}

static void answer(struct link *one, const char *status, const char *body, size_t length) {
    int head = snprintf(one->out, HEAD_BYTES_MAX,
                        "HTTP/1.1 %s\r\nContent-Type: application/octet-stream\r\nContent-Length: %zu\r\n%s\r\n", status,
                        length, one->ending ? "Connection: close\r\n" : "");
    memcpy(one->out + head, body, length);
    one->due = head + length;
    one->sent = 0;
}

/* Sends what is due. 0: all is gone; 1: the socket is full; -1: the connection is over. */
static int flush(struct link *one) {
    while (one->sent < one->due) {
        ssize_t n = write(one->fd, one->out + one->sent, one->due - one->sent);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno == EAGAIN ? 1 : -1;
        one->sent += n;
    }
    return one->ending ? -1 : 0;
}

/* Answers the first request of the input if it is complete. 1: it was; 0: more must come; -1: the connection is over. */
static int serve(struct link *one) {
    char *end = memmem(one->in, one->have, "\r\n\r\n", 4);
    if (!end) {
        one->ending = one->have == BUFFER_BYTES;
        if (one->ending) answer(one, "431 Request Header Fields Too Large", "", 0);
        return one->ending;
    }
    end += 4;
    const char *text = header(one->in, end, "Content-Length:");
    unsigned long long length = text ? strtoull(text, NULL, 10) : 0;
    size_t head = end - one->in;
    if (header(one->in, end, "Transfer-Encoding:") || length > BUFFER_BYTES - head) {
        one->ending = 1;
        answer(one, "413 Content Too Large", "", 0);
        return 1;
    }
    if (one->have < head + length) {
        const char *expects = header(one->in, end, "Expect:");
        if (expects && one->have == head && write(one->fd, "HTTP/1.1 100 Continue\r\n\r\n", 25) < 0 && errno != EAGAIN)
            return -1;
        return 0;
    }
    const char *wish = header(one->in, end, "Connection:");
    one->ending = wish && strncasecmp(wish + strspn(wish, " "), "close", 5) == 0;
    answer(one, "200 OK", end, length);
    one->have -= head + length;
    memmove(one->in, one->in + head + length, one->have);
    return 1;
}

/* Reads until the socket is empty and answers what is complete. 0: the connection goes on; -1: it is over. A short read
 * means empty (epoll(7)), but for a peer that has hung up: its end of file has no event of its own to come. */
static int work(struct link *one, int hung_up) {
    int empty = 0;
    for (;;) {
        int state = flush(one);
        if (state) return state < 0 ? -1 : 0;
        one->due = one->sent = 0;
        state = one->have ? serve(one) : 0;
        if (state < 0) return -1;
        if (state > 0) continue;
        if (empty && !hung_up) return 0;
        size_t room = BUFFER_BYTES - one->have;
        ssize_t n = read(one->fd, one->in + one->have, room);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno == EAGAIN ? 0 : -1;
        if (n == 0) return -1;
        one->have += n;
        empty = (size_t)n < room;
    }
}

static int listening(unsigned short port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (fd < 0) die("socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) die("bind");
    if (listen(fd, 1024) < 0) die("listen");
    return fd;
}

static void take(int epoll, int listener) {
    int fd, on = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct link *one = calloc(1, sizeof *one);
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = one};
        if (!one) {
            close(fd);
            continue;
        }
        one->fd = fd;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll_ctl");
    }
}

int main(void) {
    const char *port = getenv("PORT");
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event events[EVENTS_MAX] = {{.events = EPOLLIN, .data.ptr = NULL}};
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTERM, _exit);
    int listener = listening(port ? (unsigned short)atoi(port) : 8080);
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, events) < 0) die("epoll");
    for (;;) {
        int n = epoll_wait(epoll, events, EVENTS_MAX, -1);
        if (n < 0 && errno != EINTR) die("epoll_wait");
        for (int i = 0; i < n; i++) {
            struct link *one = events[i].data.ptr;
            if (!one) {
                take(epoll, listener);
            } else if (work(one, events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) < 0) {
                close(one->fd);
                free(one);
            }
        }
    }
}
