/* The wait set: subscribers, publishers, descriptors and timers in one wait. */
#define _GNU_SOURCE
#include "check.h"

#include <poll.h>

static axonic_waitset *set;

/* Waits until this token is ready, and only it. */
static void only(uint64_t token) {
    uint64_t tokens[8];
    size_t count = 0;
    OK(axonic_waitset_wait(set, 5 * AXONIC_SECOND, tokens, 8, &count));
    CHECK(count == 1 && tokens[0] == token);
}

static void nothing(void) {
    uint64_t tokens[8] = {99};
    size_t count = 77;
    OK(axonic_waitset_wait(set, 10 * AXONIC_MILLISECOND, tokens, 8, &count));
    CHECK(count == 0 && tokens[0] == 99);
}

int main(void) {
    check_start();
    axonic_domain *domain = NULL;
    axonic_subscriber *subscriber = NULL;
    axonic_publisher *publisher = NULL;
    axonic_message message;
    OK(axonic_domain_open("waits", NULL, &domain));
    OK(axonic_waitset_open(&set));
    OK(axonic_subscriber_open(domain, "t", NULL, &subscriber));
    axonic_publisher_options options = AXONIC_PUBLISHER_OPTIONS_INIT;
    options.overflow = AXONIC_OVERFLOW_BLOCK;
    options.capacity = 16 << 10;
    OK(axonic_publisher_open(domain, "t", &options, &publisher));
    OK(axonic_waitset_add_subscriber(set, subscriber, 1));
    while (axonic_subscriber_receive(subscriber, 0, &message) == AXONIC_OK) {
    }

    /* A subscriber. */
    nothing();
    OK(axonic_publisher_publish(publisher, "x", 1));
    only(1);
    int fd = -1;
    OK(axonic_waitset_fd(set, &fd));
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    CHECK(poll(&ready, 1, 5000) == 1);
    OK(axonic_subscriber_receive(subscriber, 0, &message));
    ANSWERS(AXONIC_ERROR_WOULD_BLOCK, axonic_subscriber_receive(subscriber, 0, &message));
    nothing();

    /* A foreign descriptor, ready as long as it is. */
    int ends[2];
    CHECK(pipe(ends) == 0);
    OK(axonic_waitset_add_fd(set, ends[0], 2));
    CHECK(write(ends[1], "y", 1) == 1);
    only(2);
    only(2);

    /* Tokens that do not fit come with the next wait. */
    OK(axonic_publisher_publish(publisher, "x", 1));
    uint64_t tokens[2] = {0, 99};
    size_t count = 0;
    uint64_t seen = 0;
    for (int i = 0; i < 20 && seen != 3; i++) {
        OK(axonic_waitset_wait(set, AXONIC_SECOND, tokens, 1, &count));
        CHECK(count == 1 && (tokens[0] == 1 || tokens[0] == 2) && tokens[1] == 99);
        seen |= tokens[0];
    }
    CHECK(seen == 3);
    OK(axonic_waitset_remove(set, 2));
    ANSWERS(AXONIC_ERROR_NOT_FOUND, axonic_waitset_remove(set, 2));
    while (axonic_subscriber_receive(subscriber, 0, &message) == AXONIC_OK) {
    }
    nothing();

    /* A timer, again and again. */
    OK(axonic_waitset_add_timer(set, 5 * AXONIC_MILLISECOND, 3));
    only(3);
    only(3);
    OK(axonic_waitset_remove(set, 3));
    nothing();

    /* A publisher that was told to try again. */
    static char block[1024];
    axonic_payload payload = AXONIC_PAYLOAD_INIT;
    payload.data = block;
    payload.data_size = sizeof block;
    OK(axonic_waitset_remove(set, 1));
    OK(axonic_waitset_add_publisher(set, publisher, 4));
    while (axonic_publisher_send(publisher, &payload, 0) == AXONIC_OK) {
    }
    ANSWERS(AXONIC_ERROR_WOULD_BLOCK, axonic_publisher_send(publisher, &payload, 0));
    while (axonic_subscriber_receive(subscriber, 0, &message) == AXONIC_OK) {
    }
    only(4);
    OK(axonic_publisher_send(publisher, &payload, 0));
    OK(axonic_waitset_remove(set, 4));

    /* Mistakes. */
    OK(axonic_waitset_add_fd(set, ends[0], 5));
    ANSWERS(AXONIC_ERROR_ALREADY_EXISTS, axonic_waitset_add_fd(set, ends[1], 5));
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_waitset_add_fd(set, -1, 6));
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_waitset_add_timer(set, 0, 6));
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_waitset_add_timer(set, -1, 6));
    ANSWERS(AXONIC_ERROR_CLOSED, axonic_waitset_add_subscriber(set, NULL, 6));
    ANSWERS(AXONIC_ERROR_CLOSED, axonic_waitset_add_publisher(set, NULL, 6));
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_waitset_wait(set, 0, NULL, 1, &count));
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_waitset_wait(set, 0, tokens, 0, &count));
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_waitset_wait(set, 0, tokens, 2, NULL));
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_waitset_open(NULL));

    OK(axonic_waitset_close(set));
    OK(axonic_subscriber_receive(subscriber, 0, &message)); /* what was added goes on working */
    OK(axonic_subscriber_close(subscriber));
    OK(axonic_publisher_close(publisher));
    OK(axonic_domain_close(domain));
    return 0;
}
