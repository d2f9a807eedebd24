/* What the C peer does with channels. */
#define _GNU_SOURCE
#include "peer.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Of the messages both ways, as far as a transport takes them. */
static const size_t sizes[] = {64, 0, 1, 4096, 60000, 1 << 20};
/* Of those that are sent many at a time, and their first number; the number of the last message; how much higher those of
 * who listens are. */
enum { SIZE_COUNT = 6, SMALL = 64, MANY = 100, MOST = 200, LAST = 999, ANSWERS = 1000 };

/* One end, which speaks first or answers. */
typedef struct {
    axonic_channel *channel;
    axonic_can can;
    size_t most;
    int speaks_first;
    /* Of the bytes that were heard. */
    uint32_t sum;
} channel_end;

static void fill_ours(const channel_end *end, unsigned char *bytes, size_t k, size_t size) {
    fill(bytes, k + (end->speaks_first ? 0 : ANSWERS), size);
}

static void say(const channel_end *end, size_t k, size_t size) {
    unsigned char *bytes = malloc(size + 1);
    fill_ours(end, bytes, k, size);
    check(axonic_channel_send(end->channel, bytes, size, PATIENCE));
    free(bytes);
}

/* So many bytes: one message, or what comes until that is all; the caller frees them. */
static unsigned char *take(const channel_end *end, size_t size) {
    unsigned char *taken = malloc(size + 1);
    size_t length = 0;
    do {
        axonic_message message;
        check(axonic_channel_receive(end->channel, PATIENCE, &message));
        must(length + message.size <= size, "no more comes than is wanted");
        if (message.size > 0) {
            memcpy(taken + length, message.data, message.size);
        }
        length += message.size;
        check(axonic_message_release(&message));
    } while (!end->can.messages && length < size);
    must(length == size, "a message has its length");
    return taken;
}

static void verify(channel_end *end, const unsigned char *bytes, size_t k, size_t size) {
    unsigned char value = first_byte(k + (end->speaks_first ? ANSWERS : 0), size);
    for (size_t i = 0; i < size; i++, value = (unsigned char)(value + 31)) {
        must(bytes[i] == value, "no byte is torn");
        end->sum += value;
    }
}

static void hear(channel_end *end, size_t k, size_t size) {
    unsigned char *taken = take(end, size);
    verify(end, taken, k, size);
    free(taken);
}

static void exchange(channel_end *end, size_t k, size_t size) {
    if (end->speaks_first) {
        say(end, k, size);
        hear(end, k, size);
    } else {
        hear(end, k, size);
        say(end, k, size);
    }
}

static void say_many(const channel_end *end, size_t count) {
    unsigned char bytes[MOST][SMALL];
    axonic_bytes messages[MOST];
    for (size_t n = 0; n < count; n++) {
        fill_ours(end, bytes[n], MANY + n, SMALL);
        messages[n] = (axonic_bytes){bytes[n], SMALL};
    }
    size_t sent = 0;
    check(axonic_channel_send_many(end->channel, messages, count, PATIENCE, &sent));
    must(sent == count, "all are sent");
}

static void hear_many(channel_end *end, size_t count) {
    if (end->can.messages) {
        for (size_t n = 0; n < count; n++) {
            hear(end, MANY + n, SMALL);
        }
        return;
    }
    unsigned char *all = take(end, count * SMALL);
    for (size_t n = 0; n < count; n++) {
        verify(end, all + n * SMALL, MANY + n, SMALL);
    }
    free(all);
}

static void pass(const channel_end *end, const char *path) {
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    check(axonic_channel_send_descriptors(end->channel, "file", 4, &file, 1, PATIENCE));
    close(file);
}

/* Says what is in the file whose descriptor comes. */
static void tell_file(const channel_end *end) {
    char text[64] = "";
    axonic_message message;
    check(axonic_channel_receive(end->channel, PATIENCE, &message));
    must(message.descriptor_count == 1 && message.size == 4, "a descriptor comes with the message");
    must(pread(message.descriptors[0], text, sizeof text - 1, 0) > 0, "it can be read");
    check(axonic_message_release(&message));
    printf("descriptor %s\n", text);
}

static void expect_end(const channel_end *end) {
    axonic_message message;
    const int got = axonic_channel_receive(end->channel, PATIENCE, &message);
    if (got != AXONIC_ERROR_DISCONNECTED) {
        check(got);
        must(0, "there is no message after the last");
    }
}

/* Who spoke first ends first, and hears one more message where it can. */
static void end_it(channel_end *end) {
    if (!end->can.end || (end->speaks_first && !end->can.half_close)) {
        return;
    }
    if (end->speaks_first) {
        check(axonic_channel_finish(end->channel, AXONIC_FOREVER));
        hear(end, LAST, SMALL);
    }
    expect_end(end);
    if (!end->speaks_first && end->can.half_close) {
        say(end, LAST, SMALL);
        check(axonic_channel_finish(end->channel, AXONIC_FOREVER));
    }
    puts("ended");
}

static uint32_t heard(channel_end *end) {
    const uint32_t sum = end->sum;
    end->sum = 0;
    return sum;
}

static void tell(const axonic_can *can, size_t most) {
    const bool all[] = {can->reliable, can->ordered,    can->messages,    can->back_pressure,
                        can->end,      can->half_close, can->descriptors, can->credentials};
    char bits[sizeof all / sizeof *all + 1] = "";
    for (size_t n = 0; n < sizeof all / sizeof *all; n++) {
        bits[n] = all[n] ? '1' : '0';
    }
    printf("can %s %zu\n", bits, most);
}

static void exchange_many(channel_end *end) {
    /* Nobody waits for room, and so much there is. */
    const size_t count = end->can.back_pressure ? MOST : 8;
    if (end->speaks_first) {
        say_many(end, count);
        hear_many(end, count);
    } else {
        hear_many(end, count);
        say_many(end, count);
    }
    printf("many %zu %" PRIu32 "\n", count, heard(end));
}

static void talk(channel_end *end, const char *file) {
    tell(&end->can, end->most);
    for (size_t k = 0; k < SIZE_COUNT; k++) {
        if (sizes[k] <= end->most && (end->can.messages || sizes[k] > 0)) {
            exchange(end, k, sizes[k]);
        }
    }
    printf("sizes %" PRIu32 "\n", heard(end));
    if (end->can.credentials) {
        axonic_peer peer;
        check(axonic_channel_peer(end->channel, &peer));
        printf("peer %" PRId64 "\n", peer.pid);
    }
    exchange_many(end);
    if (end->can.descriptors) {
        if (end->speaks_first) {
            pass(end, file);
        }
        tell_file(end);
        if (!end->speaks_first) {
            pass(end, file);
        }
    }
    end_it(end);
    check(axonic_channel_close(end->channel));
    fflush(stdout);
}

/* Waits on each channel until the other end has died. */
static int hold(channel_end *ends, size_t count) {
    for (size_t n = 0; n < count; n++) {
        exchange(&ends[n], 0, SMALL);
    }
    puts("holding");
    fflush(stdout);
    for (size_t n = 0; n < count; n++) {
        expect_end(&ends[n]);
        check(axonic_channel_close(ends[n].channel));
    }
    printf("gone %zu\n", count);
    return AXONIC_OK;
}

static channel_end opened(axonic_channel *channel, int speaks_first) {
    channel_end end = {channel, {0}, 0, speaks_first, 0};
    check(axonic_channel_can(channel, &end.can));
    check(axonic_channel_max_message(channel, &end.most));
    return end;
}

static axonic_channel *connect_to(axonic_domain *domain, const char *address) {
    axonic_channel *channel = NULL;
    check(axonic_channel_connect(domain, address, NULL, PATIENCE, &channel));
    return channel;
}

int listen_at(axonic_domain *domain, const char *file, size_t talks, char **addresses, size_t count) {
    axonic_listener **listeners = calloc(count, sizeof *listeners);
    axonic_channel **pipes = calloc(count, sizeof *pipes);
    channel_end *ends = calloc(count, sizeof *ends);
    for (size_t n = 0; n < count; n++) {
        /* Pipes are there already. */
        if (strncmp(addresses[n], "pipe:", 5) == 0) {
            pipes[n] = connect_to(domain, addresses[n]);
        } else {
            check(axonic_listener_open(domain, addresses[n], NULL, &listeners[n]));
        }
        printf("at %s\n", listeners[n] != NULL ? axonic_listener_address(listeners[n]) : addresses[n]);
    }
    fflush(stdout);
    for (size_t n = 0; n < count; n++) {
        if (listeners[n] != NULL) {
            check(axonic_listener_accept(listeners[n], PATIENCE, &pipes[n]));
            check(axonic_listener_close(listeners[n]));
        }
        ends[n] = opened(pipes[n], 0);
        if (n < talks) {
            talk(&ends[n], file);
        }
    }
    const int status = hold(ends + talks, count - talks);
    free(listeners);
    free(pipes);
    free(ends);
    return status;
}

int connect_at(axonic_domain *domain, const char *file, size_t talks, char **addresses, size_t count) {
    channel_end *ends = calloc(count, sizeof *ends);
    for (size_t n = 0; n < count; n++) {
        ends[n] = opened(connect_to(domain, addresses[n]), 1);
        if (n < talks) {
            talk(&ends[n], file);
        }
    }
    const int status = hold(ends + talks, count - talks);
    free(ends);
    return status;
}
