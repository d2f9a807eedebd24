/* The C peer of the live fuzzer; churn.rs tells what it does:
 *   churn <domain> <milliseconds> <drop_oldest|block|reject>
 */
#define _GNU_SOURCE
#include <axonic.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const int64_t soon = AXONIC_SECOND / 500;
static unsigned long calls, errors;
static volatile unsigned long sum;
static unsigned char bytes[40000];

/* Whether a call succeeded; no damage may look like a mistake of the caller. */
static int fair(int code) {
    calls++;
    if (code == AXONIC_ERROR_INVALID_ARGUMENT || code == AXONIC_ERROR_INVALID_NAME || code == AXONIC_ERROR_FORKED ||
        code == AXONIC_ERROR_UNSUPPORTED) {
        printf("bad %s: %s\n", axonic_error_name(code), axonic_last_error_message());
        exit(1);
    }
    errors += code != AXONIC_OK;
    return code == AXONIC_OK;
}

static void touch(const void *data, size_t size) {
    for (size_t i = 0; i < size; i++) {
        sum += ((const unsigned char *)data)[i];
    }
}

static void topics(axonic_domain *domain, int overflow) {
    enum { HELD = 4 };
    axonic_publisher *publisher = NULL;
    axonic_subscriber *subscriber = NULL;
    axonic_message held[HELD];
    size_t count = 0;
    axonic_publisher_options sending = AXONIC_PUBLISHER_OPTIONS_INIT;
    sending.overflow = overflow;
    sending.capacity = (size_t)64 << 10;
    sending.max_bytes = (size_t)256 << 10;
    axonic_subscriber_options receiving = AXONIC_SUBSCRIBER_OPTIONS_INIT;
    receiving.start = AXONIC_START_OLDEST;
    receiving.max_borrowed = HELD;
    fair(axonic_publisher_open(domain, "t", &sending, &publisher));
    fair(axonic_subscriber_open(domain, "t", &receiving, &subscriber));
    for (int i = 0; i < 100; i++) {
        static const size_t sizes[] = {10, 2000, 5000, 40000};
        if (publisher != NULL) {
            axonic_payload payload = AXONIC_PAYLOAD_INIT;
            payload.data = bytes;
            payload.data_size = sizes[i % 4];
            fair(axonic_publisher_send(publisher, &payload, soon));
        }
        axonic_message message;
        if (subscriber != NULL && i % 2 == 0 && fair(axonic_subscriber_borrow(subscriber, soon, &message))) {
            touch(message.data, message.size);
            held[count++] = message;
        } else if (subscriber != NULL && fair(axonic_subscriber_receive(subscriber, soon, &message))) {
            touch(message.data, message.size);
        }
        if (count == HELD) {
            while (count > 0) {
                fair(axonic_subscriber_release(&held[--count]));
            }
        }
    }
    while (count > 0) {
        fair(axonic_subscriber_release(&held[--count]));
    }
    if (subscriber != NULL) {
        fair(axonic_subscriber_close(subscriber));
    }
    if (publisher != NULL) {
        fair(axonic_publisher_close(publisher));
    }
}

static void ring(axonic_domain *domain) {
    axonic_ring_producer *producer = NULL;
    axonic_ring_consumer *consumer = NULL;
    axonic_ring_options options = AXONIC_RING_OPTIONS_INIT;
    options.capacity = 10000;
    fair(axonic_ring_producer_open(domain, "r", &options, &producer));
    fair(axonic_ring_consumer_open(domain, "r", &options, &consumer));
    for (size_t i = 0; i < 30; i++) {
        const void *data = NULL;
        size_t size = 0;
        if (producer != NULL) {
            fair(axonic_ring_producer_push(producer, bytes, i * 300, soon));
        }
        if (consumer != NULL && fair(axonic_ring_consumer_pop(consumer, soon, &data, &size))) {
            touch(data, size);
        }
    }
    if (consumer != NULL) {
        fair(axonic_ring_consumer_close(consumer));
    }
    if (producer != NULL) {
        fair(axonic_ring_producer_close(producer));
    }
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: churn <domain> <milliseconds> <overflow>\n");
        return 2;
    }
    const double end = now() + atof(argv[2]);
    const int overflow = strcmp(argv[3], "block") == 0    ? AXONIC_OVERFLOW_BLOCK
                         : strcmp(argv[3], "reject") == 0 ? AXONIC_OVERFLOW_REJECT
                                                          : AXONIC_OVERFLOW_DROP_OLDEST;
    puts("ready");
    fflush(stdout);
    while (now() < end) {
        axonic_domain *domain = NULL;
        if (fair(axonic_domain_open(argv[1], NULL, &domain))) {
            topics(domain, overflow);
            ring(domain);
            fair(axonic_domain_close(domain));
        }
    }
    printf("ok %lu %lu\n", calls, errors);
    return 0;
}
