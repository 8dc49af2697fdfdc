/* Starts one service, so that it can be told whether it runs, and ends when it should.
 *
 *   launcher LOCK PARENT exec PROGRAM ARGUMENT...         becomes that program
 *   launcher LOCK PARENT clickhouse LIBRARY ARGUMENT...   is ClickHouse, out of libchdb.so
 *
 * LOCK is a file with the process id, locked for as long as the service runs: the lock goes with the process however it
 * ends, and a process id used again by another is not taken for it. With a PARENT other than 0 the service is killed when
 * the thread that started it ends; with 0 it goes on without it, and without its terminal.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif
#include <unistd.h>

static void fail(const char *what, const char *why) {
    fprintf(stderr, "launcher: %s: %s\n", what, why);
    exit(1);
}

static void lock(const char *path) {
    /* Not closed when another program takes over: it inherits the lock. */
    int file = open(path, O_RDWR | O_CREAT, 0644);
    if (file < 0) fail(path, strerror(errno));
    /* Whoever only looks whether it is locked holds it for a moment. */
    for (int tries = 0; flock(file, LOCK_EX | LOCK_NB) != 0; tries++) {
        if (tries == 100) fail(path, "the service runs already");
        usleep(10 * 1000);
    }
    if (ftruncate(file, 0) != 0 || dprintf(file, "%ld\n", (long)getpid()) < 0) fail(path, strerror(errno));
}

static void bind_to(pid_t parent) {
    if (parent == 0) {
        setsid();
        return;
    }
#ifdef __linux__
    prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
    if (getppid() != parent) fail("parent", "it is gone already");
}

/* What libchdb.so declares in chdb.h. */
struct local_result_v2 {
    char *buf;
    size_t len;
    void *vec;
    double elapsed;
    uint64_t rows_read;
    uint64_t bytes_read;
    char *error_message;
};

static sigset_t asked_to_end;
static int gate[2];

/* The query that keeps the server up reads the gate: closing it ends the query, and with it the server, cleanly. */
static void *wait_for_end(void *nothing) {
    int signal;
    sigwait(&asked_to_end, &signal);
    close(gate[1]);
    return nothing;
}

static int clickhouse(int argc, char **argv) {
    sigemptyset(&asked_to_end);
    sigaddset(&asked_to_end, SIGTERM);
    sigaddset(&asked_to_end, SIGINT);
    pthread_sigmask(SIG_BLOCK, &asked_to_end, NULL);
    if (pipe(gate) != 0 || dup2(gate[0], STDIN_FILENO) < 0) fail("pipe", strerror(errno));
    pthread_t waiting;
    if (pthread_create(&waiting, NULL, wait_for_end, NULL) != 0) fail("thread", "cannot be started");

    void *library = dlopen(argv[0], RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) fail("ClickHouse", dlerror());
    struct local_result_v2 *(*query)(int, char **);
    *(void **)&query = dlsym(library, "query_stable_v2");
    if (query == NULL) fail("ClickHouse", dlerror());
    argv[0] = "clickhouse";
    struct local_result_v2 *result = query(argc, argv);
    if (result != NULL && result->error_message != NULL) fail("ClickHouse", result->error_message);
    return 0;
}

int main(int argc, char **argv) {
    if (argc < 5) fail("usage", "launcher LOCK PARENT exec|clickhouse PROGRAM|LIBRARY ARGUMENT...");
    lock(argv[1]);
    bind_to((pid_t)atol(argv[2]));
    if (strcmp(argv[3], "clickhouse") == 0) return clickhouse(argc - 4, argv + 4);
    execvp(argv[4], argv + 4);
    fail(argv[4], strerror(errno));
}
