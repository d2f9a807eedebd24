/* What the header allows several threads: a domain shared by all, handles that move, errors of one's own. */
#define _GNU_SOURCE
#include "check.h"

#include <pthread.h>

enum { THREADS = 4, MESSAGES = 500 };

static const axonic_domain *shared;
static const axonic_region *memory;

/* Opens its own ends on the shared domain and talks to itself; fails in its own way. */
static void *talk(void *number) {
    const int me = *(const int *)number;
    char topic[32], bad[32];
    snprintf(topic, sizeof topic, "threads.t%d", me);
    snprintf(bad, sizeof bad, "bad/%d", me);
    axonic_publisher *publisher = NULL;
    axonic_subscriber *subscriber = NULL;
    OK(axonic_subscriber_open(shared, topic, NULL, &subscriber));
    OK(axonic_publisher_open(shared, topic, NULL, &publisher));
    for (int i = 0; i < MESSAGES; i++) {
        axonic_message message;
        OK(axonic_publisher_publish(publisher, &i, sizeof i));
        OK(axonic_subscriber_receive(subscriber, 10 * AXONIC_SECOND, &message));
        CHECK(message.size == sizeof i && memcmp(message.data, &i, sizeof i) == 0);
        SAME(message.topic, topic);
        axonic_publisher *none = NULL;
        FAILS(AXONIC_ERROR_INVALID_NAME, bad, axonic_publisher_open(shared, bad, NULL, &none));
        OK(axonic_region_write(memory, (size_t)me * sizeof i, &i, sizeof i));
        SAME(axonic_domain_name(shared), "threads");
    }
    OK(axonic_publisher_close(publisher));
    OK(axonic_subscriber_close(subscriber));
    return NULL;
}

struct moved {
    axonic_publisher *publisher;
    axonic_subscriber *subscriber;
    axonic_message message;
    axonic_loan loan;
};

/* Ends what another thread began. */
static void *finish(void *from) {
    struct moved *moved = from;
    CHECK(moved->message.size == 8192 && ((const char *)moved->message.data)[8191] == 'm');
    OK(axonic_subscriber_release(&moved->message));
    memset(moved->loan.data, 'f', moved->loan.size);
    OK(axonic_publisher_commit(moved->publisher, &moved->loan, NULL, 0));
    OK(axonic_subscriber_receive(moved->subscriber, AXONIC_SECOND, &moved->message));
    CHECK(moved->message.size == 4096 && ((const char *)moved->message.data)[4095] == 'f');
    OK(axonic_publisher_close(moved->publisher));
    OK(axonic_subscriber_close(moved->subscriber));
    return NULL;
}

static axonic_domain *closing;

static void *close_soon(void *unused) {
    (void)unused;
    usleep(50000);
    OK(axonic_domain_close(closing));
    return NULL;
}

int main(void) {
    check_start();
    axonic_domain *domain = NULL;
    axonic_region *region = NULL;
    OK(axonic_domain_open("threads", NULL, &domain));
    axonic_region_options options = AXONIC_REGION_OPTIONS_INIT;
    options.bytes = THREADS * sizeof(int);
    OK(axonic_region_open(domain, "last", &options, &region));
    shared = domain;
    memory = region;
    pthread_t threads[THREADS];
    int numbers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        CHECK(pthread_create(&threads[i], NULL, talk, &numbers[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
        CHECK(((const int *)axonic_region_data(region))[i] == MESSAGES - 1);
    }
    OK(axonic_region_close(region));
    OK(axonic_domain_unlink(domain, AXONIC_NOUN_REGION, "last"));

    struct moved moved;
    static char large[8192];
    memset(large, 'm', sizeof large);
    OK(axonic_subscriber_open(domain, "moved", NULL, &moved.subscriber));
    OK(axonic_publisher_open(domain, "moved", NULL, &moved.publisher));
    OK(axonic_publisher_publish(moved.publisher, large, sizeof large));
    OK(axonic_subscriber_borrow(moved.subscriber, AXONIC_SECOND, &moved.message));
    OK(axonic_publisher_loan(moved.publisher, 4096, 0, &moved.loan));
    CHECK(pthread_create(&threads[0], NULL, finish, &moved) == 0);
    CHECK(pthread_join(threads[0], NULL) == 0);

    /* A domain that is closed ends the waits of its handles in other threads. */
    axonic_subscriber *waiting = NULL;
    axonic_message message;
    OK(axonic_domain_open("threads", NULL, &closing));
    OK(axonic_subscriber_open(closing, "silence", NULL, &waiting));
    CHECK(pthread_create(&threads[0], NULL, close_soon, NULL) == 0);
    FAILS(AXONIC_ERROR_CLOSED, "silence", axonic_subscriber_receive(waiting, AXONIC_FOREVER, &message));
    CHECK(pthread_join(threads[0], NULL) == 0);
    OK(axonic_subscriber_close(waiting));
    OK(axonic_domain_close(domain));
    return 0;
}
