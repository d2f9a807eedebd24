/* The subject axonic-c: `axonic case exchanges messages`, two processes through the C ABI; one JSON line per result. */
#include "common.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What the two halves of a case have in common, and each half's handles after it opened them. */
typedef struct half {
    char domain[32];
    size_t n, size;
    double parts;
    int wait;
    stream stream;
    uint64_t *start;
    axonic_publisher *output;
    axonic_subscriber *input;
    axonic_ring_producer *producer;
    axonic_ring_consumer *consumer;
    unsigned char *bytes, value;
} half;

static half prepare(size_t n, size_t size, int wait) {
    static int number = 0;
    half h = {.n = n, .size = size, .parts = 1, .wait = wait, .start = shared(), .bytes = malloc(size)};
    memset(h.bytes, 7, size);
    snprintf(h.domain, sizeof h.domain, "c-%d-%d", (int)getpid(), number++);
    return h;
}

static void open_ends(half *h, const char *send, const char *take) {
    axonic_domain *in = domain(h->domain);
    h->input = subscriber(in, take, h->wait);
    h->output = publisher(in, send, AXONIC_OVERFLOW_DROP_OLDEST, h->wait);
    meet(h->start, 2);
    check(axonic_publisher_wait_for_subscribers(h->output, 1, AXONIC_FOREVER));
}

/* Exchanges by copy. A large message is borrowed for it: receive would copy it into the subscriber's memory first. */
static void take_copy(half *h) {
    axonic_message message;
    int large = h->size > 2048;
    check((large ? axonic_subscriber_borrow : axonic_subscriber_receive)(h->input, AXONIC_FOREVER, &message));
    memcpy(h->bytes, message.data, message.size);
    if (large) check(axonic_subscriber_release(&message));
}

static void answer_copy(void *context) {
    half *h = context;
    take_copy(h);
    check(axonic_publisher_publish(h->output, h->bytes, h->size));
}

static void ask_copy(void *context) {
    half *h = context;
    check(axonic_publisher_publish(h->output, h->bytes, h->size));
    take_copy(h);
}

static void echo(void *context) {
    half *h = context;
    open_ends(h, "pong", "ping");
    answers(h->n, answer_copy, h);
}

static void drive(void *context) {
    half *h = context;
    open_ends(h, "ping", "pong");
    exchanges(h->n, ask_copy, h, h->parts, h->size);
}

static void round_trips(size_t n, size_t size, int wait, double parts) {
    half h = prepare(n, size, wait);
    h.parts = parts;
    pair(echo, drive, &h);
}

/* Exchanges in place: one line of a lent megabyte. */
static void lend(half *h, unsigned char value) {
    axonic_loan loan;
    check(axonic_publisher_loan(h->output, h->size, AXONIC_FOREVER, &loan));
    memset(loan.data, value, 64);
    check(axonic_publisher_commit(h->output, &loan, NULL, AXONIC_FOREVER));
}

static unsigned char look(half *h) {
    axonic_message message;
    check(axonic_subscriber_borrow(h->input, AXONIC_FOREVER, &message));
    unsigned char value = *(const unsigned char *)message.data;
    check(axonic_subscriber_release(&message));
    return value;
}

static void answer_lent(void *context) { lend(context, look(context)); }

static void ask_lent(void *context) {
    half *h = context;
    lend(h, ++h->value);
    if (look(h) != h->value) _exit(1);
}

static void echo_lent(void *context) {
    half *h = context;
    open_ends(h, "pong", "ping");
    answers(h->n, answer_lent, h);
}

static void drive_lent(void *context) {
    half *h = context;
    open_ends(h, "ping", "pong");
    exchanges(h->n, ask_lent, h, 2, h->size);
}

/* Rates. */
static void produce(void *context) {
    half *h = context;
    h->output = publisher(domain(h->domain), "data", AXONIC_OVERFLOW_BLOCK, h->wait);
    meet(h->start, 2);
    check(axonic_publisher_wait_for_subscribers(h->output, 1, AXONIC_FOREVER));
    for (size_t i = 0; i < all(h->stream); i++) check(axonic_publisher_publish(h->output, h->bytes, h->size));
    meet(h->start, 4);
}

static void take(void *context) { take_copy(context); }

static void consume(void *context) {
    half *h = context;
    h->input = subscriber(domain(h->domain), "data", h->wait);
    meet(h->start, 2);
    receive(h->stream, take, h, h->size);
    meet(h->start, 4);
}

static void produce_ring(void *context) {
    half *h = context;
    axonic_ring_options options = AXONIC_RING_OPTIONS_INIT;
    options.wait = AXONIC_WAIT_SPIN;
    check(axonic_ring_producer_open(domain(h->domain), "ring", &options, &h->producer));
    meet(h->start, 2);
    for (size_t i = 0; i < all(h->stream); i++)
        check(axonic_ring_producer_push(h->producer, h->bytes, h->size, AXONIC_FOREVER));
    meet(h->start, 4);
}

static void take_ring(void *context) {
    half *h = context;
    const void *data = NULL;
    size_t size = 0;
    check(axonic_ring_consumer_pop(h->consumer, AXONIC_FOREVER, &data, &size));
    memcpy(h->bytes, data, size);
}

static void consume_ring(void *context) {
    half *h = context;
    axonic_ring_options options = AXONIC_RING_OPTIONS_INIT;
    options.wait = AXONIC_WAIT_SPIN;
    check(axonic_ring_consumer_open(domain(h->domain), "ring", &options, &h->consumer));
    meet(h->start, 2);
    receive(h->stream, take_ring, h, h->size);
    check(axonic_ring_consumer_release(h->consumer));
    meet(h->start, 4);
}

static void rate(effort e, size_t size, void (*other)(void *), void (*here)(void *)) {
    half h = prepare(0, size, AXONIC_WAIT_SPIN);
    h.stream = stream_of(e, size);
    pair(other, here, &h);
}

/* A new domain, a publisher, one publish. */
static void opens(void) {
    double nanos[20];
    pin(0);
    for (int i = 0; i < 20; i++) {
        half h = prepare(0, SMALL, AXONIC_WAIT_ADAPTIVE);
        double started = now();
        axonic_domain *in = domain(h.domain);
        h.output = publisher(in, "first", AXONIC_OVERFLOW_DROP_OLDEST, h.wait);
        check(axonic_publisher_publish(h.output, h.bytes, h.size));
        nanos[i] = now() - started;
        axonic_publisher_close(h.output);
        check(axonic_domain_close(in));
    }
    tell(SMALL, "latency", "ns", nanos, 20);
}

static void call_publish(void *context) {
    half *h = context;
    check(axonic_publisher_publish(h->output, h->bytes, h->size));
}

static void call_try_receive(void *context) {
    axonic_message message;
    if (axonic_subscriber_receive(((half *)context)->input, 0, &message) != AXONIC_ERROR_WOULD_BLOCK) _exit(1);
}

static void alone(effort e) {
    half h = prepare(0, SMALL, AXONIC_WAIT_ADAPTIVE);
    pin(0);
    axonic_domain *in = domain(h.domain);
    h.output = publisher(in, "alone", AXONIC_OVERFLOW_DROP_OLDEST, h.wait);
    h.input = subscriber(in, "silent", h.wait);
    calls(e, "publish", call_publish, &h);
    calls(e, "try_receive", call_try_receive, &h);
}

int main(int count, char **arguments) {
    if (count != 4) {
        fprintf(stderr, "usage: %s case exchanges messages\n", arguments[0]);
        return 2;
    }
    const char *asked = arguments[1];
    effort e = {.exchanges = strtoul(arguments[2], NULL, 10), .messages = strtoul(arguments[3], NULL, 10)};
    if (strcmp(asked, "one_way_spin") == 0) {
        const size_t sizes[] = {48, 64, 1024, MIB};
        for (int i = 0; i < 4; i++) round_trips(spinning(e, sizes[i]), sizes[i], AXONIC_WAIT_SPIN, 2);
    } else if (strcmp(asked, "round_trip_spin") == 0) {
        round_trips(spinning(e, SMALL), SMALL, AXONIC_WAIT_SPIN, 1);
    } else if (strcmp(asked, "round_trip_blocking") == 0) {
        round_trips(sleeping(e), SMALL, AXONIC_WAIT_BLOCK, 1);
    } else if (strcmp(asked, "round_trip_adaptive") == 0) {
        round_trips(spinning(e, SMALL), SMALL, AXONIC_WAIT_ADAPTIVE, 1);
    } else if (strcmp(asked, "throughput") == 0) {
        const size_t sizes[] = {64, 4096, 65536, MIB};
        for (int i = 0; i < 4; i++) rate(e, sizes[i], produce, consume);
    } else if (strcmp(asked, "ring") == 0) {
        rate(e, 64, produce_ring, consume_ring);
        rate(e, 4096, produce_ring, consume_ring);
    } else if (strcmp(asked, "loan_borrow") == 0) {
        half h = prepare(spinning(e, MIB), MIB, AXONIC_WAIT_SPIN);
        pair(echo_lent, drive_lent, &h);
    } else if (strcmp(asked, "open_and_first_publish") == 0) {
        opens();
    } else if (strcmp(asked, "binding_call") == 0) {
        alone(e);
    }
    return 0;
}
