/* Topics: every way to send and to receive, what travels with a message, and what overflows. */
#define _GNU_SOURCE
#include "check.h"

#include <poll.h>

static axonic_domain *domain;

static axonic_publisher *publisher_of(const char *topic, int32_t overflow, size_t capacity, size_t max_bytes) {
    axonic_publisher_options options = AXONIC_PUBLISHER_OPTIONS_INIT;
    options.overflow = overflow;
    options.capacity = capacity;
    options.max_bytes = max_bytes;
    axonic_publisher *publisher = NULL;
    OK(axonic_publisher_open(domain, topic, &options, &publisher));
    return publisher;
}

static axonic_subscriber *subscriber_of(const char *pattern) {
    axonic_subscriber *subscriber = NULL;
    OK(axonic_subscriber_open(domain, pattern, NULL, &subscriber));
    return subscriber;
}

static void publish_and_receive(void) {
    axonic_subscriber *subscriber = subscriber_of("orders.>");
    axonic_publisher *publisher = publisher_of("orders.created", AXONIC_OVERFLOW_DROP_OLDEST, 0, 0);
    SAME(axonic_publisher_topic(publisher), "orders.created");
    SAME(axonic_subscriber_pattern(subscriber), "orders.>");
    CHECK(axonic_publisher_id(publisher) != 0 && axonic_subscriber_id(subscriber) != 0);
    OK(axonic_publisher_wait_for_subscribers(publisher, 1, AXONIC_SECOND));
    size_t count = 77;
    OK(axonic_publisher_subscribers(publisher, &count));
    CHECK(count == 1);
    OK(axonic_subscriber_publishers(subscriber, &count));
    CHECK(count == 1);

    axonic_message message;
    memset(&message, 0x5a, sizeof message);
    const axonic_message untouched = message;
    FAILS(AXONIC_ERROR_WOULD_BLOCK, "subscriber 'orders.>': no message is there yet",
          axonic_subscriber_receive(subscriber, 0, &message));
    FAILS(AXONIC_ERROR_TIMEOUT, "orders.>", axonic_subscriber_receive(subscriber, AXONIC_MILLISECOND, &message));
    ANSWERS(AXONIC_ERROR_WOULD_BLOCK, axonic_subscriber_borrow(subscriber, 0, &message));
    ANSWERS(AXONIC_ERROR_TIMEOUT, axonic_subscriber_borrow(subscriber, AXONIC_MILLISECOND, &message));
    CHECK(memcmp(&message, &untouched, sizeof message) == 0);

    const size_t sizes[] = {0, 1, 47, 64, 2047, 2048, 4096, 1 << 20};
    unsigned char *bytes = malloc(1 << 20);
    CHECK(bytes != NULL);
    uint64_t sequence = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (size_t at = 0; at < sizes[i]; at++) {
            bytes[at] = (unsigned char)(at * 31 + sizes[i]);
        }
        for (int borrow = 0; borrow < 2; borrow++) {
            OK(axonic_publisher_publish(publisher, sizes[i] != 0 ? bytes : NULL, sizes[i]));
            OK(borrow ? axonic_subscriber_borrow(subscriber, AXONIC_SECOND, &message)
                      : axonic_subscriber_receive(subscriber, AXONIC_SECOND, &message));
            SAME(message.topic, "orders.created");
            CHECK(message.topic_size == strlen("orders.created"));
            CHECK(message.size == sizes[i] && memcmp(message.data, bytes, sizes[i]) == 0);
            CHECK((uintptr_t)message.data % 64 == 0);
            CHECK(message.content == AXONIC_CONTENT_RAW && message.dtype == AXONIC_DTYPE_NONE && message.ndim == 0);
            CHECK(message.missed == 0 && message.publisher == axonic_publisher_id(publisher));
            CHECK(sequence == 0 || message.sequence == sequence + 1);
            sequence = message.sequence;
            CHECK(message.attributes == NULL && message.attribute_count == 0);
            CHECK((message.sample != NULL) == borrow);
            OK(axonic_subscriber_release(&message));
        }
    }
    free(bytes);
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_publisher_publish(publisher, NULL, 1));
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_publisher_publish(publisher, "x", (size_t)-1));
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_subscriber_receive(subscriber, 0, NULL));
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_subscriber_borrow(subscriber, 0, NULL));

    axonic_publisher_stats sent;
    axonic_subscriber_stats received;
    OK(axonic_publisher_get_stats(publisher, &sent));
    OK(axonic_subscriber_get_stats(subscriber, &received));
    CHECK(sent.published == 16 && received.received == 16);
    CHECK(sent.bytes == received.bytes && sent.bytes > 2 << 20 && received.missed == 0);
    CHECK(sent.subscribers == 1 && received.rings == 1 && received.pinned == 0);
    CHECK(sent.slab_bytes >= 1 << 20 && sent.blocked == 0);
    CHECK(sent.wakes_sent + sent.wakes_elided == sent.published && sent.pinned == 0);
    CHECK(sent.orphans == 0 && sent.remnants == 0 && received.orphans == 0);
    CHECK(sent.reserved[0] == 0 && received.reserved[0] == 0);

    OK(axonic_subscriber_close(subscriber));
    ANSWERS(AXONIC_ERROR_TIMEOUT, axonic_publisher_wait_for_subscribers(publisher, 1, AXONIC_MILLISECOND));
    ANSWERS(AXONIC_ERROR_WOULD_BLOCK, axonic_publisher_wait_for_subscribers(publisher, 1, 0));
    OK(axonic_publisher_close(publisher));
}

static void tensors_and_attributes(void) {
    axonic_subscriber *subscriber = subscriber_of("camera");
    axonic_publisher *publisher = publisher_of("camera", AXONIC_OVERFLOW_DROP_OLDEST, 0, 0);
    const float pixels[2][3] = {{1, 2, 3}, {4, 5, 6}};
    const size_t shape[] = {2, 3};
    const axonic_attribute attributes[] = {{"type", "frame"}, {"subject", "left eye"}};
    axonic_payload payload = AXONIC_PAYLOAD_INIT;
    payload.data = pixels;
    payload.data_size = sizeof pixels;
    payload.content = AXONIC_CONTENT_TENSOR;
    payload.dtype = AXONIC_DTYPE_F32;
    payload.shape = shape;
    payload.ndim = 2;
    payload.attributes = attributes;
    payload.attribute_count = 2;
    OK(axonic_publisher_send(publisher, &payload, 0));
    OK(axonic_publisher_send(publisher, &payload, AXONIC_SECOND));

    axonic_message message;
    for (int borrow = 0; borrow < 2; borrow++) {
        OK(borrow ? axonic_subscriber_borrow(subscriber, 0, &message)
                  : axonic_subscriber_receive(subscriber, 0, &message));
        CHECK(message.content == AXONIC_CONTENT_TENSOR && message.dtype == AXONIC_DTYPE_F32);
        CHECK(message.ndim == 2 && message.shape[0] == 2 && message.shape[1] == 3 && message.shape[2] == 0);
        CHECK(message.size == sizeof pixels && memcmp(message.data, pixels, sizeof pixels) == 0);
        SAME(axonic_message_attribute(&message, "type"), "frame");
        SAME(axonic_message_attribute(&message, "subject"), "left eye");
        SAME(axonic_message_attribute(&message, "specversion"), "1.0");
        CHECK(axonic_message_attribute(&message, "absent") == NULL);
        CHECK(axonic_message_attribute(&message, NULL) == NULL);
        const char *filled[] = {"id", "source", "time"};
        for (int i = 0; i < 3; i++) {
            const char *value = axonic_message_attribute(&message, filled[i]);
            CHECK(value != NULL && *value != '\0');
        }
        CHECK(message.attribute_count == 6);
        OK(axonic_subscriber_release(&message));
    }
    CHECK(axonic_message_attribute(NULL, "type") == NULL);

    payload.dtype = AXONIC_DTYPE_F64; /* 48 bytes wanted, 24 given */
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_publisher_send(publisher, &payload, 0));
    payload.dtype = 99;
    FAILS(AXONIC_ERROR_INVALID_ARGUMENT, "99", axonic_publisher_send(publisher, &payload, 0));
    payload.dtype = AXONIC_DTYPE_F32;
    payload.ndim = 9;
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_publisher_send(publisher, &payload, 0));
    payload.ndim = 2;
    payload.content = AXONIC_CONTENT_RAW;
    FAILS(AXONIC_ERROR_INVALID_ARGUMENT, "AXONIC_CONTENT_TENSOR", axonic_publisher_send(publisher, &payload, 0));
    payload = (axonic_payload)AXONIC_PAYLOAD_INIT;
    payload.content = 4;
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_publisher_send(publisher, &payload, 0));
    payload.content = AXONIC_CONTENT_RAW;
    const axonic_attribute bad[] = {{"Not Allowed", "x"}, {"subject", "two\nlines"}, {"subject", NULL}, {NULL, "x"}};
    payload.attribute_count = 1;
    for (int i = 0; i < 4; i++) {
        payload.attributes = &bad[i];
        ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_publisher_send(publisher, &payload, 0));
    }
    ANSWERS(AXONIC_ERROR_WOULD_BLOCK, axonic_subscriber_receive(subscriber, 0, &message));

    /* NULL is an empty raw message, and its attributes are none. */
    OK(axonic_publisher_send(publisher, NULL, 0));
    OK(axonic_subscriber_receive(subscriber, 0, &message));
    CHECK(message.size == 0 && message.attribute_count == 0 && message.attributes == NULL);
    axonic_payload json = AXONIC_PAYLOAD_INIT;
    json.data = "{\"id\":1}";
    json.data_size = 8;
    json.content = AXONIC_CONTENT_JSON;
    OK(axonic_publisher_send(publisher, &json, 0));
    OK(axonic_subscriber_receive(subscriber, 0, &message));
    CHECK(message.content == AXONIC_CONTENT_JSON && memcmp(message.data, "{\"id\":1}", 8) == 0);
    json.data = "\x81\xa2id\x01";
    json.data_size = 5;
    json.content = AXONIC_CONTENT_MESSAGEPACK;
    OK(axonic_publisher_send(publisher, &json, 0));
    OK(axonic_subscriber_receive(subscriber, 0, &message));
    CHECK(message.content == AXONIC_CONTENT_MESSAGEPACK && message.size == 5);
    OK(axonic_publisher_close(publisher));
    OK(axonic_subscriber_close(subscriber));
}

static void many_at_once(void) {
    axonic_subscriber *subscriber = subscriber_of("many");
    axonic_publisher *publisher = publisher_of("many", AXONIC_OVERFLOW_BLOCK, 64 << 10, 0);
    axonic_payload payloads[10];
    int numbers[10];
    for (int i = 0; i < 10; i++) {
        numbers[i] = i;
        payloads[i] = (axonic_payload)AXONIC_PAYLOAD_INIT;
        payloads[i].data = &numbers[i];
        payloads[i].data_size = sizeof numbers[i];
    }
    OK(axonic_publisher_publish_many(publisher, payloads, 10, AXONIC_SECOND));
    OK(axonic_publisher_publish_many(publisher, NULL, 0, 0));
    axonic_message message;
    for (int i = 0; i < 10; i++) {
        OK(axonic_subscriber_receive(subscriber, AXONIC_SECOND, &message));
        CHECK(message.size == sizeof i && memcmp(message.data, &i, sizeof i) == 0);
    }
    payloads[7].content = 17;
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_publisher_publish_many(publisher, payloads, 10, 0));
    payloads[7].content = AXONIC_CONTENT_RAW;
    payloads[7].size = sizeof(axonic_payload) - 8;
    FAILS(AXONIC_ERROR_INVALID_ARGUMENT, "sizes", axonic_publisher_publish_many(publisher, payloads, 10, 0));
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_publisher_publish_many(publisher, NULL, 1, 0));
    ANSWERS(AXONIC_ERROR_WOULD_BLOCK, axonic_subscriber_receive(subscriber, 0, &message));

    /* More than the ring holds can never be all or nothing. */
    enum { TOO_MANY = 1000 };
    static char block[1024];
    axonic_payload *lot = calloc(TOO_MANY, sizeof *lot);
    CHECK(lot != NULL);
    for (int i = 0; i < TOO_MANY; i++) {
        lot[i] = (axonic_payload)AXONIC_PAYLOAD_INIT;
        lot[i].data = block;
        lot[i].data_size = sizeof block;
    }
    ANSWERS(AXONIC_ERROR_TOO_LARGE, axonic_publisher_publish_many(publisher, lot, TOO_MANY, AXONIC_SECOND));
    ANSWERS(AXONIC_ERROR_WOULD_BLOCK, axonic_subscriber_receive(subscriber, 0, &message));
    free(lot);
    OK(axonic_publisher_close(publisher));
    OK(axonic_subscriber_close(subscriber));
}

static void loans(void) {
    axonic_subscriber *subscriber = subscriber_of("loans");
    axonic_publisher *publisher = publisher_of("loans", AXONIC_OVERFLOW_DROP_OLDEST, 0, 0);
    axonic_loan loan;
    axonic_message message;

    OK(axonic_publisher_loan(publisher, 100000, 0, &loan));
    CHECK(loan.size == 100000 && (uintptr_t)loan.data % 64 == 0);
    memset(loan.data, 'l', loan.size);
    axonic_payload payload = AXONIC_PAYLOAD_INIT;
    const size_t shape[] = {100, 1000};
    payload.content = AXONIC_CONTENT_TENSOR;
    payload.dtype = AXONIC_DTYPE_U8;
    payload.shape = shape;
    payload.ndim = 2;
    OK(axonic_publisher_commit(publisher, &loan, &payload, 0));
    CHECK(loan.token == NULL && loan.data == NULL && loan.size == 0);
    ANSWERS(AXONIC_ERROR_CLOSED, axonic_publisher_commit(publisher, &loan, NULL, 0));
    OK(axonic_publisher_abort(&loan));
    OK(axonic_subscriber_borrow(subscriber, AXONIC_SECOND, &message));
    CHECK(message.size == 100000 && message.ndim == 2 && message.shape[1] == 1000);
    CHECK(((const char *)message.data)[0] == 'l' && ((const char *)message.data)[99999] == 'l');
    axonic_subscriber_stats stats;
    OK(axonic_subscriber_get_stats(subscriber, &stats));
    CHECK(stats.pinned == 1);
    OK(axonic_subscriber_release(&message));

    /* Less than was lent. */
    OK(axonic_publisher_loan(publisher, 4096, AXONIC_SECOND, &loan));
    memcpy(loan.data, "short", 5);
    loan.size = 5;
    OK(axonic_publisher_commit(publisher, &loan, NULL, 0));
    OK(axonic_subscriber_receive(subscriber, AXONIC_SECOND, &message));
    CHECK(message.size == 5 && memcmp(message.data, "short", 5) == 0);

    /* Mistakes spend the loan too, and publish nothing. */
    OK(axonic_publisher_loan(publisher, 4096, 0, &loan));
    loan.size = 4097;
    FAILS(AXONIC_ERROR_INVALID_ARGUMENT, "4096", axonic_publisher_commit(publisher, &loan, NULL, 0));
    CHECK(loan.token == NULL && loan.data == NULL);
    OK(axonic_publisher_loan(publisher, 4096, 0, &loan));
    payload.data = "data of its own";
    payload.data_size = 15;
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_publisher_commit(publisher, &loan, &payload, 0));
    CHECK(loan.token == NULL && loan.data == NULL);
    OK(axonic_publisher_loan(publisher, 4096, 0, &loan));
    ANSWERS(AXONIC_ERROR_CLOSED, axonic_publisher_commit(NULL, &loan, NULL, 0));
    CHECK(loan.token == NULL && loan.data == NULL);
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_publisher_commit(publisher, NULL, NULL, 0));
    ANSWERS(AXONIC_ERROR_WOULD_BLOCK, axonic_subscriber_receive(subscriber, 0, &message));

    /* Another publisher's loan. */
    axonic_publisher *other = publisher_of("loans", AXONIC_OVERFLOW_DROP_OLDEST, 0, 0);
    OK(axonic_publisher_loan(other, 4096, 0, &loan));
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_publisher_commit(publisher, &loan, NULL, 0));
    OK(axonic_publisher_abort(&loan));
    OK(axonic_publisher_close(other));
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_publisher_loan(publisher, 1, 0, NULL));
    OK(axonic_publisher_close(publisher));
    OK(axonic_subscriber_close(subscriber));
}

static void overflows(void) {
    static char block[1024];
    axonic_payload payload = AXONIC_PAYLOAD_INIT;
    payload.data = block;
    payload.data_size = sizeof block;
    axonic_message message;

    axonic_subscriber *subscriber = subscriber_of("drops");
    axonic_publisher *publisher = publisher_of("drops", AXONIC_OVERFLOW_DROP_OLDEST, 16 << 10, 0);
    uint64_t received = 0, missed = 0;
    for (int i = 0; i < 1000; i++) {
        OK(axonic_publisher_publish(publisher, block, sizeof block));
    }
    while (axonic_subscriber_receive(subscriber, 0, &message) == AXONIC_OK) {
        received++;
        missed += message.missed;
    }
    CHECK(received > 0 && missed > 0 && received + missed == 1000);
    axonic_subscriber_stats stats;
    OK(axonic_subscriber_get_stats(subscriber, &stats));
    CHECK(stats.missed == missed && stats.received == received);
    OK(axonic_publisher_close(publisher));
    OK(axonic_subscriber_close(subscriber));

    subscriber = subscriber_of("rejects");
    publisher = publisher_of("rejects", AXONIC_OVERFLOW_REJECT, 16 << 10, 0);
    int code = AXONIC_OK;
    for (int i = 0; i < 1000 && code == AXONIC_OK; i++) {
        code = axonic_publisher_publish(publisher, block, sizeof block);
    }
    ANSWERS(AXONIC_ERROR_FULL, code);
    OK(axonic_publisher_close(publisher));
    OK(axonic_subscriber_close(subscriber));

    subscriber = subscriber_of("blocks");
    publisher = publisher_of("blocks", AXONIC_OVERFLOW_BLOCK, 16 << 10, 0);
    int fd = -1;
    OK(axonic_publisher_fd(publisher, &fd));
    code = AXONIC_OK;
    int sent = 0;
    while ((code = axonic_publisher_send(publisher, &payload, 0)) == AXONIC_OK) {
        CHECK(++sent < 1000);
    }
    ANSWERS(AXONIC_ERROR_WOULD_BLOCK, code);
    ANSWERS(AXONIC_ERROR_TIMEOUT, axonic_publisher_send(publisher, &payload, AXONIC_MILLISECOND));
    ANSWERS(AXONIC_ERROR_WOULD_BLOCK, axonic_publisher_publish_many(publisher, &payload, 1, 0));
    ANSWERS(AXONIC_ERROR_TIMEOUT, axonic_publisher_publish_many(publisher, &payload, 1, AXONIC_MILLISECOND));
    struct pollfd room = {.fd = fd, .events = POLLIN};
    while (axonic_subscriber_receive(subscriber, 0, &message) == AXONIC_OK) {
        sent--;
    }
    CHECK(sent == 0);
    CHECK(poll(&room, 1, 5000) == 1 && (room.revents & POLLIN) != 0);
    OK(axonic_publisher_send(publisher, &payload, 0));
    axonic_publisher_stats counters;
    OK(axonic_publisher_get_stats(publisher, &counters));
    CHECK(counters.blocked > 0);
    OK(axonic_publisher_close(publisher));
    OK(axonic_subscriber_close(subscriber));

    publisher = publisher_of("large", AXONIC_OVERFLOW_BLOCK, 0, 1 << 20);
    char *large = calloc(2, 1 << 20);
    CHECK(large != NULL);
    FAILS(AXONIC_ERROR_TOO_LARGE, "max_bytes", axonic_publisher_publish(publisher, large, 2 << 20));
    axonic_loan loan = {NULL, 0, NULL};
    ANSWERS(AXONIC_ERROR_TOO_LARGE, axonic_publisher_loan(publisher, 2 << 20, 0, &loan));
    CHECK(loan.data == NULL && loan.token == NULL);
    free(large);
    OK(axonic_publisher_close(publisher));
}

static void options(void) {
    axonic_publisher *publisher = NULL;
    axonic_publisher_options wrong = AXONIC_PUBLISHER_OPTIONS_INIT;
    wrong.overflow = 3;
    FAILS(AXONIC_ERROR_INVALID_ARGUMENT, "axonic_overflow", axonic_publisher_open(domain, "t", &wrong, &publisher));
    wrong.overflow = AXONIC_OVERFLOW_REJECT;
    wrong.wait = -1;
    FAILS(AXONIC_ERROR_INVALID_ARGUMENT, "axonic_wait", axonic_publisher_open(domain, "t", &wrong, &publisher));
    axonic_subscriber *subscriber = NULL;
    axonic_subscriber_options start = AXONIC_SUBSCRIBER_OPTIONS_INIT;
    start.start = 2;
    FAILS(AXONIC_ERROR_INVALID_ARGUMENT, "axonic_start", axonic_subscriber_open(domain, "t", &start, &subscriber));
    start.start = AXONIC_START_OLDEST;
    start.max_borrowed = 1025;
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_subscriber_open(domain, "t", &start, &subscriber));
    CHECK(publisher == NULL && subscriber == NULL);

    /* Retained messages meet a subscriber that comes after their publisher left; every way to wait. */
    for (int32_t wait = AXONIC_WAIT_ADAPTIVE; wait <= AXONIC_WAIT_BLOCK; wait++) {
        char topic[32];
        snprintf(topic, sizeof topic, "retained.%d", (int)wait);
        axonic_publisher_options keep = AXONIC_PUBLISHER_OPTIONS_INIT;
        keep.retain = 1;
        keep.wait = wait;
        OK(axonic_publisher_open(domain, topic, &keep, &publisher));
        OK(axonic_publisher_publish(publisher, "kept", 4));
        OK(axonic_publisher_close(publisher));
        start.max_borrowed = 1;
        start.wait = wait;
        OK(axonic_subscriber_open(domain, topic, &start, &subscriber));
        axonic_message message;
        OK(axonic_subscriber_receive(subscriber, AXONIC_SECOND, &message));
        CHECK(message.size == 4 && memcmp(message.data, "kept", 4) == 0);
        ANSWERS(AXONIC_ERROR_TIMEOUT, axonic_subscriber_receive(subscriber, AXONIC_MILLISECOND, &message));
        OK(axonic_subscriber_close(subscriber));
    }
}

/* Both ends of a topic held to a schema, and a publisher that is not. */
static void schemas(void) {
    axonic_publisher *strict = NULL;
    axonic_subscriber *subscriber = NULL;
    axonic_publisher_options publishes = AXONIC_PUBLISHER_OPTIONS_INIT;
    axonic_subscriber_options receives = AXONIC_SUBSCRIBER_OPTIONS_INIT;
    const char *bad[] = {"{", "7", "{\"type\": \"nothing\"}", "{\"$ref\": \"https://example.org/order.json\"}"};
    for (int i = 0; i < 4; i++) {
        publishes.schema = receives.schema = bad[i];
        FAILS(AXONIC_ERROR_INVALID_ARGUMENT, "Schema", axonic_publisher_open(domain, "held", &publishes, &strict));
        FAILS(AXONIC_ERROR_INVALID_ARGUMENT, "Schema", axonic_subscriber_open(domain, "held", &receives, &subscriber));
    }
    CHECK(strict == NULL && subscriber == NULL);

    char text[] = "{\"type\": \"object\", \"required\": [\"id\"]}";
    publishes.schema = receives.schema = text;
    OK(axonic_publisher_open(domain, "held", &publishes, &strict));
    OK(axonic_subscriber_open(domain, "held", &receives, &subscriber));
    memset(text, 'x', strlen(text)); /* read while they were opened, and no longer */
    axonic_publisher *lax = publisher_of("held", AXONIC_OVERFLOW_DROP_OLDEST, 0, 0);

    axonic_payload good = AXONIC_PAYLOAD_INIT;
    good.content = AXONIC_CONTENT_JSON;
    good.data = "{\"id\":1}";
    good.data_size = 8;
    axonic_payload unfit = good;
    unfit.data = "{\"no\":1}";
    const axonic_payload both[] = {good, unfit};
    axonic_message message;
    FAILS(AXONIC_ERROR_INVALID_ARGUMENT, "id", axonic_publisher_send(strict, &unfit, 0));
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_publisher_publish(strict, good.data, good.data_size));
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_publisher_publish_many(strict, both, 2, 0));
    axonic_loan loan;
    OK(axonic_publisher_loan(strict, good.data_size, 0, &loan));
    memcpy(loan.data, good.data, good.data_size);
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_publisher_commit(strict, &loan, NULL, 0));
    CHECK(loan.token == NULL && loan.data == NULL);
    ANSWERS(AXONIC_ERROR_WOULD_BLOCK, axonic_subscriber_receive(subscriber, 0, &message));
    OK(axonic_publisher_send(strict, &good, 0));
    OK(axonic_subscriber_receive(subscriber, AXONIC_SECOND, &message));
    CHECK(message.size == 8 && memcmp(message.data, good.data, 8) == 0);

    /* What does not satisfy it is passed over, once, and the next one is there. */
    for (int borrow = 0; borrow < 2; borrow++) {
        OK(axonic_publisher_send(lax, &unfit, 0));
        OK(axonic_publisher_publish(lax, "bytes", 5));
        OK(axonic_publisher_send(lax, &good, 0));
        for (int i = 0; i < 2; i++) {
            FAILS(AXONIC_ERROR_DECODE, "held",
                  borrow ? axonic_subscriber_borrow(subscriber, AXONIC_SECOND, &message)
                         : axonic_subscriber_receive(subscriber, AXONIC_SECOND, &message));
        }
        OK(borrow ? axonic_subscriber_borrow(subscriber, AXONIC_SECOND, &message)
                  : axonic_subscriber_receive(subscriber, AXONIC_SECOND, &message));
        CHECK(message.content == AXONIC_CONTENT_JSON && message.size == 8 && message.missed == 0);
        OK(axonic_subscriber_release(&message));
    }
    OK(axonic_subscriber_close(subscriber));
    OK(axonic_publisher_close(lax));
    OK(axonic_publisher_close(strict));

    /* Structs of a version without the field, and "": no schema. */
    publishes.size = offsetof(axonic_publisher_options, schema);
    receives.size = offsetof(axonic_subscriber_options, schema);
    for (int round = 0; round < 2; round++) {
        OK(axonic_publisher_open(domain, "free", &publishes, &lax));
        OK(axonic_subscriber_open(domain, "free", &receives, &subscriber));
        OK(axonic_publisher_publish(lax, "bytes", 5));
        OK(axonic_subscriber_receive(subscriber, AXONIC_SECOND, &message));
        OK(axonic_subscriber_close(subscriber));
        OK(axonic_publisher_close(lax));
        publishes.size = sizeof publishes;
        receives.size = sizeof receives;
        publishes.schema = receives.schema = "";
    }
}

static void polling(void) {
    axonic_subscriber *subscriber = subscriber_of("polled");
    axonic_publisher *publisher = publisher_of("polled", AXONIC_OVERFLOW_DROP_OLDEST, 0, 0);
    int fd = -1;
    OK(axonic_subscriber_fd(subscriber, &fd));
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    axonic_message message;
    while (axonic_subscriber_receive(subscriber, 0, &message) != AXONIC_ERROR_WOULD_BLOCK) {
    }
    CHECK(poll(&ready, 1, 20) == 0);
    for (int round = 0; round < 3; round++) {
        OK(axonic_publisher_publish(publisher, "a", 1));
        OK(axonic_publisher_publish(publisher, "b", 1));
        CHECK(poll(&ready, 1, 5000) == 1);
        OK(axonic_subscriber_receive(subscriber, 0, &message));
        CHECK(poll(&ready, 1, 5000) == 1); /* level-triggered: one more is there */
        OK(axonic_subscriber_receive(subscriber, 0, &message));
        ANSWERS(AXONIC_ERROR_WOULD_BLOCK, axonic_subscriber_receive(subscriber, 0, &message));
        CHECK(poll(&ready, 1, 20) == 0);
        /* A wait that ends without a message does not make the descriptor deaf. */
        ANSWERS(AXONIC_ERROR_TIMEOUT, axonic_subscriber_receive(subscriber, AXONIC_MILLISECOND, &message));
    }
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_subscriber_fd(subscriber, NULL));
    OK(axonic_publisher_close(publisher));
    OK(axonic_subscriber_close(subscriber));
}

int main(void) {
    check_start();
    OK(axonic_domain_open("topics", NULL, &domain));
    publish_and_receive();
    tensors_and_attributes();
    many_at_once();
    loans();
    overflows();
    options();
    schemas();
    polling();
    OK(axonic_domain_close(domain));
    return 0;
}
