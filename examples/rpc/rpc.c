/* A service: methods on bytes and by name, a stream, a failure with its reason, a call out of time. */
#define _GNU_SOURCE
#include <axonic.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void check(int code) {
    if (code != AXONIC_OK) {
        fprintf(stderr, "%s: %s\n", axonic_error_name(code), axonic_last_error_message());
        exit(1);
    }
}

static axonic_payload payload(const char *text, int32_t content) {
    axonic_payload made = AXONIC_PAYLOAD_INIT;
    made.data = text;
    made.data_size = strlen(text);
    made.content = content;
    return made;
}

static axonic_payload number(int value, char text[16]) {
    snprintf(text, 16, "%d", value);
    return payload(text, AXONIC_CONTENT_JSON);
}

static void reverse(axonic_request *request) {
    char word[64] = "";
    const size_t size = request->message.size < sizeof word ? request->message.size : sizeof word - 1;
    for (size_t at = 0; at < size; at++) {
        word[at] = ((const char *)request->message.data)[size - 1 - at];
    }
    const axonic_payload result = payload(word, AXONIC_CONTENT_RAW);
    check(axonic_request_reply(request, &result));
}

static void price(axonic_request *request, const char *arguments) {
    char item[16] = "", text[16];
    int count = 0;
    sscanf(arguments, "{\"item\":\"%15[a-z]\",\"count\":%d}", item, &count);
    const int cents = strcmp(item, "apple") == 0 ? 25 : strcmp(item, "pear") == 0 ? 40 : 0;
    if (cents == 0) {
        axonic_status status = AXONIC_STATUS_INIT;
        status.code = AXONIC_CODE_NOT_FOUND;
        status.message = "the shop has no such thing";
        status.reason = "no_such_item";
        check(axonic_request_fail(request, &status));
        return;
    }
    const axonic_payload result = number(cents * count, text);
    check(axonic_request_reply(request, &result));
}

static void countdown(axonic_request *request, const char *arguments) {
    int start = 0;
    sscanf(arguments, "{\"start\":%d}", &start);
    if (axonic_request_begin_stream(request) != AXONIC_OK) {
        return; /* Called for one result, which the caller is told. */
    }
    for (int at = start; at > 0; at--) {
        char text[16];
        const axonic_payload item = number(at, text);
        check(axonic_request_send(request, &item, AXONIC_FOREVER));
    }
    check(axonic_request_reply(request, NULL));
}

static void nap(axonic_request *request) {
    while (!axonic_request_is_cancelled(request)) {
        usleep(1000);
    }
}

/* Answers calls until the service is shut down. */
static void *serve(void *shop) {
    static const char *const methods[] = {"countdown", "nap", "price", "reverse"};
    axonic_request request;
    while (axonic_service_next(shop, AXONIC_FOREVER, &request) == AXONIC_OK) {
        char arguments[64];
        snprintf(arguments, sizeof arguments, "%.*s", (int)request.message.size, (const char *)request.message.data);
        if (strcmp(request.method, "reverse") == 0) {
            reverse(&request);
        } else if (strcmp(request.method, "price") == 0) {
            price(&request, arguments);
        } else if (strcmp(request.method, "countdown") == 0) {
            countdown(&request, arguments);
        } else if (strcmp(request.method, "nap") == 0) {
            nap(&request);
        } else {
            check(axonic_request_no_such_method(&request, methods, 4));
        }
        axonic_request_release(&request);
    }
    return NULL;
}

static void show_failure(const char *method) {
    axonic_status status = AXONIC_STATUS_INIT;
    if (axonic_last_status(&status)) {
        printf("%s failed: %s%s%s\n", method, axonic_code_name(status.code), *status.reason != 0 ? ", " : "",
               status.reason);
    }
}

int main(void) {
    axonic_domain *domain = NULL;
    check(axonic_domain_open(getenv("AXONIC_DOMAIN") != NULL ? NULL : "example-rpc", NULL, &domain));
    axonic_service *shop = NULL;
    check(axonic_service_open(domain, "shop", "1.2.0", NULL, &shop));
    pthread_t provider;
    pthread_create(&provider, NULL, serve, shop);

    axonic_client *client = NULL;
    axonic_message result;
    check(axonic_client_open(domain, "shop", "^1.2", NULL, &client));
    axonic_payload given = payload("hello", AXONIC_CONTENT_RAW);
    check(axonic_client_call(client, "reverse", &given, AXONIC_FOREVER, &result));
    printf("reverse: %.*s\n", (int)result.size, (const char *)result.data);
    axonic_message_release(&result);
    given = payload("{\"item\":\"apple\",\"count\":3}", AXONIC_CONTENT_JSON);
    check(axonic_client_call(client, "price", &given, AXONIC_FOREVER, &result));
    printf("3 apples: %.*s cents\n", (int)result.size, (const char *)result.data);
    axonic_message_release(&result);

    axonic_call_options options = AXONIC_CALL_OPTIONS_INIT;
    options.stream = 1;
    axonic_call *call = NULL;
    given = payload("{\"start\":3}", AXONIC_CONTENT_JSON);
    check(axonic_client_start(client, "countdown", &given, &options, &call));
    while (axonic_call_next(call, AXONIC_FOREVER, &result) == AXONIC_OK) {
        printf("countdown: %.*s\n", (int)result.size, (const char *)result.data);
        axonic_message_release(&result);
    }
    axonic_call_close(call);

    given = payload("{\"item\":\"moon\",\"count\":1}", AXONIC_CONTENT_JSON);
    if (axonic_client_call(client, "price", &given, AXONIC_FOREVER, &result) == AXONIC_ERROR_CALL_FAILED) {
        show_failure("price");
    }
    if (axonic_client_call(client, "nap", NULL, 50 * AXONIC_MILLISECOND, &result) == AXONIC_ERROR_TIMEOUT) {
        show_failure("nap");
    }

    check(axonic_service_shutdown(shop));
    pthread_join(provider, NULL);
    if (axonic_client_call(client, "reverse", NULL, AXONIC_FOREVER, &result) == AXONIC_ERROR_UNAVAILABLE) {
        show_failure("reverse");
    }
    axonic_service_close(shop);
    axonic_client_close(client);
    return axonic_domain_close(domain);
}
