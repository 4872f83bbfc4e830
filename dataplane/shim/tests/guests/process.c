/* Signals, threads, forks, execs, copies of descriptors: what makes a connection leave its ring, or a call end early. */
#include "guest.h"
#include <sys/un.h>

static void tell(int fd, const char *text) { REQUIRE(write(fd, text, strlen(text)) == (ssize_t)strlen(text)); }

static volatile sig_atomic_t signals;
static int side_fd = -1;

static void on_signal(int number) {
    (void)number;
    signals++;
    if (side_fd >= 0 && write(side_fd, "s", 1) != 1)
        signals += 100;
}

static void handle(int number, int flags) {
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = flags};
    REQUIRE(sigaction(number, &action, NULL) == 0);
}

static void alarm_in_ms(long milliseconds) {
    struct itimerval time = {.it_value.tv_usec = milliseconds * 1000};
    REQUIRE(setitimer(ITIMER_REAL, &time, NULL) == 0);
}

static void interrupted(int fd) {
    char text[8];
    handle(SIGALRM, 0);
    alarm_in_ms(30);
    say("read", read(fd, text, 8));
    say("signals", signals);
    alarm_in_ms(30);
    say("wait for all", recv(fd, text, 8, MSG_WAITALL));
    handle(SIGALRM, SA_RESTART);
    alarm_in_ms(30);
    tell(fd, "1");
    say("restarted", read(fd, text, 8));
    say("signals", signals);
    struct pollfd one = {.fd = fd, .events = POLLIN};
    alarm_in_ms(30);
    say("poll is not restarted", poll(&one, 1, 1000));
    int poller = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    REQUIRE(epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) == 0);
    alarm_in_ms(30);
    say("epoll_wait is not restarted", epoll_wait(poller, &event, 1, 1000));
    close(poller);
    struct timeval time = {.tv_usec = 50000};
    REQUIRE(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time) == 0);
    say("timeout", read(fd, text, 8));
    alarm_in_ms(10);
    say("with a timeout no restart", read(fd, text, 8));
    time.tv_usec = 0;
    REQUIRE(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time) == 0);
    tell(fd, "2");
    say("no timeout", read(fd, text, 8));
    say("signals", signals);
    close(fd);
}

/* One handler restarts, the other does not. */
static void mixed_signals(int fd) {
    char text[8];
    handle(SIGUSR1, SA_RESTART);
    handle(SIGALRM, 0);
    alarm_in_ms(30);
    say("read", read(fd, text, 8));
    handle(SIGALRM, SA_RESTART);
    handle(SIGUSR1, 0);
    alarm_in_ms(30);
    tell(fd, "1");
    say("read", read(fd, text, 8));
    say("signals", signals);
    close(fd);
}

static void mask(int fd) {
    sigset_t blocked, none;
    sigemptyset(&none);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGALRM);
    handle(SIGALRM, 0);
    REQUIRE(sigprocmask(SIG_BLOCK, &blocked, NULL) == 0);
    int poller = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    REQUIRE(epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) == 0);
    alarm_in_ms(10);
    say("blocked", epoll_wait(poller, &event, 1, 50));
    say("let in", epoll_pwait(poller, &event, 1, 1000, &none));
    say("signals", signals);
    struct pollfd one = {.fd = fd, .events = POLLIN};
    struct timespec time = {.tv_sec = 1};
    alarm_in_ms(10);
    usleep(20000);
    say("ppoll", ppoll(&one, 1, &time, &none));
    say("signals", signals);
    close(fd);
}

static volatile int stop;

static void *interrupt(void *argument) {
    pthread_t target = *(pthread_t *)argument;
    while (!stop) {
        pthread_kill(target, SIGUSR1);
        usleep(50);
    }
    return NULL;
}

/* A handler writes to another connection whatever its thread is in the middle of. */
static void handler_writes(int fd) {
    int other = accept_warm();
    side_fd = other;
    handle(SIGUSR1, SA_RESTART);
    pthread_t self = pthread_self(), thread;
    REQUIRE(pthread_create(&thread, NULL, interrupt, &self) == 0);
    char text[4];
    for (int round = 0; round < 2000; round++) {
        size_t got = 0;
        while (got < 4) {
            ssize_t len = read(fd, text + got, 4 - got);
            REQUIRE(len > 0);
            got += (size_t)len;
        }
        REQUIRE(write(fd, "pong", 4) == 4);
    }
    stop = 1;
    REQUIRE(pthread_join(thread, NULL) == 0);
    side_fd = -1;
    char count[32];
    int len = snprintf(count, sizeof count, "=%d", (int)signals);
    REQUIRE(write(other, count, (size_t)len) == len);
    close(other);
    close(fd);
}

static void forks(int fd) {
    char text[16];
    await_bytes(fd, 8);
    say("half", read(fd, text, 4));
    fflush(stdout);
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        read_text(fd, 4);
        tell(fd, "from the child;");
        fflush(stdout);
        _exit(0);
    }
    REQUIRE(waitpid(child, NULL, 0) == child);
    tell(fd, "from the parent;");
    read_text(fd, 4);
    close(fd);
    int next = accept_warm();
    tell(next, "second");
    child = fork();
    if (child == 0) {
        int mine = accept_warm();
        tell(mine, "third");
        read_text(mine, 4);
        fflush(stdout);
        _exit(0);
    }
    close(next);
    REQUIRE(waitpid(child, NULL, 0) == child);
}

static void execs(int fd) {
    char number[16], script[64];
    REQUIRE(fcntl(fd, F_SETFD, 0) == 0);
    snprintf(number, sizeof number, "%d", fd);
    snprintf(script, sizeof script, "read line <&%d; echo got $line >&%d", fd, fd);
    tell(fd, "before;");
    pid_t child = vfork();
    if (child == 0) {
        execl("/bin/sh", "sh", "-c", script, NULL);
        _exit(127);
    }
    REQUIRE(waitpid(child, NULL, 0) == child);
    tell(fd, "after;");
    close(fd);
    int next = accept_warm();
    tell(next, "close-on-exec;");
    child = vfork();
    if (child == 0) {
        close(next);
        execlp("true", "true", NULL);
        _exit(127);
    }
    REQUIRE(waitpid(child, NULL, 0) == child);
    posix_spawn_file_actions_t actions;
    REQUIRE(system("true") == 0);
    tell(next, "still here;");
    REQUIRE(posix_spawn_file_actions_init(&actions) == 0);
    REQUIRE(posix_spawn_file_actions_adddup2(&actions, next, 1) == 0);
    char *arguments[] = {"echo", "spawned", NULL}, *environment[] = {NULL};
    REQUIRE(posix_spawnp(&child, "echo", &actions, NULL, arguments, environment) == 0);
    REQUIRE(waitpid(child, NULL, 0) == child);
    tell(next, "after;");
    close(next);
}

static void copies(int fd) {
    int copy = dup(fd);
    tell(copy, "dup;");
    tell(fd, "and the first;");
    read_text(copy, 4);
    close(fd);
    read_text(copy, 4);
    close(copy);
    int next = accept_warm();
    REQUIRE(dup2(next, 100) == 100);
    close(next);
    tell(100, "dup2;");
    read_text(100, 4);
    int low = fcntl(100, F_DUPFD, 50);
    close(100);
    tell(low, "F_DUPFD;");
    close(low);
    next = accept_warm();
    tell(next, "bytes;");
    FILE *stream = fdopen(next, "r+");
    REQUIRE(stream != NULL);
    fprintf(stream, "stream;");
    fflush(stream);
    char line[32];
    REQUIRE(fgets(line, sizeof line, stream) != NULL);
    printf("line: %s", line);
    fclose(stream);
    next = accept_warm();
    tell(next, "replaced;");
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    REQUIRE(dup2(null, next) == next);
    say("another file", read(next, line, 4));
    close(next);
}

static void sends_descriptor(int fd) {
    int pair[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    char byte = 'x', space[CMSG_SPACE(sizeof(int))] = "";
    struct iovec piece = {&byte, 1};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    tell(fd, "before;");
    say("sendmsg", sendmsg(pair[0], &message, 0));
    close(fd);
    say("recvmsg", recvmsg(pair[1], &message, MSG_CMSG_CLOEXEC));
    int received;
    memcpy(&received, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof received);
    tell(received, "by the other;");
    read_text(received, 4);
    close(received);
}

/* Descriptors closed by the hundred, as daemons do: what the shim has must survive, what the program has must go. */
static void closes_all(int fd) {
    int poller = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    REQUIRE(epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) == 0);
    tell(fd, "before;");
    say("epoll_wait", epoll_wait(poller, &event, 1, -1));
    read_text(fd, 4);
    REQUIRE(poller < 100 && fd < 100);
    for (int other = 100; other < 70000; other++)
        close(other);
    tell(fd, "closed by hand;");
    say("epoll_wait", epoll_wait(poller, &event, 1, -1));
    read_text(fd, 4);
    REQUIRE(syscall(SYS_close_range, 100, ~0u, 0) == 0);
    tell(fd, "closed by range;");
    say("epoll_wait", epoll_wait(poller, &event, 1, -1));
    read_text(fd, 4);
    REQUIRE(syscall(SYS_close_range, 3, ~0u, 0) == 0);
    say("all closed", write(fd, "x", 1));
}

static void *blocked_reader(void *argument) {
    char text[8];
    long len = read(*(int *)argument, text, 8);
    say("blocked", len);
    return NULL;
}

/* Another thread ends the connection that this one waits for. */
static void shut_while_blocked(int fd) {
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, blocked_reader, &fd) == 0);
    usleep(30000);
    int answer = shutdown(fd, SHUT_RDWR);
    REQUIRE(pthread_join(thread, NULL) == 0);
    say("shutdown", answer);
    close(fd);
}

static void *cancelled_reader(void *argument) {
    char text[8];
    REQUIRE(read(*(int *)argument, text, 8) < 0);
    return NULL;
}

/* A thread is cancelled while it waits. */
static void cancelled(int fd) {
    pthread_t thread;
    void *answer = NULL;
    REQUIRE(pthread_create(&thread, NULL, cancelled_reader, &fd) == 0);
    usleep(30000);
    REQUIRE(pthread_cancel(thread) == 0);
    REQUIRE(pthread_join(thread, &answer) == 0);
    say("cancelled", answer == PTHREAD_CANCELED);
    tell(fd, "1");
    read_text(fd, 4);
    close(fd);
}

static void *echo(void *argument) {
    int fd = *(int *)argument;
    char text[64];
    ssize_t len;
    while ((len = read(fd, text, sizeof text)) > 0)
        REQUIRE(write(fd, text, (size_t)len) == len);
    close(fd);
    return NULL;
}

/* A thread for each connection, more of them than there is room for on rings at a time. */
static void many(int fd) {
    enum { MANY = 80 };
    static int all[MANY];
    static pthread_t threads[MANY];
    for (int at = 0; at < MANY; at++) {
        all[at] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        REQUIRE(all[at] >= 0);
        REQUIRE(pthread_create(&threads[at], NULL, echo, &all[at]) == 0);
    }
    for (int at = 0; at < MANY; at++)
        REQUIRE(pthread_join(threads[at], NULL) == 0);
    say("served", MANY);
    close(fd);
}

/* Waits until a connection can be read, each time in another way. */
static void await_somehow(int fd, unsigned how, int poller) {
    struct pollfd one = {.fd = fd, .events = POLLIN};
    struct epoll_event event = {.events = EPOLLIN};
    fd_set set;
    switch (how % 6) {
    case 0:
        REQUIRE(poll(&one, 1, -1) == 1);
        break;
    case 1:
        FD_ZERO(&set);
        FD_SET(fd, &set);
        REQUIRE(select(fd + 1, &set, NULL, NULL, NULL) == 1);
        break;
    case 2:
        REQUIRE(epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) == 0);
        REQUIRE(epoll_wait(poller, &event, 1, -1) == 1);
        REQUIRE(epoll_ctl(poller, EPOLL_CTL_DEL, fd, &event) == 0);
        break;
    case 3:
        event.events = EPOLLIN | EPOLLET | EPOLLONESHOT;
        REQUIRE(epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) == 0);
        REQUIRE(epoll_wait(poller, &event, 1, -1) == 1);
        REQUIRE(poll(&one, 1, -1) == 1);
        REQUIRE(epoll_ctl(poller, EPOLL_CTL_DEL, fd, &event) == 0);
        break;
    default:
        break; /* the read itself waits */
    }
}

/* Echoes, waiting and reading in every way, and now and then leaves the ring in the middle of it all. */
static void *echo_somehow(void *argument) {
    int fd = *(int *)argument, poller = epoll_create1(EPOLL_CLOEXEC);
    char *buffer = malloc(40000);
    unsigned dice = (unsigned)fd * 7919;
    for (unsigned round = 1;; round++) {
        dice = dice * 1103515245 + 12345;
        await_somehow(fd, dice >> 16, poller);
        size_t room = (dice >> 8) % 40000 + 1;
        ssize_t len = (dice >> 20) % 3 ? read(fd, buffer, room) : recv(fd, buffer, room, MSG_DONTWAIT);
        if (len < 0 && errno == EAGAIN)
            continue;
        if (len <= 0)
            break;
        REQUIRE(write(fd, buffer, (size_t)len) == len);
        if (round % 400 == (unsigned)fd % 400) {
            int copy = dup(fd);
            REQUIRE(dup2(copy, fd) == fd);
            close(copy);
        }
    }
    free(buffer);
    close(poller);
    close(fd);
    return NULL;
}

static void storm(int fd) {
    enum { MANY = 12 };
    static int all[MANY];
    static pthread_t threads[MANY];
    for (int at = 0; at < MANY; at++) {
        all[at] = accept_warm();
        REQUIRE(pthread_create(&threads[at], NULL, echo_somehow, &all[at]) == 0);
    }
    for (int at = 0; at < MANY; at++)
        REQUIRE(pthread_join(threads[at], NULL) == 0);
    close(fd);
}

static const struct scenario all[] = {
    {"storm", storm},
    {"interrupted", interrupted}, {"mixed_signals", mixed_signals}, {"mask", mask}, {"handler_writes", handler_writes},
    {"forks", forks}, {"execs", execs}, {"copies", copies}, {"sends_descriptor", sends_descriptor},
    {"closes_all", closes_all}, {"shut_while_blocked", shut_while_blocked}, {"cancelled", cancelled}, {"many", many},
};

int main(int argc, char **argv) { return run_scenario(argc, argv, all, sizeof all / sizeof *all); }
