/* Two processes: an exchange with a child that opens the domain itself, handles carried over fork(),
 * a sealed region passed by descriptor, and a publisher that is killed. */
#define _GNU_SOURCE
#include "check.h"

#include <signal.h>

enum { ROUNDS = 2000 };

static const size_t sizes[] = {0, 1, 47, 64, 2047, 4096, 1 << 20};
enum { SIZES = sizeof sizes / sizeof *sizes };

static unsigned char at(size_t index, size_t message, size_t size) {
    return (unsigned char)(index * 31 + message * 7 + size);
}

/* Every message comes back as it went, by copy one way and in place the other. */
static void echo(void) {
    axonic_domain *domain = NULL;
    axonic_subscriber *requests = NULL;
    axonic_publisher *answers = NULL;
    axonic_message message;
    OK(axonic_domain_open("pair", NULL, &domain));
    OK(axonic_subscriber_open(domain, "request", NULL, &requests));
    OK(axonic_publisher_open(domain, "answer", NULL, &answers));
    for (;;) {
        axonic_loan loan;
        OK(axonic_subscriber_borrow(requests, 20 * AXONIC_SECOND, &message));
        if (message.content == AXONIC_CONTENT_JSON) {
            break;
        }
        OK(axonic_publisher_loan(answers, message.size, AXONIC_SECOND, &loan));
        memcpy(loan.data, message.data, message.size);
        OK(axonic_publisher_commit(answers, &loan, NULL, AXONIC_SECOND));
        OK(axonic_subscriber_release(&message));
    }
    OK(axonic_domain_close(domain));
}

static void exchange(void) {
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        echo();
        _exit(0);
    }
    axonic_domain *domain = NULL;
    axonic_publisher *requests = NULL;
    axonic_subscriber *answers = NULL;
    axonic_message message;
    OK(axonic_domain_open("pair", NULL, &domain));
    OK(axonic_subscriber_open(domain, "answer", NULL, &answers));
    OK(axonic_publisher_open(domain, "request", NULL, &requests));
    OK(axonic_publisher_wait_for_subscribers(requests, 1, 10 * AXONIC_SECOND));
    unsigned char *bytes = malloc(1 << 20);
    CHECK(bytes != NULL);
    for (size_t round = 0; round < ROUNDS; round++) {
        const size_t size = sizes[round % (round < 70 ? SIZES : SIZES - 1)];
        for (size_t i = 0; i < size; i++) {
            bytes[i] = at(i, round, size);
        }
        OK(axonic_publisher_publish(requests, bytes, size));
        OK(axonic_subscriber_receive(answers, 10 * AXONIC_SECOND, &message));
        CHECK(message.size == size && memcmp(message.data, bytes, size) == 0 && message.missed == 0);
    }
    axonic_payload end = AXONIC_PAYLOAD_INIT;
    end.content = AXONIC_CONTENT_JSON;
    end.data = "null";
    end.data_size = 4;
    OK(axonic_publisher_send(requests, &end, 0));
    check_child(child);
    free(bytes);
    OK(axonic_subscriber_close(answers));
    OK(axonic_publisher_close(requests));
    OK(axonic_domain_close(domain));
}

/* Handles reopen themselves in the child; loans and borrowed messages say that they were carried over. */
static void forked_handles(void) {
    axonic_domain *domain = NULL;
    axonic_publisher *publisher = NULL;
    axonic_subscriber *subscriber = NULL;
    axonic_message borrowed, message;
    axonic_loan loan;
    static char large[8192] = "large";
    OK(axonic_domain_open("forks", NULL, &domain));
    OK(axonic_subscriber_open(domain, "t", NULL, &subscriber));
    OK(axonic_publisher_open(domain, "t", NULL, &publisher));
    OK(axonic_publisher_publish(publisher, large, sizeof large));
    OK(axonic_subscriber_borrow(subscriber, AXONIC_SECOND, &borrowed));
    OK(axonic_publisher_loan(publisher, sizeof large, 0, &loan));
    axonic_participant parent;
    OK(axonic_domain_participant(domain, &parent));
    const uint64_t parent_id = axonic_publisher_id(publisher);

    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        ANSWERS(AXONIC_ERROR_FORKED, axonic_publisher_commit(publisher, &loan, NULL, 0));
        OK(axonic_publisher_abort(&loan));
        OK(axonic_subscriber_release(&borrowed));
        OK(axonic_publisher_publish(publisher, "from the child", 14));
        axonic_participant own;
        OK(axonic_domain_participant(domain, &own));
        CHECK(own.slot != parent.slot || own.epoch != parent.epoch);
        CHECK(axonic_publisher_id(publisher) != parent_id);
        OK(axonic_subscriber_close(subscriber));
        OK(axonic_publisher_close(publisher));
        OK(axonic_domain_close(domain));
        _exit(0);
    }
    OK(axonic_subscriber_receive(subscriber, 10 * AXONIC_SECOND, &message));
    CHECK(message.size == 14 && memcmp(message.data, "from the child", 14) == 0);
    CHECK(message.publisher != parent_id);
    check_child(child);

    /* Nothing the child did was done to the parent's. */
    CHECK(memcmp(borrowed.data, "large", 6) == 0);
    OK(axonic_subscriber_release(&borrowed));
    memcpy(loan.data, "loaned", 6);
    loan.size = 6;
    OK(axonic_publisher_commit(publisher, &loan, NULL, 0));
    OK(axonic_subscriber_receive(subscriber, AXONIC_SECOND, &message));
    CHECK(message.size == 6 && memcmp(message.data, "loaned", 6) == 0);
    CHECK(axonic_publisher_id(publisher) == parent_id);
    OK(axonic_subscriber_close(subscriber));
    OK(axonic_publisher_close(publisher));
    OK(axonic_domain_close(domain));
}

static void sealed_region(void) {
    axonic_region *region = NULL;
    int fd = -1;
    OK(axonic_region_seal("inherited", 9, &region));
    OK(axonic_region_fd(region, &fd));
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        axonic_region *received = NULL;
        OK(axonic_region_from_fd(fd, &received));
        CHECK(axonic_region_size(received) == 9 && memcmp(axonic_region_data(received), "inherited", 9) == 0);
        _exit(0);
    }
    check_child(child);
    OK(axonic_region_close(region));
}

/* A killed publisher blocks nobody, and what it had sent is still read. */
static void killed_publisher(void) {
    axonic_domain *domain = NULL;
    axonic_subscriber *subscriber = NULL;
    axonic_message message;
    OK(axonic_domain_open("kills", NULL, &domain));
    OK(axonic_subscriber_open(domain, "t", NULL, &subscriber));
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        axonic_domain *own = NULL;
        axonic_publisher *publisher = NULL;
        axonic_loan loan;
        OK(axonic_domain_open("kills", NULL, &own));
        OK(axonic_publisher_open(own, "t", NULL, &publisher));
        OK(axonic_publisher_publish(publisher, "one", 3));
        OK(axonic_publisher_loan(publisher, 100000, 0, &loan));
        OK(axonic_publisher_publish(publisher, "two", 3));
        raise(SIGKILL);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
    OK(axonic_subscriber_receive(subscriber, AXONIC_SECOND, &message));
    CHECK(message.size == 3 && memcmp(message.data, "one", 3) == 0);
    OK(axonic_subscriber_receive(subscriber, AXONIC_SECOND, &message));
    CHECK(message.size == 3 && memcmp(message.data, "two", 3) == 0);
    ANSWERS(AXONIC_ERROR_TIMEOUT, axonic_subscriber_receive(subscriber, 20 * AXONIC_MILLISECOND, &message));
    size_t publishers = 7;
    OK(axonic_subscriber_publishers(subscriber, &publishers));
    CHECK(publishers == 0);
    OK(axonic_subscriber_close(subscriber));
    OK(axonic_domain_close(domain));
}

int main(void) {
    check_start();
    exchange();
    forked_handles();
    sealed_region();
    killed_publisher();
    return 0;
}
