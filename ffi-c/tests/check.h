/* What the test programs share: checks that say what they saw, and a runtime directory of their own. */
#ifndef CHECK_H
#define CHECK_H

#include <axonic.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHOW(...) (fprintf(stderr, "%s:%d: ", __FILE__, __LINE__), fprintf(stderr, __VA_ARGS__), fputc('\n', stderr))

/* Ends the program with status 1 unless the condition holds. */
#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            SHOW("failed: %s (last error: %s)", #condition, axonic_last_error_message());                    \
            exit(1);                                                                                         \
        }                                                                                                    \
    } while (0)

/* The call must answer this code. */
#define ANSWERS(code, call)                                                                                  \
    do {                                                                                                     \
        int answered = (call);                                                                               \
        if (answered != (code)) {                                                                            \
            const char *name = axonic_error_name(answered);                                                  \
            SHOW("%s answered %d (%s), not %s: %s", #call, answered, name != NULL ? name : "?", #code,       \
                 axonic_last_error_message());                                                               \
            exit(1);                                                                                         \
        }                                                                                                    \
    } while (0)

#define OK(call) ANSWERS(AXONIC_OK, call)

/* As ANSWERS, and the message of the failure must hold this text. */
#define FAILS(code, text, call)                                                                              \
    do {                                                                                                     \
        ANSWERS(code, call);                                                                                 \
        if (strstr(axonic_last_error_message(), text) == NULL) {                                             \
            SHOW("%s: the message \"%s\" does not say \"%s\"", #call, axonic_last_error_message(), text);    \
            exit(1);                                                                                         \
        }                                                                                                    \
    } while (0)

#define SAME(a, b)                                                                                           \
    do {                                                                                                     \
        const char *seen = (a);                                                                              \
        if (seen == NULL || strcmp(seen, (b)) != 0) {                                                        \
            SHOW("%s is \"%s\", not \"%s\"", #a, seen != NULL ? seen : "NULL", (b));                         \
            exit(1);                                                                                         \
        }                                                                                                    \
    } while (0)

static char check_directory[64];
static pid_t check_owner;

static int check_remove(const char *path, const struct stat *status, int kind, struct FTW *at) {
    (void)status, (void)kind, (void)at;
    return remove(path);
}

static void check_clean(void) {
    if (getpid() == check_owner) {
        nftw(check_directory, check_remove, 16, FTW_DEPTH | FTW_PHYS);
    }
}

/* Gives this program and its children a runtime directory that is removed at exit. */
static inline void check_start(void) {
    strcpy(check_directory, "/dev/shm/axonic-test-XXXXXX");
    CHECK(mkdtemp(check_directory) != NULL);
    check_owner = getpid();
    CHECK(atexit(check_clean) == 0);
    CHECK(setenv("AXONIC_RUNTIME_DIR", check_directory, 1) == 0);
    CHECK(unsetenv("AXONIC_DOMAIN") == 0);
    alarm(100); /* a test that hangs is a test that failed */
}

/* Waits for a child and demands that it ended with status 0. */
static inline void check_child(pid_t child) {
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        SHOW("the child ended with status %d", status);
        exit(1);
    }
}

#endif
