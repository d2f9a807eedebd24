/* Queues: each message to one consumer, until it is settled. */
#define _GNU_SOURCE
#include "check.h"

#include <poll.h>
#include <signal.h>
#include <sys/resource.h>

static axonic_domain *domain;
static axonic_queue_producer *producer;
static axonic_queue_consumer *consumer;

static void put(const char *text) { OK(axonic_queue_producer_put(producer, text, strlen(text), AXONIC_SECOND)); }

static axonic_payload raw(const char *text) {
    axonic_payload payload = AXONIC_PAYLOAD_INIT;
    payload.data = text;
    payload.data_size = strlen(text);
    return payload;
}

static axonic_delivery get(const char *text) {
    axonic_delivery delivery;
    OK(axonic_queue_consumer_get(consumer, NULL, 5 * AXONIC_SECOND, &delivery));
    CHECK(delivery.message.size == strlen(text) && delivery.held != NULL);
    CHECK(memcmp(delivery.message.data, text, strlen(text)) == 0);
    return delivery;
}

static axonic_queue_stats stats(void) {
    axonic_queue_stats stats;
    OK(axonic_queue_consumer_get_stats(consumer, &stats));
    return stats;
}

static void open_it(const char *name, const axonic_queue_options *options) {
    OK(axonic_queue_producer_open(domain, name, options, &producer));
    OK(axonic_queue_consumer_open(domain, name, options, &consumer));
}

/* With a message left: an empty queue goes with its last handle. */
static void close_it(const char *name) {
    put("left");
    FAILS(AXONIC_ERROR_BUSY, name, axonic_domain_unlink(domain, AXONIC_NOUN_QUEUE, name));
    OK(axonic_queue_producer_close(producer));
    OK(axonic_queue_consumer_close(consumer));
    OK(axonic_domain_unlink(domain, AXONIC_NOUN_QUEUE, name));
    FAILS(AXONIC_ERROR_NOT_FOUND, name, axonic_domain_unlink(domain, AXONIC_NOUN_QUEUE, name));
}

static void wrong_arguments(void) {
    axonic_queue_producer *none = NULL;
    axonic_queue_options options = AXONIC_QUEUE_OPTIONS_INIT;
    options.wait = 8;
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_queue_producer_open(domain, "q", &options, &none));
    options.wait = 0;
    options.capacity = (size_t)1 << 40;
    FAILS(AXONIC_ERROR_INVALID_ARGUMENT, "capacity", axonic_queue_producer_open(domain, "q", &options, &none));
    ANSWERS(AXONIC_ERROR_INVALID_NAME, axonic_queue_producer_open(domain, "a/b", NULL, &none));
    CHECK(none == NULL);
    FAILS(AXONIC_ERROR_CLOSED, "NULL", axonic_queue_producer_put(NULL, "x", 1, 0));
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_queue_producer_put(producer, NULL, 1, 0));
    axonic_payload payload = raw("x");
    axonic_put_options how = AXONIC_PUT_OPTIONS_INIT;
    how.priority = 8;
    FAILS(AXONIC_ERROR_INVALID_ARGUMENT, "priority", axonic_queue_producer_send(producer, &payload, &how, 0, NULL));
    how.priority = 256 + 3; /* not 3 */
    FAILS(AXONIC_ERROR_INVALID_ARGUMENT, "priority", axonic_queue_producer_send(producer, &payload, &how, 0, NULL));
    how.priority = 0;
    how.delay = -1;
    FAILS(AXONIC_ERROR_INVALID_ARGUMENT, "delay", axonic_queue_producer_send(producer, &payload, &how, 0, NULL));
    how.delay = 0;
    how.result = 1;
    FAILS(AXONIC_ERROR_INVALID_ARGUMENT, "receipt", axonic_queue_producer_send(producer, &payload, &how, 0, NULL));
    size_t count = 9;
    FAILS(AXONIC_ERROR_INVALID_ARGUMENT, "tickets",
          axonic_queue_producer_put_many(producer, &payload, 1, &how, 0, &count));
    CHECK(count == 9);
    axonic_get_options lease = AXONIC_GET_OPTIONS_INIT;
    lease.lease = -1;
    axonic_delivery delivery;
    FAILS(AXONIC_ERROR_INVALID_ARGUMENT, "lease", axonic_queue_consumer_get(consumer, &lease, 0, &delivery));
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_queue_consumer_get(consumer, NULL, 0, NULL));
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_queue_consumer_get_many(consumer, NULL, 0, &delivery, 0, &count));
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_queue_consumer_purge(consumer, NULL));
    FAILS(AXONIC_ERROR_WOULD_BLOCK, "queue 'q': no message is in it now, and the timeout was 0",
          axonic_queue_consumer_get(consumer, NULL, 0, &delivery));
    FAILS(AXONIC_ERROR_TIMEOUT, "q", axonic_queue_consumer_get(consumer, NULL, AXONIC_MILLISECOND, &delivery));
    CHECK(axonic_ticket_progress(NULL) < 0);
    OK(axonic_ticket_close(NULL));
    OK(axonic_delivery_release(NULL));
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_delivery_ack(NULL, NULL));
}

static void whatever_is_sent_arrives(void) {
    const axonic_attribute attributes[] = {{"type", "frame"}};
    const size_t shape[] = {2, 3};
    const uint16_t elements[] = {1, 2, 3, 4, 5, 6};
    axonic_payload tensor = AXONIC_PAYLOAD_INIT;
    tensor.data = elements;
    tensor.data_size = sizeof elements;
    tensor.content = AXONIC_CONTENT_TENSOR;
    tensor.dtype = AXONIC_DTYPE_U16;
    tensor.shape = shape;
    tensor.ndim = 2;
    tensor.attributes = attributes;
    tensor.attribute_count = 1;
    OK(axonic_queue_producer_send(producer, &tensor, NULL, AXONIC_SECOND, NULL));
    axonic_delivery delivery;
    OK(axonic_queue_consumer_get(consumer, NULL, AXONIC_SECOND, &delivery));
    const axonic_message *message = &delivery.message;
    CHECK(message->size == sizeof elements && memcmp(message->data, elements, sizeof elements) == 0);
    CHECK((uintptr_t)message->data % 64 == 0);
    CHECK(message->content == AXONIC_CONTENT_TENSOR && message->dtype == AXONIC_DTYPE_U16);
    CHECK(message->ndim == 2 && message->shape[0] == 2 && message->shape[1] == 3);
    SAME(message->topic, "q");
    SAME(axonic_message_attribute(message, "type"), "frame");
    CHECK(delivery.priority == 0 && delivery.attempt == 1);
    OK(axonic_delivery_ack(&delivery, NULL));
    CHECK(delivery.held == NULL && delivery.message.data == NULL);
    FAILS(AXONIC_ERROR_CLOSED, "delivery", axonic_delivery_ack(&delivery, NULL));
    OK(axonic_delivery_release(&delivery));

    static char large[3 << 20];
    memset(large, 'l', sizeof large);
    OK(axonic_queue_producer_put(producer, large, sizeof large, 0));
    CHECK(stats().bytes > sizeof large - 4096); /* the first ones lie in the slot itself */
    OK(axonic_queue_consumer_get(consumer, NULL, AXONIC_SECOND, &delivery));
    CHECK(delivery.message.size == sizeof large && memcmp(delivery.message.data, large, sizeof large) == 0);
    OK(axonic_delivery_ack(&delivery, NULL));
    CHECK(stats().bytes == 0 && stats().acked == 2);
}

static void in_order_of_priority(void) {
    axonic_put_options high = AXONIC_PUT_OPTIONS_INIT;
    high.priority = 7;
    put("low");
    axonic_payload payload = raw("high");
    axonic_receipt receipt = {.ticket = (axonic_ticket *)&payload};
    OK(axonic_queue_producer_send(producer, &payload, &high, 0, &receipt));
    CHECK(receipt.ticket == NULL && receipt.reserved[0] == 0);
    const axonic_peeked *shown = NULL;
    size_t count = 0;
    OK(axonic_queue_consumer_peek(consumer, 10, &shown, &count));
    CHECK(count == 2 && memcmp(shown[0].message.data, "high", 4) == 0 && shown[0].priority == 7);
    CHECK(memcmp(shown[1].message.data, "low", 3) == 0 && shown[1].attempts == 0);
    CHECK(shown[1].reason == AXONIC_REASON_NONE);
    SAME(shown[1].reason_text, "");
    SAME(shown[1].message.topic, "q");
    OK(axonic_queue_consumer_peek(consumer, 1, &shown, &count));
    CHECK(count == 1);

    axonic_delivery delivery = get("high");
    const uint64_t token = delivery.token;
    OK(axonic_delivery_release(&delivery));
    CHECK(delivery.held == NULL && delivery.message.data == NULL);
    delivery = get("high");
    CHECK(delivery.attempt == 2 && delivery.priority == 7 && delivery.token > token);
    OK(axonic_delivery_nack(&delivery, 30 * AXONIC_MILLISECOND));
    CHECK(stats().delayed == 1);
    axonic_delivery low = get("low");
    delivery = get("high");
    CHECK(delivery.attempt == 3);
    OK(axonic_delivery_ack(&low, NULL));
    OK(axonic_delivery_ack(&delivery, NULL));
}

static void leases(void) {
    axonic_get_options brief = AXONIC_GET_OPTIONS_INIT;
    brief.lease = 30 * AXONIC_MILLISECOND;
    put("slow");
    axonic_delivery late, now;
    OK(axonic_queue_consumer_get(consumer, &brief, AXONIC_SECOND, &late));
    const uint64_t token = late.token;
    OK(axonic_delivery_extend(&late, 40 * AXONIC_MILLISECOND));
    CHECK(late.token > token);
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_delivery_extend(&late, -1));
    now = get("slow");
    CHECK(now.attempt == 2 && now.token > late.token);
    FAILS(AXONIC_ERROR_LEASE_LOST, "lease", axonic_delivery_extend(&late, AXONIC_SECOND));
    FAILS(AXONIC_ERROR_LEASE_LOST, "lease", axonic_delivery_progress(&late, 0.5));
    CHECK(late.held != NULL); /* it may still be read */
    FAILS(AXONIC_ERROR_LEASE_LOST, "lease", axonic_delivery_ack(&late, NULL));
    CHECK(late.held == NULL);
    OK(axonic_delivery_ack(&now, NULL));
}

static void dead_letters(void) {
    put("bad");
    axonic_delivery delivery = get("bad");
    OK(axonic_delivery_reject(&delivery, "not a job"));
    CHECK(delivery.held == NULL);
    axonic_put_options brief = AXONIC_PUT_OPTIONS_INIT;
    brief.ttl = 1;
    axonic_payload payload = raw("late");
    OK(axonic_queue_producer_send(producer, &payload, &brief, 0, NULL));
    ANSWERS(AXONIC_ERROR_WOULD_BLOCK, axonic_queue_consumer_get(consumer, NULL, 0, &delivery));
    const axonic_peeked *dead = NULL;
    size_t count = 0;
    OK(axonic_queue_consumer_dead_letters(consumer, 10, &dead, &count));
    CHECK(count == 2);
    const int rejected = dead[0].reason == AXONIC_REASON_REJECTED ? 0 : 1;
    CHECK(dead[rejected].reason == AXONIC_REASON_REJECTED && dead[rejected].attempts == 1);
    SAME(dead[rejected].reason_text, "not a job");
    CHECK(dead[1 - rejected].reason == AXONIC_REASON_EXPIRED);
    CHECK(dead[1 - rejected].message.size == 4 && memcmp(dead[1 - rejected].message.data, "late", 4) == 0);
    uint64_t moved = 0;
    OK(axonic_queue_consumer_redrive(consumer, 10, &moved));
    CHECK(moved == 2 && stats().dead == 0);
    OK(axonic_queue_consumer_purge(consumer, &moved));
    CHECK(moved == 2 && stats().ready == 0);
    put("bad");
    delivery = get("bad");
    OK(axonic_delivery_reject(&delivery, NULL));
    OK(axonic_queue_consumer_purge(consumer, &moved));
    CHECK(moved == 0 && stats().dead == 1);
    OK(axonic_queue_consumer_purge_dead_letters(consumer, &moved));
    CHECK(moved == 1 && stats().dead == 0);
}

static axonic_ticket *ask(const char *text) {
    axonic_put_options options = AXONIC_PUT_OPTIONS_INIT;
    options.result = 1;
    axonic_payload payload = raw(text);
    axonic_receipt receipt = {0};
    OK(axonic_queue_producer_send(producer, &payload, &options, AXONIC_SECOND, &receipt));
    CHECK(receipt.ticket != NULL);
    return receipt.ticket;
}

static void tickets(void) {
    axonic_ticket *ticket = ask("6 x 7");
    axonic_message result = {.size = 77};
    FAILS(AXONIC_ERROR_WOULD_BLOCK, "queue 'q': nothing has become of the message yet",
          axonic_ticket_result(ticket, producer, 0, &result));
    FAILS(AXONIC_ERROR_TIMEOUT, "q", axonic_ticket_result(ticket, producer, AXONIC_MILLISECOND, &result));
    ANSWERS(AXONIC_ERROR_CLOSED, axonic_ticket_result(ticket, NULL, 0, &result));
    CHECK(result.size == 77 && axonic_ticket_progress(ticket) == 0);
    int fd = -1;
    OK(axonic_queue_producer_fd(producer, &fd));
    ANSWERS(AXONIC_ERROR_WOULD_BLOCK, axonic_ticket_result(ticket, producer, 0, &result));
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    CHECK(poll(&ready, 1, 0) == 0);
    axonic_delivery delivery = get("6 x 7");
    FAILS(AXONIC_ERROR_INVALID_ARGUMENT, "progress", axonic_delivery_progress(&delivery, 1.5));
    OK(axonic_delivery_progress(&delivery, 0.5));
    CHECK(axonic_ticket_progress(ticket) == 0.5);
    axonic_payload answer = raw("42");
    answer.content = AXONIC_CONTENT_JSON;
    OK(axonic_delivery_ack(&delivery, &answer));
    CHECK(poll(&ready, 1, 5000) == 1);
    OK(axonic_ticket_result(ticket, producer, 0, &result));
    CHECK(result.size == 2 && memcmp(result.data, "42", 2) == 0 && result.content == AXONIC_CONTENT_JSON);
    SAME(result.topic, "q");
    axonic_message again;
    OK(axonic_ticket_result(ticket, producer, 0, &again));
    CHECK(again.data == result.data && again.size == 2 && memcmp(result.data, "42", 2) == 0);
    OK(axonic_ticket_close(ticket));

    ticket = ask("impossible");
    delivery = get("impossible");
    OK(axonic_delivery_reject(&delivery, "cannot be done"));
    FAILS(AXONIC_ERROR_REJECTED, "cannot be done", axonic_ticket_result(ticket, producer, AXONIC_SECOND, &result));
    OK(axonic_ticket_close(ticket));

    ticket = ask("nobody waits");
    OK(axonic_ticket_close(ticket));
    delivery = get("nobody waits");
    OK(axonic_delivery_ack(&delivery, &answer));
    CHECK(stats().done == 0);
    uint64_t purged = 0;
    OK(axonic_queue_consumer_purge_dead_letters(consumer, &purged));
    CHECK(purged == 1);
}

/* A result there is no room for gives the message back. */
static void no_room_for_a_result(void) {
    static char large[2 << 20];
    axonic_ticket *ticket = ask("too much");
    axonic_delivery delivery = get("too much");
    axonic_payload answer = AXONIC_PAYLOAD_INIT;
    answer.data = large;
    answer.data_size = sizeof large;
    FAILS(AXONIC_ERROR_FULL, "max_bytes", axonic_delivery_ack(&delivery, &answer));
    CHECK(delivery.held == NULL);
    delivery = get("too much");
    CHECK(delivery.attempt == 2);
    answer.data_size = 100;
    OK(axonic_delivery_ack(&delivery, &answer));
    axonic_message result;
    OK(axonic_ticket_result(ticket, producer, AXONIC_SECOND, &result));
    CHECK(result.size == 100);
    OK(axonic_ticket_close(ticket));
}

static void many(void) {
    axonic_payload payloads[] = {raw("a"), raw("b"), raw("c"), raw("d"), raw("e"), raw("f")};
    size_t count = 0;
    OK(axonic_queue_producer_put_many(producer, payloads, 3, NULL, 0, &count));
    CHECK(count == 3);
    OK(axonic_queue_producer_put_many(producer, payloads + 3, 3, NULL, AXONIC_MILLISECOND, &count));
    CHECK(count == 1);
    count = 9;
    ANSWERS(AXONIC_ERROR_WOULD_BLOCK, axonic_queue_producer_put_many(producer, payloads + 4, 2, NULL, 0, &count));
    FAILS(AXONIC_ERROR_WOULD_BLOCK, "small", axonic_queue_producer_put(producer, "x", 1, 0));
    FAILS(AXONIC_ERROR_TIMEOUT, "capacity", axonic_queue_producer_put(producer, "x", 1, AXONIC_MILLISECOND));
    CHECK(count == 9);

    int writable = -1, readable = -1;
    OK(axonic_queue_producer_fd(producer, &writable));
    OK(axonic_queue_consumer_fd(consumer, &readable));
    ANSWERS(AXONIC_ERROR_WOULD_BLOCK, axonic_queue_producer_put(producer, "x", 1, 0));
    struct pollfd ready = {.fd = writable, .events = POLLIN};
    CHECK(poll(&ready, 1, 0) == 0);
    axonic_delivery taken[8];
    OK(axonic_queue_consumer_get_many(consumer, NULL, AXONIC_SECOND, taken, 3, &count));
    CHECK(count == 3 && stats().leased == 3);
    for (size_t i = 0; i < count; i++) {
        CHECK(taken[i].message.size == 1 && *(const char *)taken[i].message.data == (char)('a' + i));
        OK(axonic_delivery_ack(&taken[i], NULL));
    }
    CHECK(poll(&ready, 1, 5000) == 1);
    OK(axonic_queue_consumer_get_many(consumer, NULL, 0, taken, 8, &count));
    CHECK(count == 1);
    ANSWERS(AXONIC_ERROR_WOULD_BLOCK, axonic_queue_consumer_get_many(consumer, NULL, 0, taken + 1, 7, &count));
    ready.fd = readable;
    CHECK(poll(&ready, 1, 0) == 0);
    put("g");
    CHECK(poll(&ready, 1, 5000) == 1);
    OK(axonic_delivery_ack(taken, NULL));
    axonic_delivery last = get("g");

    /* A delivery outlives its consumer. */
    OK(axonic_queue_consumer_close(consumer));
    CHECK(memcmp(last.message.data, "g", 1) == 0);
    OK(axonic_delivery_release(&last));
    OK(axonic_queue_consumer_open(domain, "small", NULL, &consumer));
    last = get("g");
    CHECK(last.attempt == 2);
    OK(axonic_delivery_ack(&last, NULL));
    axonic_queue_stats all;
    OK(axonic_queue_producer_get_stats(producer, &all));
    CHECK(all.put == 5 && all.acked == 5 && all.returned == 1 && all.capacity == 4 && all.reserved[0] == 0);
    CHECK(all.blocked >= 2 && all.ready == 0 && all.leased == 0);
}

static void after_attempts(void) {
    for (int i = 0; i < 2; i++) {
        axonic_delivery delivery;
        put("hopeless");
        for (int attempt = 0; attempt < 2; attempt++) {
            delivery = get("hopeless");
            OK(axonic_delivery_nack(&delivery, 0));
        }
        ANSWERS(AXONIC_ERROR_WOULD_BLOCK, axonic_queue_consumer_get(consumer, NULL, 0, &delivery));
    }
    const axonic_peeked *dead = NULL;
    size_t count = 0;
    OK(axonic_queue_consumer_dead_letters(consumer, 1, &dead, &count));
    CHECK(count == 1 && dead->reason == AXONIC_REASON_ATTEMPTS && dead->attempts == 2);
}

static void ids(void) {
    axonic_put_options once = AXONIC_PUT_OPTIONS_INIT;
    once.dedup_id = "job-1";
    axonic_payload payload = raw("once");
    axonic_receipt receipt = {.duplicate = 7};
    OK(axonic_queue_producer_send(producer, &payload, &once, 0, &receipt));
    CHECK(receipt.duplicate == 0 && receipt.ticket == NULL);
    once.result = 1;
    OK(axonic_queue_producer_send(producer, &payload, &once, 0, &receipt));
    CHECK(receipt.duplicate == 1 && receipt.ticket == NULL && stats().ready == 1);
    axonic_delivery delivery = get("once");
    OK(axonic_delivery_ack(&delivery, NULL));
    OK(axonic_queue_producer_sync(producer, 0)); /* nothing to wait for in memory */
}

/* Two handles held to a schema, and one that is not. */
static void schemas(void) {
    axonic_queue_options options = AXONIC_QUEUE_OPTIONS_INIT;
    options.schema = "{";
    axonic_queue_producer *strict = NULL;
    FAILS(AXONIC_ERROR_INVALID_ARGUMENT, "Schema", axonic_queue_producer_open(domain, "strict", &options, &strict));
    char text[] = "{\"type\": \"integer\"}";
    options.schema = text;
    OK(axonic_queue_producer_open(domain, "strict", &options, &strict));
    OK(axonic_queue_consumer_open(domain, "strict", &options, &consumer));
    OK(axonic_queue_producer_open(domain, "strict", NULL, &producer));
    memset(text, 'x', strlen(text)); /* read while they were opened, and no longer */
    FAILS(AXONIC_ERROR_INVALID_ARGUMENT, "nothing was put", axonic_queue_producer_put(strict, "1", 1, 0));
    put("1"); /* bytes satisfy no schema */
    axonic_delivery delivery;
    FAILS(AXONIC_ERROR_DECODE, "dead letters", axonic_queue_consumer_get(consumer, NULL, 0, &delivery));
    axonic_payload good = raw("1");
    good.content = AXONIC_CONTENT_JSON;
    OK(axonic_queue_producer_send(strict, &good, NULL, 0, NULL));
    delivery = get("1");
    OK(axonic_delivery_ack(&delivery, NULL));
    OK(axonic_queue_producer_close(strict));
    CHECK(stats().dead == 1);
}

/* What a journal has is there again when the memory is gone. */
static void durable(void) {
    char directory[] = "/tmp/axonic-test-data-XXXXXX";
    CHECK(mkdtemp(directory) != NULL);
    axonic_domain_options of_domain = AXONIC_DOMAIN_OPTIONS_INIT;
    of_domain.data_dir = directory;
    axonic_queue_options options = AXONIC_QUEUE_OPTIONS_INIT;
    options.durable = 9;
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_queue_producer_open(domain, "d", &options, &producer));
    options.durable = AXONIC_FSYNC_INTERVAL;
    FAILS(AXONIC_ERROR_INVALID_ARGUMENT, "fsync_interval", axonic_queue_producer_open(domain, "d", &options, &producer));
    options.durable = AXONIC_FSYNC_ALWAYS;
    options.fsync_interval = AXONIC_SECOND;
    FAILS(AXONIC_ERROR_INVALID_ARGUMENT, "fsync_interval", axonic_queue_producer_open(domain, "d", &options, &producer));
    options.fsync_interval = 0;
    for (int boot = 0; boot < 3; boot++) {
        /* Another runtime directory is what a reboot leaves. */
        char memory[] = "/dev/shm/axonic-test-boot-XXXXXX";
        CHECK(mkdtemp(memory) != NULL);
        of_domain.runtime_dir = memory;
        axonic_domain *const before = domain;
        OK(axonic_domain_open("durable", &of_domain, &domain));
        open_it("d", &options);
        if (boot == 0) {
            axonic_put_options later = AXONIC_PUT_OPTIONS_INIT;
            later.durable = -1;
            axonic_payload payload = raw("two");
            put("one");
            OK(axonic_queue_producer_send(producer, &payload, &later, 0, NULL));
            OK(axonic_queue_producer_sync(producer, 5 * AXONIC_SECOND));
        } else if (boot == 1) {
            CHECK(stats().ready == 2);
            axonic_get_options how = AXONIC_GET_OPTIONS_INIT;
            how.durable = -1;
            axonic_delivery delivery;
            OK(axonic_queue_consumer_get(consumer, &how, 0, &delivery));
            OK(axonic_delivery_ack(&delivery, NULL));
            OK(axonic_queue_consumer_sync(consumer, 5 * AXONIC_SECOND));
        } else {
            axonic_delivery delivery = get("two");
            OK(axonic_delivery_ack(&delivery, NULL));
        }
        OK(axonic_queue_producer_close(producer));
        OK(axonic_queue_consumer_close(consumer));
        OK(axonic_domain_close(domain));
        domain = before;
        CHECK(nftw(memory, check_remove, 16, FTW_DEPTH | FTW_PHYS) == 0);
    }
    CHECK(nftw(directory, check_remove, 16, FTW_DEPTH | FTW_PHYS) == 0);
}

/* A put that waits for no room waits for the disk, whoever else keeps it busy; many with timeout 0 need not. */
static void tries_on_disk(void) {
    char directory[] = "/tmp/axonic-test-tries-XXXXXX";
    CHECK(mkdtemp(directory) != NULL);
    axonic_domain_options of_domain = AXONIC_DOMAIN_OPTIONS_INIT;
    of_domain.data_dir = directory;
    axonic_queue_options options = AXONIC_QUEUE_OPTIONS_INIT;
    options.durable = AXONIC_FSYNC_ALWAYS;
    axonic_domain *const before = domain;
    const pid_t busy = fork();
    CHECK(busy >= 0);
    OK(axonic_domain_open("tries", &of_domain, &domain));
    open_it("d", &options);
    if (busy == 0) {
        for (;;) {
            put("theirs");
        }
    }
    while (stats().ready == 0) {
        usleep(1000);
    }
    const axonic_payload payloads[2] = {raw("mine"), raw("mine")};
    for (int i = 0; i < 100; i++) {
        OK(axonic_queue_producer_put(producer, "mine", 4, 0));
        OK(axonic_queue_producer_send(producer, payloads, NULL, 0, NULL));
        size_t count = 0;
        const int answer = axonic_queue_producer_put_many(producer, payloads, 2, NULL, 0, &count);
        CHECK((answer == AXONIC_OK || answer == AXONIC_ERROR_NOT_DURABLE) && count == 2);
    }
    CHECK(kill(busy, SIGKILL) == 0 && waitpid(busy, NULL, 0) == busy);
    OK(axonic_queue_producer_close(producer));
    OK(axonic_queue_consumer_close(consumer));
    OK(axonic_domain_close(domain));
    domain = before;
    CHECK(nftw(directory, check_remove, 16, FTW_DEPTH | FTW_PHYS) == 0);
}

/* What the disk does not take is in the queue all the same. */
static void full_disk(void) {
    char directory[] = "/tmp/axonic-test-full-XXXXXX";
    CHECK(mkdtemp(directory) != NULL);
    axonic_domain_options of_domain = AXONIC_DOMAIN_OPTIONS_INIT;
    of_domain.data_dir = directory;
    axonic_domain *const before = domain;
    OK(axonic_domain_open("full", &of_domain, &domain));
    axonic_queue_options options = AXONIC_QUEUE_OPTIONS_INIT;
    options.durable = AXONIC_FSYNC_NEVER;
    open_it("d", &options);
    static char megabyte[1 << 20];
    axonic_payload payloads[20];
    for (int i = 0; i < 20; i++) {
        payloads[i] = raw("");
        payloads[i].data = megabyte;
        payloads[i].data_size = sizeof megabyte;
    }
    /* So that memory for as many is there. */
    size_t count = 0;
    uint64_t purged = 0;
    OK(axonic_queue_producer_put_many(producer, payloads, 20, NULL, AXONIC_SECOND, &count));
    OK(axonic_queue_consumer_purge(consumer, &purged));
    /* A segment of the journal is larger than this. */
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_FSIZE, &limit) == 0);
    const struct rlimit small = {7 << 20, limit.rlim_max};
    CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
    count = 0;
    FAILS(AXONIC_ERROR_NOT_DURABLE, "do not put that again",
          axonic_queue_producer_put_many(producer, payloads, 20, NULL, AXONIC_SECOND, &count));
    CHECK(count == 20 && stats().ready == 20);
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    OK(axonic_queue_producer_sync(producer, 20 * AXONIC_SECOND));
    OK(axonic_queue_consumer_purge(consumer, &purged));
    CHECK(purged == 20);
    OK(axonic_queue_producer_close(producer));
    OK(axonic_queue_consumer_close(consumer));
    OK(axonic_domain_close(domain));
    domain = before;
    CHECK(nftw(directory, check_remove, 16, FTW_DEPTH | FTW_PHYS) == 0);
}

/* What a dead process had goes to another. */
static void deaths(void) {
    put("inherited");
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        axonic_delivery delivery = get("inherited");
        _exit(delivery.attempt == 1 ? 0 : 1);
    }
    check_child(child);
    axonic_delivery delivery = get("inherited");
    CHECK(delivery.attempt == 2);
    OK(axonic_delivery_ack(&delivery, NULL));
}

int main(void) {
    check_start();
    OK(axonic_domain_open("queues", NULL, &domain));
    open_it("q", NULL);
    wrong_arguments();
    whatever_is_sent_arrives();
    in_order_of_priority();
    leases();
    dead_letters();
    tickets();
    ids();
    deaths();
    close_it("q");
    axonic_queue_options options = AXONIC_QUEUE_OPTIONS_INIT;
    options.capacity = 4;
    open_it("small", &options);
    many();
    close_it("small");
    options.max_attempts = 2;
    open_it("few", &options);
    after_attempts();
    close_it("few");
    options.max_bytes = 1 << 20;
    open_it("tight", &options);
    no_room_for_a_result();
    close_it("tight");
    schemas();
    close_it("strict");
    durable();
    tries_on_disk();
    full_disk();
    OK(axonic_domain_close(domain));
    return 0;
}
