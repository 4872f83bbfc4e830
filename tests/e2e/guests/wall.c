/* A guest that tries the wall of its sandbox from inside and reports, as an HTTP server on port 8080.
 *
 * Every answer is JSON: `calls` maps an attempt to the errno it got (0: it succeeded), `net` holds what the guest's own
 * network namespace shows. Attempts that would end the process run in a child. Static, no threads, no library but libc.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static char report[65536];
static size_t used;

static void say(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int count = vsnprintf(report + used, sizeof report - used, format, arguments);
    va_end(arguments);
    if (count > 0 && used + (size_t)count < sizeof report) used += (size_t)count;
}

static void attempt(const char *name, long result) { say("\"%s\": %d, ", name, result < 0 ? errno : 0); }

/* Runs one raw system call in a child, so that a kill is a result and not the end. -1: killed by a signal. */
static void attempt_apart(const char *name, long number, long a, long b, long c) {
    int pipe_ends[2];
    if (pipe(pipe_ends) != 0) return;
    pid_t child = fork();
    if (child == 0) {
        errno = 0;
        long result = syscall(number, a, b, c, 0, 0, 0);
        int outcome = result < 0 ? errno : 0;
        if (write(pipe_ends[1], &outcome, sizeof outcome) < 0) _exit(1);
        _exit(0);
    }
    close(pipe_ends[1]);
    int outcome = -1;
    if (read(pipe_ends[0], &outcome, sizeof outcome) != sizeof outcome) outcome = -1;
    close(pipe_ends[0]);
    waitpid(child, NULL, 0);
    say("\"%s\": %d, ", name, outcome);
}

/* socket(AF_INET, SOCK_STREAM, 0) by the 32-bit entry: socketcall(SYS_SOCKET). Arguments must lie below 4 GiB. */
static void attempt_i386(void) {
    pid_t child = fork();
    if (child == 0) {
        long result;
        __asm__ volatile("int $0x80" : "=a"(result) : "a"(359), "b"(2), "c"(1), "d"(0) : "memory");
        _exit(result < 0 ? (int)-result : 0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    say("\"i386_socket\": %d, ", WIFSIGNALED(status) ? -1 : WEXITSTATUS(status));
}

static void calls(void) {
    say("\"calls\": {");
    attempt("raw_socket", socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
    attempt("packet_socket", socket(AF_PACKET, SOCK_RAW, 0));
    attempt("vsock_socket", socket(AF_VSOCK, SOCK_STREAM, 0));
    attempt("alg_socket", socket(AF_ALG, SOCK_SEQPACKET, 0));
    attempt("netlink_generic_socket", socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC));
    attempt("unshare_user", unshare(CLONE_NEWUSER));
    attempt("unshare_net", unshare(CLONE_NEWNET));
    attempt("unshare_mount", unshare(CLONE_NEWNS));
    attempt("mount", mount("none", "/tmp", "tmpfs", 0, ""));
    attempt("umount", umount2("/tmp", MNT_DETACH));
    attempt("ptrace_init", ptrace(PTRACE_ATTACH, 1, NULL, NULL));
    attempt("kill_init", kill(1, SIGKILL));
    attempt("sethostname", sethostname("x", 1));
    attempt("chroot", chroot("/tmp"));
    attempt_apart("clone_newuser", SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0);
    attempt_apart("clone3", SYS_clone3, 0, 0, 0);
    attempt_apart("setns", SYS_setns, 0, 0, 0);
    attempt_apart("pivot_root", SYS_pivot_root, (long)"/", (long)"/", 0);
    attempt_apart("open_tree", SYS_open_tree, AT_FDCWD, (long)"/", 1);
    attempt_apart("move_mount", SYS_move_mount, 0, (long)"", 0);
    attempt_apart("fsopen", SYS_fsopen, (long)"tmpfs", 0, 0);
    attempt_apart("io_uring_setup", SYS_io_uring_setup, 1, 0, 0);
    attempt_apart("io_uring_enter", SYS_io_uring_enter, 0, 0, 0);
    attempt_apart("io_uring_register", SYS_io_uring_register, 0, 0, 0);
    attempt_apart("bpf", SYS_bpf, 0, 0, 0);
    attempt_apart("keyctl", SYS_keyctl, 0, 0, 0);
    attempt_apart("userfaultfd", SYS_userfaultfd, 0, 0, 0);
    attempt_apart("perf_event_open", SYS_perf_event_open, 0, 0, 0);
    attempt_apart("process_vm_readv", SYS_process_vm_readv, 1, 0, 0);
    attempt_apart("pidfd_getfd", SYS_pidfd_getfd, 0, 0, 0);
    attempt_apart("open_by_handle_at", SYS_open_by_handle_at, 0, 0, 0);
    attempt_apart("init_module", SYS_init_module, 0, 0, 0);
    attempt_apart("kexec_load", SYS_kexec_load, 0, 0, 0);
    attempt_apart("reboot", SYS_reboot, 0, 0, 0);
    attempt_apart("x32_socket", 0x40000000 | 41, AF_INET, SOCK_STREAM, 0);
    attempt_i386();
    say("\"getpid\": 0}");
}

static void lines_of(const char *name, const char *path) {
    int lines = 0;
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        say("\"%s\": null, ", name);
        return;
    }
    for (int byte; (byte = fgetc(file)) != EOF;) lines += byte == '\n';
    fclose(file);
    say("\"%s\": %d, ", name, lines);
}

/* The names of all interfaces, or all addresses, as netlink tells them. */
static void netlink_dump(const char *name, int type) {
    struct { struct nlmsghdr header; struct rtgenmsg family; } ask = {
        .header = {.nlmsg_len = sizeof ask, .nlmsg_type = (unsigned short)type, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
        .family = {.rtgen_family = AF_UNSPEC},
    };
    char buffer[16384];
    int socket_ = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    say("\"%s\": [", name);
    const char *comma = "";
    if (socket_ >= 0 && send(socket_, &ask, sizeof ask, 0) >= 0) {
        for (int done = 0; !done;) {
            ssize_t count = recv(socket_, buffer, sizeof buffer, 0);
            if (count <= 0) break;
            int left = (int)count;
            for (struct nlmsghdr *message = (void *)buffer; NLMSG_OK(message, left); message = NLMSG_NEXT(message, left)) {
                if (message->nlmsg_type == NLMSG_DONE || message->nlmsg_type == NLMSG_ERROR) { done = 1; break; }
                int link = message->nlmsg_type == RTM_NEWLINK;
                struct rtattr *part = link ? IFLA_RTA(NLMSG_DATA(message)) : IFA_RTA(NLMSG_DATA(message));
                int size = link ? (int)IFLA_PAYLOAD(message) : (int)IFA_PAYLOAD(message);
                for (; RTA_OK(part, size); part = RTA_NEXT(part, size)) {
                    char text[64];
                    if (link && part->rta_type == IFLA_IFNAME) {
                        say("%s\"%s\"", comma, (char *)RTA_DATA(part));
                        comma = ", ";
                    } else if (!link && part->rta_type == IFA_ADDRESS) {
                        int family = RTA_PAYLOAD(part) == 4 ? AF_INET : AF_INET6;
                        say("%s\"%s\"", comma, inet_ntop(family, RTA_DATA(part), text, sizeof text));
                        comma = ", ";
                    }
                }
            }
        }
    }
    close(socket_);
    say("], ");
}

static void net(int listener, int connection) {
    say("\"net\": {");
    lines_of("tcp", "/proc/net/tcp");
    lines_of("tcp6", "/proc/net/tcp6");
    lines_of("udp", "/proc/net/udp");
    lines_of("raw", "/proc/net/raw");
    lines_of("packet", "/proc/net/packet");
    lines_of("unix", "/proc/net/unix");
    netlink_dump("links", RTM_GETLINK);
    netlink_dump("addresses", RTM_GETADDR);
    say("\"pid\": %d, \"listener\": %d, \"connection\": %d, \"uid\": %d}", getpid(), listener, connection, getuid());
}

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(8080)};
    if (listener < 0 || bind(listener, (void *)&address, sizeof address) != 0 || listen(listener, 16) != 0) {
        perror("listen");
        return 1;
    }
    for (;;) {
        int connection = accept(listener, NULL, NULL);
        if (connection < 0) continue;
        char request[8192];
        if (read(connection, request, sizeof request) > 0) {
            used = 0;
            say("{");
            net(listener, connection);
            say(", ");
            calls();
            say("}\n");
            char head[128];
            int size = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n", used);
            if (write(connection, head, (size_t)size) < 0 || write(connection, report, used) < 0) perror("write");
        }
        close(connection);
    }
}
