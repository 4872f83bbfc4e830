/* What the programs under test share: a listener, a warmed-up connection, and a transcript on stdout. */
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

struct scenario {
    const char *name;
    void (*run)(int fd);
};

static int listener;

/* Musl has no names for errno values, so the program brings its own. */
static const char *error_name(int error) {
    switch (error) {
    case EAGAIN: return "EAGAIN";
    case EINTR: return "EINTR";
    case EPIPE: return "EPIPE";
    case EBADF: return "EBADF";
    case EINVAL: return "EINVAL";
    case ECONNRESET: return "ECONNRESET";
    case ENOENT: return "ENOENT";
    case EEXIST: return "EEXIST";
    default: return strerror(error);
    }
}

/* One line of the transcript: a call and its answer. */
static void say(const char *what, long answer) {
    int error = errno;
    if (answer < 0)
        printf("%s: %ld %s\n", what, answer, error_name(error));
    else
        printf("%s: %ld\n", what, answer);
    fflush(stdout);
}

static void require(int condition, const char *what) {
    if (!condition) {
        printf("FAILED: %s (%s)\n", what, error_name(errno));
        fflush(stdout);
        exit(9);
    }
}
#define REQUIRE(condition) require((condition), #condition)

/* Accepts a connection and exchanges three greetings on it: what can go onto a ring is on one afterwards. */
static inline int accept_warm(void) {
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    REQUIRE(fd >= 0);
    for (int round = 0; round < 3; round++) {
        char ping[4];
        size_t got = 0;
        while (got < sizeof ping) {
            ssize_t len = read(fd, ping + got, sizeof ping - got);
            REQUIRE(len > 0);
            got += (size_t)len;
        }
        REQUIRE(memcmp(ping, "ping", 4) == 0);
        REQUIRE(write(fd, "pong", 4) == 4);
    }
    return fd;
}

/* Reads exactly so many bytes and prints them. */
static inline void read_text(int fd, size_t len) {
    char text[256];
    size_t got = 0;
    while (got < len) {
        ssize_t more = read(fd, text + got, len - got);
        if (more <= 0) {
            say("read", more);
            return;
        }
        got += (size_t)more;
    }
    printf("text: %.*s\n", (int)len, text);
    fflush(stdout);
}

/* Waits until so many bytes can be read, without reading them. */
static inline void await_bytes(int fd, int len) {
    for (int round = 0; round < 20000; round++) {
        int there = 0;
        REQUIRE(ioctl(fd, FIONREAD, &there) == 0);
        if (there >= len)
            return;
        usleep(100);
    }
    REQUIRE(!"bytes came");
}

static inline void set_nonblocking(int fd, int on) {
    int flags = fcntl(fd, F_GETFL);
    REQUIRE(flags >= 0);
    REQUIRE(fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK) == 0);
}

/* The next byte of an endless stream that both sides can compute. */
static inline uint8_t stream_byte(uint64_t at) {
    return (uint8_t)((at * 2654435761u) >> 13);
}

static inline int run_scenario(int argc, char **argv, const struct scenario *all, size_t count) {
    REQUIRE(argc == 2);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof name;
    REQUIRE(bind(listener, (struct sockaddr *)&name, sizeof name) == 0);
    REQUIRE(listen(listener, 64) == 0);
    REQUIRE(getsockname(listener, (struct sockaddr *)&name, &len) == 0);
    printf("%d\n", ntohs(name.sin_port));
    fflush(stdout);
    for (size_t at = 0; at < count; at++)
        if (strcmp(all[at].name, argv[1]) == 0) {
            int fd = accept_warm();
            all[at].run(fd);
            puts("over");
            return 0;
        }
    printf("FAILED: no scenario %s\n", argv[1]);
    return 9;
}
