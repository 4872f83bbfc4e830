/* Readiness: poll, select and epoll over a ring beside pipes, timers and eventfds. */
#include "guest.h"

/* Prints poll bits by name, in a fixed order. */
static void print_bits(const char *what, unsigned bits) {
    static const struct {
        unsigned bit;
        const char *name;
    } names[] = {{POLLIN, "IN"},   {POLLOUT, "OUT"},      {POLLERR, "ERR"},   {POLLHUP, "HUP"},
                 {POLLNVAL, "NVAL"}, {POLLRDNORM, "RDNORM"}, {POLLWRNORM, "WRNORM"}, {POLLRDHUP, "RDHUP"}};
    printf("%s:", what);
    for (size_t at = 0; at < sizeof names / sizeof *names; at++)
        if (bits & names[at].bit)
            printf(" %s", names[at].name);
    puts("");
    fflush(stdout);
}

static void tell(int fd, const char *text) { REQUIRE(write(fd, text, strlen(text)) == (ssize_t)strlen(text)); }

static void drain(int fd) {
    char text[256];
    while (recv(fd, text, sizeof text, MSG_DONTWAIT) > 0)
        ;
}

/* The host takes everything that is written only when it is told to. */
static long fill(int fd) {
    static char block[65536];
    long total = 0;
    ssize_t len;
    int idle = 0;
    while (idle < 20) {
        len = send(fd, block, sizeof block, MSG_DONTWAIT);
        if (len > 0) {
            total += len;
            idle = 0;
        } else {
            REQUIRE(errno == EAGAIN);
            idle++;
            usleep(5000);
        }
    }
    return total;
}

static void poll_one(int fd) {
    struct pollfd one = {.fd = fd, .events = POLLIN | POLLRDHUP};
    say("poll at once", poll(&one, 1, 0));
    say("poll for a while", poll(&one, 1, 30));
    print_bits("bits", (unsigned)one.revents);
    one.events = POLLIN | POLLOUT | POLLRDNORM;
    say("poll for writing", poll(&one, 1, -1));
    print_bits("bits", (unsigned)one.revents);
    one.events = POLLIN;
    tell(fd, "1");
    say("poll for ever", poll(&one, 1, -1));
    print_bits("bits", (unsigned)one.revents);
    say("level", poll(&one, 1, -1));
    read_text(fd, 4);
    tell(fd, "2");
    struct timespec time = {.tv_sec = 5};
    say("ppoll", ppoll(&one, 1, &time, NULL));
    read_text(fd, 4);
    one.events = POLLIN | POLLRDHUP;
    tell(fd, "3");
    say("end", poll(&one, 1, -1));
    print_bits("bits", (unsigned)one.revents);
    char text[8];
    say("read", read(fd, text, sizeof text));
    say("shutdown", shutdown(fd, SHUT_WR));
    say("poll", poll(&one, 1, 0));
    print_bits("bits", (unsigned)one.revents);
    close(fd);
    say("closed", poll(&one, 1, 0));
    print_bits("bits", (unsigned)one.revents);
}

static void poll_many(int fd) {
    int pair[2];
    REQUIRE(pipe2(pair, O_CLOEXEC) == 0);
    int other = accept_warm();
    struct pollfd list[] = {{.fd = pair[0], .events = POLLIN}, {.fd = -1, .events = POLLIN}, {.fd = fd, .events = POLLIN},
                            {.fd = other, .events = POLLIN}, {.fd = 999, .events = POLLIN}};
    say("one is no descriptor", poll(list, 5, -1));
    print_bits("it", (unsigned)list[4].revents);
    say("nothing", poll(list, 4, 20));
    tell(fd, "1");
    say("first", poll(list, 4, -1));
    print_bits("ring", (unsigned)list[2].revents);
    read_text(fd, 4);
    tell(fd, "2");
    say("second", poll(list, 4, -1));
    print_bits("other ring", (unsigned)list[3].revents);
    read_text(other, 4);
    REQUIRE(write(pair[1], "x", 1) == 1);
    say("pipe", poll(list, 4, -1));
    print_bits("pipe", (unsigned)list[0].revents);
    tell(fd, "3");
    await_bytes(fd, 4);
    await_bytes(other, 4);
    say("all", poll(list, 4, -1));
    print_bits("pipe", (unsigned)list[0].revents);
    print_bits("ring", (unsigned)list[2].revents);
    print_bits("other ring", (unsigned)list[3].revents);
    close(fd);
    close(other);
}

static int select_one(int fd, int forwriting, struct timeval *time) {
    fd_set reading, writing;
    FD_ZERO(&reading);
    FD_ZERO(&writing);
    FD_SET(fd, &reading);
    if (forwriting)
        FD_SET(fd, &writing);
    int answer = select(fd + 1, &reading, &writing, NULL, time);
    printf("reading %d writing %d\n", FD_ISSET(fd, &reading) != 0, FD_ISSET(fd, &writing) != 0);
    return answer;
}

static void selects(int fd) {
    struct timeval time = {.tv_usec = 30000};
    say("nothing", select_one(fd, 0, &time));
    say("writing", select_one(fd, 1, NULL));
    tell(fd, "1");
    time.tv_sec = 10;
    say("reading", select_one(fd, 0, &time));
    say("some time left", time.tv_sec >= 5);
    await_bytes(fd, 4);
    say("both", select_one(fd, 1, NULL));
    read_text(fd, 4);
    int pair[2];
    REQUIRE(pipe2(pair, O_CLOEXEC) == 0);
    fd_set reading;
    FD_ZERO(&reading);
    FD_SET(fd, &reading);
    FD_SET(pair[0], &reading);
    REQUIRE(write(pair[1], "x", 1) == 1);
    struct timespec spec = {.tv_sec = 10};
    int highest = fd > pair[0] ? fd : pair[0];
    say("pselect", pselect(highest + 1, &reading, NULL, NULL, &spec, NULL));
    printf("ring %d pipe %d\n", FD_ISSET(fd, &reading) != 0, FD_ISSET(pair[0], &reading) != 0);
    tell(fd, "2");
    FD_SET(fd, &reading);
    char byte;
    REQUIRE(read(pair[0], &byte, 1) == 1);
    say("pselect", pselect(highest + 1, &reading, NULL, NULL, NULL, NULL));
    printf("ring %d pipe %d\n", FD_ISSET(fd, &reading) != 0, FD_ISSET(pair[0], &reading) != 0);
    close(fd);
}

static int poller;

static void watch(int operation, int fd, uint32_t events, uint64_t data) {
    struct epoll_event event = {.events = events, .data.u64 = data};
    say(operation == EPOLL_CTL_ADD ? "add" : operation == EPOLL_CTL_MOD ? "modify" : "delete",
        epoll_ctl(poller, operation, fd, &event));
}

static int by_data(const void *a, const void *b) {
    uint64_t left = ((const struct epoll_event *)a)->data.u64, right = ((const struct epoll_event *)b)->data.u64;
    return left < right ? -1 : left > right;
}

/* Waits and prints what came, in the order of the data. */
static void look(const char *what, int timeout_ms) {
    struct epoll_event events[8];
    int count = epoll_wait(poller, events, 8, timeout_ms);
    say(what, count);
    if (count > 0)
        qsort(events, (size_t)count, sizeof *events, by_data);
    for (int at = 0; at < count; at++) {
        char name[32];
        snprintf(name, sizeof name, "  %llx", (unsigned long long)events[at].data.u64);
        print_bits(name, events[at].events);
    }
}

static void level(int fd) {
    poller = epoll_create1(EPOLL_CLOEXEC);
    watch(EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLRDHUP, 0x1234567890abcdef);
    watch(EPOLL_CTL_ADD, fd, EPOLLIN, 1);
    look("nothing at once", 0);
    look("nothing for a while", 20);
    tell(fd, "1");
    look("bytes", -1);
    look("bytes still", -1);
    read_text(fd, 4);
    look("nothing", 0);
    watch(EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLOUT, 2);
    look("writable", -1);
    watch(EPOLL_CTL_MOD, fd, 0, 3);
    tell(fd, "2");
    await_bytes(fd, 4);
    look("not asked", 10);
    watch(EPOLL_CTL_MOD, fd, EPOLLIN, 4);
    look("asked", -1);
    drain(fd);
    watch(EPOLL_CTL_DEL, fd, 0, 0);
    tell(fd, "3");
    await_bytes(fd, 4);
    look("not in the set", 10);
    say("gone", epoll_ctl(poller, EPOLL_CTL_DEL, fd, NULL));
    struct epoll_event event = {.events = EPOLLIN};
    say("gone", epoll_ctl(poller, EPOLL_CTL_MOD, fd, &event));
    watch(EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLRDHUP, 5);
    look("added with bytes", -1);
    drain(fd);
    tell(fd, "4");
    usleep(50000);
    look("end", -1);
    close(fd);
    look("closed", 10);
}

static void edge(int fd) {
    set_nonblocking(fd, 1);
    poller = epoll_create1(EPOLL_CLOEXEC);
    watch(EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, 1);
    look("writable", -1);
    look("told once", 10);
    tell(fd, "1");
    look("bytes", -1);
    look("told once", 10);
    char text[8];
    say("some of them", read(fd, text, 2));
    look("still told", 10);
    tell(fd, "2");
    await_bytes(fd, 6);
    look("more bytes", -1);
    drain(fd);
    look("nothing", 10);
    tell(fd, "3");
    await_bytes(fd, 4);
    watch(EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLET, 2);
    look("asked anew", -1);
    drain(fd);
    watch(EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLET | EPOLLONESHOT, 3);
    tell(fd, "4");
    look("one shot", -1);
    drain(fd);
    tell(fd, "5");
    await_bytes(fd, 4);
    look("spent", 10);
    watch(EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLRDHUP | EPOLLONESHOT, 4);
    look("asked anew", -1);
    drain(fd);
    watch(EPOLL_CTL_MOD, fd, EPOLLRDHUP | EPOLLET, 5);
    tell(fd, "6");
    usleep(50000);
    look("end", -1);
    look("told once", 10);
    say("read", read(fd, text, 8));
    close(fd);
}

/* A host that does not read: the buffers fill, and their emptying is an event. */
static void pressure(int fd) {
    set_nonblocking(fd, 1);
    poller = epoll_create1(EPOLL_CLOEXEC);
    watch(EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT | EPOLLET, 1);
    look("writable", -1);
    long total = fill(fd);
    look("full", 10);
    struct pollfd one = {.fd = fd, .events = POLLOUT};
    say("poll", poll(&one, 1, 10));
    kill(getppid(), 0);
    printf("filled\n");
    fflush(stdout);
    look("space", -1);
    say("some was written", total > 1000);
    long more = 0;
    while (more < 1000000) {
        static char block[65536];
        ssize_t len = write(fd, block, sizeof block);
        if (len > 0)
            more += len;
        else {
            struct epoll_event event;
            REQUIRE(errno == EAGAIN);
            REQUIRE(epoll_wait(poller, &event, 1, 10000) == 1);
        }
    }
    set_nonblocking(fd, 0);
    say("rest", write(fd, "end", 3));
    printf("%ld\n", (total + more + 3) % 1 + 0);
    close(fd);
}

/* Level-triggered writing to a host that stops and goes on. */
static void pressure_level(int fd) {
    set_nonblocking(fd, 1);
    poller = epoll_create1(EPOLL_CLOEXEC);
    fill(fd);
    watch(EPOLL_CTL_ADD, fd, EPOLLOUT, 1);
    look("full", 10);
    printf("filled\n");
    fflush(stdout);
    look("space", -1);
    struct pollfd one = {.fd = fd, .events = POLLOUT};
    say("poll", poll(&one, 1, -1));
    close(fd);
}

static void mixed(int fd) {
    poller = epoll_create1(EPOLL_CLOEXEC);
    int pair[2], bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    REQUIRE(pipe2(pair, O_CLOEXEC) == 0);
    watch(EPOLL_CTL_ADD, pair[0], EPOLLIN, 1);
    watch(EPOLL_CTL_ADD, bell, EPOLLIN | EPOLLET, 2);
    watch(EPOLL_CTL_ADD, timer, EPOLLIN, 3);
    watch(EPOLL_CTL_ADD, fd, EPOLLIN, 4);
    watch(EPOLL_CTL_ADD, listener, EPOLLIN, 5);
    look("nothing", 10);
    REQUIRE(write(pair[1], "x", 1) == 1);
    look("pipe", -1);
    tell(fd, "1");
    await_bytes(fd, 4);
    usleep(1000);
    look("pipe and ring", -1);
    REQUIRE(eventfd_write(bell, 1) == 0);
    usleep(1000);
    look("eventfd too", -1);
    char text[8];
    REQUIRE(read(pair[0], text, 1) == 1);
    drain(fd);
    struct itimerspec soon = {.it_value.tv_nsec = 20000000};
    REQUIRE(timerfd_settime(timer, 0, &soon, NULL) == 0);
    look("timer", -1);
    REQUIRE(read(timer, text, 8) == 8);
    tell(fd, "2");
    look("second connection", -1);
    int other = accept_warm();
    watch(EPOLL_CTL_ADD, other, EPOLLIN, 6);
    tell(other, "3");
    look("its bytes", -1);
    read_text(other, 4);
    struct epoll_event one;
    tell(fd, "4");
    await_bytes(fd, 4);
    await_bytes(other, 4);
    REQUIRE(write(pair[1], "x", 1) == 1);
    usleep(1000);
    unsigned seen = 0;
    for (int round = 0; round < 64 && seen != 0x52; round++) {
        REQUIRE(epoll_wait(poller, &one, 1, 1000) == 1);
        seen |= 1u << one.data.u64;
        usleep(100);
    }
    printf("one at a time: %x\n", seen);
    struct timespec time = {.tv_nsec = 1000000};
    struct epoll_event events[8];
    usleep(1000);
    say("epoll_pwait2", syscall(SYS_epoll_pwait2, poller, events, 8, &time, NULL, 8));
    close(other);
    close(poller);
    read_text(fd, 4);
    close(fd);
}

static int others;

static void *wait_in_thread(void *argument) {
    (void)argument;
    struct epoll_event event;
    for (;;) {
        int count = epoll_wait(poller, &event, 1, -1);
        REQUIRE(count == 1);
        if (event.data.u64 == 99)
            return NULL;
        char text[8];
        ssize_t len = read((int)event.data.u64, text, 8);
        REQUIRE(len == 4);
        __atomic_add_fetch(&others, 1, __ATOMIC_SEQ_CST);
        struct epoll_event again = {.events = EPOLLIN | EPOLLONESHOT, .data.u64 = event.data.u64};
        REQUIRE(write((int)event.data.u64, "pong", 4) == 4);
        REQUIRE(epoll_ctl(poller, EPOLL_CTL_MOD, (int)event.data.u64, &again) == 0);
    }
}

/* Threads share a set; each connection is one thread's at a time. */
static void threads(int fd) {
    pthread_t all[3];
    poller = epoll_create1(EPOLL_CLOEXEC);
    int second = accept_warm(), third = accept_warm();
    int bell = eventfd(0, EFD_CLOEXEC);
    for (int at = 0; at < 3; at++)
        REQUIRE(pthread_create(&all[at], NULL, wait_in_thread, NULL) == 0);
    usleep(20000);
    watch(EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLONESHOT, (uint64_t)fd);
    watch(EPOLL_CTL_ADD, second, EPOLLIN | EPOLLONESHOT, (uint64_t)second);
    watch(EPOLL_CTL_ADD, third, EPOLLIN | EPOLLONESHOT, (uint64_t)third);
    while (__atomic_load_n(&others, __ATOMIC_SEQ_CST) < 3 * 200)
        usleep(1000);
    watch(EPOLL_CTL_ADD, bell, EPOLLIN, 99);
    REQUIRE(eventfd_write(bell, 1) == 0);
    for (int at = 0; at < 3; at++)
        REQUIRE(pthread_join(all[at], NULL) == 0);
    say("served", others);
}

/* Things that only the kernel can answer: a set in a set, a polled set, two sets, a copied set. */
static void tangled(int fd) {
    poller = epoll_create1(EPOLL_CLOEXEC);
    int outer = epoll_create1(EPOLL_CLOEXEC);
    watch(EPOLL_CTL_ADD, fd, EPOLLIN, 1);
    struct pollfd one = {.fd = poller, .events = POLLIN};
    say("poll a set", poll(&one, 1, 10));
    tell(fd, "1");
    say("poll a set", poll(&one, 1, -1));
    look("inner", 0);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 7};
    say("set in set", epoll_ctl(outer, EPOLL_CTL_ADD, poller, &event));
    say("outer", epoll_wait(outer, &event, 1, -1));
    read_text(fd, 4);
    int other = accept_warm();
    watch(EPOLL_CTL_ADD, other, EPOLLIN, 2);
    event.events = EPOLLIN;
    int third = epoll_create1(EPOLL_CLOEXEC);
    say("in two sets", epoll_ctl(third, EPOLL_CTL_ADD, other, &event));
    tell(other, "2");
    look("one set", -1);
    say("the other set", epoll_wait(third, &event, 1, -1));
    read_text(other, 4);
    int copy = dup(third);
    tell(other, "3");
    say("copied set", epoll_wait(copy, &event, 1, -1));
    read_text(other, 4);
    close(fd);
}

/* The host dies while the program waits in each way. */
static void death(int fd) {
    int second = accept_warm(), third = accept_warm();
    poller = epoll_create1(EPOLL_CLOEXEC);
    watch(EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLRDHUP, 1);
    tell(fd, "1");
    look("epoll", 10000);
    char text[8];
    say("read", read(fd, text, 8));
    close(fd);
    struct pollfd one = {.fd = second, .events = POLLIN | POLLRDHUP};
    tell(second, "2");
    say("poll", poll(&one, 1, 10000));
    print_bits("bits", (unsigned)one.revents);
    say("read", read(second, text, 8));
    tell(third, "3");
    say("select", select_one(third, 0, NULL));
    say("read", read(third, text, 8));
}

static const struct scenario all[] = {
    {"poll_one", poll_one}, {"poll_many", poll_many}, {"selects", selects}, {"level", level},
    {"edge", edge},         {"pressure", pressure},   {"mixed", mixed},     {"threads", threads},
    {"tangled", tangled},   {"death", death},         {"pressure_level", pressure_level},
};

int main(int argc, char **argv) { return run_scenario(argc, argv, all, sizeof all / sizeof *all); }
