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

static void put(axonic_queue_producer *producer, size_t i) {
    static const size_t sizes[] = {10, 129, 3000, 20000};
    axonic_payload payload = AXONIC_PAYLOAD_INIT;
    payload.data = bytes;
    payload.data_size = sizes[i % 4];
    axonic_put_options how = AXONIC_PUT_OPTIONS_INIT;
    how.priority = (uint32_t)(i % 8);
    how.result = i % 7 == 0;
    how.delay = i % 3 == 2 ? AXONIC_SECOND / 2000 : 0;
    how.dedup_id = i % 5 == 0 ? "once" : NULL;
    axonic_receipt receipt;
    if (fair(axonic_queue_producer_send(producer, &payload, &how, soon, &receipt)) && receipt.ticket != NULL) {
        axonic_message result;
        if (fair(axonic_ticket_result(receipt.ticket, producer, soon, &result))) {
            touch(result.data, result.size);
        }
        fair(axonic_ticket_close(receipt.ticket));
    }
}

static void settle(axonic_delivery *job, size_t i) {
    touch(job->message.data, job->message.size);
    fair(axonic_delivery_progress(job, 0.5));
    axonic_payload result = AXONIC_PAYLOAD_INIT;
    result.data = bytes;
    result.data_size = 1000;
    switch (i % 6) {
    case 0:
        fair(axonic_delivery_nack(job, AXONIC_SECOND / 10000));
        break;
    case 1:
        fair(axonic_delivery_reject(job, "no good"));
        break;
    case 2:
        fair(axonic_delivery_extend(job, AXONIC_SECOND / 10000));
        break;
    case 3:
        fair(axonic_delivery_ack(job, &result));
        break;
    case 4:
        break;
    default:
        fair(axonic_delivery_ack(job, NULL));
    }
    fair(axonic_delivery_release(job));
}

static void look(axonic_queue_consumer *consumer) {
    const axonic_peeked *seen = NULL;
    size_t count = 0;
    uint64_t gone = 0;
    axonic_queue_stats stats;
    if (fair(axonic_queue_consumer_peek(consumer, 100, &seen, &count))) {
        for (size_t i = 0; i < count; i++) {
            touch(seen[i].message.data, seen[i].message.size);
        }
    }
    fair(axonic_queue_consumer_dead_letters(consumer, 100, &seen, &count));
    fair(axonic_queue_consumer_redrive(consumer, 3, &gone));
    fair(axonic_queue_consumer_purge(consumer, &gone));
    fair(axonic_queue_consumer_purge_dead_letters(consumer, &gone));
    fair(axonic_queue_consumer_sync(consumer, soon));
    fair(axonic_queue_consumer_get_stats(consumer, &stats));
}

static void jobs(axonic_domain *domain, const char *name, int32_t durable) {
    axonic_queue_producer *producer = NULL;
    axonic_queue_consumer *consumer = NULL;
    axonic_queue_options options = AXONIC_QUEUE_OPTIONS_INIT;
    options.capacity = 64;
    options.max_bytes = (size_t)64 << 10;
    options.durable = durable;
    fair(axonic_queue_producer_open(domain, name, &options, &producer));
    fair(axonic_queue_consumer_open(domain, name, &options, &consumer));
    for (size_t i = 0; i < 30; i++) {
        if (producer != NULL) {
            put(producer, i);
        }
        axonic_get_options how = AXONIC_GET_OPTIONS_INIT;
        how.lease = i % 3 == 0 ? AXONIC_SECOND / 5000 : 0;
        axonic_delivery job;
        if (consumer != NULL && fair(axonic_queue_consumer_get(consumer, &how, soon, &job))) {
            settle(&job, i);
        }
    }
    if (consumer != NULL) {
        look(consumer);
        fair(axonic_queue_consumer_close(consumer));
    }
    if (producer != NULL) {
        fair(axonic_queue_producer_close(producer));
    }
}

/* The same as fair() for what a file says that it is: that is not the caller's mistake. */
static int opened(int code) {
    return fair(code == AXONIC_ERROR_INVALID_ARGUMENT ? AXONIC_ERROR_CORRUPT : code);
}

/* Nobody has one for long. What is unlocked may be somebody else's by then, as far as its memory tells. */
static void mutex_and_condvar(axonic_domain *domain) {
    axonic_mutex *mutex = NULL;
    axonic_condvar *condvar = NULL;
    if (opened(axonic_mutex_open(domain, "m", NULL, &mutex))) {
        if (opened(axonic_condvar_open(domain, "c", NULL, &condvar))) {
            for (int i = 0; i < 10; i++) {
                if (fair(axonic_mutex_lock(mutex, soon, NULL))) {
                    fair(axonic_condvar_wait(condvar, mutex, soon, NULL));
                    fair(axonic_condvar_notify_all(condvar));
                    (void)axonic_mutex_unlock(mutex);
                }
            }
            fair(axonic_condvar_close(condvar));
        }
        fair(axonic_mutex_close(mutex));
    }
}

static void locks(axonic_domain *domain) {
    axonic_rwlock *rwlock = NULL;
    axonic_semaphore *semaphore = NULL;
    axonic_event *event = NULL;
    axonic_barrier *barrier = NULL;
    if (opened(axonic_rwlock_open(domain, "w", NULL, &rwlock))) {
        for (int i = 0; i < 10; i++) {
            fair((i % 2 == 0 ? axonic_rwlock_read : axonic_rwlock_write)(rwlock, soon, NULL));
            (void)axonic_rwlock_unlock(rwlock);
        }
        fair(axonic_rwlock_close(rwlock));
    }
    if (opened(axonic_semaphore_open(domain, "s", 2, NULL, &semaphore))) {
        for (int i = 0; i < 10; i++) {
            fair(axonic_semaphore_acquire(semaphore, soon));
            (void)axonic_semaphore_release(semaphore);
        }
        fair(axonic_semaphore_close(semaphore));
    }
    if (opened(axonic_event_open(domain, "e", AXONIC_RESET_AUTO, NULL, &event))) {
        for (int i = 0; i < 10; i++) {
            fair(axonic_event_wait(event, soon));
            fair(axonic_event_set(event));
        }
        fair(axonic_event_close(event));
    }
    if (opened(axonic_barrier_open(domain, "b", 2, NULL, &barrier))) {
        for (int i = 0; i < 10; i++) {
            fair(axonic_barrier_wait(barrier, soon, NULL));
        }
        fair(axonic_barrier_close(barrier));
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
            jobs(domain, "q", AXONIC_FSYNC_NONE);
            jobs(domain, "d", AXONIC_FSYNC_NEVER);
            mutex_and_condvar(domain);
            locks(domain);
            fair(axonic_domain_close(domain));
        }
    }
    printf("ok %lu %lu\n", calls, errors);
    return 0;
}
