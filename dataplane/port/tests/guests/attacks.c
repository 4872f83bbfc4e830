// Attacks that need to be fast or to enter the kernel by another door. Prints what they reached.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

static socklen_t host_name(struct sockaddr_un *to) {
    static const char name[] = "host-service";
    memset(to, 0, sizeof *to);
    to->sun_family = AF_UNIX;
    memcpy(to->sun_path + 1, name, sizeof name - 1);
    return offsetof(struct sockaddr_un, sun_path) + sizeof name;
}

// A descriptor that is now the guest's own socket, now an injected one, while it is connected.
static int swapped = 600, native, injected;
static volatile int stop;

static void *swap(void *unused) {
    while (!stop) {
        dup2(injected, swapped);
        dup2(native, swapped);
    }
    return unused;
}

static void race(long tries) {
    struct sockaddr_un to;
    socklen_t length = host_name(&to);
    native = socket(AF_UNIX, SOCK_STREAM, 0);
    injected = socket(AF_INET, SOCK_STREAM, 0);
    dup2(native, swapped);
    pthread_t thread;
    pthread_create(&thread, NULL, swap, NULL);
    long connected = 0, netns = 0;
    for (long i = 0; i < tries; i++) {
        if (connect(swapped, (struct sockaddr *)&to, length) == 0) connected++;
        int fd = ioctl(swapped, 0x894c /* SIOCGSKNS */, 0);
        if (fd >= 0) netns++, close(fd);
    }
    stop = 1;
    pthread_join(thread, NULL);
    printf("connected %ld, namespaces %ld\n", connected, netns);
}

// A destination that another thread flips between two listeners and a host name.
static struct sockaddr_in flipped;

static void *flip(void *unused) {
    struct sockaddr_un host;
    host_name(&host);
    for (unsigned i = 0; !stop; i++) {
        if (i % 3 == 2) {
            memcpy(&flipped, &host, sizeof flipped);
            continue;
        }
        flipped.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        flipped.sin_family = AF_INET;
        flipped.sin_port = htons(7001 + i % 3);
    }
    return unused;
}

static int listener(int port) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, 8)) exit(1);
    return fd;
}

static void pointers(long tries) {
    int listeners[2] = {listener(7001), listener(7002)};
    flipped = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(7001)};
    flipped.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    pthread_t thread;
    pthread_create(&thread, NULL, flip, NULL);
    long wrong = 0, reached = 0, odd = 0;
    for (long i = 0; i < tries; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(fd, (struct sockaddr *)&flipped, sizeof flipped) == 0) {
            struct sockaddr_in peer = {0}, seen = {0};
            socklen_t length = sizeof peer;
            getpeername(fd, (struct sockaddr *)&peer, &length);
            int port = ntohs(peer.sin_port);
            if (port == 7001 || port == 7002) {
                length = sizeof seen;
                int accepted = accept(listeners[port - 7001], (struct sockaddr *)&seen, &length);
                struct sockaddr_in mine = {0};
                length = sizeof mine;
                getsockname(fd, (struct sockaddr *)&mine, &length);
                if (mine.sin_port != seen.sin_port) wrong++;
                close(accepted);
                reached++;
            } else wrong++;
        } else if (errno != EAFNOSUPPORT && errno != ECONNREFUSED && errno != ENETUNREACH && errno != EINVAL) odd++;
        close(fd);
    }
    stop = 1;
    pthread_join(thread, NULL);
    printf("reached %s, wrong %ld, odd %ld\n", reached ? "some" : "none", wrong, odd);
}

// The 32-bit door: socketcall(SOCKET) and socketcall(CONNECT) by int 0x80; and the x32 table.
static void doors(void) {
#ifdef __x86_64__
    long result;
    unsigned *arguments = (unsigned *)0x10000000;
    (void)arguments;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(102), "b"(1), "c"(0) : "memory");
    printf("socketcall %d ", (int)result == -ENOSYS);
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(359), "b"(AF_INET), "c"(SOCK_STREAM), "d"(0) : "memory");
    printf("socket32 %d ", (int)result == -ENOSYS);
    result = syscall(0x40000000L + SYS_socket, AF_INET, SOCK_STREAM, 0);
    printf("x32 %d ", result < 0 && errno == ENOSYS);
#else
    printf("socketcall 1 socket32 1 x32 1 ");
#endif
    char parameters[128] = {0};
    long ring = syscall(SYS_io_uring_setup, 4, parameters);
    printf("io_uring %d\n", ring < 0 && errno == ENOSYS);
}

// Random arguments for every notified call.
static void garbage(long tries) {
    static const long calls[] = {SYS_socket, SYS_bind, SYS_listen, SYS_connect, SYS_accept4, SYS_getsockname, SYS_getpeername,
                                 SYS_setsockopt, SYS_getsockopt, SYS_sendto, SYS_recvfrom, SYS_sendmsg, SYS_recvmsg,
                                 SYS_sendmmsg, SYS_recvmmsg, SYS_shutdown, SYS_ioctl};
    static char page[65536] __attribute__((aligned(4096)));
    int random = open("/dev/urandom", O_RDONLY);
    unsigned seed[8];
    for (int i = 0; i < 8; i++) {
        fcntl(socket(AF_INET + (i & 1) * 8, 1 + (i & 2) / 2, 0), F_SETFL, O_NONBLOCK);
    }
    for (long i = 0; i < tries; i++) {
        if (read(random, seed, sizeof seed) != sizeof seed || read(random, page, 512) != 512) exit(1);
        long argument[6];
        for (int j = 0; j < 6; j++) {
            switch (seed[j] % 7) {
            case 0: argument[j] = (long)page; break;
            case 1: argument[j] = (long)page + sizeof page - seed[7] % 32; break;
            case 2: argument[j] = seed[j] % 40; break;
            case 3: argument[j] = 512 + seed[j] % 8; break;
            case 4: argument[j] = (long)seed[j] << 32 | seed[7]; break;
            case 5: argument[j] = 0; break;
            default: argument[j] = 0x8900 + seed[7] % 256;
            }
        }
        // A descriptor that exists, mostly, but never the output; and never a call that may wait.
        if (argument[0] >= 0 && argument[0] < 3) argument[0] = 5;
        if (seed[6] % 2) argument[0] = 4 + seed[7] % 8;
        if (seed[6] % 8 == 7) memcpy(page, (long[]){(long)page, 16, (long)page, 3, (long)page, 64}, 48);
        long call = calls[seed[6] % (sizeof calls / sizeof *calls)];
        if (call == SYS_recvfrom || call == SYS_recvmmsg) argument[3] |= MSG_DONTWAIT;
        if (call == SYS_recvmsg) argument[2] |= MSG_DONTWAIT;
        if (call == SYS_socket) argument[1] |= SOCK_NONBLOCK;
        if (call == SYS_accept4) argument[3] |= SOCK_NONBLOCK;
        if (call == SYS_ioctl) argument[1] = 0x8900 + seed[7] % 256;
        long fd = syscall(call, argument[0], argument[1], argument[2], argument[3], argument[4], argument[5]);
        if ((call == SYS_socket || call == SYS_accept4) && fd > 12) close(fd);
    }
    printf("alive\n");
}

static void *hammer(void *unused) {
    for (;;) {
        struct sockaddr_in room;
        socklen_t length = sizeof room;
        getsockname(injected, (struct sockaddr *)&room, &length);
    }
    return unused;
}

static void flood(void) {
    injected = socket(AF_INET, SOCK_STREAM, 0);
    pthread_t thread;
    for (int i = 0; i < 8; i++) pthread_create(&thread, NULL, hammer, NULL);
    pause();
}

int main(int count, char **arguments) {
    if (count < 2) return 1;
    const char *attack = arguments[1];
    long tries = count > 2 ? atol(arguments[2]) : 0;
    alarm(60);
    if (!strcmp(attack, "race")) race(tries);
    else if (!strcmp(attack, "pointers")) pointers(tries);
    else if (!strcmp(attack, "doors")) doors();
    else if (!strcmp(attack, "garbage")) garbage(tries);
    else if (!strcmp(attack, "flood")) flood();
    else return 1;
    return 0;
}
