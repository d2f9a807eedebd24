/* The bare ring: messages in order, written and read in place, until the producer ends. */
#include <axonic.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(int code) {
    if (code != AXONIC_OK) {
        fprintf(stderr, "%s: %s\n", axonic_error_name(code), axonic_last_error_message());
        exit(1);
    }
}

int main(void) {
    axonic_domain *domain = NULL;
    check(axonic_domain_open(getenv("AXONIC_DOMAIN") != NULL ? NULL : "example-ring", NULL, &domain));

    axonic_ring_producer *producer = NULL;
    axonic_ring_consumer *consumer = NULL;
    check(axonic_ring_producer_open(domain, "numbers", NULL, &producer));
    check(axonic_ring_consumer_open(domain, "numbers", NULL, &consumer));
    check(axonic_ring_producer_push(producer, "one", 3, AXONIC_SECOND));
    check(axonic_ring_producer_push(producer, "two", 3, AXONIC_SECOND));
    void *room = NULL;
    check(axonic_ring_producer_reserve(producer, 100, AXONIC_SECOND, &room));
    memcpy(room, "written in place", 16);
    check(axonic_ring_producer_commit(producer, 16));
    axonic_ring_producer_close(producer);

    const void *data = NULL;
    size_t size = 0;
    int code;
    while ((code = axonic_ring_consumer_pop(consumer, AXONIC_SECOND, &data, &size)) == AXONIC_OK) {
        printf("popped %.*s\n", (int)size, (const char *)data);
    }
    if (code != AXONIC_ERROR_DISCONNECTED) {
        check(code);
    }
    printf("the producer ended\n");
    axonic_ring_consumer_close(consumer);
    return axonic_domain_close(domain);
}
