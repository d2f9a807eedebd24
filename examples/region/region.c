/* Raw shared memory: a named region mapped twice, and a sealed one known by its descriptor. */
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
    check(axonic_domain_open(getenv("AXONIC_DOMAIN") != NULL ? NULL : "example-region", NULL, &domain));

    axonic_region *table = NULL, *again = NULL;
    axonic_region_options options = AXONIC_REGION_OPTIONS_INIT;
    options.bytes = 4096;
    check(axonic_region_open(domain, "table", &options, &table));
    printf("%s %s: %zu bytes\n", axonic_region_is_created(table) ? "created" : "opened", axonic_region_name(table),
           axonic_region_size(table));
    check(axonic_region_open(domain, "table", NULL, &again));
    memcpy(axonic_region_data(table), "hello", 5);
    char text[6] = "";
    check(axonic_region_read(again, 0, 5, text));
    printf("read from %s: %s\n", axonic_region_name(again), text);
    axonic_region_close(table);
    axonic_region_close(again);
    check(axonic_domain_unlink(domain, AXONIC_NOUN_REGION, "table"));

    axonic_region *sealed = NULL, *received = NULL;
    int fd = -1;
    check(axonic_region_seal("for ever", 8, &sealed));
    check(axonic_region_fd(sealed, &fd)); /* would travel over a socket, or be inherited */
    check(axonic_region_from_fd(fd, &received));
    printf("read from a sealed region: %.*s\n", (int)axonic_region_size(received),
           (const char *)axonic_region_data(received));
    axonic_region_close(received);
    axonic_region_close(sealed);
    return axonic_domain_close(domain);
}
