/* What the C peer does in a crowd: it provides a service with others, or calls it many times at once. */
#define _GNU_SOURCE
#include "peer.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { THREADS = 8, SIZE = 64, MOST = 1000 };
/* How long a call may take that takes longer. */
static const int64_t limit = 20 * AXONIC_MILLISECOND;
static const struct timespec delay = {0, 40 * AXONIC_MILLISECOND};

static axonic_service *crowd_service;
static axonic_client *client;
static atomic_uint_fast64_t next;
/* When it is over, of the monotonic clock. */
static int64_t end;

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * AXONIC_SECOND + time.tv_nsec;
}

/* One line, whichever threads tell others. */
static void tell(const char *what, uint64_t k) {
    flockfile(stdout);
    printf("%s %" PRIu64 "\n", what, k);
    fflush(stdout);
    funlockfile(stdout);
}

static unsigned char *backwards(const unsigned char *bytes, size_t length) {
    unsigned char *reversed = malloc(length + 1);
    for (size_t i = 0; i < length; i++) {
        reversed[i] = bytes[length - 1 - i];
    }
    return reversed;
}

static void *answer_calls(void *unused) {
    (void)unused;
    axonic_request request;
    while (axonic_service_next(crowd_service, AXONIC_FOREVER, &request) == AXONIC_OK) {
        axonic_payload result = AXONIC_PAYLOAD_INIT;
        tell("did", number_in(&request.message));
        if (strcmp(request.method, "delay") == 0) {
            nanosleep(&delay, NULL);
        }
        unsigned char *bytes = backwards(request.message.data, request.message.size);
        result.data = bytes;
        result.data_size = request.message.size;
        /* Its caller may be gone. */
        axonic_request_reply(&request, &result);
        free(bytes);
    }
    return NULL;
}

int provide(axonic_domain *domain, const char *name) {
    check(axonic_service_open(domain, name, "1.0.0", NULL, &crowd_service));
    puts("providing");
    fflush(stdout);
    pthread_t threads[THREADS];
    for (size_t n = 0; n < THREADS; n++) {
        pthread_create(&threads[n], NULL, answer_calls, NULL);
    }
    pthread_join(threads[0], NULL);
    return axonic_service_close(crowd_service);
}

static const char *outcome_of(uint64_t k) {
    axonic_payload given = AXONIC_PAYLOAD_INIT;
    axonic_message result;
    const int is_late = k % 16 == 5;
    unsigned char *bytes = message(k, SIZE, &given.data_size);
    given.data = bytes;
    const int code =
        axonic_client_call(client, is_late ? "delay" : "solve", &given, is_late ? limit : PATIENCE, &result);
    const char *outcome = "ok";
    if (code == AXONIC_ERROR_UNAVAILABLE) {
        outcome = "gone";
    } else if (code == AXONIC_ERROR_TIMEOUT) {
        outcome = "late";
    } else {
        check(code);
        unsigned char *wanted = backwards(bytes, given.data_size);
        if (result.size != given.data_size || memcmp(result.data, wanted, result.size) != 0) {
            outcome = "wrong";
        }
        free(wanted);
        check(axonic_message_release(&result));
    }
    free(bytes);
    return outcome;
}

static void *make_calls(void *unused) {
    (void)unused;
    while (now() < end) {
        const uint64_t k = next++;
        tell(outcome_of(k), k);
    }
    return NULL;
}

int consult(axonic_domain *domain, const char *name, uint64_t first, int64_t milliseconds, size_t together) {
    check(axonic_client_open(domain, name, "^1", NULL, &client));
    pthread_t threads[MOST];
    next = first;
    end = now() + milliseconds * AXONIC_MILLISECOND;
    must(together <= MOST, "there are not too many calls at once");
    for (size_t n = 0; n < together; n++) {
        pthread_create(&threads[n], NULL, make_calls, NULL);
    }
    for (size_t n = 0; n < together; n++) {
        pthread_join(threads[n], NULL);
    }
    tell("consulted", next - first);
    return axonic_client_close(client);
}
