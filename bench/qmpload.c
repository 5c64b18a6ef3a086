/* qmpload: puts the same load on any QMP unix socket, which allows systems to be compared in one run.
 *
 *   cc -O2 -o qmpload qmpload.c
 *   qmpload [-o] lat SOCKET COUNT COMMAND              one client, one command at a time: p50 p90 p99 mean, microseconds
 *   qmpload [-o] thr SOCKET CLIENTS DEPTH SECS COMMAND clients that each keep DEPTH commands unanswered: replies per second,
 *                                                      and for a DEPTH of 1 how long each took: p50 p90 p99 mean
 *   qmpload [-o] fan SOCKET CLIENTS ROUNDS [LINES COMMAND]
 *                                                      an event (cont/stop of one more client) to CLIENTS clients:
 *                                                      microseconds until all of them have it; each sends COMMAND first,
 *                                                      and gets LINES events for each event
 *   qmpload [-o] idle SOCKET CLIENTS SECS              connects and negotiates, then stays silent (to weigh idle clients)
 *   qmpload [-o] pace HERTZ COMMAND SOCKET...          a client at each socket that sends COMMAND so often, one at a time,
 *                                                      until SIGTERM: replies per second of all clients together
 *
 * -o enables oob: without it QEMU takes one command a turn, whatever DEPTH says. COMMAND is the JSON text to send. Only
 * replies count, not events. It negotiates first. A QEMU socket serves one client: use CLIENTS = 1 there, and not fan.
 * Exit 2: no reply for 10 s, or an event lost. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define SAMPLES 1000000 /* of thr: later ones replace the first */

static int want_oob;
static char buf[1 << 20];

static void die(const char *what)
{
    int silent = errno == EAGAIN || errno == EWOULDBLOCK;
    fprintf(stderr, "%s: %s\n", what, silent ? "no answer for 10 s" : strerror(errno));
    exit(silent ? 2 : 1);
}

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static void write_all(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t k = write(fd, p, n);
        if (k < 0) die("write");
        p += k, n -= k;
    }
}

static size_t read_some(int fd)
{
    ssize_t k = read(fd, buf, sizeof buf);
    if (k == 0) errno = ECONNRESET;
    if (k <= 0) die("read");
    return k;
}

/* The state of a client's stream: how much of the present line's head was read, and whether it is an event. */
struct line { char head[12]; int seen; };

static int is_event(const struct line *l)
{
    return l->seen >= 3 && (!strncmp(l->head, "{\"timestamp\"", l->seen < 12 ? l->seen : 12) || !strncmp(l->head, "{\"event\"", 8));
}

/* Parses bytes just read; returns the number of complete replies, and in *events the number of events. */
static int count_lines(struct line *l, const char *p, size_t n, int *events)
{
    int replies = 0;
    for (const char *end = p + n; p < end;) {
        while (p < end && l->seen < 12 && *p != '\n') l->head[l->seen++] = *p++;
        const char *nl = memchr(p, '\n', end - p);
        if (!nl) break;
        if (is_event(l)) ++*events; else replies++;
        l->seen = 0;
        p = nl + 1;
    }
    return replies;
}

/* Reads one whole reply; events before it are skipped. Nothing may follow it. */
static void await_reply(int fd)
{
    struct line l = { .seen = 0 };
    int events = 0;
    while (!count_lines(&l, buf, read_some(fd), &events)) ;
}

static int open_client(const char *path)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof a.sun_path) { fprintf(stderr, "path too long: %s\n", path); exit(64); }
    strcpy(a.sun_path, path);
    struct timeval ten = { .tv_sec = 10 };
    int fd;
    for (int i = 0;; i++) {
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &ten, sizeof ten);
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &ten, sizeof ten);
        if (!connect(fd, (void *)&a, sizeof a)) break;
        if (i > 500) die("connect");
        close(fd);
        usleep(10000);
    }
    await_reply(fd); /* the greeting */
    const char *caps = want_oob ? "{\"execute\":\"qmp_capabilities\",\"arguments\":{\"enable\":[\"oob\"]}}\n"
                                : "{\"execute\":\"qmp_capabilities\"}\n";
    write_all(fd, caps, strlen(caps));
    await_reply(fd);
    return fd;
}

static void ask(int fd, const char *cmd)
{
    write_all(fd, cmd, strlen(cmd));
    await_reply(fd);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_times(double *t, int n, const char *unit)
{
    double sum = 0;
    for (int i = 0; i < n; i++) sum += t[i];
    qsort(t, n, sizeof *t, compare);
    printf("p50=%.1f p90=%.1f p99=%.1f mean=%.1f %s\n", t[n / 2], t[n * 9 / 10], t[n * 99 / 100], sum / n, unit);
}

static char *with_newline(const char *cmd)
{
    char *text = malloc(strlen(cmd) + 2);
    return strcat(strcpy(text, cmd), "\n");
}

static int lat(const char *path, int n, const char *cmd)
{
    int fd = open_client(path);
    char *text = with_newline(cmd);
    double *t = malloc(n * sizeof *t);
    for (int i = -n / 5; i < n; i++) {
        double a = now_us();
        ask(fd, text);
        if (i >= 0) t[i] = now_us() - a;
    }
    print_times(t, n, "us");
    return 0;
}

static int watch(int ep, int fd, unsigned who)
{
    struct epoll_event e = { EPOLLIN, { .u64 = (unsigned long long)who << 32 | (unsigned)fd } };
    return epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
}

/* Says that all clients have negotiated, and that the load begins. */
static void say_connected(int clients)
{
    printf("connected=%d\n", clients);
    fflush(stdout);
}

static int thr(const char *path, int clients, int depth, double secs, const char *cmd)
{
    char *text = with_newline(cmd);
    size_t len = strlen(text);
    char *batch = malloc(len * depth);
    for (int i = 0; i < depth; i++) memcpy(batch + i * len, text, len);
    struct line *lines = calloc(clients, sizeof *lines);
    double *asked = calloc(clients, sizeof *asked), *took = malloc(SAMPLES * sizeof *took);
    long samples = 0;
    int *fds = malloc(clients * sizeof *fds);
    int ep = epoll_create1(0);
    for (int i = 0; i < clients; i++) {
        fds[i] = open_client(path);
        if (watch(ep, fds[i], i)) die("epoll");
    }
    say_connected(clients);
    for (int i = 0; i < clients; i++) {
        asked[i] = now_us();
        write_all(fds[i], batch, len * depth);
    }
    long done = 0, at_start = 0;
    double begin = now_us(), start = 0, end = begin + (secs + 0.5) * 1e6;
    for (;;) {
        struct epoll_event ev[128];
        int n = epoll_wait(ep, ev, 128, 10000);
        if (!n) { fprintf(stderr, "no reply for 10 s\n"); return 2; }
        double t = now_us();
        if (!start && t > begin + 0.5e6) start = t, at_start = done;
        if (t > end) {
            printf("replies/s=%.0f ", (done - at_start) / ((t - start) / 1e6));
            if (samples) print_times(took, samples < SAMPLES ? samples : SAMPLES, "us");
            else puts("");
            return 0;
        }
        for (int i = 0; i < n; i++) {
            int fd = (int)(unsigned)ev[i].data.u64, who = ev[i].data.u64 >> 32, events = 0;
            int replies = count_lines(&lines[who], buf, read_some(fd), &events);
            done += replies;
            if (depth == 1 && replies) {
                double got = now_us();
                if (start) took[samples++ % SAMPLES] = got - asked[who];
                asked[who] = got;
            }
            for (; replies > 0; replies -= depth) write_all(fd, batch, len * (replies < depth ? replies : depth));
        }
    }
}

static int fan(const char *path, int clients, int rounds, int each, const char *cmd)
{
    char *first = cmd ? with_newline(cmd) : NULL;
    int driver = open_client(path);
    ask(driver, "{\"execute\":\"stop\"}\n");
    struct line *lines = calloc(clients, sizeof *lines);
    double *t = malloc(rounds * sizeof *t);
    int ep = epoll_create1(0);
    for (int i = 0; i < clients; i++) {
        int fd = open_client(path);
        if (first) ask(fd, first);
        if (watch(ep, fd, i)) die("epoll");
    }
    for (int i = -2; i < rounds; i++) {
        const char *cmd = i & 1 ? "{\"execute\":\"stop\"}\n" : "{\"execute\":\"cont\"}\n";
        int got = 0;
        double a = now_us();
        write_all(driver, cmd, strlen(cmd));
        while (got < clients * each) {
            struct epoll_event ev[256];
            int n = epoll_wait(ep, ev, 256, 10000);
            if (!n) { fprintf(stderr, "an event was lost: %d of %d lines came\n", got, clients * each); return 2; }
            for (int j = 0; j < n; j++)
                count_lines(&lines[ev[j].data.u64 >> 32], buf, read_some((int)(unsigned)ev[j].data.u64), &got);
        }
        if (i >= 0) t[i] = now_us() - a;
        await_reply(driver);
    }
    ask(driver, "{\"execute\":\"stop\"}\n");
    print_times(t, rounds, "us until all have it");
    return 0;
}

static int idle(const char *path, int clients, double secs)
{
    for (int i = 0; i < clients; i++) open_client(path);
    say_connected(clients);
    usleep(secs * 1e6);
    return 0;
}

static volatile sig_atomic_t ended;

static void end(int signal)
{
    (void)signal;
    ended = 1;
}

/* The clients begin one after the other within a period. One whose reply is late skips what it could not send. */
static int pace(double hertz, const char *cmd, char **paths, int clients)
{
    char *text = with_newline(cmd);
    struct line *lines = calloc(clients, sizeof *lines);
    struct pollfd *fds = calloc(clients, sizeof *fds);
    double *due = calloc(clients, sizeof *due), period = 1e6 / hertz;
    char *waits = calloc(clients, 1);
    for (int i = 0; i < clients; i++) fds[i] = (struct pollfd){ open_client(paths[i]), POLLIN, 0 };
    signal(SIGTERM, end);
    say_connected(clients);
    double begin = now_us();
    long done = 0;
    for (int i = 0; i < clients; i++) due[i] = begin + period * i / clients;
    while (!ended) {
        double now = now_us(), next = now + 1e5;
        for (int i = 0; i < clients; i++) {
            if (!waits[i] && due[i] <= now) {
                write_all(fds[i].fd, text, strlen(text));
                waits[i] = 1;
                while (due[i] <= now) due[i] += period;
            }
            if (!waits[i] && due[i] < next) next = due[i];
        }
        struct timespec rest = { 0, (long)((next - now) * 1e3) };
        if (ppoll(fds, clients, &rest, NULL) <= 0) continue;
        for (int i = 0; i < clients; i++) {
            int events = 0;
            if (!fds[i].revents || !count_lines(&lines[i], buf, read_some(fds[i].fd), &events)) continue;
            waits[i] = 0;
            done++;
        }
    }
    printf("replies/s=%.0f\n", done / ((now_us() - begin) / 1e6));
    return 0;
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (argc > 1 && !strcmp(argv[1], "-o")) want_oob = 1, argc--, argv++;
    int n = argc > 3 ? atoi(argv[3]) : 0;
    if (n > 0 && argc == 5 && !strcmp(argv[1], "lat")) return lat(argv[2], n, argv[4]);
    if (n > 0 && argc == 7 && !strcmp(argv[1], "thr") && atoi(argv[4]) > 0) return thr(argv[2], n, atoi(argv[4]), atof(argv[5]), argv[6]);
    if (n > 0 && argc == 5 && !strcmp(argv[1], "fan") && atoi(argv[4]) > 0) return fan(argv[2], n, atoi(argv[4]), 1, NULL);
    if (n > 0 && argc == 7 && !strcmp(argv[1], "fan") && atoi(argv[4]) > 0 && atoi(argv[5]) > 0)
        return fan(argv[2], n, atoi(argv[4]), atoi(argv[5]), argv[6]);
    if (n > 0 && argc == 5 && !strcmp(argv[1], "idle")) return idle(argv[2], n, atof(argv[4]));
    if (argc > 4 && !strcmp(argv[1], "pace") && atof(argv[2]) > 0)
        return pace(atof(argv[2]), argv[3], argv + 4, argc - 4);
    fprintf(stderr, "usage: see the head of qmpload.c\n");
    return 64;
}
