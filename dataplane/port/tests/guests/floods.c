// Guests that try to keep the supervisor busy or asleep. They run until they are killed.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

static struct sockaddr_in at(const char *ip, int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, ip, &address.sin_addr);
    return address;
}

static int listener(int port, int backlog) {
    struct sockaddr_in here = at("127.0.0.1", port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(fd, (void *)&here, sizeof here) || listen(fd, backlog)) exit(1);
    return fd;
}

// A listener without room.
static int full_listener(int port) {
    int fd = listener(port, 0);
    struct sockaddr_in here = at("127.0.0.1", port);
    for (int i = 0; i < 3; i++) connect(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), (void *)&here, sizeof here);
    return fd;
}

static void spawn(void *(*run)(void *), void *with) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 65536);
    pthread_t thread;
    if (pthread_create(&thread, &attributes, run, with)) exit(1);
}

// The socket whose call is to block, now itself, now a native one at the swapped number.
static volatile int target = -1;
static const int swapped = 600;
static int native;
static int option;

static void *set_timeouts(void *unused) {
    struct timeval forever = {0};
    for (;;) setsockopt(target, SOL_SOCKET, option, &forever, sizeof forever);
    return unused;
}

static void *set_timeouts_by_the_swapped(void *unused) {
    struct timeval forever = {0};
    for (;;) setsockopt(swapped, SOL_SOCKET, option, &forever, sizeof forever);
    return unused;
}

static void *swap(void *unused) {
    for (;;) {
        dup2(native, swapped);
        dup2(target, swapped);
    }
    return unused;
}

static void *set_flags(void *unused) {
    for (;;) {
        fcntl(target, F_SETFL, O_NONBLOCK);
        fcntl(target, F_SETFL, 0);
    }
    return unused;
}

static void *connect_to_full(void *unused) {
    struct sockaddr_in here = at("127.0.0.1", 9000);
    for (;;) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        target = fd;
        struct timeval brief = {0, 2000};
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &brief, sizeof brief);
        connect(fd, (void *)&here, sizeof here);
        close(fd);
    }
    return unused;
}

static void *steal(void *listening) {
    for (;;) close(accept((int)(long)listening, NULL, NULL));
    return NULL;
}

static void *feed(void *unused) {
    struct sockaddr_in here = at("127.0.0.1", 9000);
    for (;;) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        connect(fd, (void *)&here, sizeof here);
        close(fd);
    }
    return unused;
}

static void *accept_with_address(void *listening) {
    for (;;) {
        struct sockaddr_in peer;
        socklen_t length = sizeof peer;
        close(accept((int)(long)listening, (void *)&peer, &length));
    }
    return NULL;
}

// Every way to lengthen the wait of a call that the supervisor makes on the guest's socket.
static void block(int accepts) {
    native = socket(AF_UNIX, SOCK_STREAM, 0);
    option = accepts ? SO_RCVTIMEO : SO_SNDTIMEO;
    if (accepts) {
        void *listening = (void *)(long)(target = listener(9000, 8));
        spawn(steal, listening);
        spawn(feed, NULL);
        spawn(accept_with_address, listening);
    } else {
        full_listener(9000);
        spawn(connect_to_full, NULL);
    }
    spawn(set_timeouts, NULL);
    spawn(set_timeouts_by_the_swapped, NULL);
    spawn(swap, NULL);
    spawn(set_flags, NULL);
}

static void *connect_for_ever(void *unused) {
    struct sockaddr_in here = at("127.0.0.1", 9001);
    for (;;) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        connect(fd, (void *)&here, sizeof here);
        close(fd);
    }
    return unused;
}

static void parked(int threads) {
    full_listener(9001);
    for (int i = 0; i < threads; i++) spawn(connect_for_ever, NULL);
}

static void *accept_for_ever(void *listening) {
    return accept_with_address(listening);
}

// Many wait for one connection: each one that comes wakes all of them.
static void herd(int threads) {
    void *listening = (void *)(long)listener(9000, 64);
    for (int i = 0; i < threads; i++) spawn(accept_for_ever, listening);
    spawn(feed, NULL);
}

// Binds that meet a conflict while there are many sockets to look through.
static void sweep(int sockets) {
    struct rlimit most;
    getrlimit(RLIMIT_NOFILE, &most);
    most.rlim_cur = most.rlim_max;
    setrlimit(RLIMIT_NOFILE, &most);
    for (int i = 0; i < sockets; i++) socket(AF_INET, SOCK_STREAM, 0);
    listener(9000, 8);
    struct sockaddr_in here = at("127.0.0.1", 9000);
    printf("sweeping\n");
    fflush(stdout);
    for (;;) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        bind(fd, (void *)&here, sizeof here);
        close(fd);
    }
}

// The page with the address of every connect is missing until somebody fills it in: whoever reads it waits,
// some times for a moment, then for ever.
static int faults;
static char *page;

static void *fill_slowly(void *with) {
    for (int i = (int)(long)with; i > 0; i--) {
        struct uffd_msg message;
        if (read(faults, &message, sizeof message) <= 0) exit(1);
        usleep(50000);
        struct uffdio_zeropage zero = {.range = {.start = (unsigned long)page, .len = 4096}};
        ioctl(faults, UFFDIO_ZEROPAGE, &zero);
    }
    printf("no more\n");
    fflush(stdout);
    return NULL;
}

static void *serve_one(void *listening) {
    int fd = accept((int)(long)listening, NULL, NULL);
    if (write(fd, "moved", 5) == 5) close(fd);
    return NULL;
}

static void miss_a_page(int times) {
    faults = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
    struct uffdio_api api = {.api = UFFD_API};
    page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct uffdio_register whole = {.range = {.start = (unsigned long)page, .len = 4096},
                                    .mode = UFFDIO_REGISTER_MODE_MISSING};
    if (faults < 0 || ioctl(faults, UFFDIO_API, &api) || ioctl(faults, UFFDIO_REGISTER, &whole)) exit(1);
    spawn(fill_slowly, (void *)(long)times);
}

// Its memory stalls who reads it.
static void stall(int times) {
    spawn(serve_one, (void *)(long)listener(9000, 8));
    miss_a_page(times);
    for (;;) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        madvise(page, 4096, MADV_DONTNEED);
        connect(fd, (void *)page, sizeof(struct sockaddr_in));
        close(fd);
    }
}

static void *ask_for_the_sender(void *stream) {
    for (;;) {
        char byte;
        struct sockaddr_in from;
        socklen_t length = sizeof from;
        recvfrom((int)(long)stream, &byte, 1, MSG_DONTWAIT, (void *)&from, &length);
    }
    return NULL;
}

static void *write_for_ever(void *stream) {
    char bytes[4096] = {0};
    while (write((int)(long)stream, bytes, sizeof bytes) > 0) {}
    return NULL;
}

// A read of its own stalls with the lock of a socket that another call needs.
static void stall_in_read(int times) {
    int listening = listener(9001, 8);
    struct sockaddr_in here = at("127.0.0.1", 9001);
    int writer = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(writer, (void *)&here, sizeof here)) exit(1);
    int reader = accept(listening, NULL, NULL);
    spawn(serve_one, (void *)(long)listener(9000, 8));
    miss_a_page(times);
    spawn(write_for_ever, (void *)(long)writer);
    spawn(ask_for_the_sender, (void *)(long)reader);
    for (;;) {
        madvise(page, 4096, MADV_DONTNEED);
        if (read(reader, page, 1) <= 0) exit(1);
    }
}

static void empty_datagrams(void) {
    struct sockaddr_in outside = at("192.0.2.1", 9);
    struct mmsghdr messages[32];
    memset(messages, 0, sizeof messages);
    for (int i = 0; i < 32; i++) {
        messages[i].msg_hdr.msg_name = &outside;
        messages[i].msg_hdr.msg_namelen = sizeof outside;
    }
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    for (;;) sendmmsg(fd, messages, 32, 0);
}

int main(int count, char **arguments) {
    if (count < 3) return 2;
    const char *what = arguments[1];
    if (!strcmp(what, "can_stall")) return syscall(SYS_userfaultfd, O_CLOEXEC) < 0;
    int number = atoi(arguments[2]);
    if (!strcmp(what, "block")) block(number);
    else if (!strcmp(what, "parked")) parked(number);
    else if (!strcmp(what, "herd")) herd(number);
    else if (!strcmp(what, "sweep")) sweep(number);
    else if (!strcmp(what, "stall")) stall(number);
    else if (!strcmp(what, "stall_in_read")) stall_in_read(number);
    else if (!strcmp(what, "datagrams")) empty_datagrams();
    else return 2;
    for (;;) pause();
}
