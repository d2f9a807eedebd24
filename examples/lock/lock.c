/* A lock: processes count in turn; one is killed while it has the mutex, and the next is told. */
#define _GNU_SOURCE
#include <axonic.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void check(int code) {
    if (code != AXONIC_OK) {
        fprintf(stderr, "%s: %s\n", axonic_error_name(code), axonic_last_error_message());
        exit(1);
    }
}

static axonic_mutex *mutex;
static axonic_event *taken;
static volatile uint64_t *counter;

static void count(void) {
    for (int i = 0; i < 1000; i++) {
        check(axonic_mutex_lock(mutex, AXONIC_FOREVER, NULL));
        *counter = *counter + 1; /* in two steps: only the mutex makes this right */
        check(axonic_mutex_unlock(mutex));
    }
}

static void die(void) {
    check(axonic_mutex_lock(mutex, AXONIC_FOREVER, NULL));
    *counter = *counter + 1;
    check(axonic_event_set(taken));
    for (;;) {
        pause();
    }
}

/* The child has the parent's handles, but nothing that the parent has locked. */
static pid_t start(void (*role)(void)) {
    const pid_t child = fork();
    if (child == 0) {
        role();
        _exit(0);
    }
    return child;
}

int main(void) {
    axonic_domain *domain = NULL;
    check(axonic_domain_open(getenv("AXONIC_DOMAIN") != NULL ? NULL : "example-lock", NULL, &domain));
    axonic_region *region = NULL;
    axonic_region_options options = AXONIC_REGION_OPTIONS_INIT;
    options.bytes = sizeof *counter;
    check(axonic_region_open(domain, "counter", &options, &region));
    check(axonic_mutex_open(domain, "counter", NULL, &mutex));
    check(axonic_event_open(domain, "taken", AXONIC_RESET_MANUAL, NULL, &taken));
    counter = axonic_region_data(region);

    for (int i = 0; i < 3; i++) {
        start(count);
    }
    while (wait(NULL) > 0) {
    }
    printf("3 processes counted to %llu\n", (unsigned long long)*counter);

    const pid_t victim = start(die);
    check(axonic_event_wait(taken, 5 * AXONIC_SECOND));
    const int tried = axonic_mutex_lock(mutex, 0, NULL);
    printf("locked: %s\n", tried == AXONIC_ERROR_WOULD_BLOCK ? "true" : "false");
    kill(victim, SIGKILL);
    bool died = false;
    check(axonic_mutex_lock(mutex, 5 * AXONIC_SECOND, &died));
    printf("owner died: %s, the counter says %llu\n", died ? "true" : "false", (unsigned long long)*counter);
    check(axonic_mutex_unlock(mutex));
    wait(NULL);

    axonic_event_close(taken);
    axonic_mutex_close(mutex);
    axonic_region_close(region);
    check(axonic_domain_unlink(domain, AXONIC_NOUN_REGION, "counter"));
    return axonic_domain_close(domain);
}
