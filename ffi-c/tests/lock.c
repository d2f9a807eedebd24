/* Locks: what each type promises between threads and processes, and what it refuses. */
#define _GNU_SOURCE
#include "check.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

enum { THREADS = 4, ROUNDS = 500 };

static axonic_domain *domain;

/* A child that has taken something; it keeps that until it is killed. */
static pid_t holding(void (*take)(void)) {
    int ready[2];
    char byte = 0;
    CHECK(pipe(ready) == 0);
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        take();
        CHECK(write(ready[1], "", 1) == 1);
        for (;;) {
            pause();
        }
    }
    CHECK(read(ready[0], &byte, 1) == 1);
    close(ready[0]);
    close(ready[1]);
    return child;
}

static void end(pid_t child) {
    int status = 0;
    CHECK(kill(child, SIGKILL) == 0);
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
}

/* Runs this in so many threads that share what it is about. */
static void in_threads(int count, void *(*body)(void *), void *argument) {
    pthread_t threads[THREADS];
    for (int i = 0; i < count; i++) {
        CHECK(pthread_create(&threads[i], NULL, body, argument) == 0);
    }
    for (int i = 0; i < count; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
}

static axonic_mutex *mutex_open(void) {
    axonic_mutex *mutex = NULL;
    OK(axonic_mutex_open(domain, "m", NULL, &mutex));
    return mutex;
}

static void lock_m(void) { OK(axonic_mutex_lock(mutex_open(), AXONIC_SECOND, NULL)); }

static void mutexes(void) {
    axonic_mutex *one = mutex_open(), *other = mutex_open();
    bool died = true;
    OK(axonic_mutex_lock(one, AXONIC_FOREVER, &died));
    CHECK(!died);
    died = true;
    FAILS(AXONIC_ERROR_WOULD_BLOCK, "mutex 'm': it is locked, and the timeout was 0; give it one to wait",
          axonic_mutex_lock(other, 0, &died));
    FAILS(AXONIC_ERROR_TIMEOUT, "mutex 'm'", axonic_mutex_lock(other, AXONIC_MILLISECOND, &died));
    FAILS(AXONIC_ERROR_TIMEOUT, "mutex 'm'", axonic_mutex_lock(one, AXONIC_MILLISECOND, &died));
    CHECK(died);
    FAILS(AXONIC_ERROR_INVALID_ARGUMENT, "not locked", axonic_mutex_unlock(other));
    FAILS(AXONIC_ERROR_BUSY, "lock 'm'", axonic_domain_unlink(domain, AXONIC_NOUN_LOCK, "m"));
    OK(axonic_mutex_unlock(one));
    FAILS(AXONIC_ERROR_INVALID_ARGUMENT, "not locked", axonic_mutex_unlock(one));
    OK(axonic_mutex_lock(one, 0, NULL));

    /* The child has the handle, but not what its parent holds. */
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        FAILS(AXONIC_ERROR_FORKED, "parent", axonic_mutex_unlock(one));
        ANSWERS(AXONIC_ERROR_WOULD_BLOCK, axonic_mutex_lock(one, 0, NULL));
        OK(axonic_mutex_close(one));
        _exit(0);
    }
    check_child(child);
    ANSWERS(AXONIC_ERROR_WOULD_BLOCK, axonic_mutex_lock(other, 0, NULL));

    /* Closed while it is locked, it is not any more, and nobody died. */
    OK(axonic_mutex_close(one));
    OK(axonic_mutex_lock(other, 0, &died));
    CHECK(!died);
    OK(axonic_mutex_unlock(other));
    OK(axonic_mutex_close(other));
    FAILS(AXONIC_ERROR_NOT_FOUND, "lock 'm'", axonic_domain_unlink(domain, AXONIC_NOUN_LOCK, "m"));
}

/* Those who have a lock, at most 4. */
static size_t holders_of(const char *name, axonic_lock_holder *holders) {
    size_t count = 0;
    OK(axonic_domain_lock_holders(domain, name, holders, 4, &count));
    return count;
}

static void who_has_it(void) {
    axonic_lock_holder holders[4];
    size_t count = 7;
    FAILS(AXONIC_ERROR_NOT_FOUND, "lock 'm' does not exist", axonic_domain_lock_holders(domain, "m", holders, 4, &count));
    const pid_t child = holding(lock_m);
    FAILS(AXONIC_ERROR_INVALID_ARGUMENT, "room for 4", axonic_domain_lock_holders(domain, "m", NULL, 4, &count));
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_domain_lock_holders(domain, "m", holders, 4, NULL));
    CHECK(count == 7);
    OK(axonic_domain_lock_holders(domain, "m", NULL, 0, &count));
    CHECK(count == 1 && holders_of("m", holders) == 1);
    CHECK(holders[0].pid == (uint32_t)child && holders[0].alive != 0 && holders[0].stopped == 0);
    CHECK(holders[0].label[0] != '\0' && llabs(holders[0].since / AXONIC_SECOND - (int64_t)time(NULL)) < 60);
    SAME(holders[0].role, "owner");
    end(child);
    CHECK(holders_of("m", holders) == 1 && holders[0].pid == (uint32_t)child && holders[0].alive == 0);
    axonic_mutex *mutex = mutex_open();
    OK(axonic_mutex_lock(mutex, 0, NULL));
    CHECK(holders_of("m", holders) == 1 && holders[0].pid == (uint32_t)getpid() && holders[0].alive != 0);
    OK(axonic_mutex_unlock(mutex));
    CHECK(holders_of("m", holders) == 0);
    OK(axonic_mutex_close(mutex));

    axonic_semaphore *semaphore = NULL;
    OK(axonic_semaphore_open(domain, "s", 3, NULL, &semaphore));
    OK(axonic_semaphore_acquire(semaphore, 0));
    OK(axonic_semaphore_acquire(semaphore, 0));
    holders[1].pid = 7;
    OK(axonic_domain_lock_holders(domain, "s", holders, 1, &count));
    CHECK(count == 2 && holders[1].pid == 7);
    SAME(holders[0].role, "permit");
    OK(axonic_semaphore_close(semaphore));
}

static void wrong_arguments(void) {
    axonic_lock_options options = AXONIC_LOCK_OPTIONS_INIT;
    axonic_mutex *mutex = mutex_open(), *none = NULL;
    axonic_semaphore *semaphore = NULL, *other = NULL;
    axonic_event *event = NULL;
    axonic_barrier *barrier = NULL;
    options.wait = 9;
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_mutex_open(domain, "m", &options, &none));
    options.wait = AXONIC_WAIT_BLOCK;
    ANSWERS(AXONIC_ERROR_INVALID_NAME, axonic_mutex_open(domain, "a/b", &options, &none));
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_mutex_open(domain, "m", &options, NULL));
    FAILS(AXONIC_ERROR_INVALID_ARGUMENT, "not an event", axonic_event_open(domain, "m", 0, &options, &event));
    FAILS(AXONIC_ERROR_CLOSED, "NULL", axonic_mutex_lock(NULL, 0, NULL));
    FAILS(AXONIC_ERROR_CLOSED, "NULL", axonic_mutex_unlock(NULL));
    FAILS(AXONIC_ERROR_INVALID_ARGUMENT, "axonic_semaphore",
          axonic_semaphore_acquire((const axonic_semaphore *)(const void *)mutex, 0));
    FAILS(AXONIC_ERROR_INVALID_ARGUMENT, "permits", axonic_semaphore_open(domain, "s", 0, NULL, &semaphore));
    OK(axonic_semaphore_open(domain, "s", 2, &options, &semaphore));
    FAILS(AXONIC_ERROR_INVALID_ARGUMENT, "permits 2", axonic_semaphore_open(domain, "s", 3, NULL, &other));
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_semaphore_available(semaphore, NULL));
    FAILS(AXONIC_ERROR_INVALID_ARGUMENT, "axonic_reset", axonic_event_open(domain, "e", 2, NULL, &event));
    FAILS(AXONIC_ERROR_INVALID_ARGUMENT, "parties", axonic_barrier_open(domain, "b", 65, NULL, &barrier));
    CHECK(none == NULL && other == NULL && event == NULL && barrier == NULL);
    OK(axonic_semaphore_close(semaphore));
    OK(axonic_mutex_close(mutex));
    OK(axonic_mutex_close(NULL));
}

/* Whoever takes a mutex from the dead is told, once, whether it comes later or waits already. */
static void a_dead_owner(void) {
    axonic_mutex *mutex = mutex_open();
    bool died = false;
    const pid_t child = holding(lock_m);
    ANSWERS(AXONIC_ERROR_WOULD_BLOCK, axonic_mutex_lock(mutex, 0, &died));
    end(child);
    OK(axonic_mutex_lock(mutex, 0, &died));
    CHECK(died);
    OK(axonic_mutex_unlock(mutex));
    OK(axonic_mutex_lock(mutex, 0, &died));
    CHECK(!died);

    const pid_t dying = fork();
    CHECK(dying >= 0);
    if (dying == 0) {
        OK(axonic_mutex_lock(mutex, 10 * AXONIC_SECOND, NULL));
        usleep(30000);
        raise(SIGKILL);
    }
    OK(axonic_mutex_unlock(mutex));
    for (;;) { /* until the child has had it */
        OK(axonic_mutex_lock(mutex, 10 * AXONIC_SECOND, &died));
        if (died) {
            break;
        }
        OK(axonic_mutex_unlock(mutex));
        usleep(1000);
    }
    CHECK(waitpid(dying, NULL, 0) == dying);
    OK(axonic_mutex_unlock(mutex));
    OK(axonic_mutex_close(mutex));
}

static long counter;

static void *count(void *mutex) {
    for (int i = 0; i < ROUNDS; i++) {
        OK(axonic_mutex_lock(mutex, 10 * AXONIC_SECOND, NULL));
        const long before = counter;
        if (i % 50 == 0) {
            usleep(10);
        }
        counter = before + 1;
        OK(axonic_mutex_unlock(mutex));
    }
    return NULL;
}

static void threads_share_a_mutex(void) {
    axonic_mutex *mutex = mutex_open();
    in_threads(THREADS, count, mutex);
    CHECK(counter == (long)THREADS * ROUNDS);
    OK(axonic_mutex_close(mutex));
}

static void write_rw(void) {
    axonic_rwlock *rwlock = NULL;
    OK(axonic_rwlock_open(domain, "rw", NULL, &rwlock));
    OK(axonic_rwlock_write(rwlock, AXONIC_SECOND, NULL));
}

static axonic_barrier *together;

static void *read_together(void *rwlock) {
    OK(axonic_rwlock_read(rwlock, 10 * AXONIC_SECOND, NULL));
    OK(axonic_barrier_wait(together, 10 * AXONIC_SECOND, NULL)); /* none would get here alone */
    OK(axonic_rwlock_unlock(rwlock));
    return NULL;
}

static void readers_and_writers(void) {
    axonic_rwlock *one = NULL, *other = NULL;
    bool died = true;
    OK(axonic_rwlock_open(domain, "rw", NULL, &one));
    OK(axonic_rwlock_open(domain, "rw", NULL, &other));
    OK(axonic_rwlock_read(one, AXONIC_FOREVER, &died));
    CHECK(!died);
    OK(axonic_rwlock_read(one, 0, NULL));
    OK(axonic_rwlock_read(other, 0, NULL));
    FAILS(AXONIC_ERROR_WOULD_BLOCK, "rwlock 'rw': somebody reads or writes", axonic_rwlock_write(other, 0, NULL));
    FAILS(AXONIC_ERROR_TIMEOUT, "rwlock 'rw'", axonic_rwlock_write(other, AXONIC_MILLISECOND, NULL));
    OK(axonic_rwlock_unlock(one));
    OK(axonic_rwlock_unlock(one));
    OK(axonic_rwlock_unlock(other));
    FAILS(AXONIC_ERROR_INVALID_ARGUMENT, "not locked", axonic_rwlock_unlock(one));
    OK(axonic_rwlock_write(one, AXONIC_SECOND, &died));
    FAILS(AXONIC_ERROR_WOULD_BLOCK, "rwlock 'rw': somebody writes", axonic_rwlock_read(other, 0, NULL));
    FAILS(AXONIC_ERROR_TIMEOUT, "rwlock 'rw'", axonic_rwlock_read(other, AXONIC_MILLISECOND, NULL));
    OK(axonic_rwlock_close(one)); /* while it is held */
    OK(axonic_rwlock_read(other, 0, &died));
    CHECK(!died);
    OK(axonic_rwlock_unlock(other));

    end(holding(write_rw));
    OK(axonic_rwlock_read(other, 0, &died));
    CHECK(died);
    OK(axonic_rwlock_read(other, 0, &died));
    CHECK(!died); /* the first was told */
    OK(axonic_rwlock_unlock(other));
    OK(axonic_rwlock_unlock(other));
    end(holding(write_rw));
    OK(axonic_rwlock_write(other, AXONIC_SECOND, &died));
    CHECK(died);
    OK(axonic_rwlock_unlock(other));

    OK(axonic_barrier_open(domain, "together", THREADS, NULL, &together));
    in_threads(THREADS, read_together, other);
    OK(axonic_barrier_close(together));
    OK(axonic_rwlock_close(other));
}

static void take_permits(void) {
    axonic_semaphore *semaphore = NULL;
    OK(axonic_semaphore_open(domain, "s", 2, NULL, &semaphore));
    OK(axonic_semaphore_acquire(semaphore, AXONIC_SECOND));
    OK(axonic_semaphore_acquire(semaphore, AXONIC_SECOND));
}

static int inside;

static void *work_inside(void *semaphore) {
    for (int i = 0; i < 50; i++) {
        OK(axonic_semaphore_acquire(semaphore, 10 * AXONIC_SECOND));
        CHECK(__atomic_add_fetch(&inside, 1, __ATOMIC_SEQ_CST) <= 2);
        usleep(100);
        __atomic_sub_fetch(&inside, 1, __ATOMIC_SEQ_CST);
        OK(axonic_semaphore_release(semaphore));
    }
    return NULL;
}

static void semaphores(void) {
    axonic_semaphore *one = NULL, *other = NULL;
    uint32_t free = 9;
    OK(axonic_semaphore_open(domain, "s", 2, NULL, &one));
    OK(axonic_semaphore_open(domain, "s", 2, NULL, &other));
    FAILS(AXONIC_ERROR_INVALID_ARGUMENT, "no permit", axonic_semaphore_release(one));
    OK(axonic_semaphore_acquire(one, AXONIC_FOREVER));
    OK(axonic_semaphore_acquire(one, 0));
    OK(axonic_semaphore_available(other, &free));
    CHECK(free == 0);
    FAILS(AXONIC_ERROR_WOULD_BLOCK, "semaphore 's': no permit is free", axonic_semaphore_acquire(other, 0));
    FAILS(AXONIC_ERROR_TIMEOUT, "semaphore 's'", axonic_semaphore_acquire(one, AXONIC_MILLISECOND));
    FAILS(AXONIC_ERROR_INVALID_ARGUMENT, "no permit", axonic_semaphore_release(other));
    OK(axonic_semaphore_release(one));
    OK(axonic_semaphore_acquire(other, 0));
    OK(axonic_semaphore_close(one)); /* with a permit */
    OK(axonic_semaphore_available(other, &free));
    CHECK(free == 1);
    OK(axonic_semaphore_release(other));

    const pid_t child = holding(take_permits);
    ANSWERS(AXONIC_ERROR_WOULD_BLOCK, axonic_semaphore_acquire(other, 0));
    end(child);
    OK(axonic_semaphore_available(other, &free));
    CHECK(free == 2);
    in_threads(THREADS, work_inside, other);
    OK(axonic_semaphore_close(other));
}

static int descriptors(void) {
    int count = 0;
    DIR *all = opendir("/proc/self/fd");
    CHECK(all != NULL);
    while (readdir(all) != NULL) {
        count++;
    }
    closedir(all);
    return count;
}

/* However many there are, they cost a few descriptors. */
static void many_permits(void) {
    enum { PERMITS = 500 };
    axonic_semaphore *semaphore = NULL;
    uint32_t free = 0;
    OK(axonic_semaphore_open(domain, "many", PERMITS, NULL, &semaphore));
    OK(axonic_semaphore_acquire(semaphore, 0));
    OK(axonic_semaphore_acquire(semaphore, 0));
    const int before = descriptors();
    for (int i = 2; i < PERMITS; i++) {
        OK(axonic_semaphore_acquire(semaphore, i % 2 == 0 ? 0 : AXONIC_SECOND));
    }
    CHECK(descriptors() <= before + 1);
    ANSWERS(AXONIC_ERROR_WOULD_BLOCK, axonic_semaphore_acquire(semaphore, 0));
    OK(axonic_semaphore_release(semaphore));

    /* What the child has is its own. */
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        FAILS(AXONIC_ERROR_FORKED, "parent", axonic_semaphore_release(semaphore));
        OK(axonic_semaphore_acquire(semaphore, 0));
        ANSWERS(AXONIC_ERROR_WOULD_BLOCK, axonic_semaphore_acquire(semaphore, 0));
        OK(axonic_semaphore_release(semaphore));
        FAILS(AXONIC_ERROR_FORKED, "parent", axonic_semaphore_release(semaphore));
        _exit(0);
    }
    check_child(child);
    for (int i = 1; i < PERMITS; i++) {
        OK(axonic_semaphore_release(semaphore));
    }
    FAILS(AXONIC_ERROR_INVALID_ARGUMENT, "no permit", axonic_semaphore_release(semaphore));
    OK(axonic_semaphore_available(semaphore, &free));
    CHECK(free == PERMITS);
    OK(axonic_semaphore_close(semaphore));
}

static void *wait_for_it(void *event) {
    OK(axonic_event_wait(event, 10 * AXONIC_SECOND));
    return NULL;
}

static void events(void) {
    axonic_event *manual = NULL, *automatic = NULL;
    bool set = true;
    OK(axonic_event_open(domain, "manual", AXONIC_RESET_MANUAL, NULL, &manual));
    OK(axonic_event_open(domain, "auto", AXONIC_RESET_AUTO, NULL, &automatic));
    OK(axonic_event_is_set(manual, &set));
    CHECK(!set);
    FAILS(AXONIC_ERROR_WOULD_BLOCK, "event 'manual': it is not set", axonic_event_wait(manual, 0));
    FAILS(AXONIC_ERROR_TIMEOUT, "event 'manual'", axonic_event_wait(manual, AXONIC_MILLISECOND));
    OK(axonic_event_set(manual));
    OK(axonic_event_wait(manual, 0));
    OK(axonic_event_wait(manual, AXONIC_FOREVER));
    OK(axonic_event_is_set(manual, &set));
    CHECK(set);
    in_threads(THREADS, wait_for_it, manual);
    OK(axonic_event_clear(manual));
    ANSWERS(AXONIC_ERROR_WOULD_BLOCK, axonic_event_wait(manual, 0));

    OK(axonic_event_set(automatic));
    OK(axonic_event_wait(automatic, 0)); /* which cleared it */
    ANSWERS(AXONIC_ERROR_WOULD_BLOCK, axonic_event_wait(automatic, 0));
    pthread_t waiting[2];
    CHECK(pthread_create(&waiting[0], NULL, wait_for_it, automatic) == 0);
    CHECK(pthread_create(&waiting[1], NULL, wait_for_it, automatic) == 0);
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        OK(axonic_event_set(automatic));
        _exit(0);
    }
    check_child(child);
    for (set = true; set; usleep(1000)) {
        OK(axonic_event_is_set(automatic, &set)); /* one of them has passed then */
    }
    OK(axonic_event_set(automatic));
    CHECK(pthread_join(waiting[0], NULL) == 0 && pthread_join(waiting[1], NULL) == 0);
    OK(axonic_event_close(manual));
    OK(axonic_event_close(automatic));
}

static int leaders;

static void *arrive(void *barrier) {
    for (int round = 0; round < 50; round++) {
        bool leads = false;
        OK(axonic_barrier_wait(barrier, 10 * AXONIC_SECOND, &leads));
        __atomic_add_fetch(&leaders, leads ? 1 : 0, __ATOMIC_SEQ_CST);
    }
    return NULL;
}

static void arrive_at_b(void) {
    axonic_barrier *barrier = NULL;
    OK(axonic_barrier_open(domain, "b", THREADS, NULL, &barrier));
    ANSWERS(AXONIC_ERROR_TIMEOUT, axonic_barrier_wait(barrier, AXONIC_MILLISECOND, NULL));
}

static void barriers(void) {
    axonic_barrier *barrier = NULL;
    bool leads = true;
    OK(axonic_barrier_open(domain, "b", THREADS, NULL, &barrier));
    FAILS(AXONIC_ERROR_WOULD_BLOCK, "barrier 'b'", axonic_barrier_wait(barrier, 0, &leads));
    FAILS(AXONIC_ERROR_TIMEOUT, "not all parties", axonic_barrier_wait(barrier, AXONIC_MILLISECOND, &leads));
    CHECK(leads);
    end(holding(arrive_at_b)); /* counts no more */
    in_threads(THREADS, arrive, barrier);
    CHECK(leaders == 50);
    OK(axonic_barrier_close(barrier));
}

static struct {
    axonic_mutex *mutex;
    axonic_condvar *condvar;
    int waiting, tokens;
} line;

static void *take_token(void *unused) {
    (void)unused;
    OK(axonic_mutex_lock(line.mutex, 10 * AXONIC_SECOND, NULL));
    line.waiting++;
    while (line.tokens == 0) {
        OK(axonic_condvar_wait(line.condvar, line.mutex, 10 * AXONIC_SECOND, NULL));
    }
    line.tokens--;
    OK(axonic_mutex_unlock(line.mutex));
    return NULL;
}

/* Hands out tokens when all are waiting, one after another or all at once. */
static void *hand_out(void *all) {
    for (int waiting = 0; waiting < THREADS - 1; usleep(1000)) {
        OK(axonic_mutex_lock(line.mutex, 10 * AXONIC_SECOND, NULL));
        waiting = line.waiting;
        OK(axonic_mutex_unlock(line.mutex));
    }
    for (int i = 0; i < (all != NULL ? 1 : THREADS - 1); i++) {
        OK(axonic_mutex_lock(line.mutex, 10 * AXONIC_SECOND, NULL));
        line.tokens += all != NULL ? THREADS - 1 : 1;
        OK(axonic_mutex_unlock(line.mutex));
        OK(all != NULL ? axonic_condvar_notify_all(line.condvar) : axonic_condvar_notify_one(line.condvar));
    }
    return NULL;
}

static void condvars(void) {
    line.mutex = mutex_open();
    OK(axonic_condvar_open(domain, "c", NULL, &line.condvar));
    bool died = true;
    FAILS(AXONIC_ERROR_INVALID_ARGUMENT, "not locked", axonic_condvar_wait(line.condvar, line.mutex, 0, NULL));
    OK(axonic_mutex_lock(line.mutex, 0, NULL));
    FAILS(AXONIC_ERROR_WOULD_BLOCK, "condvar 'c'", axonic_condvar_wait(line.condvar, line.mutex, 0, &died));
    CHECK(!died);
    FAILS(AXONIC_ERROR_TIMEOUT, "locked again",
          axonic_condvar_wait(line.condvar, line.mutex, AXONIC_MILLISECOND, NULL));
    ANSWERS(AXONIC_ERROR_WOULD_BLOCK, axonic_mutex_lock(line.mutex, 0, NULL));
    /* After any other failure it is not. */
    FAILS(AXONIC_ERROR_CLOSED, "axonic_condvar", axonic_condvar_wait(NULL, line.mutex, 0, NULL));
    FAILS(AXONIC_ERROR_INVALID_ARGUMENT, "not locked", axonic_mutex_unlock(line.mutex));
    ANSWERS(AXONIC_ERROR_CLOSED, axonic_condvar_wait(line.condvar, NULL, 0, NULL));

    for (int all = 0; all < 2; all++) {
        pthread_t giving;
        line.waiting = line.tokens = 0;
        CHECK(pthread_create(&giving, NULL, hand_out, all != 0 ? &line : NULL) == 0);
        in_threads(THREADS - 1, take_token, NULL);
        CHECK(pthread_join(giving, NULL) == 0 && line.tokens == 0);
    }

    /* Who locks it again in the place of one that died is told, whether its time is over or not. */
    OK(axonic_mutex_lock(line.mutex, 0, NULL));
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        lock_m();
        raise(SIGKILL);
    }
    do {
        const int answer = axonic_condvar_wait(line.condvar, line.mutex, AXONIC_MILLISECOND, &died);
        CHECK(answer == AXONIC_ERROR_TIMEOUT);
    } while (!died);
    CHECK(waitpid(child, NULL, 0) == child);
    OK(axonic_mutex_unlock(line.mutex));
    OK(axonic_condvar_close(line.condvar));
    OK(axonic_mutex_close(line.mutex));
}

static axonic_domain *leaving;

static void *leave(void *unused) {
    (void)unused;
    usleep(30000);
    OK(axonic_domain_close(leaving));
    return NULL;
}

/* A closed domain ends waits, and what its handles hold goes back. */
static void a_closed_domain(void) {
    axonic_mutex *there = mutex_open(), *held = NULL, *waiting = NULL;
    pthread_t thread;
    bool died = true;
    OK(axonic_domain_open("locks", NULL, &leaving));
    OK(axonic_mutex_open(leaving, "m", NULL, &held));
    OK(axonic_mutex_open(leaving, "m", NULL, &waiting));
    OK(axonic_mutex_lock(held, 0, NULL));
    CHECK(pthread_create(&thread, NULL, leave, NULL) == 0);
    FAILS(AXONIC_ERROR_CLOSED, "'m'", axonic_mutex_lock(waiting, AXONIC_FOREVER, NULL));
    CHECK(pthread_join(thread, NULL) == 0);
    FAILS(AXONIC_ERROR_CLOSED, "'m'", axonic_mutex_unlock(held));
    OK(axonic_mutex_lock(there, AXONIC_SECOND, &died));
    CHECK(!died);
    OK(axonic_mutex_close(held));
    OK(axonic_mutex_close(waiting));
    OK(axonic_mutex_close(there));
}

int main(void) {
    check_start();
    OK(axonic_domain_open("locks", NULL, &domain));
    mutexes();
    who_has_it();
    wrong_arguments();
    a_dead_owner();
    threads_share_a_mutex();
    readers_and_writers();
    semaphores();
    many_permits();
    events();
    barriers();
    condvars();
    a_closed_domain();
    OK(axonic_domain_close(domain));
    return 0;
}
