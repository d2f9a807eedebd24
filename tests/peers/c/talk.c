/* A conversation in which everything that queues can do occurs once. */
#define _GNU_SOURCE
#include "peer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SIZE = 64, MOST = 9 };
static const int64_t hour = 3600 * AXONIC_SECOND;
static const int64_t soon = 100 * AXONIC_MILLISECOND;
/* What its consumer says of message 3 while it has it. */
static const double half = 0.5;

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * AXONIC_SECOND + time.tv_nsec;
}

static void pause_briefly(void) {
    const struct timespec time = {0, AXONIC_MILLISECOND};
    nanosleep(&time, NULL);
}

static axonic_receipt put(axonic_queue_producer *to, uint64_t k, axonic_put_options how) {
    axonic_payload payload = AXONIC_PAYLOAD_INIT;
    axonic_receipt receipt;
    unsigned char *bytes = message(k, SIZE, &payload.data_size);
    payload.data = bytes;
    check(axonic_queue_producer_send(to, &payload, &how, PATIENCE, &receipt));
    free(bytes);
    return receipt;
}

static size_t put_first(axonic_queue_producer *to) {
    const axonic_payload empty = AXONIC_PAYLOAD_INIT;
    axonic_payload payloads[] = {empty, empty, empty};
    unsigned char *bytes[3];
    for (size_t k = 0; k < 3; k++) {
        bytes[k] = message(k, SIZE, &payloads[k].data_size);
        payloads[k].data = bytes[k];
    }
    size_t count = 0;
    check(axonic_queue_producer_put_many(to, payloads, 3, NULL, PATIENCE, &count));
    for (size_t k = 0; k < 3; k++) {
        free(bytes[k]);
    }
    return count;
}

int bring(axonic_domain *domain, const char *queue) {
    axonic_queue_producer *to = NULL;
    check(axonic_queue_producer_open(domain, queue, NULL, &to));
    const size_t many = put_first(to);
    axonic_put_options urgent = AXONIC_PUT_OPTIONS_INIT, brief = urgent, once = urgent, late = urgent, later = urgent,
                       first = urgent;
    urgent.priority = 2;
    urgent.result = 1;
    axonic_ticket *ticket = put(to, 3, urgent).ticket;
    brief.ttl = AXONIC_MILLISECOND;
    put(to, 4, brief);
    once.dedup_id = "once";
    const int known = put(to, 5, once).duplicate, again = put(to, 9, once).duplicate;
    late.delay = hour;
    put(to, 6, late);
    later.delay = soon;
    put(to, 7, later);
    printf("brought %zu %d %d\n", many, known, again);
    fflush(stdout);
    for (const int64_t until = now() + PATIENCE; axonic_ticket_progress(ticket) != half && now() < until;) {
        pause_briefly();
    }
    first.priority = 7;
    put(to, 8, first);
    check_result(ticket, to, 3);
    puts("answered");
    return axonic_queue_producer_close(to);
}

/* The next message, which must be this one, delivered for the n-th time. */
static axonic_delivery next(axonic_queue_consumer *from, uint64_t k, uint32_t attempt) {
    axonic_delivery job;
    check(axonic_queue_consumer_get(from, NULL, PATIENCE, &job));
    const uint64_t told = number_in(&job.message);
    if (told != k || job.attempt != attempt) {
        printf("bad: message %" PRIu64 " is next for time %" PRIu32 ", it is %" PRIu64 " for time %" PRIu32 "\n", k,
               attempt, told, job.attempt);
        exit(1);
    }
    return job;
}

static void peek(axonic_queue_consumer *from) {
    const axonic_peeked *seen = NULL;
    size_t count = 0;
    check(axonic_queue_consumer_peek(from, 5, &seen, &count));
    printf("peek");
    for (size_t n = 0; n < count; n++) {
        printf(" %" PRIu64, number_in(&seen[n].message));
    }
    puts("");
}

static void take_many(axonic_queue_consumer *from, axonic_delivery *jobs, size_t most) {
    axonic_get_options how = AXONIC_GET_OPTIONS_INIT;
    how.lease = PATIENCE;
    size_t count = 0;
    check(axonic_queue_consumer_get_many(from, &how, PATIENCE, jobs, most, &count));
    printf("many");
    for (size_t n = 0; n < count; n++) {
        printf(" %" PRIu64, number_in(&jobs[n].message));
    }
    puts("");
    must(count == most, "as many are there");
}

static int in_order(const void *left, const void *right) {
    return strcmp(left, right);
}

static void tell_dead(axonic_queue_consumer *from) {
    const axonic_peeked *letters = NULL;
    size_t count = 0;
    char lines[MOST][64];
    check(axonic_queue_consumer_dead_letters(from, MOST, &letters, &count));
    for (size_t n = 0; n < count; n++) {
        const char *reason = letters[n].reason == AXONIC_REASON_REJECTED  ? "rejected"
                             : letters[n].reason == AXONIC_REASON_EXPIRED ? "expired"
                                                                          : "none";
        snprintf(lines[n], sizeof lines[n], "dead %" PRIu64 " %s '%s'", number_in(&letters[n].message), reason,
                 letters[n].reason_text);
    }
    qsort(lines, count, sizeof *lines, in_order);
    for (size_t n = 0; n < count; n++) {
        puts(lines[n]);
    }
}

/* Gives one back for later twice: by the end of its lease, and by hand; then nobody is to get it. */
static void give_back(axonic_queue_consumer *from, axonic_delivery *late) {
    check(axonic_delivery_extend(late, soon));
    axonic_delivery job = next(from, 1, 2);
    const int64_t given = now();
    check(axonic_delivery_nack(&job, soon));
    job = next(from, 1, 3);
    must(now() - given >= soon, "what is given back for later comes later");
    check(axonic_delivery_reject(&job, "as agreed"));
    check(axonic_delivery_release(late));
}

static void clear(axonic_queue_consumer *from) {
    uint64_t redriven = 0, purged = 0, dead = 0;
    check(axonic_queue_consumer_redrive(from, MOST, &redriven));
    printf("redriven %" PRIu64 "\n", redriven);
    axonic_delivery job = next(from, 1, 1);
    check(axonic_delivery_ack(&job, NULL));
    job = next(from, 4, 1);
    check(axonic_delivery_reject(&job, NULL));
    axonic_queue_stats stats;
    check(axonic_queue_consumer_get_stats(from, &stats));
    printf("stats %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", stats.ready, stats.delayed,
           stats.leased, stats.dead, stats.put);
    check(axonic_queue_consumer_purge(from, &purged));
    check(axonic_queue_consumer_purge_dead_letters(from, &dead));
    printf("purged %" PRIu64 " %" PRIu64 "\n", purged, dead);
}

int fetch(axonic_domain *domain, const char *queue) {
    axonic_queue_consumer *from = NULL;
    check(axonic_queue_consumer_open(domain, queue, NULL, &from));
    peek(from);
    axonic_delivery first[3], two[2];
    take_many(from, first, 3);
    check(axonic_delivery_ack(&first[1], NULL));
    take_many(from, two, 2);
    check(axonic_delivery_ack(&two[0], NULL));
    check(axonic_delivery_ack(&two[1], NULL));
    axonic_delivery job = next(from, 7, 1);
    check(axonic_delivery_ack(&job, NULL));
    give_back(from, &first[2]);
    check(axonic_delivery_progress(&first[0], half));
    job = next(from, 8, 1);
    check(axonic_delivery_ack(&job, NULL));
    tell_dead(from);
    clear(from);
    acknowledge_reversed(&first[0]);
    puts("fetched");
    return axonic_queue_consumer_close(from);
}
