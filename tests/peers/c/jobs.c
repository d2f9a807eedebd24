/* What the C peer does with queues. */
#define _GNU_SOURCE
#include "peer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ASKED = 64 };
/* A worker that got nothing for so long is done. */
static const int64_t idle = AXONIC_SECOND;
/* Every second message is taken for this long only. */
static const int64_t lease = 2 * AXONIC_SECOND;

/* Message k: its number, then bytes as in topics, so that one in three is in its slot, one in some parts and one in
 * many. The caller frees it. */
unsigned char *message(uint64_t k, size_t size, size_t *length) {
    const size_t factors[] = {1, 10, 300};
    *length = size * factors[k % 3];
    unsigned char *bytes = malloc(*length);
    fill(bytes, k, *length);
    memcpy(bytes, &k, sizeof k);
    return bytes;
}

/* The number of a message, every byte of which is as it should be. */
uint64_t number_in(const axonic_message *m) {
    const unsigned char *bytes = m->data;
    uint64_t k = 0;
    memcpy(&k, bytes, m->size < sizeof k ? m->size : sizeof k);
    unsigned char value = (unsigned char)(first_byte(k, m->size) + sizeof k * 31);
    for (size_t i = sizeof k; i < m->size; i++, value = (unsigned char)(value + 31)) {
        if (bytes[i] != value) {
            printf("bad message %" PRIu64 " of %zu bytes: byte %zu is torn\n", k, m->size, i);
            exit(1);
        }
    }
    return k;
}

static void tell(const char *what, uint64_t k) {
    printf("%s %" PRIu64 "\n", what, k);
    fflush(stdout);
}

int put_all(axonic_domain *domain, const char *queue, uint64_t first, size_t count, size_t size) {
    axonic_queue_producer *producer = NULL;
    check(axonic_queue_producer_open(domain, queue, NULL, &producer));
    for (uint64_t k = first; k < first + count; k++) {
        axonic_payload payload = AXONIC_PAYLOAD_INIT;
        axonic_put_options how = AXONIC_PUT_OPTIONS_INIT;
        unsigned char *bytes = message(k, size, &payload.data_size);
        payload.data = bytes;
        how.priority = (uint32_t)(k % 3);
        check(axonic_queue_producer_send(producer, &payload, &how, PATIENCE, NULL));
        free(bytes);
        tell("put", k);
    }
    tell("sent", count);
    return axonic_queue_producer_close(producer);
}

/* Gives some back once, rejects others, acknowledges the rest, and tells. */
static void settle(axonic_delivery *job) {
    const uint64_t k = number_in(&job->message);
    printf("take %" PRIu64 " %" PRIu32 "\n", k, job->attempt);
    fflush(stdout);
    int settled = AXONIC_OK;
    const char *outcome = "ack";
    if (job->attempt == 1 && k % 5 == 3) {
        outcome = "back";
        settled = axonic_delivery_nack(job, 0);
    } else if (k % 11 == 7) {
        outcome = "dead";
        settled = axonic_delivery_reject(job, "as agreed");
    } else {
        settled = axonic_delivery_ack(job, NULL);
    }
    if (settled != AXONIC_ERROR_LEASE_LOST) {
        check(settled);
    }
    tell(settled == AXONIC_OK ? outcome : "lost", k);
}

int work(axonic_domain *domain, const char *queue) {
    axonic_queue_consumer *consumer = NULL;
    check(axonic_queue_consumer_open(domain, queue, NULL, &consumer));
    for (uint64_t done = 0;; done++) {
        axonic_get_options how = AXONIC_GET_OPTIONS_INIT;
        how.lease = done % 2 == 1 ? lease : 0;
        axonic_delivery job;
        const int got = axonic_queue_consumer_get(consumer, &how, idle, &job);
        if (got == AXONIC_ERROR_TIMEOUT) {
            tell("done", done);
            return axonic_queue_consumer_close(consumer);
        }
        check(got);
        settle(&job);
    }
}

void check_result(axonic_ticket *ticket, axonic_queue_producer *producer, uint64_t k) {
    axonic_message result;
    check(axonic_ticket_result(ticket, producer, PATIENCE, &result));
    size_t length = 0;
    unsigned char *asked = message(k, ASKED, &length);
    const unsigned char *given = result.data;
    int reversed = result.size == length;
    for (size_t i = 0; reversed && i < length; i++) {
        reversed = given[i] == asked[length - 1 - i];
    }
    if (!reversed) {
        printf("bad result of message %" PRIu64 ": it is not its reverse\n", k);
        exit(1);
    }
    free(asked);
    check(axonic_ticket_close(ticket));
}

int ask(axonic_domain *domain, const char *queue, size_t count) {
    axonic_queue_producer *producer = NULL;
    check(axonic_queue_producer_open(domain, queue, NULL, &producer));
    axonic_receipt *receipts = calloc(count, sizeof *receipts);
    for (size_t k = 0; k < count; k++) {
        axonic_payload payload = AXONIC_PAYLOAD_INIT;
        axonic_put_options how = AXONIC_PUT_OPTIONS_INIT;
        unsigned char *bytes = message(k, ASKED, &payload.data_size);
        payload.data = bytes;
        how.result = 1;
        check(axonic_queue_producer_send(producer, &payload, &how, PATIENCE, &receipts[k]));
        free(bytes);
    }
    for (size_t k = 0; k < count; k++) {
        check_result(receipts[k].ticket, producer, k);
    }
    free(receipts);
    tell("asked", count);
    return axonic_queue_producer_close(producer);
}

void acknowledge_reversed(axonic_delivery *job) {
    const size_t length = job->message.size;
    const unsigned char *asked = job->message.data;
    unsigned char *reversed = malloc(length);
    for (size_t i = 0; i < length; i++) {
        reversed[i] = asked[length - 1 - i];
    }
    axonic_payload result = AXONIC_PAYLOAD_INIT;
    result.data = reversed;
    result.data_size = length;
    check(axonic_delivery_ack(job, &result));
    free(reversed);
}

int answer(axonic_domain *domain, const char *queue, size_t count) {
    axonic_queue_consumer *consumer = NULL;
    check(axonic_queue_consumer_open(domain, queue, NULL, &consumer));
    for (size_t n = 0; n < count; n++) {
        axonic_delivery job;
        check(axonic_queue_consumer_get(consumer, NULL, PATIENCE, &job));
        number_in(&job.message);
        acknowledge_reversed(&job);
    }
    tell("answered", count);
    return axonic_queue_consumer_close(consumer);
}

static axonic_queue_options durable(void) {
    axonic_queue_options options = AXONIC_QUEUE_OPTIONS_INIT;
    options.durable = AXONIC_FSYNC_NEVER;
    return options;
}

int keep(axonic_domain *domain, const char *queue, size_t count) {
    const axonic_queue_options options = durable();
    axonic_queue_producer *producer = NULL;
    check(axonic_queue_producer_open(domain, queue, &options, &producer));
    for (uint64_t k = 0; k < count; k++) {
        axonic_payload payload = AXONIC_PAYLOAD_INIT;
        axonic_put_options how = AXONIC_PUT_OPTIONS_INIT;
        unsigned char *bytes = message(k, ASKED, &payload.data_size);
        payload.data = bytes;
        how.durable = 1;
        check(axonic_queue_producer_send(producer, &payload, &how, PATIENCE, NULL));
        free(bytes);
    }
    tell("kept", count);
    sleep(PATIENCE / AXONIC_SECOND);
    return axonic_queue_producer_close(producer);
}

int hurry(axonic_domain *domain, const char *queue) {
    const axonic_queue_options options = durable();
    axonic_queue_producer *producer = NULL;
    check(axonic_queue_producer_open(domain, queue, &options, &producer));
    axonic_payload payload = AXONIC_PAYLOAD_INIT;
    axonic_put_options how = AXONIC_PUT_OPTIONS_INIT;
    unsigned char *bytes = message(0, ASKED, &payload.data_size);
    payload.data = bytes;
    how.durable = 1;
    const int put = axonic_queue_producer_send(producer, &payload, &how, 10 * AXONIC_MILLISECOND, NULL);
    puts(put == AXONIC_OK ? "nothing" : axonic_error_name(put));
    fflush(stdout);
    free(bytes);
    return axonic_queue_producer_close(producer);
}

int spend(axonic_domain *domain, const char *queue, size_t count) {
    const axonic_queue_options options = durable();
    axonic_queue_consumer *consumer = NULL;
    check(axonic_queue_consumer_open(domain, queue, &options, &consumer));
    axonic_get_options how = AXONIC_GET_OPTIONS_INIT;
    how.durable = 1;
    /* All are taken before one is given back. */
    axonic_delivery *jobs = calloc(count, sizeof *jobs);
    for (size_t n = 0; n < count; n++) {
        check(axonic_queue_consumer_get(consumer, &how, PATIENCE, &jobs[n]));
    }
    for (size_t n = 0; n < count; n++) {
        const int even = number_in(&jobs[n].message) % 2 == 0;
        check(even ? axonic_delivery_ack(&jobs[n], NULL) : axonic_delivery_nack(&jobs[n], 0));
    }
    free(jobs);
    tell("spent", count);
    return axonic_queue_consumer_close(consumer);
}
