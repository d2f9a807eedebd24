/* What the C peer does with locks. */
#define _GNU_SOURCE
#include "peer.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static uint64_t number_at(int file) {
    uint64_t number = 0;
    if (pread(file, &number, sizeof number, 0) != sizeof number) {
        perror("the file with the number");
        exit(1);
    }
    return number;
}

/* Raises the number in a file, and answers what it is now. */
static uint64_t raise_in(int file) {
    const uint64_t number = number_at(file) + 1;
    if (pwrite(file, &number, sizeof number, 0) != sizeof number) {
        perror("the file with the number");
        exit(1);
    }
    return number;
}

int alternate(axonic_domain *domain, const char *path, uint64_t parity, size_t times) {
    axonic_mutex *mutex = NULL;
    axonic_condvar *turn = NULL;
    check(axonic_mutex_open(domain, "count", NULL, &mutex));
    check(axonic_condvar_open(domain, "turn", NULL, &turn));
    const int file = open(path, O_RDWR | O_CLOEXEC);
    for (size_t n = 0; n < times; n++) {
        check(axonic_mutex_lock(mutex, PATIENCE, NULL));
        while (number_at(file) % 2 != parity) {
            check(axonic_condvar_wait(turn, mutex, PATIENCE, NULL));
        }
        raise_in(file);
        check(axonic_condvar_notify_one(turn));
        check(axonic_mutex_unlock(mutex));
    }
    printf("alternated %zu\n", times);
    close(file);
    check(axonic_condvar_close(turn));
    return axonic_mutex_close(mutex);
}

int count_up(axonic_domain *domain, const char *path, size_t times) {
    axonic_mutex *mutex = NULL;
    check(axonic_mutex_open(domain, "count", NULL, &mutex));
    const int file = open(path, O_RDWR | O_CLOEXEC);
    for (size_t n = 0; n < times; n++) {
        bool died = false;
        check(axonic_mutex_lock(mutex, PATIENCE, &died));
        if (died) {
            puts("owner died");
            fflush(stdout);
        }
        printf("%" PRIu64 "\n", raise_in(file));
        fflush(stdout);
        check(axonic_mutex_unlock(mutex));
    }
    printf("counted %zu\n", times);
    close(file);
    return axonic_mutex_close(mutex);
}

static void tell_time(const char *what) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    printf("%s %" PRId64 "\n", what, time.tv_sec * AXONIC_SECOND + time.tv_nsec);
    fflush(stdout);
}

/* Has a permit for a moment, and tells from when to when. */
static void sit(axonic_semaphore *permits) {
    check(axonic_semaphore_acquire(permits, PATIENCE));
    /* Long enough for others to come. */
    const struct timespec moment = {0, 100 * AXONIC_MICROSECOND};
    tell_time("in");
    nanosleep(&moment, NULL);
    tell_time("out");
    check(axonic_semaphore_release(permits));
}

static void read_shared(axonic_rwlock *page, axonic_semaphore *permits, int file) {
    bool died = false;
    check(axonic_rwlock_read(page, PATIENCE, &died));
    const uint64_t number = number_at(file);
    if (died) {
        printf("owner died %" PRIu64 "\n", number);
        fflush(stdout);
    }
    sit(permits);
    must(number_at(file) == number, "nobody writes while somebody reads");
    check(axonic_rwlock_unlock(page));
}

static void write_shared(axonic_rwlock *page, int file) {
    bool died = false;
    check(axonic_rwlock_write(page, PATIENCE, &died));
    printf("%s%" PRIu64 "\n", died ? "owner died\n" : "", raise_in(file));
    fflush(stdout);
    check(axonic_rwlock_unlock(page));
}

int share(axonic_domain *domain, const char *path, size_t times) {
    axonic_rwlock *page = NULL;
    axonic_semaphore *permits = NULL;
    check(axonic_rwlock_open(domain, "page", NULL, &page));
    check(axonic_semaphore_open(domain, "seats", 2, NULL, &permits));
    const int file = open(path, O_RDWR | O_CLOEXEC);
    for (size_t n = 0; n < times; n++) {
        if (n % 4 == 0) {
            write_shared(page, file);
        } else {
            read_shared(page, permits, file);
        }
    }
    printf("shared %zu\n", times);
    close(file);
    check(axonic_semaphore_close(permits));
    return axonic_rwlock_close(page);
}

static axonic_domain *home;
static axonic_barrier *barrier;
static axonic_event *event, *bell;
static axonic_rwlock *rwlock;
static axonic_semaphore *seats;
static int led;

void must(int holds, const char *what) {
    if (!holds) {
        printf("bad: not so: %s\n", what);
        exit(1);
    }
}

static int refused(int code) {
    return code == AXONIC_ERROR_WOULD_BLOCK;
}

static int is_set(const axonic_event *which) {
    bool set = false;
    check(axonic_event_is_set(which, &set));
    return set;
}

static void turn(void) {
    bool leads = false;
    check(axonic_barrier_wait(barrier, PATIENCE, &leads));
    led += leads;
}

/* Says who has a lock. */
static void tell(const char *name) {
    axonic_lock_holder holders[4];
    size_t count = 0;
    check(axonic_domain_lock_holders(home, name, holders, 4, &count));
    for (size_t n = 0; n < count && n < 4; n++) {
        must(holders[n].alive && holders[n].since > 0, "it is there, and has come");
        printf("%s: %s %" PRIu32 " %s\n", name, holders[n].role, holders[n].pid, holders[n].label);
    }
}

static void first(void) {
    check(axonic_rwlock_write(rwlock, PATIENCE, NULL));
    check(axonic_semaphore_acquire(seats, PATIENCE));
    check(axonic_event_set(bell));
    check(axonic_event_set(bell));
    turn();
    turn();
    check(axonic_rwlock_unlock(rwlock));
    check(axonic_semaphore_release(seats));
    check(axonic_event_set(event));
    check(axonic_event_set(bell));
    turn();
    must(!is_set(bell), "who passed has cleared it");
    must(refused(axonic_rwlock_write(rwlock, 0, NULL)), "the other reads, so nobody writes");
    must(axonic_rwlock_read(rwlock, 0, NULL) == AXONIC_OK, "two read");
    check(axonic_rwlock_unlock(rwlock));
    must(refused(axonic_semaphore_acquire(seats, 0)), "the other has the only permit");
    tell("seat");
    must(is_set(event), "it stays set");
    check(axonic_event_clear(event));
    turn();
    turn();
    must(axonic_rwlock_write(rwlock, 0, NULL) == AXONIC_OK, "the other has stopped reading");
    must(axonic_semaphore_acquire(seats, 0) == AXONIC_OK, "the other has given its permit back");
    check(axonic_rwlock_unlock(rwlock));
    check(axonic_semaphore_release(seats));
}

static void second(void) {
    turn();
    must(refused(axonic_rwlock_read(rwlock, 0, NULL)), "the other writes, so nobody reads");
    must(refused(axonic_rwlock_write(rwlock, 0, NULL)), "the other writes, so nobody else does");
    must(refused(axonic_semaphore_acquire(seats, 0)), "the other has the only permit");
    tell("page");
    must(refused(axonic_event_wait(event, 0)), "nobody has set it");
    must(axonic_event_wait(bell, 0) == AXONIC_OK, "it was set before");
    must(refused(axonic_event_wait(bell, 0)), "set twice it lets one pass");
    turn();
    check(axonic_event_wait(event, PATIENCE));
    check(axonic_event_wait(bell, PATIENCE));
    check(axonic_rwlock_read(rwlock, PATIENCE, NULL));
    check(axonic_semaphore_acquire(seats, PATIENCE));
    turn();
    turn();
    must(refused(axonic_event_wait(event, 0)), "the other has cleared it");
    check(axonic_rwlock_unlock(rwlock));
    check(axonic_semaphore_release(seats));
    turn();
}

int meet(axonic_domain *domain, int is_first) {
    home = domain;
    check(axonic_barrier_open(domain, "turn", 2, NULL, &barrier));
    check(axonic_event_open(domain, "go", AXONIC_RESET_MANUAL, NULL, &event));
    check(axonic_event_open(domain, "bell", AXONIC_RESET_AUTO, NULL, &bell));
    check(axonic_rwlock_open(domain, "page", NULL, &rwlock));
    check(axonic_semaphore_open(domain, "seat", 1, NULL, &seats));
    (is_first ? first : second)();
    printf("met %d\n", led);
    check(axonic_semaphore_close(seats));
    check(axonic_rwlock_close(rwlock));
    check(axonic_event_close(bell));
    check(axonic_event_close(event));
    return axonic_barrier_close(barrier);
}
