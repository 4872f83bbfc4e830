/* Moving bytes: every call, its flags, big transfers, ends. */
#include "guest.h"

static void every_call(int fd) {
    char a[8] = "", b[8] = "";
    struct iovec pieces[3] = {{a, 3}, {NULL, 0}, {b, 4}};
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 3};
    struct sockaddr_storage name;
    socklen_t name_len = sizeof name;
    await_bytes(fd, 7);
    say("readv", readv(fd, pieces, 3));
    printf("%s|%s\n", a, b);
    say("write", write(fd, "1", 1));
    await_bytes(fd, 7);
    say("recvmsg", recvmsg(fd, &message, 0));
    printf("%s|%s %d %d %d\n", a, b, (int)message.msg_controllen, (int)message.msg_namelen, message.msg_flags);
    say("writev", writev(fd, pieces, 3));
    await_bytes(fd, 3);
    say("recv", recv(fd, a, 8, 0));
    say("send", send(fd, "send!", 5, MSG_NOSIGNAL));
    await_bytes(fd, 3);
    say("recvfrom", recvfrom(fd, a, 8, 0, NULL, NULL));
    say("sendto", sendto(fd, "to", 2, 0, NULL, 0));
    await_bytes(fd, 3);
    say("recvfrom with name", recvfrom(fd, a, 8, 0, (struct sockaddr *)&name, &name_len));
    say("name", name_len);
    message.msg_controllen = 0;
    say("sendmsg", sendmsg(fd, &message, MSG_MORE));
    say("read nothing", read(fd, a, 0));
    say("write nothing", write(fd, a, 0));
    volatile int too_many = 2000;
    say("too many pieces", readv(fd, pieces, too_many));
    await_bytes(fd, 2);
    say("raw read", syscall(SYS_read, fd, a, 8));
    say("raw write", syscall(SYS_write, fd, "raw", 3));
    FILE *file = tmpfile();
    REQUIRE(file != NULL);
    for (int line = 0; line < 5000; line++)
        fprintf(file, "line %04d of a file\n", line);
    fflush(file);
    off_t offset = 20;
    long left = 100000 - 20;
    while (left > 0) {
        ssize_t len = sendfile(fd, fileno(file), &offset, (size_t)left);
        REQUIRE(len > 0);
        left -= len;
    }
    say("sendfile to", offset);
    REQUIRE(lseek(fileno(file), 99960, SEEK_SET) == 99960);
    say("sendfile at position", sendfile(fd, fileno(file), NULL, 1000));
    say("position", lseek(fileno(file), 0, SEEK_CUR));
    say("sendfile at end", sendfile(fd, fileno(file), NULL, 1000));
    say("raw close", syscall(SYS_close, fd));
    say("closed", write(fd, "x", 1));
}

static void flags(int fd) {
    char text[64] = "";
    int there = -1;
    say("nothing there", recv(fd, text, 8, MSG_DONTWAIT));
    say("peek at nothing", recv(fd, text, 8, MSG_DONTWAIT | MSG_PEEK));
    say("FIONREAD", ioctl(fd, FIONREAD, &there));
    say("bytes", there);
    REQUIRE(write(fd, "1", 1) == 1);
    await_bytes(fd, 10);
    say("peek", recv(fd, text, 4, MSG_PEEK));
    printf("%.4s\n", text);
    say("peek again", recv(fd, text, 64, MSG_PEEK));
    say("discard", recv(fd, NULL, 2, MSG_TRUNC));
    say("take", recv(fd, text, 3, 0));
    printf("%.3s\n", text);
    REQUIRE(write(fd, "2", 1) == 1);
    say("wait for all", recv(fd, text, 15, MSG_WAITALL));
    printf("%.15s\n", text);
    set_nonblocking(fd, 1);
    say("O_NONBLOCK", read(fd, text, 8));
    say("flags", fcntl(fd, F_GETFL) & O_NONBLOCK);
    int on = 0;
    REQUIRE(ioctl(fd, FIONBIO, &on) == 0);
    REQUIRE(write(fd, "3", 1) == 1);
    read_text(fd, 4);
    on = 1;
    REQUIRE(ioctl(fd, FIONBIO, &on) == 0);
    say("FIONBIO", read(fd, text, 8));
    set_nonblocking(fd, 0);
    int mark = 4;
    REQUIRE(setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &mark, sizeof mark) == 0);
    REQUIRE(write(fd, "4", 1) == 1);
    read_text(fd, 6);
    say("close", close(fd));
}

enum { BULK = 10 << 20 };

/* Takes a stream in odd pieces and gives another, both long. */
static void bulk(int fd) {
    static uint8_t buffer[70000];
    uint64_t at = 0;
    size_t want = 1;
    while (at < BULK) {
        ssize_t len = read(fd, buffer, want);
        REQUIRE(len > 0);
        for (ssize_t byte = 0; byte < len; byte++)
            REQUIRE(buffer[byte] == stream_byte(at + (uint64_t)byte));
        at += (uint64_t)len;
        want = (want * 7 + 13) % sizeof buffer + 1;
        if (want > BULK - at && at < BULK)
            want = BULK - at;
    }
    say("taken", (long)at);
    for (at = 0; at < BULK;) {
        size_t len = (at * 31 + 5) % sizeof buffer + 1;
        if (len > BULK - at)
            len = BULK - at;
        for (size_t byte = 0; byte < len; byte++)
            buffer[byte] = stream_byte(at + byte);
        REQUIRE(write(fd, buffer, len) == (ssize_t)len);
        at += len;
    }
    say("given", (long)at);
    read_text(fd, 4);
    close(fd);
}

static uint64_t duplex_taken;

static void *take_all(void *argument) {
    int fd = *(int *)argument;
    static uint8_t buffer[16384];
    while (duplex_taken < BULK) {
        ssize_t len = read(fd, buffer, sizeof buffer);
        REQUIRE(len > 0);
        for (ssize_t byte = 0; byte < len; byte++)
            REQUIRE(buffer[byte] == stream_byte(duplex_taken + (uint64_t)byte));
        duplex_taken += (uint64_t)len;
    }
    return NULL;
}

/* One thread takes while another gives. */
static void duplex(int fd) {
    static uint8_t buffer[50000];
    pthread_t taker;
    REQUIRE(pthread_create(&taker, NULL, take_all, &fd) == 0);
    for (uint64_t at = 0; at < BULK;) {
        size_t len = sizeof buffer < BULK - at ? sizeof buffer : BULK - at;
        for (size_t byte = 0; byte < len; byte++)
            buffer[byte] = stream_byte(at + byte);
        REQUIRE(write(fd, buffer, len) == (ssize_t)len);
        at += len;
    }
    REQUIRE(pthread_join(taker, NULL) == 0);
    say("taken", (long)duplex_taken);
    close(fd);
}

static void half_close(int fd) {
    char text[16];
    read_text(fd, 4);
    say("end", read(fd, text, sizeof text));
    say("end again", recv(fd, text, sizeof text, MSG_DONTWAIT));
    say("answer", write(fd, "all taken", 9));
    say("shutdown", shutdown(fd, SHUT_WR));
    signal(SIGPIPE, SIG_IGN);
    say("after shutdown", write(fd, "x", 1));
    say("close", close(fd));
}

static volatile sig_atomic_t pipes;

static void count_pipe(int number) {
    (void)number;
    pipes++;
}

/* The host goes away. What is written to it fails sooner or later, with a signal unless that is unwanted. */
static void broken(int fd) {
    char text[16];
    read_text(fd, 4);
    say("end", read(fd, text, sizeof text));
    signal(SIGPIPE, count_pipe);
    ssize_t len;
    int rounds = 0;
    while ((len = send(fd, "x", 1, MSG_NOSIGNAL)) > 0 && rounds++ < 1000)
        usleep(1000);
    say("no signal", len);
    say("pipes", pipes);
    say("signal", write(fd, "x", 1));
    say("pipes", pipes);
    say("close", close(fd));
}

/* The host dies while the program waits for it. */
static void death(int fd) {
    char text[16];
    REQUIRE(write(fd, "waiting", 7) == 7);
    say("read", read(fd, text, sizeof text));
    say("read again", read(fd, text, sizeof text));
    say("close", close(fd));
}

static void shut_reading(int fd) {
    char text[16];
    await_bytes(fd, 4);
    say("shutdown", shutdown(fd, SHUT_RD));
    say("rest", read(fd, text, sizeof text));
    say("end", read(fd, text, sizeof text));
    say("write", write(fd, "still here", 10));
    say("close", close(fd));
}

static const struct scenario all[] = {
    {"every_call", every_call}, {"flags", flags},   {"bulk", bulk},   {"duplex", duplex},
    {"half_close", half_close}, {"broken", broken}, {"death", death}, {"shut_reading", shut_reading},
};

int main(int argc, char **argv) { return run_scenario(argc, argv, all, sizeof all / sizeof *all); }
