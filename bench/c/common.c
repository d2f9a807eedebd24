#define _GNU_SOURCE
#include "common.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

size_t spinning(effort e, size_t size) { return size > 4096 ? e.exchanges / 50 : e.exchanges; }

size_t sleeping(effort e) { return e.exchanges / 10; }

stream stream_of(effort e, size_t size) {
    size_t timed = e.messages * 256 / (size > 256 ? size : 256);
    if (timed < 200) timed = 200;
    size_t part = 5000 * 256 / (size > 256 ? size : 256);
    if (part > timed / 20) part = timed / 20;
    if (part < 10) part = 10;
    return (stream){.margin = timed / 4 > 80 ? timed / 4 : 80, .timed = timed, .part = part};
}

size_t all(stream s) { return s.timed + 2 * s.margin; }

void check(int code) {
    if (code != AXONIC_OK) {
        fprintf(stderr, "%s: %s\n", axonic_error_name(code), axonic_last_error_message());
        _exit(1);
    }
}

void pin(int core) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    sched_setaffinity(0, sizeof set, &set);
}

double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

uint64_t *shared(void) {
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        perror("mmap");
        _exit(1);
    }
    return memory;
}

void meet(uint64_t *word, uint64_t parties) {
    __atomic_fetch_add(word, 1, __ATOMIC_ACQ_REL);
    while (__atomic_load_n(word, __ATOMIC_ACQUIRE) < parties) {
    }
}

void pair(void (*other)(void *), void (*here)(void *), void *context) {
    pid_t child = fork();
    if (child == 0) {
        pin(1);
        other(context);
        _exit(0);
    }
    pin(0);
    here(context);
    int status = 0;
    waitpid(child, &status, 0);
    if (status != 0) {
        fprintf(stderr, "the other process failed\n");
        _exit(1);
    }
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The least that so many of a thousand do not exceed; as in src/samples.rs. */
static double percentile(const double *sorted, size_t count, size_t of_thousand) {
    return sorted[(count * of_thousand + 999) / 1000 - 1];
}

void tell(size_t size, const char *metric, const char *unit, double *values, size_t count) {
    qsort(values, count, sizeof *values, ascending);
    printf("{\"size\": %zu, \"metric\": \"%s\", \"unit\": \"%s\", \"p50\": %.3f, \"p99\": %.3f, \"p999\": %.3f}\n", size,
           metric, unit, percentile(values, count, 500), percentile(values, count, 990), percentile(values, count, 999));
    fflush(stdout);
}

void answers(size_t n, void (*answer)(void *), void *context) {
    for (size_t i = 0; i < n / 10 + n; i++) answer(context);
}

void exchanges(size_t n, void (*exchange)(void *), void *context, double parts, size_t size) {
    double *nanos = calloc(n, sizeof *nanos);
    for (size_t i = 0; i < n / 10; i++) exchange(context);
    for (size_t i = 0; i < n; i++) {
        double started = now();
        exchange(context);
        nanos[i] = (now() - started) / parts;
    }
    tell(size, "latency", "ns", nanos, n);
    free(nanos);
}

void receive(stream s, void (*take)(void *), void *context, size_t size) {
    size_t count = s.part, parts = s.timed / count;
    double *rates = calloc(parts, sizeof *rates);
    for (size_t i = 0; i < s.margin; i++) take(context);
    for (size_t p = 0; p < parts; p++) {
        double started = now();
        for (size_t i = 0; i < count; i++) take(context);
        rates[p] = (double)count / (now() - started) * 1e9;
    }
    for (size_t i = s.margin + parts * count; i < all(s); i++) take(context);
    qsort(rates, parts, sizeof *rates, ascending);
    double rate = rates[parts / 2];
    free(rates);
    tell(size, "rate", "msgs_per_s", &rate, 1);
    if (size >= 4096) {
        rate *= (double)size;
        tell(size, "rate", "bytes_per_s", &rate, 1);
    }
}

void calls(effort e, const char *metric, void (*call)(void *), void *context) {
    size_t batches = e.exchanges / 100;
    double *nanos = calloc(batches, sizeof *nanos);
    for (size_t b = 0; b < batches; b++) {
        double started = now();
        for (int i = 0; i < 1000; i++) call(context);
        nanos[b] = (now() - started) / 1000;
    }
    tell(SMALL, metric, "ns", nanos, batches);
    free(nanos);
}

axonic_domain *domain(const char *name) {
    axonic_domain *opened = NULL;
    check(axonic_domain_open(name, NULL, &opened));
    return opened;
}

axonic_publisher *publisher(axonic_domain *in, const char *topic, int overflow, int wait) {
    axonic_publisher_options options = AXONIC_PUBLISHER_OPTIONS_INIT;
    options.overflow = overflow;
    options.wait = wait;
    axonic_publisher *opened = NULL;
    check(axonic_publisher_open(in, topic, &options, &opened));
    return opened;
}

axonic_subscriber *subscriber(axonic_domain *in, const char *topic, int wait) {
    axonic_subscriber_options options = AXONIC_SUBSCRIBER_OPTIONS_INIT;
    options.wait = wait;
    axonic_subscriber *opened = NULL;
    check(axonic_subscriber_open(in, topic, &options, &opened));
    return opened;
}
