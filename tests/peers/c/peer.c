/* The C peer of the conformance tests; its arguments and output are those of every language, as
 * tests/peers/rust/peer.rs has them. */
#define _GNU_SOURCE
#include "peer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SIZES = 64 };
static size_t sizes[SIZES];
static size_t size_count;

void check(int code) {
    if (code != AXONIC_OK) {
        printf("bad %s: %s\n", axonic_error_name(code), axonic_last_error_message());
        exit(1);
    }
}

static void read_sizes(const char *text) {
    while (*text != '\0' && size_count < SIZES) {
        char *end = NULL;
        sizes[size_count++] = strtoull(text, &end, 10);
        text = *end == ',' ? end + 1 : end;
    }
}

unsigned char first_byte(size_t message, size_t size) {
    return (unsigned char)(message * 7 + size);
}

void fill(unsigned char *bytes, size_t message, size_t size) {
    unsigned char value = first_byte(message, size);
    for (size_t i = 0; i < size; i++, value = (unsigned char)(value + 31)) {
        bytes[i] = value;
    }
}

static int send_all(axonic_domain *domain, const char *topic, int by_loan, size_t count) {
    axonic_publisher *publisher = NULL;
    axonic_publisher_options options = AXONIC_PUBLISHER_OPTIONS_INIT;
    options.overflow = AXONIC_OVERFLOW_BLOCK;
    options.max_bytes = (size_t)512 << 20;
    check(axonic_publisher_open(domain, topic, &options, &publisher));
    check(axonic_publisher_wait_for_subscribers(publisher, 1, 10 * AXONIC_SECOND));
    size_t message = 0;
    for (size_t s = 0; s < size_count; s++) {
        unsigned char *bytes = malloc(sizes[s] + 1);
        for (size_t k = 0; k < count; k++, message++) {
            if (by_loan) {
                axonic_loan loan;
                check(axonic_publisher_loan(publisher, sizes[s], 20 * AXONIC_SECOND, &loan));
                fill(loan.data, message, sizes[s]);
                check(axonic_publisher_commit(publisher, &loan, NULL, 20 * AXONIC_SECOND));
            } else {
                fill(bytes, message, sizes[s]);
                check(axonic_publisher_publish(publisher, bytes, sizes[s]));
            }
        }
        free(bytes);
    }
    const struct timespec pause = {0, 2000000};
    const time_t until = time(NULL) + 20;
    size_t subscribers = 1;
    while (subscribers != 0 && time(NULL) < until) {
        nanosleep(&pause, NULL);
        check(axonic_publisher_subscribers(publisher, &subscribers));
    }
    printf("sent %zu\n", message);
    return axonic_publisher_close(publisher);
}

static int receive_all(axonic_domain *domain, const char *topic, int by_borrow, size_t count) {
    axonic_subscriber *subscriber = NULL;
    check(axonic_subscriber_open(domain, topic, NULL, &subscriber));
    puts("ready");
    fflush(stdout);
    size_t message = 0;
    uint32_t sum = 0;
    for (size_t s = 0; s < size_count; s++) {
        for (size_t k = 0; k < count; k++, message++) {
            axonic_message m;
            check(by_borrow ? axonic_subscriber_borrow(subscriber, 20 * AXONIC_SECOND, &m)
                            : axonic_subscriber_receive(subscriber, 20 * AXONIC_SECOND, &m));
            if (m.size != sizes[s] || m.missed != 0) {
                printf("bad message %zu: %zu bytes instead of %zu, missed %" PRIu64 "\n", message, m.size, sizes[s],
                       m.missed);
                return 1;
            }
            const unsigned char *bytes = m.data;
            unsigned char value = first_byte(message, m.size);
            for (size_t i = 0; i < m.size; i++, value = (unsigned char)(value + 31)) {
                if (bytes[i] != value) {
                    printf("bad message %zu of %zu bytes: byte %zu is %d, not %d\n", message, m.size, i, bytes[i],
                           value);
                    return 1;
                }
                sum += value;
            }
            check(axonic_subscriber_release(&m));
        }
    }
    check(axonic_subscriber_close(subscriber));
    printf("ok %zu %" PRIu32 "\n", message, sum);
    return 0;
}

#define KIND(constant) {AXONIC_ERROR_##constant, #constant}
static const struct {
    int code;
    const char *constant;
} kinds[] = {
    KIND(INVALID_ARGUMENT), KIND(INVALID_NAME), KIND(NOT_FOUND),       KIND(ALREADY_EXISTS), KIND(PERMISSION_DENIED),
    KIND(TIMEOUT),          KIND(WOULD_BLOCK),  KIND(CLOSED),          KIND(DISCONNECTED),   KIND(TOO_LARGE),
    KIND(FULL),             KIND(LIMIT_REACHED), KIND(NO_SPACE),       KIND(LAYOUT_MISMATCH), KIND(CORRUPT),
    KIND(FORKED),           KIND(BUSY),         KIND(IN_USE),          KIND(INTERRUPTED),    KIND(UNSUPPORTED),
    KIND(DECODE),           KIND(IO),           KIND(LEASE_LOST),        KIND(REJECTED),
    KIND(NOT_DURABLE),
    KIND(UNAVAILABLE),
    KIND(CANCELLED),
    KIND(CALL_FAILED),
};

/* The header's constants by number, each as WouldBlock for WOULD_BLOCK; the library must agree. */
static int print_errors(void) {
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char name[32] = "";
        size_t length = 0;
        for (const char *c = kinds[i].constant; *c != '\0'; c++) {
            if (*c != '_') {
                const int starts = c == kinds[i].constant || c[-1] == '_';
                name[length++] = (char)(starts ? *c : *c + ('a' - 'A'));
            }
        }
        const char *known = axonic_error_name(kinds[i].code);
        if (known == NULL || strcmp(known, name) != 0) {
            printf("bad %d: the header says %s, the library %s\n", kinds[i].code, name,
                   known != NULL ? known : "nothing");
            return 1;
        }
        printf("%d %s\n", -kinds[i].code, name);
    }
    return 0;
}

static void raised(const char *what, int code) {
    printf("%s %s\n", what, axonic_error_name(code));
}

/* What becomes of a ticket whose message is rejected, and of an acknowledgement after the lease. */
static void raise_with_queue(axonic_domain *domain) {
    axonic_queue_producer *producer = NULL;
    axonic_queue_consumer *consumer = NULL;
    check(axonic_queue_producer_open(domain, "errors", NULL, &producer));
    check(axonic_queue_consumer_open(domain, "errors", NULL, &consumer));
    axonic_payload payload = AXONIC_PAYLOAD_INIT;
    axonic_put_options how = AXONIC_PUT_OPTIONS_INIT;
    how.result = 1;
    axonic_receipt receipt;
    axonic_delivery job, late;
    axonic_message result;
    check(axonic_queue_producer_send(producer, &payload, &how, PATIENCE, &receipt));
    check(axonic_queue_consumer_get(consumer, NULL, PATIENCE, &job));
    check(axonic_delivery_reject(&job, "as agreed"));
    raised("rejected", axonic_ticket_result(receipt.ticket, producer, PATIENCE, &result));
    check(axonic_ticket_close(receipt.ticket));

    axonic_get_options brief = AXONIC_GET_OPTIONS_INIT;
    brief.lease = AXONIC_MILLISECOND;
    check(axonic_queue_producer_put(producer, "x", 1, PATIENCE));
    check(axonic_queue_consumer_get(consumer, &brief, PATIENCE, &late));
    check(axonic_queue_consumer_get(consumer, NULL, PATIENCE, &job));
    check(axonic_delivery_ack(&job, NULL));
    raised("lease-lost", axonic_delivery_ack(&late, NULL));
    check(axonic_queue_consumer_close(consumer));
    check(axonic_queue_producer_close(producer));
}

static void raise_in_full_queue(axonic_domain *domain) {
    axonic_queue_producer *producer = NULL;
    axonic_queue_options tiny = AXONIC_QUEUE_OPTIONS_INIT;
    tiny.capacity = 1;
    check(axonic_queue_producer_open(domain, "full", &tiny, &producer));
    check(axonic_queue_producer_put(producer, "x", 1, PATIENCE));
    raised("full", axonic_queue_producer_put(producer, "x", 1, 0));
    check(axonic_queue_producer_close(producer));
}

static int raise_each(const char *name, axonic_domain *domain) {
    axonic_publisher *publisher = NULL;
    axonic_subscriber *subscriber = NULL;
    axonic_region *region = NULL;
    axonic_ring_producer *producer = NULL, *second = NULL;
    axonic_message message;

    raised("invalid-name", axonic_publisher_open(domain, "a/b", NULL, &publisher));
    axonic_region_options existing = AXONIC_REGION_OPTIONS_INIT;
    existing.create = AXONIC_CREATE_OPEN;
    raised("not-found", axonic_region_open(domain, "missing", &existing, &region));
    check(axonic_subscriber_open(domain, "errors", NULL, &subscriber));
    raised("timeout", axonic_subscriber_receive(subscriber, AXONIC_MILLISECOND, &message));
    axonic_publisher_options small = AXONIC_PUBLISHER_OPTIONS_INIT;
    small.max_bytes = 1 << 20;
    check(axonic_publisher_open(domain, "errors", &small, &publisher));
    char *large = calloc(2, 1 << 20);
    raised("too-large", axonic_publisher_publish(publisher, large, 2 << 20));
    free(large);
    check(axonic_publisher_close(publisher));

    axonic_domain *closing = NULL;
    check(axonic_domain_open(name, NULL, &closing));
    check(axonic_publisher_open(closing, "errors", NULL, &publisher));
    check(axonic_domain_close(closing));
    raised("closed", axonic_publisher_publish(publisher, "x", 1));
    check(axonic_publisher_close(publisher));

    check(axonic_ring_producer_open(domain, "errors", NULL, &producer));
    raised("busy", axonic_ring_producer_open(domain, "errors", NULL, &second));
    check(axonic_ring_producer_close(producer));
    check(axonic_subscriber_close(subscriber));

    raise_with_queue(domain);
    raise_in_full_queue(domain);
    axonic_mutex *mutex = NULL;
    axonic_rwlock *rwlock = NULL;
    check(axonic_mutex_open(domain, "errors", NULL, &mutex));
    raised("other-lock", axonic_rwlock_open(domain, "errors", NULL, &rwlock));
    return axonic_mutex_close(mutex);
}

/* Any verb but errors. */
static int act(axonic_domain *domain, int argc, char **argv) {
    const char *verb = argv[1];
    const size_t last = strtoull(argv[argc - 1], NULL, 10);
    if (strcmp(verb, "raise") == 0 && argc == 3) {
        return raise_each(argv[2], domain);
    }
    if ((strcmp(verb, "listen") == 0 || strcmp(verb, "connect") == 0) && argc > 5) {
        return (strcmp(verb, "listen") == 0 ? listen_at : connect_at)(domain, argv[3], strtoull(argv[4], NULL, 10),
                                                                      argv + 5, (size_t)argc - 5);
    }
    if ((strcmp(verb, "serve") == 0 || strcmp(verb, "call") == 0) && argc > 3) {
        return (strcmp(verb, "serve") == 0 ? serve : call)(domain, argv[3], argv + 4, (size_t)argc - 4);
    }
    if (strcmp(verb, "provide") == 0 && argc == 4) {
        return provide(domain, argv[3]);
    }
    if (strcmp(verb, "consult") == 0 && argc == 7) {
        return consult(domain, argv[3], strtoull(argv[4], NULL, 10), strtoll(argv[5], NULL, 10), last);
    }
    if (strcmp(verb, "work") == 0 && argc == 4) {
        return work(domain, argv[3]);
    }
    if (strcmp(verb, "hurry") == 0 && argc == 4) {
        return hurry(domain, argv[3]);
    }
    if (strcmp(verb, "bring") == 0 && argc == 4) {
        return bring(domain, argv[3]);
    }
    if (strcmp(verb, "fetch") == 0 && argc == 4) {
        return fetch(domain, argv[3]);
    }
    if (strcmp(verb, "meet") == 0 && argc == 4) {
        return meet(domain, strcmp(argv[3], "first") == 0);
    }
    if (strcmp(verb, "ask") == 0 && argc == 5) {
        return ask(domain, argv[3], last);
    }
    if (strcmp(verb, "answer") == 0 && argc == 5) {
        return answer(domain, argv[3], last);
    }
    if (strcmp(verb, "keep") == 0 && argc == 5) {
        return keep(domain, argv[3], last);
    }
    if (strcmp(verb, "spend") == 0 && argc == 5) {
        return spend(domain, argv[3], last);
    }
    if (strcmp(verb, "alternate") == 0 && argc == 6) {
        return alternate(domain, argv[3], strtoull(argv[4], NULL, 10), last);
    }
    if (strcmp(verb, "count") == 0 && argc == 5) {
        return count_up(domain, argv[3], last);
    }
    if (strcmp(verb, "share") == 0 && argc == 5) {
        return share(domain, argv[3], last);
    }
    if (strcmp(verb, "put") == 0 && argc == 7) {
        return put_all(domain, argv[3], strtoull(argv[4], NULL, 10), strtoull(argv[5], NULL, 10), last);
    }
    if (argc == 7) {
        read_sizes(argv[5]);
        const int in_place = strcmp(argv[4], "copy") != 0;
        return (strcmp(verb, "send") == 0 ? send_all : receive_all)(domain, argv[3], in_place, last);
    }
    return 2;
}

int main(int argc, char **argv) {
    const char *verb = argc > 1 ? argv[1] : "";
    if (strcmp(verb, "errors") == 0) {
        return print_errors();
    }
    if (argc < 3) {
        fputs("usage: peer <verb> <domain> ..., as tests/peers/rust/peer.rs has it\n", stderr);
        return 2;
    }
    axonic_domain *domain = NULL;
    check(axonic_domain_open(argv[2], NULL, &domain));
    const int status = act(domain, argc, argv);
    check(axonic_domain_close(domain));
    return status;
}
