/* Rings: one producer, one consumer, in order, in place. */
#define _GNU_SOURCE
#include "check.h"

#include <poll.h>

int main(void) {
    check_start();
    axonic_domain *domain = NULL;
    OK(axonic_domain_open("rings", NULL, &domain));
    axonic_ring_options options = AXONIC_RING_OPTIONS_INIT;
    options.capacity = 4096;
    axonic_ring_producer *producer = NULL, *second = NULL;
    axonic_ring_consumer *consumer = NULL, *third = NULL;
    OK(axonic_ring_producer_open(domain, "r", &options, &producer));
    SAME(axonic_ring_producer_name(producer), "r");
    FAILS(AXONIC_ERROR_BUSY, "r", axonic_ring_producer_open(domain, "r", &options, &second));
    options.wait = 8;
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_ring_producer_open(domain, "s", &options, &second));
    options.wait = AXONIC_WAIT_BLOCK;

    /* What comes before the consumer waits for it. */
    OK(axonic_ring_producer_push(producer, "first", 5, 0));
    OK(axonic_ring_consumer_open(domain, "r", NULL, &consumer));
    SAME(axonic_ring_consumer_name(consumer), "r");
    ANSWERS(AXONIC_ERROR_BUSY, axonic_ring_consumer_open(domain, "r", &options, &third));
    CHECK(second == NULL && third == NULL);
    const void *data = NULL;
    size_t size = 0;
    OK(axonic_ring_consumer_pop(consumer, AXONIC_SECOND, &data, &size));
    CHECK(size == 5 && memcmp(data, "first", 5) == 0);
    OK(axonic_ring_consumer_release(consumer));
    OK(axonic_ring_consumer_release(consumer));

    /* Nothing there. */
    const void *const before = data;
    FAILS(AXONIC_ERROR_WOULD_BLOCK, "ring 'r': no message is in it yet",
          axonic_ring_consumer_pop(consumer, 0, &data, &size));
    FAILS(AXONIC_ERROR_TIMEOUT, "r", axonic_ring_consumer_pop(consumer, AXONIC_MILLISECOND, &data, &size));
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_ring_consumer_pop(consumer, 0, NULL, &size));
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_ring_consumer_pop(consumer, 0, &data, NULL));
    CHECK(data == before && size == 5);

    /* In place, sent shorter than reserved; nothing before the commit. */
    void *room = NULL;
    OK(axonic_ring_producer_reserve(producer, 1000, 0, &room));
    memset(room, 'z', 1000);
    ANSWERS(AXONIC_ERROR_WOULD_BLOCK, axonic_ring_consumer_pop(consumer, 0, &data, &size));
    OK(axonic_ring_producer_commit(producer, 700));
    OK(axonic_ring_consumer_pop(consumer, AXONIC_SECOND, &data, &size));
    CHECK(size == 700 && ((const char *)data)[699] == 'z');
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_ring_producer_commit(producer, 1));
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_ring_producer_commit(producer, 0));
    OK(axonic_ring_producer_reserve(producer, 10, 0, &room));
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_ring_producer_commit(producer, 11));
    OK(axonic_ring_producer_push(producer, "between", 7, 0)); /* takes the room that was reserved */
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_ring_producer_commit(producer, 10));
    OK(axonic_ring_consumer_pop(consumer, AXONIC_SECOND, &data, &size));
    CHECK(size == 7 && memcmp(data, "between", 7) == 0);
    ANSWERS(AXONIC_ERROR_WOULD_BLOCK, axonic_ring_consumer_pop(consumer, 0, &data, &size));
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_ring_producer_reserve(producer, 1, 0, NULL));
    ANSWERS(AXONIC_ERROR_TOO_LARGE, axonic_ring_producer_push(producer, check_directory, 1 << 24, 0));

    /* Back-pressure, in order, and both descriptors. */
    int writable = -1, readable = -1;
    OK(axonic_ring_producer_fd(producer, &writable));
    OK(axonic_ring_consumer_fd(consumer, &readable));
    static unsigned char block[4000];
    unsigned pushed = 0, popped = 0;
    for (int round = 0; round < 20; round++) {
        int code = AXONIC_OK;
        for (;;) {
            block[0] = (unsigned char)pushed;
            code = axonic_ring_producer_push(producer, block, sizeof block, 0);
            if (code != AXONIC_OK) {
                break;
            }
            CHECK(++pushed < 100000);
        }
        ANSWERS(AXONIC_ERROR_WOULD_BLOCK, code);
        ANSWERS(AXONIC_ERROR_TIMEOUT, axonic_ring_producer_push(producer, block, sizeof block, AXONIC_MILLISECOND));
        struct pollfd ready = {.fd = readable, .events = POLLIN};
        CHECK(poll(&ready, 1, 5000) == 1);
        while (axonic_ring_consumer_pop(consumer, 0, &data, &size) == AXONIC_OK) {
            CHECK(size == sizeof block && *(const unsigned char *)data == (unsigned char)popped);
            popped++;
        }
        CHECK(pushed == popped);
        ready.fd = writable;
        CHECK(poll(&ready, 1, 5000) == 1);
    }
    CHECK(pushed >= 40);
    axonic_ring_stats sent, taken;
    OK(axonic_ring_producer_get_stats(producer, &sent));
    OK(axonic_ring_consumer_get_stats(consumer, &taken));
    CHECK(sent.messages == pushed + 3 && taken.messages == sent.messages);
    CHECK(sent.wakes_sent > 0 && sent.wakes_sent + sent.wakes_elided == sent.messages);
    CHECK(taken.wakes_sent == sent.wakes_sent && taken.pending_messages == 0);
    CHECK(sent.blocked >= 20 && taken.pending_bytes == 0 && sent.reserved[0] == 0);
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_ring_producer_get_stats(producer, NULL));

    /* The producer ends: what is left is read, then the consumer is told. */
    OK(axonic_ring_producer_push(producer, "last", 4, 0));
    OK(axonic_ring_producer_close(producer));
    OK(axonic_ring_consumer_pop(consumer, AXONIC_SECOND, &data, &size));
    CHECK(size == 4 && memcmp(data, "last", 4) == 0);
    ANSWERS(AXONIC_ERROR_DISCONNECTED, axonic_ring_consumer_pop(consumer, AXONIC_SECOND, &data, &size));
    OK(axonic_ring_consumer_close(consumer));
    OK(axonic_domain_close(domain));
    return 0;
}
