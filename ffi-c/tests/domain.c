/* Domains and handles: opening, closing in any order, and the mistakes that are answered. */
#define _GNU_SOURCE
#include "check.h"

#include <sys/stat.h>

static void open_and_describe(void) {
    axonic_domain *domain = NULL;
    OK(axonic_domain_open("home", NULL, &domain));
    SAME(axonic_domain_name(domain), "home");
    CHECK(strncmp(axonic_domain_path(domain), check_directory, strlen(check_directory)) == 0);
    CHECK(access(axonic_domain_path(domain), F_OK) == 0);

    axonic_domain *again = NULL;
    OK(axonic_domain_open("home", NULL, &again));
    axonic_participant first, second;
    OK(axonic_domain_participant(domain, &first));
    OK(axonic_domain_participant(again, &second));
    CHECK(first.slot != second.slot);
    OK(axonic_domain_close(again));
    OK(axonic_domain_close(domain));
}

static void default_names(void) {
    axonic_domain *domain = NULL;
    OK(axonic_domain_open(NULL, NULL, &domain));
    SAME(axonic_domain_name(domain), "default");
    OK(axonic_domain_close(domain));
    CHECK(setenv("AXONIC_DOMAIN", "from-the-environment", 1) == 0);
    OK(axonic_domain_open("", NULL, &domain));
    SAME(axonic_domain_name(domain), "from-the-environment");
    OK(axonic_domain_close(domain));
    CHECK(unsetenv("AXONIC_DOMAIN") == 0);
}

static void options(void) {
    char directory[128];
    snprintf(directory, sizeof directory, "%s/elsewhere", check_directory);
    axonic_domain_options options = AXONIC_DOMAIN_OPTIONS_INIT;
    options.runtime_dir = directory;
    options.label = "a test";
    options.mode = 0600;
    options.max_participants = 8;
    axonic_domain *domain = NULL;
    FAILS(AXONIC_ERROR_NOT_FOUND, directory, axonic_domain_open("home", &options, &domain));
    CHECK(mkdir(directory, 0700) == 0);
    OK(axonic_domain_open("home", &options, &domain));
    CHECK(strncmp(axonic_domain_path(domain), directory, strlen(directory)) == 0);
    OK(axonic_domain_close(domain));
}

static void refused_options(void) {
    axonic_domain *const untouched = (axonic_domain *)&check_owner;
    axonic_domain *domain = untouched;
    axonic_domain_options options = AXONIC_DOMAIN_OPTIONS_INIT;
    options.size = 0;
    FAILS(AXONIC_ERROR_INVALID_ARGUMENT, "AXONIC_DOMAIN_OPTIONS_INIT", axonic_domain_open("x", &options, &domain));
    options.size = (size_t)-1;
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_domain_open("x", &options, &domain));
    options.size = sizeof options;
    options.mode = 0777;
    FAILS(AXONIC_ERROR_INVALID_ARGUMENT, "777", axonic_domain_open("x", &options, &domain));
    options.mode = 0;
    options.group = -2;
    FAILS(AXONIC_ERROR_INVALID_ARGUMENT, "group", axonic_domain_open("x", &options, &domain));

    struct {
        axonic_domain_options known;
        int64_t later;
    } newer = {AXONIC_DOMAIN_OPTIONS_INIT, 1};
    newer.known.size = sizeof newer;
    FAILS(AXONIC_ERROR_UNSUPPORTED, axonic_version(), axonic_domain_open("x", &newer.known, &domain));
    CHECK(domain == untouched);
    newer.later = 0;
    OK(axonic_domain_open("x", &newer.known, &domain));
    OK(axonic_domain_close(domain));
}

static void refused_names(void) {
    axonic_domain *const untouched = (axonic_domain *)&check_owner;
    axonic_domain *domain = untouched;
    char *endless = malloc(100001);
    CHECK(endless != NULL);
    memset(endless, 'a', 100000);
    endless[100000] = '\0';
    const char *bad[] = {"a/b", "..", "../up", " ", "\xff\xfe", endless};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ANSWERS(AXONIC_ERROR_INVALID_NAME, axonic_domain_open(bad[i], NULL, &domain));
        CHECK(axonic_last_error_message()[0] != '\0' && strlen(axonic_last_error_message()) < 2000);
        CHECK(domain == untouched);
    }
    OK(axonic_domain_open("names", NULL, &domain));
    axonic_publisher *const no_publisher = (axonic_publisher *)&check_owner;
    axonic_publisher *publisher = no_publisher;
    axonic_subscriber *const no_subscriber = (axonic_subscriber *)&check_owner;
    axonic_subscriber *subscriber = no_subscriber;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ANSWERS(AXONIC_ERROR_INVALID_NAME, axonic_publisher_open(domain, bad[i], NULL, &publisher));
        ANSWERS(AXONIC_ERROR_INVALID_NAME, axonic_subscriber_open(domain, bad[i], NULL, &subscriber));
    }
    ANSWERS(AXONIC_ERROR_INVALID_NAME, axonic_publisher_open(domain, "orders.*", NULL, &publisher));
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_publisher_open(domain, NULL, NULL, &publisher));
    CHECK(publisher == no_publisher && subscriber == no_subscriber);
    OK(axonic_domain_close(domain));
    free(endless);
}

static void null_and_wrong_handles(void) {
    OK(axonic_domain_close(NULL));
    OK(axonic_publisher_close(NULL));
    OK(axonic_publisher_abort(NULL));
    OK(axonic_subscriber_close(NULL));
    OK(axonic_subscriber_release(NULL));
    OK(axonic_region_close(NULL));
    OK(axonic_ring_producer_close(NULL));
    OK(axonic_ring_consumer_close(NULL));
    OK(axonic_waitset_close(NULL));

    axonic_domain *domain = NULL;
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_domain_open("home", NULL, NULL));
    FAILS(AXONIC_ERROR_CLOSED, "axonic_publisher is NULL", axonic_publisher_publish(NULL, "x", 1));
    CHECK(axonic_domain_name(NULL) == NULL && axonic_domain_path(NULL) == NULL);
    CHECK(axonic_publisher_topic(NULL) == NULL && axonic_publisher_id(NULL) == 0);
    CHECK(axonic_subscriber_pattern(NULL) == NULL && axonic_subscriber_id(NULL) == 0);
    CHECK(axonic_region_name(NULL) == NULL && axonic_region_data(NULL) == NULL);
    CHECK(axonic_region_size(NULL) == 0 && !axonic_region_is_writable(NULL) && !axonic_region_is_created(NULL));
    CHECK(axonic_ring_producer_name(NULL) == NULL && axonic_ring_consumer_name(NULL) == NULL);

    /* Another noun's pointer is told apart. */
    OK(axonic_domain_open("home", NULL, &domain));
    FAILS(AXONIC_ERROR_INVALID_ARGUMENT, "axonic_publisher", axonic_publisher_close((axonic_publisher *)domain));
    OK(axonic_domain_close(domain));
}

static void closing_in_any_order(void) {
    for (int order = 0; order < 2; order++) {
        axonic_domain *domain = NULL;
        axonic_publisher *publisher = NULL;
        axonic_subscriber *subscriber = NULL;
        axonic_ring_producer *producer = NULL;
        axonic_loan loan;
        axonic_message message, borrowed;
        OK(axonic_domain_open("order", NULL, &domain));
        OK(axonic_publisher_open(domain, "t", NULL, &publisher));
        OK(axonic_subscriber_open(domain, "t", NULL, &subscriber));
        OK(axonic_ring_producer_open(domain, "r", NULL, &producer));
        char large[5000];
        memset(large, 'x', sizeof large);
        OK(axonic_publisher_publish(publisher, large, sizeof large));
        OK(axonic_subscriber_borrow(subscriber, AXONIC_SECOND, &borrowed));
        OK(axonic_publisher_loan(publisher, sizeof large, 0, &loan));
        if (order == 0) {
            /* The domain first: its handles say so, and can still be closed. */
            OK(axonic_domain_close(domain));
            FAILS(AXONIC_ERROR_CLOSED, "t", axonic_publisher_publish(publisher, "x", 1));
            ANSWERS(AXONIC_ERROR_CLOSED, axonic_subscriber_receive(subscriber, 0, &message));
            ANSWERS(AXONIC_ERROR_CLOSED, axonic_ring_producer_push(producer, "x", 1, 0));
            OK(axonic_publisher_close(publisher));
            OK(axonic_subscriber_close(subscriber));
            OK(axonic_ring_producer_close(producer));
        } else {
            OK(axonic_ring_producer_close(producer));
            OK(axonic_subscriber_close(subscriber));
            OK(axonic_publisher_close(publisher));
            OK(axonic_domain_close(domain));
        }
        /* Loans and borrowed messages outlive everything they came from. */
        CHECK(borrowed.size == sizeof large && memcmp(borrowed.data, large, sizeof large) == 0);
        memset(loan.data, 'y', loan.size);
        OK(axonic_subscriber_release(&borrowed));
        OK(axonic_subscriber_release(&borrowed));
        CHECK(borrowed.sample == NULL && borrowed.size == 0);
        OK(axonic_publisher_abort(&loan));
        OK(axonic_publisher_abort(&loan));
        CHECK(loan.token == NULL && loan.data == NULL && loan.size == 0);
    }
}

static void unlinking(void) {
    axonic_domain *domain = NULL;
    axonic_publisher *publisher = NULL;
    OK(axonic_domain_open("unlink", NULL, &domain));
    ANSWERS(AXONIC_ERROR_NOT_FOUND, axonic_domain_unlink(domain, AXONIC_NOUN_REGION, "missing"));
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_domain_unlink(domain, 0, "missing"));
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_domain_unlink(domain, 9, "missing"));
    OK(axonic_publisher_open(domain, "held", NULL, &publisher));
    ANSWERS(AXONIC_ERROR_BUSY, axonic_domain_unlink(domain, AXONIC_NOUN_TOPIC, "held"));
    OK(axonic_publisher_close(publisher));
    /* A ring stays as long as it holds what nobody has read. */
    axonic_ring_producer *producer = NULL;
    OK(axonic_ring_producer_open(domain, "held", NULL, &producer));
    OK(axonic_ring_producer_push(producer, "unread", 6, 0));
    ANSWERS(AXONIC_ERROR_BUSY, axonic_domain_unlink(domain, AXONIC_NOUN_RING, "held"));
    OK(axonic_ring_producer_close(producer));
    OK(axonic_domain_unlink(domain, AXONIC_NOUN_RING, "held"));
    ANSWERS(AXONIC_ERROR_NOT_FOUND, axonic_domain_unlink(domain, AXONIC_NOUN_RING, "held"));
    OK(axonic_domain_close(domain));
}

int main(void) {
    check_start();
    open_and_describe();
    default_names();
    options();
    refused_options();
    refused_names();
    null_and_wrong_handles();
    closing_in_any_order();
    unlinking();
    return 0;
}
