/* A guest that rides on rings by itself, without the shim, and misuses them on demand. An HTTP server on port 8080.
 *
 *   POST /echo       the body back
 *   GET  /ride       JSON: what this connection got when it asked for a ring
 *   GET  /forge      JSON: errno of asking for a ring on everything that is no connection of the platform
 *   GET  /waiters    JSON: how many waiters were given, the errno after the last, and whether they came back
 *   GET  /corrupt    every shared word of the slab is overwritten, again and again, for two seconds
 *   GET  /storm      every bell is rung and marked without end for two seconds
 *   GET  /leap       from now on every connection is asked for and left in a loop while it is used
 *   GET  /leave      this connection goes back to its descriptor before the answer
 *   GET  /socket     from now on nothing rides
 *
 * The offsets are those of docs/protocols.md, section 7, written down a second time on purpose. Static; libc alone.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
    LEVEL = 0x4a52, SLAB = 1, UPGRADE = 2, BELL = 3, WAITER = 4, WAITER_FREE = 5,
    WAITERS_AT = 4096, BELLS_AT = 12288, SLOTS_AT = 16384, RING = 32768, SLOT = 4096 + 2 * RING, SLOTS = 64,
    SLAB_BYTES = SLOTS_AT + SLOTS * SLOT, BELLS = 16, ATTACK_MS = 2000,
};

struct upgrade { uint32_t slot, generation, bell, pending; };

/* One connection: on a ring, or on its descriptor. */
struct line {
    int fd, bell, riding, error;
    struct upgrade got;
    uint32_t head, tail, pending;
    size_t held;
};

static unsigned char *slab;
static int slab_error, ride = 1, leap;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic int attacks;

static _Atomic uint32_t *word(size_t at) { return (_Atomic uint32_t *)(slab + at); }
static size_t control(const struct line *line) { return SLOTS_AT + (size_t)line->got.slot * SLOT; }

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static long ask(int fd, int option, void *value, socklen_t bytes) {
    return getsockopt(fd, LEVEL, option, value, &bytes);
}

/* Maps the slab, once, or that of a new jnetd in place of the old one: its lines are dead, their descriptors say so. */
static void map_slab(int fd, int anew) {
    pthread_mutex_lock(&lock);
    if (slab == NULL || anew) {
        uint32_t none = 0;
        long memory = ask(fd, SLAB, &none, sizeof none);
        void *at = memory < 0 ? MAP_FAILED : mmap(NULL, SLAB_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, (int)memory, 0);
        if (at == MAP_FAILED) slab_error = errno;
        else slab = at;
        if (memory >= 0) close((int)memory);
    }
    pthread_mutex_unlock(&lock);
}

static void ring(struct line *line) {
    size_t bell = BELLS_AT + (size_t)line->got.bell * 64;
    atomic_fetch_or((_Atomic uint64_t *)(slab + bell + 8), UINT64_C(1) << line->got.slot);
    atomic_thread_fence(memory_order_seq_cst);
    uint64_t nothing = 0;
    if (atomic_exchange(word(bell), 0) != 0 && write(line->bell, &nothing, sizeof nothing) < 0) line->error = errno;
}

/* Asks for a ring; afterwards `riding` or `error` says what came of it. */
static void upgrade(struct line *line) {
    map_slab(line->fd, 0);
    if (slab == NULL) { line->error = slab_error; return; }
    if (ask(line->fd, UPGRADE, &line->got, sizeof line->got) < 0) { line->error = errno; return; }
    line->pending = line->got.pending;
    if (atomic_load(word(control(line) + 16)) != line->got.generation) map_slab(line->fd, 1);
    line->head = atomic_load(word(control(line) + 64));
    line->tail = atomic_load(word(control(line) + 68));
    uint32_t bell = line->got.bell;
    line->bell = (int)ask(line->fd, BELL, &bell, sizeof bell);
    line->riding = 1;
}

static void leave(struct line *line) {
    if (!line->riding) return;
    line->riding = 0;
    atomic_store(word(control(line) + 72), 1);
    ring(line);
}

static void start(struct line *line) {
    if (!ride) return;
    upgrade(line);
    for (int again = 0; leap && line->riding && again < 50; again++) {
        struct upgrade got;
        leave(line);
        ask(line->fd, UPGRADE, &got, sizeof got);
    }
}

/* Reads some bytes; 0: the end. On a ring by looking every 50 microseconds, and at the descriptor for its end. */
static ssize_t get(struct line *line, char *to, size_t room) {
    while (line->riding && line->pending == 0) {
        uint32_t state = atomic_load(word(control(line) + 8));
        uint32_t head = atomic_load(word(control(line))), ready = head - line->tail;
        if (ready > RING) return 0;
        size_t count = ready < room ? ready : room;
        for (size_t i = 0; i < count; i++) to[i] = (char)slab[control(line) + 4096 + (line->tail + i) % RING];
        if (count > 0) {
            line->tail += (uint32_t)count;
            atomic_store(word(control(line) + 68), line->tail);
            atomic_thread_fence(memory_order_seq_cst);
            if (atomic_load(word(control(line) + 12)) != 0) ring(line);
            return (ssize_t)count;
        }
        if (state != 1) return 0;
        struct pollfd end = {line->fd, POLLRDHUP, 0};
        if (poll(&end, 1, 0) > 0) return 0;
        usleep(50);
    }
    if (line->riding && line->pending < room) room = line->pending;
    ssize_t count = read(line->fd, to, room);
    if (line->riding && count > 0) line->pending -= (uint32_t)count;
    return count;
}

static int put(struct line *line, const char *from, size_t length) {
    int64_t until = now_ms() + 10000;
    while (length > 0) {
        size_t count = 0;
        if (line->riding) {
            uint32_t used = line->head - atomic_load(word(control(line) + 4));
            if (used > RING || atomic_load(word(control(line) + 8)) == 3 || now_ms() > until) return -1;
            count = RING - used < length ? RING - used : length;
            for (size_t i = 0; i < count; i++) slab[control(line) + 4096 + RING + (line->head + i) % RING] = (unsigned char)from[i];
            line->head += (uint32_t)count;
            atomic_store(word(control(line) + 64), line->head);
            if (count > 0) ring(line);
            else usleep(50);
        } else {
            ssize_t sent = send(line->fd, from, length, MSG_NOSIGNAL);
            if (sent <= 0) return -1;
            count = (size_t)sent;
        }
        from += count;
        length -= count;
    }
    return 0;
}

static int say(struct line *line, const char *format, ...) {
    char body[4096], head[128];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(body, sizeof body, format, arguments);
    va_end(arguments);
    int count = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", length);
    return put(line, head, (size_t)count) || put(line, body, (size_t)length);
}

/* Overwrites all words that are shared, not the rings' bytes, with what a random generator gives. */
static void corrupt(int64_t until) {
    unsigned seed = (unsigned)getpid();
    while (now_ms() < until) {
        for (size_t at = 0; at < SLOTS_AT; at += 4) atomic_store(word(at), (uint32_t)rand_r(&seed) * 65537u);
        for (int slot = 0; slot < SLOTS; slot++)
            for (size_t at = 0; at < 128; at += 4)
                atomic_store(word(SLOTS_AT + (size_t)slot * SLOT + at), (uint32_t)rand_r(&seed) >> rand_r(&seed) % 32);
    }
}

static void storm(int64_t until, int fd) {
    int bells[BELLS];
    for (uint32_t bell = 0; bell < BELLS; bell++) {
        uint32_t index = bell;
        bells[bell] = (int)ask(fd, BELL, &index, sizeof index);
    }
    while (now_ms() < until)
        for (int bell = 0; bell < BELLS; bell++) {
            uint64_t one = 1;
            atomic_store((_Atomic uint64_t *)(slab + BELLS_AT + bell * 64 + 8), UINT64_MAX);
            if (bells[bell] >= 0 && write(bells[bell], &one, sizeof one) < 0) bells[bell] = -1;
        }
    for (int bell = 0; bell < BELLS; bell++) if (bells[bell] >= 0) close(bells[bell]);
}

struct attack { int storm, fd; };

static void *attacker(void *given) {
    struct attack *attack = given;
    usleep(50000); /* The answer that announces it goes out first. */
    int64_t until = now_ms() + ATTACK_MS;
    if (attack->storm) storm(until, attack->fd);
    else corrupt(until);
    close(attack->fd);
    free(attack);
    attacks--;
    return NULL;
}

static void begin_attack(struct line *line, int with_storm) {
    struct attack *attack = malloc(sizeof *attack);
    *attack = (struct attack){with_storm, dup(line->fd)};
    pthread_t thread;
    attacks++;
    pthread_create(&thread, NULL, attacker, attack);
    pthread_detach(thread);
}

static int outcome(int fd) {
    struct upgrade got;
    return fd < 0 ? fd : ask(fd, UPGRADE, &got, sizeof got) < 0 ? errno : 0;
}

/* A connection from an address of choice, or an errno, negated. */
static int connected(const char *address, int port, const char *from) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)}, own = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    inet_pton(AF_INET, address, &to.sin_addr);
    if (from != NULL && inet_pton(AF_INET, from, &own.sin_addr) == 1 && bind(fd, (void *)&own, sizeof own) < 0) {
        int error = -errno;
        close(fd);
        return error;
    }
    if (connect(fd, (void *)&to, sizeof to) == 0) return fd;
    int error = -errno;
    close(fd);
    return error;
}

static void forge(struct line *line) {
    struct sockaddr_in peer;
    socklen_t length = sizeof peer;
    char gateway[INET_ADDRSTRLEN] = "";
    getpeername(line->fd, (void *)&peer, &length);
    inet_ntop(AF_INET, &peer.sin_addr, gateway, sizeof gateway);
    int pair[2], plain = socket(AF_UNIX, SOCK_STREAM, 0), bound = socket(AF_UNIX, SOCK_STREAM, 0);
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    /* The name of the platform's end of this very connection, in the guest's own namespace. */
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int bytes = snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "c/%s:%d/10.62.0.2:8080", gateway, ntohs(peer.sin_port));
    int forged = bind(bound, (void *)&name, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)bytes));
    int inside = connected("127.0.0.1", 8080, NULL), hub = connected(gateway, 8080, NULL);
    int as_gateway = connected("127.0.0.1", 8080, gateway), file = (int)memfd_create("none", 0);
    say(line, "{\"pair\": %d, \"plain\": %d, \"bound\": %d, \"forged\": %d, \"inside\": %d, \"gateway\": %d, \"as_gateway\": %d, "
              "\"file\": %d, \"short\": %d, \"option\": %ld}",
        outcome(pair[0]), outcome(plain), forged, outcome(bound), outcome(inside), outcome(hub), outcome(as_gateway),
        outcome(file), ask(line->fd, UPGRADE, &peer, 8) < 0 ? errno : 0, ask(line->fd, 99, &peer, 8) < 0 ? (long)errno : 0L);
    int all[] = {pair[0], pair[1], plain, bound, inside, hub, as_gateway, file};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) if (all[i] >= 0) close(all[i]);
}

static void waiters(struct line *line) {
    int fds[1024], given = 0, error = 0, back = 0;
    uint32_t index;
    for (; given < 1024; given++) {
        fds[given] = (int)ask(line->fd, WAITER, &index, sizeof index);
        if (fds[given] < 0) { error = errno; break; }
    }
    for (index = 0; index < 128; index++) back += ask(line->fd, WAITER_FREE, &index, sizeof index) == 0;
    index = 70000;
    int refused = ask(line->fd, WAITER_FREE, &index, sizeof index) < 0 ? errno : 0;
    for (int i = 0; i < given; i++) close(fds[i]);
    say(line, "{\"given\": %d, \"error\": %d, \"back\": %d, \"refused\": %d}", given, error, back, refused);
}

static int answer(struct line *line, const char *path, const char *body, size_t length) {
    char head[128];
    if (strcmp(path, "/echo") == 0) {
        int count = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", length);
        return put(line, head, (size_t)count) || put(line, body, length);
    }
    if (strcmp(path, "/leave") == 0) leave(line);
    else if (strcmp(path, "/socket") == 0) ride = 0;
    else if (strcmp(path, "/leap") == 0) leap = 1;
    else if (strcmp(path, "/forge") == 0) return forge(line), 0;
    else if (strcmp(path, "/waiters") == 0) return waiters(line), 0;
    int riding = line->riding, failed = say(line, "{\"riding\": %d, \"error\": %d, \"slot\": %u, \"bell\": %u, \"attacks\": %d}",
                                            riding, line->error, line->got.slot, line->got.bell, attacks);
    if (strcmp(path, "/corrupt") == 0) begin_attack(line, 0);
    else if (strcmp(path, "/storm") == 0) begin_attack(line, 1);
    return failed;
}

/* Reads until `wanted` bytes are held. */
static int hold(struct line *line, char **text, size_t *room, size_t wanted) {
    if (wanted > *room) {
        *room = wanted;
        *text = realloc(*text, wanted);
    }
    while (line->held < wanted) {
        ssize_t count = get(line, *text + line->held, *room - line->held);
        if (count <= 0) return -1;
        line->held += (size_t)count;
    }
    return 0;
}

static void *serve(void *given) {
    struct line *line = given;
    size_t room = 1 << 16;
    char *text = malloc(room + 1);
    start(line);
    for (;;) {
        char *end = NULL, path[64] = "", *length_at;
        while (line->held == 0 || (end = memmem(text, line->held, "\r\n\r\n", 4)) == NULL)
            if (line->held >= room || hold(line, &text, &room, line->held + 1) != 0) goto over;
        size_t head = (size_t)(end - text) + 4, length = 0;
        text[head - 1] = 0;
        sscanf(text, "%*s %63s", path);
        if ((length_at = strcasestr(text, "\r\nContent-Length:")) != NULL) length = strtoul(length_at + 17, NULL, 10);
        if (hold(line, &text, &room, head + length) != 0 || answer(line, path, text + head, length) != 0) goto over;
        line->held -= head + length;
        memmove(text, text + head + length, line->held);
    }
over:
    close(line->fd);
    if (line->bell >= 0) close(line->bell);
    free(text);
    free(line);
    return NULL;
}

int main(void) {
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(8080)};
    int door = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    setsockopt(door, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(door, (void *)&any, sizeof any) < 0 || listen(door, 512) < 0) return 1;
    for (;;) {
        int fd = accept(door, NULL, NULL);
        if (fd < 0) continue;
        struct line *line = calloc(1, sizeof *line);
        line->fd = fd;
        line->bell = -1;
        pthread_t thread;
        if (pthread_create(&thread, NULL, serve, line) != 0) { close(fd); free(line); continue; }
        pthread_detach(thread);
    }
}
