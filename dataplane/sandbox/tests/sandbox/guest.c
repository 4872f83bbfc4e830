/* The test guest: one static program that tries from inside what the tests ask. Each line of output is one fact. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <arpa/inet.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void fact(const char *name, long result) {
    printf("%s %s\n", name, result < 0 ? strerrorname_np(errno) : "ok");
    fflush(stdout);
}

static int try_call_32(int number, int a, int b, int c) {
    int result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory", "r8", "r9", "r10", "r11");
    return result;
}

static int calls(void) {
    char buffer[64];
    struct iovec vector = {buffer, sizeof buffer};
    fact("socket_raw", socket(AF_INET, SOCK_RAW, 1));
    fact("socket_packet", socket(AF_PACKET, SOCK_RAW, 0));
    fact("socket_vsock", socket(40, SOCK_STREAM, 0));
    fact("socket_alg", socket(38, SOCK_SEQPACKET, 0));
    fact("socket_unix", socket(AF_UNIX, SOCK_STREAM, 0));
    fact("socket_route", socket(AF_NETLINK, SOCK_RAW, 0));
    fact("socket_netfilter", socket(AF_NETLINK, SOCK_RAW, 12));
    fact("unshare_user", unshare(CLONE_NEWUSER));
    fact("unshare_net", unshare(CLONE_NEWNET));
    fact("clone_user", syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
    fact("clone3", syscall(SYS_clone3, 0, 0));
    fact("setns", setns(open("/proc/self/ns/net", O_RDONLY), 0));
    fact("mount", mount("none", "/tmp", "tmpfs", 0, ""));
    fact("umount", umount2("/proc", MNT_DETACH));
    fact("fsopen", syscall(SYS_fsopen, "tmpfs", 0));
    fact("chroot", chroot("/tmp"));
    fact("ptrace", ptrace(PTRACE_SEIZE, 1, 0, 0));
    fact("process_vm_readv", process_vm_readv(1, &vector, 1, &vector, 1, 0));
    fact("pidfd_getfd", syscall(SYS_pidfd_getfd, syscall(SYS_pidfd_open, 1, 0), 0, 0));
    fact("io_uring", syscall(425, 8, buffer));
    fact("bpf", syscall(SYS_bpf, 0, buffer, sizeof buffer));
    fact("userfaultfd", syscall(SYS_userfaultfd, 0));
    fact("perf_event_open", syscall(SYS_perf_event_open, buffer, 0, -1, -1, 0));
    fact("keyctl", syscall(SYS_keyctl, 0, -3, 0, 0, 0));
    fact("open_by_handle_at", syscall(SYS_open_by_handle_at, AT_FDCWD, buffer, 0));
    fact("sethostname", sethostname("x", 1));
    fact("mknod_device", mknod("/tmp/sda", S_IFBLK | 0600, 8 << 8));
    fact("init_memory", open("/proc/1/mem", O_RDONLY));
    fact("init_environment", open("/proc/1/environ", O_RDONLY));
    fact("kernel_setting", open("/proc/sys/kernel/hostname", O_WRONLY));
    fact("sysrq", open("/proc/sysrq-trigger", O_WRONLY));
    fact("setuid_other", setuid(getuid() + 1));
    errno = -try_call_32(20, 0, 0, 0); /* getpid */
    fact("i386_getpid", errno > 0 ? -1 : 0);
    errno = -try_call_32(359, AF_INET, SOCK_STREAM, 0); /* socket */
    fact("i386_socket", errno > 0 ? -1 : 0);
    fact("x32_getpid", syscall(0x40000000 + 39));
    fact("x32_socket", syscall(0x40000000 + SYS_socket, AF_INET, SOCK_STREAM, 0));
    return 0;
}

static int interfaces(void) {
    struct ifaddrs *list, *each;
    if (getifaddrs(&list) < 0) { fact("getifaddrs", -1); return 1; }
    for (each = list; each; each = each->ifa_next) {
        char text[INET6_ADDRSTRLEN] = "link";
        if (!each->ifa_addr) continue;
        if (each->ifa_addr->sa_family == AF_INET)
            inet_ntop(AF_INET, &((struct sockaddr_in *)each->ifa_addr)->sin_addr, text, sizeof text);
        if (each->ifa_addr->sa_family == AF_INET6)
            inet_ntop(AF_INET6, &((struct sockaddr_in6 *)each->ifa_addr)->sin6_addr, text, sizeof text);
        printf("%s %s %s\n", each->ifa_name, text, each->ifa_flags & IFF_UP ? "up" : "down");
    }
    return 0;
}

static int copy(const char *path) {
    char buffer[4096];
    ssize_t bytes;
    int file = open(path, O_RDONLY);
    if (file < 0) { fact(path, -1); return 1; }
    while ((bytes = read(file, buffer, sizeof buffer)) > 0)
        if (write(1, buffer, bytes) != bytes) return 2;
    return 0;
}

static int put(const char *path, long bytes) {
    static char zeros[65536];
    int file = open(path, O_WRONLY | O_CREAT, 0644);
    long left = bytes;
    if (file < 0) { fact(path, -1); return 1; }
    while (left > 0) {
        ssize_t written = write(file, zeros, left < 65536 ? left : 65536);
        if (written < 0) { fact(path, -1); return 1; }
        left -= written;
    }
    fact(path, 0);
    return 0;
}

static int put_text(const char *path, const char *text) {
    int file = open(path, O_WRONLY);
    fact(path, file < 0 ? -1 : write(file, text, strlen(text)));
    return 0;
}

static void facts_of(const char *path) {
    struct stat facts;
    if (lstat(path, &facts) < 0) { fact(path, -1); return; }
    printf("%s %o %d:%d\n", path, facts.st_mode, facts.st_uid, facts.st_gid);
}

static int forks(void) {
    int count = 0;
    for (;; count++) {
        pid_t child = fork();
        if (child < 0) break;
        if (child == 0) { pause(); _exit(0); }
    }
    printf("forks %d %s\n", count, strerrorname_np(errno));
    return 0;
}

static void on_term(int number) {
    (void)number;
    if (write(1, "terminated\n", 11) == 11) _exit(7);
}

static int line(long bytes) {
    static char letters[4096];
    memset(letters, 'x', sizeof letters);
    for (; bytes > 0; bytes -= 4096)
        if (write(1, letters, bytes < 4096 ? bytes : 4096) < 0) return 1;
    return write(1, "\nlast line", 10) == 10 ? 0 : 1;
}

static int abstract_names(const char *action) {
    struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "\0jd-test-name"};
    socklen_t length = sizeof(sa_family_t) + 13;
    int socket_ = socket(AF_UNIX, SOCK_STREAM, 0);
    if (!strcmp(action, "bind")) {
        fact("bind", bind(socket_, (struct sockaddr *)&name, length));
        fact("listen", listen(socket_, 1));
        sleep(30);
    }
    fact("connect", connect(socket_, (struct sockaddr *)&name, length));
    return 0;
}

int main(int count, char **words) {
    const char *word = count > 1 ? words[1] : "";
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!strcmp(word, "exit")) return atoi(words[2]);
    if (!strcmp(word, "signal")) { raise(atoi(words[2])); pause(); }
    if (!strcmp(word, "calls")) return calls();
    if (!strcmp(word, "interfaces")) return interfaces();
    if (!strcmp(word, "cat")) return copy(words[2]);
    if (!strcmp(word, "put")) return put(words[2], atol(words[3]));
    if (!strcmp(word, "put-text")) return put_text(words[2], words[3]);
    if (!strcmp(word, "stat")) { for (int i = 2; i < count; i++) facts_of(words[i]); return 0; }
    if (!strcmp(word, "forks")) return forks();
    if (!strcmp(word, "line")) return line(atol(words[2]));
    if (!strcmp(word, "names")) return abstract_names(words[2]);
    if (!strcmp(word, "socket")) { fact("socket", socket(AF_INET, SOCK_STREAM, 0)); return 0; }
    if (!strcmp(word, "say")) { puts(words[2]); fprintf(stderr, "to errors\n"); return 0; }
    if (!strcmp(word, "sleep")) { puts("ready"); sleep(60); return 0; }
    if (!strcmp(word, "env")) { for (char **e = environ; *e; e++) puts(*e); return 0; }
    if (!strcmp(word, "eat")) for (;;) memset(malloc(1 << 20), 1, 1 << 20);
    if (!strcmp(word, "descriptors")) {
        for (int fd = 0; fd < 4096; fd++)
            if (fcntl(fd, F_GETFD) >= 0) printf("%d\n", fd);
        return 0;
    }
    if (!strcmp(word, "ids")) {
        gid_t groups[32];
        int length = getgroups(32, groups);
        printf("pid %d ids %d:%d", getpid(), getuid(), getgid());
        for (int i = 0; i < length; i++) printf(" %d", groups[i]);
        puts("");
        return 0;
    }
    if (!strcmp(word, "on-term") || !strcmp(word, "ignore-term")) {
        signal(SIGTERM, word[0] == 'o' ? on_term : SIG_IGN);
        if (fork() == 0) { signal(SIGTERM, SIG_DFL); for (;;) pause(); }
        puts("ready");
        for (;;) pause();
    }
    fprintf(stderr, "unknown word %s\n", word);
    return 99;
}
