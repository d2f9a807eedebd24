/* Regions: named and sealed memory. */
#define _GNU_SOURCE
#include "check.h"

#include <fcntl.h>
#include <sys/mman.h>

static axonic_domain *domain;

static void named(void) {
    axonic_region *const untouched = (axonic_region *)&check_owner;
    axonic_region *region = untouched, *again = NULL;
    axonic_region_options options = AXONIC_REGION_OPTIONS_INIT;
    options.create = AXONIC_CREATE_OPEN;
    FAILS(AXONIC_ERROR_NOT_FOUND, "table", axonic_region_open(domain, "table", &options, &region));
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_region_open(domain, "table", NULL, &region)); /* no size */
    options.create = 3;
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_region_open(domain, "table", &options, &region));
    CHECK(region == untouched);

    options.create = AXONIC_CREATE_NEW;
    options.bytes = 100000;
    OK(axonic_region_open(domain, "table", &options, &region));
    SAME(axonic_region_name(region), "table");
    CHECK(axonic_region_size(region) == 100000);
    CHECK(axonic_region_is_created(region) && axonic_region_is_writable(region));
    ANSWERS(AXONIC_ERROR_ALREADY_EXISTS, axonic_region_open(domain, "table", &options, &again));
    options.create = AXONIC_CREATE_OPEN_OR_CREATE;
    options.bytes = 5;
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_region_open(domain, "table", &options, &again));
    OK(axonic_region_open(domain, "table", NULL, &again));
    CHECK(!axonic_region_is_created(again) && axonic_region_size(again) == 100000);

    unsigned char *memory = axonic_region_data(region);
    const unsigned char *mirror = axonic_region_data(again);
    CHECK(memory != NULL && mirror != NULL && (uintptr_t)memory % 64 == 0);
    memory[99999] = 42;
    CHECK(mirror[99999] == 42 && mirror[0] == 0);
    char copy[6] = "------";
    OK(axonic_region_write(again, 10, "hello", 5));
    OK(axonic_region_read(region, 10, 5, copy));
    CHECK(memcmp(copy, "hello-", 6) == 0);
    OK(axonic_region_read(region, 100000, 0, NULL));
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_region_read(region, 99999, 2, copy));
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_region_read(region, (size_t)-1, 2, copy));
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_region_write(region, 99999, "xy", 2));
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_region_read(region, 0, 2, NULL));
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_region_write(region, 0, NULL, 2));
    CHECK(memcmp(copy, "hello-", 6) == 0 && memory[99999] == 42);
    int fd = -7;
    ANSWERS(AXONIC_ERROR_UNSUPPORTED, axonic_region_fd(region, &fd));
    CHECK(fd == -7);
    OK(axonic_region_close(region));
    CHECK(mirror[99999] == 42);
    OK(axonic_region_close(again));

    /* It stays until it is unlinked. */
    OK(axonic_region_open(domain, "table", NULL, &region));
    CHECK(((unsigned char *)axonic_region_data(region))[99999] == 42);
    OK(axonic_region_close(region));
    OK(axonic_domain_unlink(domain, AXONIC_NOUN_REGION, "table"));
    options.create = AXONIC_CREATE_OPEN;
    ANSWERS(AXONIC_ERROR_NOT_FOUND, axonic_region_open(domain, "table", &options, &region));
}

static void sealed(void) {
    axonic_region *region = NULL, *received = NULL;
    OK(axonic_region_seal("sealed for ever", 15, &region));
    CHECK(axonic_region_size(region) == 15 && !axonic_region_is_writable(region));
    CHECK(memcmp(axonic_region_data(region), "sealed for ever", 15) == 0);
    ANSWERS(AXONIC_ERROR_PERMISSION_DENIED, axonic_region_write(region, 0, "x", 1));
    int fd = -1;
    OK(axonic_region_fd(region, &fd));
    CHECK(fcntl(fd, F_GET_SEALS) > 0);
    CHECK(mmap(NULL, 15, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);

    OK(axonic_region_from_fd(fd, &received));
    OK(axonic_region_close(region));
    CHECK(fcntl(fd, F_GETFD) == -1); /* it belonged to the region */
    char copy[6];
    OK(axonic_region_read(received, 0, 6, copy));
    CHECK(memcmp(copy, "sealed", 6) == 0);
    OK(axonic_region_fd(received, &fd));
    OK(axonic_region_close(received));

    /* What is not sealed is not trusted. */
    int plain = memfd_create("plain", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    CHECK(plain >= 0 && ftruncate(plain, 4096) == 0);
    received = NULL;
    ANSWERS(AXONIC_ERROR_PERMISSION_DENIED, axonic_region_from_fd(plain, &received));
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_region_from_fd(-1, &received));
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_region_from_fd(1 << 20, &received));
    CHECK(received == NULL && close(plain) == 0);
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_region_seal(NULL, 1, &received));
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_region_seal("x", 1, NULL));
}

int main(void) {
    check_start();
    OK(axonic_domain_open("regions", NULL, &domain));
    named();
    sealed();
    OK(axonic_domain_close(domain));
    return 0;
}
