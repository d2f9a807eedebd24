/* One wait for a timer and a subscriber: the timer makes the program publish. */
#include <axonic.h>

#include <stdio.h>
#include <stdlib.h>

static void check(int code) {
    if (code != AXONIC_OK) {
        fprintf(stderr, "%s: %s\n", axonic_error_name(code), axonic_last_error_message());
        exit(1);
    }
}

enum { TIMER = 1, ORDERS = 2 };

int main(void) {
    axonic_domain *domain = NULL;
    check(axonic_domain_open(getenv("AXONIC_DOMAIN") != NULL ? NULL : "example-waitset", NULL, &domain));

    axonic_subscriber *orders = NULL;
    axonic_publisher *publisher = NULL;
    axonic_waitset *set = NULL;
    check(axonic_subscriber_open(domain, "orders.>", NULL, &orders));
    check(axonic_publisher_open(domain, "orders.created", NULL, &publisher));
    check(axonic_waitset_open(&set));
    check(axonic_waitset_add_timer(set, 10 * AXONIC_MILLISECOND, TIMER));
    check(axonic_waitset_add_subscriber(set, orders, ORDERS));

    int code = AXONIC_ERROR_WOULD_BLOCK;
    while (code == AXONIC_ERROR_WOULD_BLOCK) {
        uint64_t token = 0;
        size_t count = 0;
        check(axonic_waitset_wait(set, AXONIC_FOREVER, &token, 1, &count));
        if (token == TIMER) {
            printf("timer ready\n");
            check(axonic_waitset_remove(set, TIMER));
            check(axonic_publisher_publish(publisher, "{\"id\":1}", 8));
        } else {
            axonic_message message;
            code = axonic_subscriber_receive(orders, 0, &message);
            if (code == AXONIC_OK) {
                printf("subscriber ready\nreceived %s: %.*s\n", message.topic, (int)message.size,
                       (const char *)message.data);
            }
        }
    }
    check(code);

    axonic_waitset_close(set);
    axonic_publisher_close(publisher);
    axonic_subscriber_close(orders);
    return axonic_domain_close(domain);
}
