/* A channel: messages both ways by address, until both ends have said all. */
#include <axonic.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(int code) {
    if (code != AXONIC_OK) {
        fprintf(stderr, "%s: %s\n", axonic_error_name(code), axonic_last_error_message());
        exit(1);
    }
}

/* Sends every word back in reverse, until the other end has sent all. */
static void *answer(void *listener) {
    axonic_channel *channel = NULL;
    axonic_message message;
    check(axonic_listener_accept(listener, 5 * AXONIC_SECOND, &channel));
    while (axonic_channel_receive(channel, AXONIC_FOREVER, &message) == AXONIC_OK) {
        char word[16];
        for (size_t at = 0; at < message.size; at++) {
            word[at] = ((const char *)message.data)[message.size - 1 - at];
        }
        check(axonic_channel_send(channel, word, message.size, AXONIC_FOREVER));
        axonic_message_release(&message);
    }
    check(axonic_channel_finish(channel, AXONIC_FOREVER));
    axonic_channel_close(channel);
    return NULL;
}

int main(void) {
    axonic_domain *domain = NULL;
    check(axonic_domain_open(getenv("AXONIC_DOMAIN") != NULL ? NULL : "example-channel", NULL, &domain));
    char address[256];
    snprintf(address, sizeof address, "shm://%s/words", axonic_domain_name(domain));

    axonic_listener *listener = NULL;
    check(axonic_listener_open(domain, address, NULL, &listener));
    pthread_t thread;
    pthread_create(&thread, NULL, answer, listener);

    axonic_channel *channel = NULL;
    check(axonic_channel_connect(domain, axonic_listener_address(listener), NULL, 5 * AXONIC_SECOND, &channel));
    check(axonic_channel_send(channel, "stop", 4, AXONIC_FOREVER));
    check(axonic_channel_send(channel, "live", 4, AXONIC_FOREVER));
    check(axonic_channel_send(channel, "draw", 4, AXONIC_FOREVER));
    check(axonic_channel_finish(channel, AXONIC_FOREVER));
    axonic_message message;
    while (axonic_channel_receive(channel, AXONIC_FOREVER, &message) == AXONIC_OK) {
        printf("answer: %.*s\n", (int)message.size, (const char *)message.data);
        axonic_message_release(&message);
    }
    printf("the other end has ended\n");

    size_t most;
    check(axonic_channel_max_message(channel, &most));
    void *large = calloc(1, most + 1);
    if (axonic_channel_send(channel, large, most + 1, AXONIC_FOREVER) == AXONIC_ERROR_TOO_LARGE) {
        printf("too large\n");
    }
    free(large);
    axonic_channel_close(channel);
    pthread_join(thread, NULL);

    axonic_listener_close(listener);
    if (axonic_channel_connect(domain, address, NULL, AXONIC_FOREVER, &channel) == AXONIC_ERROR_NOT_FOUND) {
        printf("nobody listens\n");
    }
    return axonic_domain_close(domain);
}
