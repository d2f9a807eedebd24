/* Calls: services and clients, streams both ways, failures that say why, and event loops. */
#define _GNU_SOURCE
#include "check.h"

#include <poll.h>
#include <pthread.h>

static axonic_domain *domain;
static axonic_service *service;

static axonic_payload text(const char *words) {
    axonic_payload payload = AXONIC_PAYLOAD_INIT;
    payload.data = words;
    payload.data_size = strlen(words);
    return payload;
}

static bool is(const axonic_message *message, const char *words) {
    return message->size == strlen(words) && memcmp(message->data, words, message->size) == 0;
}

static unsigned number(const axonic_message *message) {
    unsigned read = 0;
    CHECK(message->size == sizeof read);
    memcpy(&read, message->data, sizeof read);
    return read;
}

static void count(axonic_request *request) {
    axonic_payload item = AXONIC_PAYLOAD_INIT;
    const unsigned most = number(&request->message);
    if (!request->is_stream) {
        FAILS(AXONIC_ERROR_CALL_FAILED, "one result", axonic_request_begin_stream(request));
        ANSWERS(AXONIC_ERROR_CALL_FAILED, axonic_request_send(request, &item, AXONIC_SECOND));
        /* Whatever it is answered. */
        OK(axonic_request_reply(request, NULL));
        return;
    }
    OK(axonic_request_begin_stream(request));
    for (unsigned i = 0; i < most; i++) {
        item.data = &i;
        item.data_size = sizeof i;
        const int code = axonic_request_send(request, &item, AXONIC_FOREVER);
        if (code != AXONIC_OK) {
            ANSWERS(AXONIC_ERROR_CANCELLED, code);
            OK(axonic_request_release(request));
            return;
        }
    }
    item = text("counted");
    OK(axonic_request_reply(request, &item));
}

static void sum(axonic_request *request) {
    unsigned total = 0;
    axonic_message item;
    int code;
    while ((code = axonic_request_next(request, 5 * AXONIC_SECOND, &item)) == AXONIC_OK) {
        total += number(&item);
        OK(axonic_message_release(&item));
        OK(axonic_request_progress(request, 0.5, "summing"));
    }
    ANSWERS(AXONIC_ERROR_DISCONNECTED, code);
    axonic_payload result = AXONIC_PAYLOAD_INIT;
    result.data = &total;
    result.data_size = sizeof total;
    OK(axonic_request_reply(request, &result));
}

static void fail(axonic_request *request) {
    axonic_status status = AXONIC_STATUS_INIT;
    status.code = 99;
    FAILS(AXONIC_ERROR_INVALID_ARGUMENT, "99", axonic_request_fail(request, &status));
    status.code = AXONIC_CODE_NOT_FOUND;
    status.details = "{";
    FAILS(AXONIC_ERROR_INVALID_ARGUMENT, "JSON", axonic_request_fail(request, &status));
    status.reason = "no_such_order";
    status.message = "no order 7";
    status.details = "{\"order\":7}";
    status.retryable = 1;
    CHECK(request->held != NULL);
    OK(axonic_request_fail(request, &status));
    CHECK(request->held == NULL);
    ANSWERS(AXONIC_ERROR_CLOSED, axonic_request_fail(request, &status));
    CHECK(strstr(axonic_last_error_message(), "answered") != NULL);
}

/* Says no more than that it cannot now. */
static void busy(axonic_request *request) {
    axonic_status status = AXONIC_STATUS_INIT;
    status.code = AXONIC_CODE_UNAVAILABLE;
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_request_fail(request, NULL));
    OK(axonic_request_fail(request, &status));
}

/* An error that the handler met; the payload says which. */
static void fail_by(axonic_request *request) {
    axonic_status status = AXONIC_STATUS_INIT;
    status.code = AXONIC_CODE_ABORTED;
    status.reason = "other";
    status.message = "of another call";
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_request_fail_by(request, 0, "E", NULL, NULL));
    CHECK(request->held != NULL);
    if (is(&request->message, "late")) {
        OK(axonic_request_fail_by(request, AXONIC_ERROR_TIMEOUT, NULL, "no job came", NULL));
    } else if (is(&request->message, "gone")) {
        OK(axonic_request_fail_by(request, AXONIC_ERROR_CANCELLED, "Cancelled", "", NULL));
    } else if (is(&request->message, "other")) {
        OK(axonic_request_fail_by(request, AXONIC_ERROR_CALL_FAILED, "CallFailed", "text", &status));
    } else {
        OK(axonic_request_fail_by(request, AXONIC_OK, "no_stock", "no \xff apples", NULL));
    }
    CHECK(request->held == NULL);
    ANSWERS(AXONIC_ERROR_CLOSED, axonic_request_fail_by(request, 0, "E", "text", NULL));
}

static void echo(axonic_request *request) {
    axonic_payload result = AXONIC_PAYLOAD_INIT;
    result.data = request->message.data;
    result.data_size = request->message.size;
    result.content = request->message.content;
    result.dtype = request->message.dtype;
    result.shape = request->message.shape;
    result.ndim = request->message.ndim;
    result.attributes = request->message.attributes;
    result.attribute_count = request->message.attribute_count;
    CHECK(!axonic_request_is_cancelled(request));
    OK(axonic_request_reply(request, &result));
    CHECK(request->held == NULL && request->method == NULL && request->message.size == 0);
    ANSWERS(AXONIC_ERROR_CLOSED, axonic_request_reply(request, NULL));
    CHECK(axonic_request_is_cancelled(request) && axonic_request_remaining(request) == 0);
}

static void answer(axonic_request *request) {
    const char *method = request->method;
    if (strcmp(method, "echo") == 0) {
        echo(request);
    } else if (strcmp(method, "fail") == 0) {
        fail(request);
    } else if (strcmp(method, "busy") == 0) {
        busy(request);
    } else if (strcmp(method, "fail_by") == 0) {
        fail_by(request);
    } else if (strcmp(method, "count") == 0) {
        count(request);
    } else if (strcmp(method, "sum") == 0) {
        sum(request);
    } else if (strcmp(method, "trace") == 0) {
        /* What the struct points at is there until the answer is sent. */
        const axonic_payload result = text(axonic_message_attribute(&request->message, "traceparent"));
        OK(axonic_request_reply(request, &result));
    } else if (strcmp(method, "nothing") == 0) {
        CHECK(axonic_request_remaining(request) == AXONIC_FOREVER);
        OK(axonic_request_reply(request, NULL));
    } else if (strcmp(method, "hang") == 0) {
        const int64_t left = axonic_request_remaining(request);
        CHECK(left == AXONIC_FOREVER || (left >= 0 && left <= AXONIC_SECOND));
        while (!axonic_request_is_cancelled(request)) {
            usleep(1000);
        }
        OK(axonic_request_release(request));
    } else if (strcmp(method, "drop") != 0) {
        const char *const methods[] = {"count", "echo"};
        ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_request_no_such_method(request, NULL, 2));
        OK(axonic_request_no_such_method(request, methods, 2));
    }
    OK(axonic_request_release(request));
}

/* Answers calls until the service is shut down. */
static void *serve(void *unused) {
    (void)unused;
    axonic_request request;
    int code;
    while ((code = axonic_service_next(service, AXONIC_FOREVER, &request)) == AXONIC_OK) {
        answer(&request);
    }
    ANSWERS(AXONIC_ERROR_CLOSED, code);
    return NULL;
}

/* The last failure must have this status. */
static axonic_status last(int code, const char *reason) {
    axonic_status status = AXONIC_STATUS_INIT;
    CHECK(axonic_last_status(&status));
    if (status.code != code) {
        SHOW("the code is %s, not %s", axonic_code_name(status.code), axonic_code_name(code));
        exit(1);
    }
    SAME(status.reason, reason);
    return status;
}

static void results(const axonic_client *client) {
    axonic_message result;
    for (unsigned i = 0; i < 1000; i++) {
        axonic_payload payload = AXONIC_PAYLOAD_INIT;
        payload.data = &i;
        payload.data_size = sizeof i;
        OK(axonic_client_call(client, "echo", &payload, 5 * AXONIC_SECOND, &result));
        CHECK(number(&result) == i && result.sample != NULL && result.topic_size == 0);
        OK(axonic_message_release(&result));
    }
    OK(axonic_client_call(client, "nothing", NULL, AXONIC_FOREVER, &result));
    CHECK(result.size == 0 && result.sample != NULL);
    OK(axonic_message_release(&result));

    /* What it means goes there and back. */
    const float numbers[6] = {1, 2, 3, 4, 5, 6};
    const size_t shape[2] = {2, 3};
    const axonic_attribute attributes[] = {{"traceparent", "00-1-2-01"}};
    axonic_payload payload = AXONIC_PAYLOAD_INIT;
    payload.data = numbers;
    payload.data_size = sizeof numbers;
    payload.content = AXONIC_CONTENT_TENSOR;
    payload.dtype = AXONIC_DTYPE_F32;
    payload.shape = shape;
    payload.ndim = 2;
    payload.attributes = attributes;
    payload.attribute_count = 1;
    OK(axonic_client_call(client, "echo", &payload, 5 * AXONIC_SECOND, &result));
    CHECK(result.content == AXONIC_CONTENT_TENSOR && result.dtype == AXONIC_DTYPE_F32 && result.ndim == 2);
    CHECK(result.shape[0] == 2 && result.shape[1] == 3 && memcmp(result.data, numbers, sizeof numbers) == 0);
    SAME(axonic_message_attribute(&result, "traceparent"), "00-1-2-01");
    OK(axonic_message_release(&result));
    OK(axonic_client_call(client, "trace", &payload, 5 * AXONIC_SECOND, &result));
    CHECK(is(&result, "00-1-2-01"));
    OK(axonic_message_release(&result));
    payload = text("{\"a\":1}");
    payload.content = AXONIC_CONTENT_JSON;
    OK(axonic_client_call(client, "echo", &payload, 5 * AXONIC_SECOND, &result));
    CHECK(result.content == AXONIC_CONTENT_JSON && is(&result, "{\"a\":1}"));
    OK(axonic_message_release(&result));
}

static void failures(const axonic_client *client) {
    axonic_message result;
    FAILS(AXONIC_ERROR_CALL_FAILED, "no order 7", axonic_client_call(client, "fail", NULL, AXONIC_SECOND, &result));
    axonic_status status = last(AXONIC_CODE_NOT_FOUND, "no_such_order");
    SAME(status.message, "no order 7");
    SAME(status.details, "{\"order\":7}");
    CHECK(status.retryable == 1 && strncmp(status.origin, "search@1.2.0", 12) == 0);
    ANSWERS(AXONIC_ERROR_UNAVAILABLE, axonic_client_call(client, "busy", NULL, AXONIC_SECOND, &result));
    CHECK(last(AXONIC_CODE_UNAVAILABLE, "").retryable == 1);
    ANSWERS(AXONIC_ERROR_CALL_FAILED, axonic_client_call(client, "fail", NULL, AXONIC_SECOND, &result));
    /* It stays beside the message, which may be asked for first. */
    CHECK(strstr(axonic_last_error_message(), "fail") != NULL);
    last(AXONIC_CODE_NOT_FOUND, "no_such_order");
    ANSWERS(AXONIC_ERROR_CALL_FAILED, axonic_client_call(client, "nonsense", NULL, AXONIC_SECOND, &result));
    status = last(AXONIC_CODE_UNIMPLEMENTED, "");
    CHECK(strstr(status.message, "count, echo") != NULL && status.retryable == 0);
    SAME(status.details, "");
    ANSWERS(AXONIC_ERROR_CALL_FAILED, axonic_client_call(client, "drop", NULL, AXONIC_SECOND, &result));
    last(AXONIC_CODE_INTERNAL, "");
    const unsigned three = 3;
    axonic_payload most = AXONIC_PAYLOAD_INIT;
    most.data = &three;
    most.data_size = sizeof three;
    ANSWERS(AXONIC_ERROR_CALL_FAILED, axonic_client_call(client, "count", &most, AXONIC_SECOND, &result));
    last(AXONIC_CODE_INVALID_ARGUMENT, "stream");
    ANSWERS(AXONIC_ERROR_TIMEOUT, axonic_client_call(client, "hang", NULL, 20 * AXONIC_MILLISECOND, &result));
    last(AXONIC_CODE_DEADLINE_EXCEEDED, "");
    ANSWERS(AXONIC_ERROR_WOULD_BLOCK, axonic_client_call(client, "hang", NULL, 0, &result));
    const struct {
        const char *payload;
        int answer, code;
        const char *reason, *message;
    } errors[] = {
        {"late", AXONIC_ERROR_TIMEOUT, AXONIC_CODE_DEADLINE_EXCEEDED, "Timeout", "no job came"},
        {"gone", AXONIC_ERROR_CANCELLED, AXONIC_CODE_CANCELLED, "Cancelled", "Cancelled"},
        {"other", AXONIC_ERROR_CALL_FAILED, AXONIC_CODE_ABORTED, "other", "of another call"},
        {"own", AXONIC_ERROR_CALL_FAILED, AXONIC_CODE_UNKNOWN, "no_stock", "no \xef\xbf\xbd apples"},
    };
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        axonic_payload payload = text(errors[i].payload);
        ANSWERS(errors[i].answer, axonic_client_call(client, "fail_by", &payload, 5 * AXONIC_SECOND, &result));
        SAME(last(errors[i].code, errors[i].reason).message, errors[i].message);
    }
    /* Another failure has none. */
    ANSWERS(AXONIC_ERROR_INVALID_NAME, axonic_client_call(client, "", NULL, AXONIC_SECOND, &result));
    CHECK(!axonic_last_status(&status));
    CHECK(!axonic_last_status(NULL));

    axonic_client *nobody = NULL;
    OK(axonic_client_open(domain, "search", "^9", NULL, &nobody));
    FAILS(AXONIC_ERROR_UNAVAILABLE, "there is 1.2.0", axonic_client_call(nobody, "echo", NULL, AXONIC_SECOND, &result));
    CHECK(last(AXONIC_CODE_UNAVAILABLE, "").retryable == 1);
    OK(axonic_client_close(nobody));
    OK(axonic_client_close(NULL));
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_client_open(domain, "search", "bad range", NULL, &nobody));
}

static void streams(const axonic_client *client) {
    axonic_call_options options = AXONIC_CALL_OPTIONS_INIT;
    axonic_call *call = NULL;
    axonic_message item;
    const unsigned many = 20000;
    axonic_payload payload = AXONIC_PAYLOAD_INIT;
    payload.data = &many;
    payload.data_size = sizeof many;
    options.stream = 1;
    options.timeout = 60 * AXONIC_SECOND;
    OK(axonic_client_start(client, "count", &payload, &options, &call));
    unsigned seen = 0;
    int code;
    while ((code = axonic_call_next(call, 5 * AXONIC_SECOND, &item)) == AXONIC_OK) {
        CHECK(number(&item) == seen++);
        OK(axonic_message_release(&item));
    }
    ANSWERS(AXONIC_ERROR_DISCONNECTED, code);
    CHECK(seen == many);
    OK(axonic_call_result(call, AXONIC_SECOND, &item));
    CHECK(is(&item, "counted"));
    OK(axonic_message_release(&item));
    FAILS(AXONIC_ERROR_CLOSED, "taken already", axonic_call_result(call, AXONIC_SECOND, &item));
    OK(axonic_call_close(call));
    OK(axonic_call_close(NULL));

    /* One result is one item, and a stream may have none. */
    payload = text("one");
    OK(axonic_client_start(client, "echo", &payload, &options, &call));
    OK(axonic_call_next(call, 5 * AXONIC_SECOND, &item));
    CHECK(is(&item, "one"));
    OK(axonic_message_release(&item));
    ANSWERS(AXONIC_ERROR_DISCONNECTED, axonic_call_next(call, 5 * AXONIC_SECOND, &item));
    OK(axonic_call_close(call));
    const unsigned none = 0;
    payload.data = &none;
    payload.data_size = sizeof none;
    OK(axonic_client_start(client, "count", &payload, &options, &call));
    ANSWERS(AXONIC_ERROR_DISCONNECTED, axonic_call_next(call, 5 * AXONIC_SECOND, &item));
    OK(axonic_call_close(call));

    /* The other way. */
    options.stream = 0;
    options.input = 1;
    OK(axonic_client_start(client, "sum", NULL, &options, &call));
    ANSWERS(AXONIC_ERROR_WOULD_BLOCK, axonic_call_result(call, 0, &item));
    ANSWERS(AXONIC_ERROR_WOULD_BLOCK, axonic_call_next(call, 0, &item));
    const char *note = NULL;
    CHECK(axonic_call_progress(call, &note) < 0);
    SAME(note, "");
    for (unsigned i = 0; i < 20000; i++) {
        payload.data = &i;
        payload.data_size = sizeof i;
        OK(axonic_call_send(call, &payload, 5 * AXONIC_SECOND));
    }
    FAILS(AXONIC_ERROR_TIMEOUT, "wait for it again", axonic_call_result(call, 20 * AXONIC_MILLISECOND, &item));
    axonic_status status = AXONIC_STATUS_INIT;
    CHECK(!axonic_last_status(&status)); /* the call goes on */
    CHECK(axonic_call_progress(call, &note) == 0.5 && axonic_call_progress(call, NULL) == 0.5);
    CHECK(axonic_call_progress(call, &note) == 0.5);
    SAME(note, "summing");
    OK(axonic_call_finish_input(call));
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_call_send(call, &payload, AXONIC_SECOND));
    OK(axonic_call_result(call, 5 * AXONIC_SECOND, &item));
    CHECK(number(&item) == 20000u * 19999u / 2);
    OK(axonic_message_release(&item));
    OK(axonic_call_close(call));

    /* Given up in the middle: whoever streams is told. */
    options.stream = 1;
    options.input = 0;
    const unsigned endless = 1u << 31;
    payload.data = &endless;
    OK(axonic_client_start(client, "count", &payload, &options, &call));
    OK(axonic_call_next(call, 5 * AXONIC_SECOND, &item));
    OK(axonic_message_release(&item));
    OK(axonic_call_close(call));
}

static bool readable(int fd, int milliseconds) {
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    return poll(&ready, 1, milliseconds) == 1;
}

enum { CALLS = 50 };

static axonic_service *mine;

/* Answers so many calls by the service's descriptor. */
static void *serve_loop(void *most) {
    int fd = -1;
    axonic_request request;
    OK(axonic_service_fd(mine, &fd));
    for (int served = 0; served < *(const int *)most;) {
        CHECK(readable(fd, 5000));
        while (axonic_service_next(mine, 0, &request) == AXONIC_OK) {
            CHECK(request.caller.pid == -1 || request.caller.pid == getpid());
            echo(&request);
            served++;
        }
    }
    return NULL;
}

/* Takes results by the client's descriptor, a few at a time. */
static void take_results(const axonic_client *client, int fd, axonic_call **calls, const uint64_t *ids) {
    uint64_t news[7];
    for (unsigned left = CALLS; left > 0;) {
        size_t fresh = 0;
        OK(axonic_client_take_news(client, news, 7, &fresh));
        CHECK(fresh > 0 || readable(fd, 5000));
        for (size_t at = 0; at < fresh; at++) {
            unsigned i = 0;
            while (i < CALLS && ids[i] != news[at]) {
                i++;
            }
            CHECK(i < CALLS && calls[i] != NULL);
            axonic_message result;
            OK(axonic_call_result(calls[i], 0, &result));
            CHECK(number(&result) == i);
            OK(axonic_message_release(&result));
            OK(axonic_call_close(calls[i]));
            calls[i] = NULL;
            left--;
        }
    }
}

/* Both sides by their descriptors. */
static void event_loop(void) {
    axonic_client *client = NULL;
    axonic_service_options options = AXONIC_SERVICE_OPTIONS_INIT;
    options.wait = 8;
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_service_open(domain, "loop", "1.0.0", &options, &mine));
    options.wait = AXONIC_WAIT_ADAPTIVE;
    options.concurrency = 2;
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_service_open(domain, "loop", "one", &options, &mine));
    OK(axonic_service_open(domain, "loop", "1.0.0", &options, &mine));
    OK(axonic_client_open(domain, "loop", "^1", NULL, &client));
    axonic_request request;
    FAILS(AXONIC_ERROR_WOULD_BLOCK, "service 'loop': no call is there now", axonic_service_next(mine, 0, &request));
    FAILS(AXONIC_ERROR_TIMEOUT, "loop", axonic_service_next(mine, AXONIC_MILLISECOND, &request));
    int most = CALLS, news_fd = -1;
    OK(axonic_client_fd(client, &news_fd));
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, serve_loop, &most) == 0);
    axonic_call *calls[CALLS];
    uint64_t ids[CALLS], news[7];
    for (unsigned i = 0; i < CALLS; i++) {
        axonic_payload payload = AXONIC_PAYLOAD_INIT;
        payload.data = &i;
        payload.data_size = sizeof i;
        OK(axonic_client_start(client, "echo", &payload, NULL, &calls[i]));
        ids[i] = axonic_call_id(calls[i]);
        CHECK(i == 0 || ids[i] != ids[i - 1]);
    }
    take_results(client, news_fd, calls, ids);
    CHECK(pthread_join(thread, NULL) == 0);
    size_t fresh = 1;
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_client_take_news(client, NULL, 7, &fresh));
    OK(axonic_client_take_news(client, news, 7, &fresh));
    CHECK(fresh == 0 && !readable(news_fd, 0));

    /* A service that ends fails what is not answered; the request is still to be released. */
    axonic_call *call = NULL;
    axonic_message result;
    OK(axonic_client_start(client, "echo", NULL, NULL, &call));
    OK(axonic_service_next(mine, AXONIC_SECOND, &request));
    OK(axonic_service_close(mine));
    OK(axonic_service_close(NULL));
    ANSWERS(AXONIC_ERROR_UNAVAILABLE, axonic_call_result(call, 5 * AXONIC_SECOND, &result));
    SAME(request.method, "echo");
    OK(axonic_request_release(&request));
    OK(axonic_request_release(NULL));
    OK(axonic_call_close(call));
    OK(axonic_client_close(client));
}

enum told { GIVEN_UP, NEWS };

/* The calls that the service tells of, one at a time; how many. */
static size_t all_of(enum told what, uint64_t *ids, size_t most) {
    size_t all = 0, fresh = 1;
    while (fresh > 0 && all < most) {
        if (what == GIVEN_UP) {
            OK(axonic_service_take_given_up(mine, &ids[all], 1, &fresh));
        } else {
            OK(axonic_service_take_news(mine, &ids[all], 1, &fresh));
        }
        all += fresh;
    }
    return all;
}

/* The handler of a service in an event loop hears that nobody waits any more. */
static void given_up(const axonic_client *client) {
    axonic_call *calls[3];
    axonic_request requests[3];
    uint64_t ids[4];
    for (int i = 0; i < 3; i++) {
        OK(axonic_client_try_start(client, "hang", NULL, NULL, &calls[i]));
        OK(axonic_service_next(mine, 5 * AXONIC_SECOND, &requests[i]));
    }
    CHECK(all_of(GIVEN_UP, ids, 4) == 0);
    OK(axonic_call_close(calls[0]));
    OK(axonic_call_close(calls[2]));
    axonic_request none;
    for (size_t told = 0; told < 2;) {
        ANSWERS(AXONIC_ERROR_WOULD_BLOCK, axonic_service_next(mine, 0, &none));
        const size_t fresh = all_of(GIVEN_UP, &ids[told], 4 - told);
        told += fresh;
        CHECK(told <= 2);
        if (fresh == 0) {
            usleep(1000);
        }
    }
    CHECK((ids[0] == requests[0].id && ids[1] == requests[2].id) ||
          (ids[0] == requests[2].id && ids[1] == requests[0].id));
    CHECK(axonic_request_is_cancelled(&requests[0]) && !axonic_request_is_cancelled(&requests[1]));
    for (int i = 0; i < 3; i++) {
        OK(axonic_request_release(&requests[i]));
    }
    OK(axonic_call_close(calls[1]));
}

/* Streams in event loops: each side tries, and is told when it is worth trying again. */
static void streams_without_waiting(const axonic_client *client) {
    static const char block[64 * 1024];
    axonic_call_options options = AXONIC_CALL_OPTIONS_INIT;
    options.input = 1;
    axonic_payload item = AXONIC_PAYLOAD_INIT;
    item.data = block;
    item.data_size = sizeof block;
    axonic_call *call = NULL;
    axonic_request request;
    uint64_t ids[2];
    OK(axonic_client_try_start(client, "sum", NULL, &options, &call));
    OK(axonic_service_next(mine, 5 * AXONIC_SECOND, &request));
    CHECK(all_of(NEWS, ids, 2) == 0);
    axonic_message got;
    ANSWERS(AXONIC_ERROR_WOULD_BLOCK, axonic_request_next(&request, 0, &got));
    int code, sent = 0, taken = 0, told = 0;
    while ((code = axonic_call_send(call, &item, 0)) == AXONIC_OK) {
        sent++;
        CHECK(sent < 1000);
    }
    ANSWERS(AXONIC_ERROR_WOULD_BLOCK, code);
    CHECK(strstr(axonic_last_error_message(), "call of sum: its service takes nothing now") != NULL);
    CHECK(sent > 1);
    OK(axonic_call_finish_input(call));
    while (taken <= sent) {
        axonic_request none;
        code = axonic_client_flush(client);
        CHECK(code == AXONIC_OK || code == AXONIC_ERROR_WOULD_BLOCK);
        ANSWERS(AXONIC_ERROR_WOULD_BLOCK, axonic_service_next(mine, 0, &none));
        const size_t fresh = all_of(NEWS, ids, 2);
        CHECK(fresh == 0 || (fresh == 1 && ids[0] == request.id));
        told += fresh > 0;
        while ((code = axonic_request_next(&request, 0, &got)) == AXONIC_OK) {
            CHECK(got.size == sizeof block);
            OK(axonic_message_release(&got));
            taken++;
        }
        if (code == AXONIC_ERROR_DISCONNECTED) {
            break;
        }
        ANSWERS(AXONIC_ERROR_WOULD_BLOCK, code);
    }
    CHECK(taken == sent && told > 0);
    OK(axonic_client_flush(client));
    OK(axonic_request_release(&request));
    OK(axonic_call_close(call));
}

static void without_waiting(void) {
    axonic_client *client = NULL;
    axonic_call *call = NULL;
    int fd = -1;
    OK(axonic_client_open(domain, "prompt", "^1", NULL, &client));
    ANSWERS(AXONIC_ERROR_WOULD_BLOCK, axonic_client_try_start(client, "echo", NULL, NULL, &call));
    ANSWERS(AXONIC_ERROR_UNAVAILABLE, axonic_client_connect(client, AXONIC_SECOND));
    OK(axonic_service_open(domain, "prompt", "1.0.0", NULL, &mine));
    OK(axonic_service_fd(mine, &fd));
    FAILS(AXONIC_ERROR_WOULD_BLOCK, "client of 'prompt': it is not connected",
          axonic_client_try_start(client, "echo", NULL, NULL, &call));
    CHECK(call == NULL);
    pthread_t thread;
    int most = 1;
    CHECK(pthread_create(&thread, NULL, serve_loop, &most) == 0);
    OK(axonic_client_connect(client, 5 * AXONIC_SECOND));
    OK(axonic_client_try_start(client, "echo", NULL, NULL, &call));
    axonic_message result;
    OK(axonic_call_result(call, 5 * AXONIC_SECOND, &result));
    OK(axonic_message_release(&result));
    OK(axonic_call_close(call));
    CHECK(pthread_join(thread, NULL) == 0);
    given_up(client);
    streams_without_waiting(client);
    OK(axonic_service_close(mine));
    OK(axonic_client_close(client));
}

static void at_an_address(void) {
    const char *there = NULL;
    OK(axonic_service_listen(service, "shm://rpc/elsewhere", &there));
    SAME(there, "shm://rpc/elsewhere");
    ANSWERS(AXONIC_ERROR_INVALID_ARGUMENT, axonic_service_listen(service, "nowhere", NULL));
    axonic_client_options options = AXONIC_CLIENT_OPTIONS_INIT;
    options.address = there;
    axonic_client *client = NULL;
    OK(axonic_client_open(domain, "search", "^1", &options, &client));
    axonic_payload payload = text("far");
    axonic_message result;
    OK(axonic_client_call(client, "echo", &payload, 5 * AXONIC_SECOND, &result));
    CHECK(is(&result, "far"));
    OK(axonic_message_release(&result));
    OK(axonic_client_close(client));
}

int main(void) {
    check_start();
    OK(axonic_domain_open("rpc", NULL, &domain));
    OK(axonic_service_open(domain, "search", "1.2.0", NULL, &service));
    axonic_client *client = NULL;
    OK(axonic_client_open(domain, "search", "^1.2", NULL, &client));
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        CHECK(pthread_create(&threads[i], NULL, serve, NULL) == 0);
    }
    results(client);
    failures(client);
    streams(client);
    at_an_address();
    event_loop();
    without_waiting();
    OK(axonic_service_shutdown(service));
    for (int i = 0; i < 2; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    axonic_message result;
    ANSWERS(AXONIC_ERROR_UNAVAILABLE, axonic_client_call(client, "echo", NULL, AXONIC_SECOND, &result));
    OK(axonic_service_close(service));
    OK(axonic_client_close(client));
    OK(axonic_domain_close(domain));
    return 0;
}
