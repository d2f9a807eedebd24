/* Channels: messages both ways by address, several threads on one end, and how they end. */
#define _GNU_SOURCE
#include "check.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>

static axonic_domain *domain;

static bool readable(int fd, int milliseconds) {
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    return poll(&ready, 1, milliseconds) == 1;
}

struct connecting {
    const char *address;
    const axonic_channel_options *options;
    axonic_channel *channel;
};

static void *connect_to(void *to) {
    struct connecting *it = to;
    OK(axonic_channel_connect(domain, it->address, it->options, 5 * AXONIC_SECOND, &it->channel));
    return NULL;
}

/* Connects while this thread accepts. */
static void meet(const axonic_listener *listener, const axonic_channel_options *options, axonic_channel **one,
                 axonic_channel **other) {
    struct connecting it = {axonic_listener_address(listener), options, NULL};
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, connect_to, &it) == 0);
    OK(axonic_listener_accept(listener, 5 * AXONIC_SECOND, other));
    CHECK(pthread_join(thread, NULL) == 0);
    *one = it.channel;
}

/* The next message must have this text. */
static void expect(const axonic_channel *channel, const char *text) {
    axonic_message message;
    OK(axonic_channel_receive(channel, 5 * AXONIC_SECOND, &message));
    CHECK(message.size == strlen(text) && memcmp(message.data, text, message.size) == 0);
    CHECK(message.content == AXONIC_CONTENT_RAW && message.descriptors == NULL && message.descriptor_count == 0);
    CHECK(message.sample != NULL && message.topic_size == 0);
    OK(axonic_message_release(&message));
    CHECK(message.sample == NULL && message.size == 0);
    OK(axonic_message_release(&message));
}

static void opening(void) {
    axonic_channel_options options = AXONIC_CHANNEL_OPTIONS_INIT;
    axonic_listener *listener = NULL;
    axonic_channel *none = NULL;
    FAILS(AXONIC_ERROR_INVALID_ARGUMENT, "no scheme", axonic_listener_open(domain, "nowhere", NULL, &listener));
    FAILS(AXONIC_ERROR_INVALID_ARGUMENT, "NULL", axonic_listener_open(domain, NULL, NULL, &listener));
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_listener_open(domain, "shm://channels/a", NULL, NULL));
    FAILS(AXONIC_ERROR_NOT_FOUND, "shm://channels/a",
          axonic_channel_connect(domain, "shm://channels/a", NULL, AXONIC_SECOND, &none));
    options.wait = 8;
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_listener_open(domain, "shm://channels/a", &options, &listener));
    options.wait = AXONIC_WAIT_BLOCK;
    options.max_message = (size_t)2 << 30;
    FAILS(AXONIC_ERROR_INVALID_ARGUMENT, "max_message",
          axonic_channel_connect(domain, "shm://channels/a", &options, AXONIC_SECOND, &none));
    CHECK(listener == NULL && none == NULL);

    OK(axonic_listener_open(domain, "shm://channels/a", NULL, &listener));
    SAME(axonic_listener_address(listener), "shm://channels/a");
    FAILS(AXONIC_ERROR_WOULD_BLOCK, "listener 'shm://channels/a': nobody has connected",
          axonic_listener_accept(listener, 0, &none));
    FAILS(AXONIC_ERROR_TIMEOUT, "shm://channels/a", axonic_listener_accept(listener, AXONIC_MILLISECOND, &none));
    int fd = -1;
    OK(axonic_listener_fd(listener, &fd));
    ANSWERS(AXONIC_ERROR_WOULD_BLOCK, axonic_listener_accept(listener, 0, &none));
    CHECK(!readable(fd, 0));
    FAILS(AXONIC_ERROR_TIMEOUT, "did not accept",
          axonic_channel_connect(domain, "shm://channels/a", NULL, AXONIC_MILLISECOND, &none));
    ANSWERS(AXONIC_ERROR_WOULD_BLOCK, axonic_listener_accept(listener, 0, &none));
    struct connecting it = {"shm://channels/a", NULL, NULL};
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, connect_to, &it) == 0);
    axonic_channel *accepted = NULL;
    while (accepted == NULL) {
        CHECK(readable(fd, 5000));
        (void)axonic_listener_accept(listener, 0, &accepted);
    }
    CHECK(pthread_join(thread, NULL) == 0);
    axonic_channel *channel = it.channel;

    /* Channels that were accepted go on. */
    OK(axonic_listener_close(listener));
    OK(axonic_channel_send(channel, "there", 5, AXONIC_SECOND));
    expect(accepted, "there");
    OK(axonic_channel_close(channel));
    OK(axonic_channel_close(accepted));
    OK(axonic_channel_close(NULL));
    OK(axonic_listener_close(NULL));
    FAILS(AXONIC_ERROR_CLOSED, "axonic_channel is NULL", axonic_channel_send(NULL, "x", 1, 0));
    CHECK(axonic_listener_address(NULL) == NULL);
}

/* Both ends of a channel of which a message is small. */
static void pair(axonic_channel **one, axonic_channel **other) {
    axonic_channel_options options = AXONIC_CHANNEL_OPTIONS_INIT;
    options.max_message = 100000;
    axonic_listener *listener = NULL;
    OK(axonic_listener_open(domain, "shm://channels/pair", &options, &listener));
    meet(listener, &options, one, other);
    OK(axonic_listener_close(listener));
}

static void both_ways(void) {
    axonic_channel *one = NULL, *other = NULL;
    pair(&one, &other);
    axonic_message message;
    FAILS(AXONIC_ERROR_WOULD_BLOCK, "channel 'shm://channels/pair': no message is there now",
          axonic_channel_receive(other, 0, &message));
    FAILS(AXONIC_ERROR_TIMEOUT, "no message came", axonic_channel_receive(other, AXONIC_MILLISECOND, &message));
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_channel_receive(other, 0, NULL));
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_channel_send(one, NULL, 1, 0));
    OK(axonic_channel_send(one, "question", 8, AXONIC_SECOND));
    expect(other, "question");
    OK(axonic_channel_send(other, "answer", 6, 0));
    expect(one, "answer");
    OK(axonic_channel_send(one, NULL, 0, AXONIC_SECOND));
    expect(other, "");

    const axonic_bytes several[] = {{"a", 1}, {NULL, 0}, {"ccc", 3}};
    size_t count = 0;
    OK(axonic_channel_send_many(one, several, 3, AXONIC_SECOND, &count));
    CHECK(count == 3);
    expect(other, "a");
    expect(other, "");
    expect(other, "ccc");
    const axonic_bytes wrong[] = {{"a", 1}, {NULL, 1}};
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_channel_send_many(one, wrong, 2, AXONIC_SECOND, &count));
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_channel_send_many(one, NULL, 2, AXONIC_SECOND, &count));

    axonic_can can;
    OK(axonic_channel_can(one, &can));
    CHECK(can.reliable && can.ordered && can.messages && can.back_pressure && can.end && !can.descriptors);
    size_t most = 0;
    OK(axonic_channel_max_message(one, &most));
    CHECK(most == 100000 && can.max_message == 0); /* which is theirs, and no limit of the rings */
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_channel_max_message(one, NULL));
    FAILS(AXONIC_ERROR_TOO_LARGE, "max_message", axonic_channel_send(one, check_directory, 100001, AXONIC_SECOND));
    const int standard = 1;
    const int no_descriptor = -1;
    FAILS(AXONIC_ERROR_UNSUPPORTED, "descriptors",
          axonic_channel_send_descriptors(one, "x", 1, &standard, 1, AXONIC_SECOND));
    FAILS(AXONIC_ERROR_INVALID_ARGUMENT, "-1",
          axonic_channel_send_descriptors(one, "x", 1, &no_descriptor, 1, AXONIC_SECOND));
    axonic_peer peer;
    OK(axonic_channel_peer(other, &peer));
    CHECK(peer.pid == -1 || peer.pid == getpid());
    CHECK(peer.address[sizeof peer.address - 1] == 0);
    axonic_channel_stats stats;
    OK(axonic_channel_get_stats(one, &stats));
    CHECK(stats.sent_messages == 5 && stats.sent_bytes == 12 && stats.received_messages == 1);
    CHECK(stats.received_bytes == 6);

    /* One end says that it has sent everything; the other may go on. */
    OK(axonic_channel_send(one, "last", 4, AXONIC_SECOND));
    OK(axonic_channel_finish(one, AXONIC_SECOND));
    expect(other, "last");
    ANSWERS(AXONIC_ERROR_DISCONNECTED, axonic_channel_receive(other, AXONIC_SECOND, &message));
    if (can.half_close) {
        OK(axonic_channel_send(other, "still", 5, AXONIC_SECOND));
        expect(one, "still");
    }
    OK(axonic_channel_close(other));
    ANSWERS(AXONIC_ERROR_DISCONNECTED, axonic_channel_receive(one, AXONIC_SECOND, &message));
    OK(axonic_channel_close(one));
}

static void back_pressure(void) {
    static char block[90000];
    axonic_channel *one = NULL, *other = NULL;
    pair(&one, &other);
    int writable = -1, waiting = -1;
    OK(axonic_channel_send_fd(one, &writable));
    OK(axonic_channel_fd(other, &waiting));
    unsigned sent = 0, received = 0;
    for (int round = 0; round < 10; round++) {
        int code = AXONIC_OK;
        for (; code == AXONIC_OK; sent += code == AXONIC_OK) {
            CHECK(sent < 100000);
            memset(block, (int)(sent % 100), sizeof block);
            code = axonic_channel_send(one, block, sizeof block, 0);
        }
        ANSWERS(AXONIC_ERROR_WOULD_BLOCK, code);
        FAILS(AXONIC_ERROR_TIMEOUT, "behind", axonic_channel_send(one, block, sizeof block, AXONIC_MILLISECOND));
        CHECK(readable(waiting, 5000));
        while (received < sent) {
            axonic_message message;
            OK(axonic_channel_receive(other, 5 * AXONIC_SECOND, &message));
            CHECK(message.size == sizeof block && ((const char *)message.data)[89999] == (char)(received % 100));
            OK(axonic_message_release(&message));
            received++;
            OK(axonic_channel_flush(one, received < sent ? AXONIC_SECOND : 0));
        }
        CHECK(readable(writable, 5000));
    }
    axonic_message message;
    ANSWERS(AXONIC_ERROR_WOULD_BLOCK, axonic_channel_receive(other, 0, &message));
    CHECK(!readable(waiting, 0));
    OK(axonic_channel_finish(one, 0));
    ANSWERS(AXONIC_ERROR_DISCONNECTED, axonic_channel_receive(other, AXONIC_SECOND, &message));
    OK(axonic_channel_close(one));
    OK(axonic_channel_close(other));
}

/* Who does not read is waited for no longer than was said. */
static void an_end_without_room(void) {
    static char block[1 << 20];
    char address[300];
    snprintf(address, sizeof address, "unix://%s/end", check_directory);
    axonic_listener *listener = NULL;
    axonic_channel *one = NULL, *other = NULL;
    OK(axonic_listener_open(domain, address, NULL, &listener));
    OK(axonic_channel_connect(domain, address, NULL, AXONIC_SECOND, &one));
    OK(axonic_listener_accept(listener, AXONIC_SECOND, &other));
    OK(axonic_channel_send(one, block, sizeof block, 0));
    FAILS(AXONIC_ERROR_WOULD_BLOCK, "not all has gone out", axonic_channel_finish(one, 0));
    FAILS(AXONIC_ERROR_TIMEOUT, "no room", axonic_channel_finish(one, 10 * AXONIC_MILLISECOND));
    axonic_message message;
    int code = AXONIC_ERROR_WOULD_BLOCK;
    while (code == AXONIC_ERROR_WOULD_BLOCK) {
        const int flushed = axonic_channel_flush(one, 0);
        CHECK(flushed == AXONIC_OK || flushed == AXONIC_ERROR_WOULD_BLOCK);
        code = axonic_channel_receive(other, 0, &message);
    }
    CHECK(code == AXONIC_OK && message.size == sizeof block);
    OK(axonic_message_release(&message));
    OK(axonic_channel_finish(one, 0));
    ANSWERS(AXONIC_ERROR_DISCONNECTED, axonic_channel_receive(other, AXONIC_SECOND, &message));
    OK(axonic_listener_close(listener));
    OK(axonic_channel_close(one));
    OK(axonic_channel_close(other));
}

enum { SENDERS = 3, MESSAGES = 2000 };

static const axonic_channel *shared;

static void *send_numbers(void *number) {
    for (int i = 0; i < MESSAGES; i++) {
        const int message[2] = {*(const int *)number, i};
        OK(axonic_channel_send(shared, message, sizeof message, 10 * AXONIC_SECOND));
    }
    return NULL;
}

/* What several threads send arrives whole, and what each sends in its order. */
static void several_threads(void) {
    axonic_channel *one = NULL, *other = NULL;
    pair(&one, &other);
    shared = one;
    pthread_t threads[SENDERS];
    int numbers[SENDERS], seen[SENDERS] = {0};
    for (int i = 0; i < SENDERS; i++) {
        numbers[i] = i;
        CHECK(pthread_create(&threads[i], NULL, send_numbers, &numbers[i]) == 0);
    }
    for (int i = 0; i < SENDERS * MESSAGES; i++) {
        axonic_message message;
        int got[2];
        OK(axonic_channel_receive(other, 10 * AXONIC_SECOND, &message));
        CHECK(message.size == sizeof got);
        memcpy(got, message.data, sizeof got);
        CHECK(got[0] >= 0 && got[0] < SENDERS && got[1] == seen[got[0]]++);
        OK(axonic_message_release(&message));
    }
    for (int i = 0; i < SENDERS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    OK(axonic_channel_close(one));
    OK(axonic_channel_close(other));
}

static const axonic_listener *listening;

static void *shut_down_soon(void *unused) {
    (void)unused;
    usleep(20000);
    OK(axonic_channel_shutdown(shared));
    usleep(20000);
    OK(axonic_listener_shutdown(listening));
    return NULL;
}

/* Shut down by one thread, it ends for those that wait, and the handle is still one. */
static void shut_down(void) {
    axonic_channel *one = NULL, *other = NULL, *none = NULL;
    axonic_listener *listener = NULL;
    axonic_message message;
    pair(&one, &other);
    OK(axonic_listener_open(domain, "shm://channels/ends", NULL, &listener));
    shared = one;
    listening = listener;
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, shut_down_soon, NULL) == 0);
    FAILS(AXONIC_ERROR_CLOSED, "shm://channels/pair", axonic_channel_receive(one, AXONIC_FOREVER, &message));
    FAILS(AXONIC_ERROR_CLOSED, "shm://channels/ends", axonic_listener_accept(listener, AXONIC_FOREVER, &none));
    CHECK(pthread_join(thread, NULL) == 0);
    ANSWERS(AXONIC_ERROR_CLOSED, axonic_channel_send(one, "x", 1, AXONIC_SECOND));
    ANSWERS(AXONIC_ERROR_DISCONNECTED, axonic_channel_receive(other, AXONIC_SECOND, &message));
    FAILS(AXONIC_ERROR_NOT_FOUND, "shm://channels/ends",
          axonic_channel_connect(domain, "shm://channels/ends", NULL, AXONIC_SECOND, &none));
    OK(axonic_channel_close(one));
    OK(axonic_channel_close(other));
    OK(axonic_listener_close(listener));
}

/* Another process at the other end: a killed one has ended too, once what it sent was received. */
static void another_process(void) {
    axonic_listener *listener = NULL;
    axonic_channel *channel = NULL;
    axonic_message message;
    axonic_peer peer;
    OK(axonic_listener_open(domain, "shm://channels/far", NULL, &listener));
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        axonic_domain *mine = NULL;
        OK(axonic_domain_open("channels", NULL, &mine));
        OK(axonic_channel_connect(mine, "shm://channels/far", NULL, 5 * AXONIC_SECOND, &channel));
        OK(axonic_channel_send(channel, "from afar", 9, AXONIC_SECOND));
        expect(channel, "die");
        kill(getpid(), SIGKILL);
    }
    OK(axonic_listener_accept(listener, 10 * AXONIC_SECOND, &channel));
    OK(axonic_channel_peer(channel, &peer));
    CHECK(peer.pid == -1 || peer.pid == child);
    expect(channel, "from afar");
    OK(axonic_channel_send(channel, "die", 3, AXONIC_SECOND));
    ANSWERS(AXONIC_ERROR_DISCONNECTED, axonic_channel_receive(channel, 10 * AXONIC_SECOND, &message));
    CHECK(waitpid(child, NULL, 0) == child);
    OK(axonic_channel_close(channel));
    OK(axonic_listener_close(listener));
}

/* What the program started by pipes() does: answers with what it got, and ends. */
static int child_of_pipes(const char *address) {
    axonic_channel *channel = NULL;
    axonic_message message;
    OK(axonic_domain_open("channels", NULL, &domain));
    OK(axonic_channel_connect(domain, address, NULL, 5 * AXONIC_SECOND, &channel));
    OK(axonic_channel_receive(channel, 10 * AXONIC_SECOND, &message));
    OK(axonic_channel_send(channel, message.data, message.size, AXONIC_SECOND));
    OK(axonic_message_release(&message));
    ANSWERS(AXONIC_ERROR_DISCONNECTED, axonic_channel_receive(channel, 10 * AXONIC_SECOND, &message));
    OK(axonic_channel_close(channel));
    return 0;
}

/* Two pipes to a program that is started with its ends of them. */
static void pipes(const char *program) {
    axonic_channel_options options = AXONIC_CHANNEL_OPTIONS_INIT;
    axonic_channel *channel = NULL;
    axonic_child_pipe child;
    axonic_message message;
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_domain_pipe(domain, NULL, &channel, NULL));
    options.max_message = (size_t)2 << 30;
    FAILS(AXONIC_ERROR_INVALID_ARGUMENT, "max_message", axonic_domain_pipe(domain, &options, &channel, &child));
    OK(axonic_domain_pipe(domain, NULL, &channel, &child));
    char address[sizeof child.address];
    snprintf(address, sizeof address, "pipe:%d,%d", child.read, child.write);
    SAME(child.address, address);
    CHECK(fcntl(child.read, F_GETFD) == FD_CLOEXEC && fcntl(child.write, F_GETFD) == FD_CLOEXEC);

    char *arguments[] = {(char *)program, child.address, NULL};
    posix_spawn_file_actions_t actions;
    pid_t pid;
    CHECK(posix_spawn_file_actions_init(&actions) == 0);
    CHECK(posix_spawn_file_actions_adddup2(&actions, child.read, child.read) == 0);
    CHECK(posix_spawn_file_actions_adddup2(&actions, child.write, child.write) == 0);
    CHECK(posix_spawn(&pid, "/proc/self/exe", &actions, NULL, arguments, environ) == 0);
    CHECK(posix_spawn_file_actions_destroy(&actions) == 0);
    CHECK(close(child.read) == 0 && close(child.write) == 0);
    OK(axonic_channel_send(channel, "there and back", 14, AXONIC_SECOND));
    expect(channel, "there and back");
    OK(axonic_channel_finish(channel, AXONIC_SECOND));
    ANSWERS(AXONIC_ERROR_DISCONNECTED, axonic_channel_receive(channel, 10 * AXONIC_SECOND, &message));
    int status = -1;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    OK(axonic_channel_close(channel));
}

int main(int count, char **arguments) {
    if (count == 2) {
        return child_of_pipes(arguments[1]);
    }
    check_start();
    OK(axonic_domain_open("channels", NULL, &domain));
    opening();
    both_ways();
    back_pressure();
    an_end_without_room();
    several_threads();
    shut_down();
    another_process();
    pipes(arguments[0]);
    OK(axonic_domain_close(domain));
    return 0;
}
