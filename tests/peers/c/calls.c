/* What the C peer does with services and calls. */
#define _GNU_SOURCE
#include "peer.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* So many are at work, of which some nap; items of a stream, which are more than its credit; ways to a service. */
enum { THREADS = 8, ITEMS = 600, ITEM = 1024, WAYS = 8 };
/* Of the messages that are reversed. */
static const size_t sizes[] = {0, 1, 64, 4096, 1 << 20};
static const struct timespec moment = {0, AXONIC_MILLISECOND};
static const char params[] =
    "{\"text\":\"ä€😀\",\"numbers\":[1,-2.5,1e300],\"none\":null,\"yes\":true,\"deep\":{\"a\":[{\"b\":[]}]}}";
static const axonic_attribute trace = {"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"};
static const char *const methods[] = {"describe", "fail",    "go",    "items", "nap",
                                      "naps",     "reverse", "total", "trace", "work"};

static axonic_service *service;
/* Calls that lasted until their caller waited no more, and how many milliseconds the last one's caller gave it; -1: as long
 * as it takes. */
static atomic_ulong naps_begun, naps_over;
static atomic_long nap_given;
/* Who has seen how far some work is says so. */
static atomic_bool go;

static axonic_payload payload(const void *data, size_t size, int32_t content) {
    axonic_payload made = AXONIC_PAYLOAD_INIT;
    made.data = data;
    made.data_size = size;
    made.content = content;
    return made;
}

static axonic_payload text_payload(const char *text, int32_t content) {
    return payload(text, strlen(text), content);
}

static int reply(axonic_request *request, const char *text, int32_t content) {
    const axonic_payload result = text_payload(text, content);
    return axonic_request_reply(request, &result);
}

static unsigned char *reversed(const axonic_message *message) {
    unsigned char *bytes = malloc(message->size + 1);
    for (size_t i = 0; i < message->size; i++) {
        bytes[i] = ((const unsigned char *)message->data)[message->size - 1 - i];
    }
    return bytes;
}

/* The sum of a message's bytes, each of which must be as it should be. */
static uint32_t checked(const unsigned char *bytes, size_t length, size_t k, size_t size) {
    uint32_t sum = 0;
    unsigned char value = first_byte(k, size);
    must(length == size, "a message has its length");
    for (size_t i = 0; i < size; i++, value = (unsigned char)(value + 31)) {
        must(bytes[i] == value, "no byte is torn");
        sum += value;
    }
    return sum;
}

static int reverse(axonic_request *request) {
    unsigned char *bytes = reversed(&request->message);
    const axonic_payload result = payload(bytes, request->message.size, AXONIC_CONTENT_RAW);
    const int answered = axonic_request_reply(request, &result);
    free(bytes);
    return answered;
}

static int describe(axonic_request *request) {
    char *text = NULL;
    must(asprintf(&text, "{\"got\":%.*s}", (int)request->message.size, (const char *)request->message.data) > 0,
         "there is memory");
    const int answered = reply(request, text, AXONIC_CONTENT_JSON);
    free(text);
    return answered;
}

static int fail(axonic_request *request) {
    axonic_status status = AXONIC_STATUS_INIT;
    status.code = AXONIC_CODE_FAILED_PRECONDITION;
    status.retryable = 1;
    status.reason = "not_now";
    status.message = "not now";
    status.details = "{\"left\":3,\"why\":[\"a\",null]}";
    return axonic_request_fail(request, &status);
}

static int nap(const axonic_request *request) {
    const int64_t left = axonic_request_remaining(request);
    nap_given = left == AXONIC_FOREVER ? -1 : (long)(left / AXONIC_MILLISECOND);
    naps_begun++;
    while (!axonic_request_is_cancelled(request)) {
        nanosleep(&moment, NULL);
    }
    naps_over++;
    return AXONIC_OK;
}

static int tell_naps(axonic_request *request) {
    char text[64];
    snprintf(text, sizeof text, "%lu %lu %ld", naps_begun, naps_over, nap_given);
    return reply(request, text, AXONIC_CONTENT_RAW);
}

static int stream_items(axonic_request *request) {
    char text[16];
    snprintf(text, sizeof text, "%.*s", (int)request->message.size, (const char *)request->message.data);
    const size_t count = strtoull(text, NULL, 10);
    for (size_t k = 0; k < count; k++) {
        unsigned char bytes[ITEM];
        fill(bytes, k, ITEM);
        const axonic_payload item = payload(bytes, ITEM, AXONIC_CONTENT_RAW);
        check(axonic_request_send(request, &item, PATIENCE));
    }
    return axonic_request_reply(request, NULL);
}

/* Adds up what the caller streams. */
static int total(axonic_request *request) {
    size_t count = 0;
    uint32_t sum = 0;
    axonic_message item;
    while (axonic_request_next(request, PATIENCE, &item) == AXONIC_OK) {
        sum += checked(item.data, item.size, count++, ITEM);
        check(axonic_message_release(&item));
    }
    char text[64];
    snprintf(text, sizeof text, "%zu %" PRIu32, count, sum);
    return reply(request, text, AXONIC_CONTENT_RAW);
}

static int tell_trace(axonic_request *request) {
    const char *seen = axonic_message_attribute(&request->message, trace.name);
    return reply(request, seen != NULL ? seen : "", AXONIC_CONTENT_RAW);
}

static int work_half(axonic_request *request) {
    check(axonic_request_progress(request, 0.5, "half"));
    while (!atomic_exchange(&go, false) && !axonic_request_is_cancelled(request)) {
        nanosleep(&moment, NULL);
    }
    return reply(request, "worked", AXONIC_CONTENT_RAW);
}

static int handle(axonic_request *request) {
    const char *method = request->method;
    if (strcmp(method, "reverse") == 0) {
        return reverse(request);
    }
    if (strcmp(method, "describe") == 0) {
        return describe(request);
    }
    if (strcmp(method, "fail") == 0) {
        return fail(request);
    }
    if (strcmp(method, "go") == 0) {
        go = true;
        return axonic_request_reply(request, NULL);
    }
    if (strcmp(method, "nap") == 0) {
        return nap(request);
    }
    if (strcmp(method, "naps") == 0) {
        return tell_naps(request);
    }
    if (strcmp(method, "items") == 0) {
        return stream_items(request);
    }
    if (strcmp(method, "total") == 0) {
        return total(request);
    }
    if (strcmp(method, "trace") == 0) {
        return tell_trace(request);
    }
    if (strcmp(method, "work") == 0) {
        return work_half(request);
    }
    return axonic_request_no_such_method(request, methods, sizeof methods / sizeof *methods);
}

static void *take_calls(void *unused) {
    (void)unused;
    axonic_request request;
    while (axonic_service_next(service, AXONIC_FOREVER, &request) == AXONIC_OK) {
        handle(&request);
        check(axonic_request_release(&request));
    }
    return NULL;
}

int serve(axonic_domain *domain, const char *name, char **addresses, size_t count) {
    check(axonic_service_open(domain, name, "1.2.0", NULL, &service));
    int is_silent = 0;
    for (size_t n = 0; n < count; n++) {
        const char *at = NULL;
        is_silent |= strcmp(addresses[n], "pipe:0,1") == 0;
        check(axonic_service_listen(service, addresses[n], &at));
        if (!is_silent) {
            printf("at %s\n", at);
        }
    }
    if (!is_silent) {
        puts("serving");
        fflush(stdout);
    }
    pthread_t threads[THREADS];
    for (size_t n = 0; n < THREADS; n++) {
        pthread_create(&threads[n], NULL, take_calls, NULL);
    }
    for (size_t n = 0; n < THREADS; n++) {
        pthread_join(threads[n], NULL);
    }
    return axonic_service_close(service);
}

static void print_message(const char *what, axonic_message *message) {
    printf("%s %.*s\n", what, (int)message->size, (const char *)message->data);
    check(axonic_message_release(message));
}

static axonic_message ask_for(axonic_client *client, const char *method, const axonic_payload *given) {
    axonic_message result;
    check(axonic_client_call(client, method, given, PATIENCE, &result));
    return result;
}

/* What a call failed with; it must. */
static axonic_status failure(const char *what, int code) {
    axonic_status status = AXONIC_STATUS_INIT;
    must(code != AXONIC_OK, "a call that has to fail does so");
    must(axonic_last_status(&status), "a failed call has a status");
    printf("%s %s %s", what, axonic_error_name(code), axonic_code_name(status.code));
    return status;
}

static void call_reverse(axonic_client *client) {
    uint32_t sum = 0;
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        unsigned char *bytes = malloc(sizes[k] + 1);
        fill(bytes, k, sizes[k]);
        const axonic_payload given = payload(bytes, sizes[k], AXONIC_CONTENT_RAW);
        axonic_message result = ask_for(client, "reverse", &given);
        unsigned char *again = reversed(&result);
        sum += checked(again, result.size, k, sizes[k]);
        check(axonic_message_release(&result));
        free(again);
        free(bytes);
    }
    printf("reversed %" PRIu32 "\n", sum);
}

static void call_what_fails(axonic_client *client) {
    axonic_message result;
    const axonic_payload none = text_payload("{}", AXONIC_CONTENT_JSON);
    const axonic_status status = failure("failed", axonic_client_call(client, "fail", &none, PATIENCE, &result));
    printf(" %s %d|%s|%s|%s\n", status.reason, status.retryable != 0, status.message, status.details, status.origin);
    failure("unknown", axonic_client_call(client, "nonsense", &none, PATIENCE, &result));
    puts("");
}

static void look_at_naps(axonic_client *client, unsigned long *begun, unsigned long *over, long *given) {
    char text[64];
    axonic_message result = ask_for(client, "naps", NULL);
    snprintf(text, sizeof text, "%.*s", (int)result.size, (const char *)result.data);
    must(sscanf(text, "%lu %lu %ld", begun, over, given) == 3, "naps are three numbers");
    check(axonic_message_release(&result));
}

/* Waits until so many naps were begun, and are over. */
static long until(axonic_client *client, unsigned long wanted_begun, unsigned long wanted_over) {
    unsigned long begun = 0, over = 0;
    long given = 0;
    const time_t end = time(NULL) + PATIENCE / AXONIC_SECOND;
    look_at_naps(client, &begun, &over, &given);
    while (begun < wanted_begun || over < wanted_over) {
        must(time(NULL) < end, "naps begin and end in time");
        nanosleep(&moment, NULL);
        look_at_naps(client, &begun, &over, &given);
    }
    return given;
}

static axonic_call *start(axonic_client *client, const char *method, const axonic_payload *given, int input, int stream) {
    axonic_call_options options = AXONIC_CALL_OPTIONS_INIT;
    options.input = input;
    options.stream = stream;
    axonic_call *call = NULL;
    check(axonic_client_start(client, method, given, &options, &call));
    return call;
}

/* One nap that is too long, and one that is given up. */
static void call_nap(axonic_client *client) {
    unsigned long begun = 0, over = 0;
    long given = 0;
    axonic_message result;
    look_at_naps(client, &begun, &over, &given);
    failure("late", axonic_client_call(client, "nap", NULL, 100 * AXONIC_MILLISECOND, &result));
    printf("\ngiven %ld\n", until(client, begun + 1, over + 1));
    axonic_call *call = start(client, "nap", NULL, 0, 0);
    until(client, begun + 2, over + 1);
    check(axonic_call_close(call));
    printf("cancelled %ld\n", until(client, begun + 2, over + 2));
}

static void call_streams(axonic_client *client) {
    char text[16];
    snprintf(text, sizeof text, "%d", ITEMS);
    const axonic_payload count = text_payload(text, AXONIC_CONTENT_RAW);
    axonic_call *call = start(client, "items", &count, 0, 1);
    axonic_message item;
    size_t got = 0;
    uint32_t sum = 0;
    while (axonic_call_next(call, PATIENCE, &item) == AXONIC_OK) {
        sum += checked(item.data, item.size, got++, ITEM);
        check(axonic_message_release(&item));
    }
    check(axonic_call_close(call));
    printf("streamed %zu %" PRIu32 "\n", got, sum);
    call = start(client, "total", NULL, 1, 0);
    for (size_t k = 0; k < ITEMS; k++) {
        unsigned char bytes[ITEM];
        fill(bytes, k, ITEM);
        const axonic_payload given = payload(bytes, ITEM, AXONIC_CONTENT_RAW);
        check(axonic_call_send(call, &given, PATIENCE));
    }
    check(axonic_call_finish_input(call));
    check(axonic_call_result(call, PATIENCE, &item));
    print_message("total", &item);
    check(axonic_call_close(call));
}

static void call_work(axonic_client *client) {
    const char *note = NULL;
    axonic_message result;
    axonic_call *call = start(client, "work", NULL, 0, 0);
    const time_t end = time(NULL) + PATIENCE / AXONIC_SECOND;
    double done = axonic_call_progress(call, &note);
    while (done < 0) {
        must(time(NULL) < end, "progress is told in time");
        nanosleep(&moment, NULL);
        done = axonic_call_progress(call, &note);
    }
    printf("progress %g %s", done, note);
    result = ask_for(client, "go", NULL);
    check(axonic_message_release(&result));
    check(axonic_call_result(call, PATIENCE, &result));
    print_message("", &result);
    check(axonic_call_close(call));
}

static void talk_to(axonic_client *client) {
    call_reverse(client);
    axonic_payload given = text_payload(params, AXONIC_CONTENT_JSON);
    axonic_message result = ask_for(client, "describe", &given);
    print_message("described", &result);
    call_what_fails(client);
    call_nap(client);
    call_streams(client);
    call_work(client);
    given = text_payload("{}", AXONIC_CONTENT_JSON);
    given.attributes = &trace;
    given.attribute_count = 1;
    result = ask_for(client, "trace", &given);
    print_message("trace", &result);
}

int call(axonic_domain *domain, const char *name, char **addresses, size_t count) {
    axonic_client *ways[WAYS] = {NULL}, *nobody = NULL;
    axonic_call *calls[WAYS];
    axonic_message result;
    must(count <= WAYS, "there are not too many ways");
    for (size_t n = 0; n < count; n++) {
        axonic_client_options options = AXONIC_CLIENT_OPTIONS_INIT;
        options.address = strcmp(addresses[n], "-") == 0 ? NULL : addresses[n];
        check(axonic_client_open(domain, name, "^1.2", &options, &ways[n]));
        talk_to(ways[n]);
    }
    check(axonic_client_open(domain, "nobody", "*", NULL, &nobody));
    failure("absent", axonic_client_call(nobody, "reverse", NULL, PATIENCE, &result));
    check(axonic_client_close(nobody));
    unsigned long begun = 0, over = 0;
    long given = 0;
    look_at_naps(ways[0], &begun, &over, &given);
    for (size_t n = 0; n < count; n++) {
        calls[n] = start(ways[n], "nap", NULL, 0, 0);
    }
    until(ways[0], begun + count, over);
    puts("\nnapping");
    fflush(stdout);
    for (size_t n = 0; n < count; n++) {
        failure("gone", axonic_call_result(calls[n], PATIENCE, &result));
        puts("");
        fflush(stdout);
        check(axonic_call_close(calls[n]));
        check(axonic_client_close(ways[n]));
    }
    return AXONIC_OK;
}
