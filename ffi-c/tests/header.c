/* The header alone: constants, initial values, names and versions. */
#define _GNU_SOURCE
#include "check.h"

/* Offsets are the ABI: a field that moves breaks programs that are compiled already. */
_Static_assert(sizeof(axonic_domain_options) == 64, "domain options");
_Static_assert(sizeof(axonic_publisher_options) == 48, "publisher options");
_Static_assert(offsetof(axonic_publisher_options, schema) == 40, "publisher_options.schema");
_Static_assert(sizeof(axonic_subscriber_options) == 32, "subscriber options");
_Static_assert(offsetof(axonic_subscriber_options, schema) == 24, "subscriber_options.schema");
_Static_assert(sizeof(axonic_region_options) == 24, "region options");
_Static_assert(sizeof(axonic_ring_options) == 24, "ring options");
_Static_assert(sizeof(axonic_payload) == 64, "payload");
_Static_assert(offsetof(axonic_payload, shape) == 32, "payload.shape");
_Static_assert(sizeof(axonic_message) == 192, "message");
_Static_assert(offsetof(axonic_message, data) == 16, "message.data");
_Static_assert(offsetof(axonic_message, shape) == 48, "message.shape");
_Static_assert(offsetof(axonic_message, missed) == 112, "message.missed");
_Static_assert(offsetof(axonic_message, sample) == 152, "message.sample");
_Static_assert(sizeof(axonic_loan) == 24, "loan");
_Static_assert(sizeof(axonic_publisher_stats) == 96, "publisher stats");
_Static_assert(sizeof(axonic_subscriber_stats) == 64, "subscriber stats");
_Static_assert(sizeof(axonic_ring_stats) == 64, "ring stats");
_Static_assert(sizeof(axonic_participant) == 8, "participant");
_Static_assert(sizeof(axonic_queue_options) == 72, "queue options");
_Static_assert(offsetof(axonic_queue_options, max_attempts) == 24, "queue_options.max_attempts");
_Static_assert(offsetof(axonic_queue_options, dedup_within) == 48, "queue_options.dedup_within");
_Static_assert(offsetof(axonic_queue_options, schema) == 56, "queue_options.schema");
_Static_assert(sizeof(axonic_put_options) == 48, "put options");
_Static_assert(offsetof(axonic_put_options, ttl) == 24, "put_options.ttl");
_Static_assert(offsetof(axonic_put_options, durable) == 40, "put_options.durable");
_Static_assert(sizeof(axonic_get_options) == 24, "get options");
_Static_assert(sizeof(axonic_lock_options) == 16, "lock options");
_Static_assert(sizeof(axonic_receipt) == 32, "receipt");
_Static_assert(sizeof(axonic_delivery) == 232, "delivery");
_Static_assert(offsetof(axonic_delivery, token) == 200, "delivery.token");
_Static_assert(offsetof(axonic_delivery, held) == 208, "delivery.held");
_Static_assert(sizeof(axonic_peeked) == 232, "peeked");
_Static_assert(offsetof(axonic_peeked, reason_text) == 208, "peeked.reason_text");
_Static_assert(sizeof(axonic_queue_stats) == 144, "queue stats");

static void initial_values(void) {
    axonic_domain_options domain = AXONIC_DOMAIN_OPTIONS_INIT;
    CHECK(domain.size == sizeof domain && domain.runtime_dir == NULL && domain.label == NULL);
    CHECK(domain.group == -1 && domain.mode == 0 && domain.max_participants == 0 && domain.data_dir == NULL);
    axonic_publisher_options publisher = AXONIC_PUBLISHER_OPTIONS_INIT;
    CHECK(publisher.size == sizeof publisher && publisher.overflow == AXONIC_OVERFLOW_DROP_OLDEST);
    CHECK(publisher.wait == AXONIC_WAIT_ADAPTIVE && publisher.capacity == 0 && publisher.max_bytes == 0);
    CHECK(publisher.retain == 0 && publisher.reserved == 0 && publisher.schema == NULL);
    axonic_subscriber_options subscriber = AXONIC_SUBSCRIBER_OPTIONS_INIT;
    CHECK(subscriber.size == sizeof subscriber && subscriber.start == AXONIC_START_LATEST);
    CHECK(subscriber.wait == AXONIC_WAIT_ADAPTIVE && subscriber.max_borrowed == 0);
    CHECK(subscriber.schema == NULL);
    axonic_region_options region = AXONIC_REGION_OPTIONS_INIT;
    CHECK(region.size == sizeof region && region.bytes == 0 && region.reserved == 0);
    CHECK(region.create == AXONIC_CREATE_OPEN_OR_CREATE);
    axonic_ring_options ring = AXONIC_RING_OPTIONS_INIT;
    CHECK(ring.size == sizeof ring && ring.capacity == 0 && ring.wait == AXONIC_WAIT_ADAPTIVE);
    CHECK(ring.reserved == 0);
    axonic_queue_options queue = AXONIC_QUEUE_OPTIONS_INIT;
    CHECK(queue.size == sizeof queue && queue.capacity == 0 && queue.max_bytes == 0);
    CHECK(queue.max_attempts == 0 && queue.wait == AXONIC_WAIT_ADAPTIVE && queue.reserved == 0);
    CHECK(queue.durable == AXONIC_FSYNC_NONE && queue.fsync_interval == 0);
    CHECK(queue.dedup_count == 0 && queue.dedup_within == 0 && queue.schema == NULL);
    axonic_put_options put = AXONIC_PUT_OPTIONS_INIT;
    CHECK(put.size == sizeof put && put.priority == 0 && put.result == 0 && put.delay == 0 && put.ttl == 0);
    CHECK(put.dedup_id == NULL && put.durable == 0 && put.reserved == 0);
    axonic_get_options get = AXONIC_GET_OPTIONS_INIT;
    CHECK(get.size == sizeof get && get.lease == 0 && get.durable == 0 && get.reserved == 0);
    axonic_lock_options lock = AXONIC_LOCK_OPTIONS_INIT;
    CHECK(lock.size == sizeof lock && lock.wait == AXONIC_WAIT_ADAPTIVE && lock.reserved == 0);
    CHECK(AXONIC_RESET_MANUAL == 0 && AXONIC_RESET_AUTO == 1 && AXONIC_NOUN_LOCK == 5);
    axonic_channel_options channel = AXONIC_CHANNEL_OPTIONS_INIT;
    CHECK(channel.size == sizeof channel && channel.max_message == 0 && channel.wait == AXONIC_WAIT_ADAPTIVE);
    CHECK(channel.reconnect == 0);
    axonic_service_options service = AXONIC_SERVICE_OPTIONS_INIT;
    CHECK(service.size == sizeof service && service.concurrency == 0 && service.max_message == 0);
    CHECK(service.wait == AXONIC_WAIT_ADAPTIVE && service.reserved == 0);
    axonic_client_options client = AXONIC_CLIENT_OPTIONS_INIT;
    CHECK(client.size == sizeof client && client.address == NULL && client.max_message == 0);
    CHECK(client.wait == AXONIC_WAIT_ADAPTIVE && client.reserved == 0);
    axonic_call_options call = AXONIC_CALL_OPTIONS_INIT;
    CHECK(call.size == sizeof call && call.timeout == AXONIC_FOREVER && call.input == 0 && call.stream == 0);
    axonic_status status = AXONIC_STATUS_INIT;
    CHECK(status.size == sizeof status && status.code == AXONIC_CODE_UNKNOWN && status.retryable == -1);
    CHECK(status.reason == NULL && status.message == NULL && status.details == NULL && status.origin == NULL);
    axonic_payload payload = AXONIC_PAYLOAD_INIT;
    CHECK(payload.size == sizeof payload && payload.data == NULL && payload.data_size == 0);
    CHECK(payload.content == AXONIC_CONTENT_RAW && payload.dtype == AXONIC_DTYPE_NONE);
    CHECK(payload.shape == NULL && payload.ndim == 0);
    CHECK(payload.attributes == NULL && payload.attribute_count == 0);
}

static void times_and_versions(void) {
    CHECK(AXONIC_FOREVER < 0);
    CHECK(AXONIC_MICROSECOND == 1000 && AXONIC_MILLISECOND == 1000 * AXONIC_MICROSECOND);
    CHECK(AXONIC_SECOND == 1000 * AXONIC_MILLISECOND && sizeof(AXONIC_SECOND) == 8);
    CHECK(AXONIC_MAX_DIMENSIONS == 8);
    char version[32];
    snprintf(version, sizeof version, "%d.%d.%d", AXONIC_VERSION_MAJOR, AXONIC_VERSION_MINOR, AXONIC_VERSION_PATCH);
    SAME(axonic_version(), version);
    CHECK(axonic_layout_version() >= 1);
}

static void names(void) {
    SAME(axonic_error_name(AXONIC_OK), "Ok");
    SAME(axonic_error_name(AXONIC_ERROR_INVALID_ARGUMENT), "InvalidArgument");
    SAME(axonic_error_name(AXONIC_ERROR_TIMEOUT), "Timeout");
    SAME(axonic_error_name(AXONIC_ERROR_IO), "Io");
    SAME(axonic_error_name(AXONIC_ERROR_REJECTED), "Rejected");
    SAME(axonic_error_name(AXONIC_ERROR_CALL_FAILED), "CallFailed");
    CHECK(axonic_error_name(AXONIC_ERROR_CALL_FAILED - 1) == NULL);
    CHECK(axonic_error_name(6) == NULL);
    int known = 0;
    while (axonic_error_name(-known - 1) != NULL) {
        known++;
    }
    CHECK(known == -AXONIC_ERROR_CALL_FAILED);

    SAME(axonic_code_name(AXONIC_CODE_CANCELLED), "CANCELLED");
    SAME(axonic_code_name(AXONIC_CODE_DEADLINE_EXCEEDED), "DEADLINE_EXCEEDED");
    SAME(axonic_code_name(AXONIC_CODE_UNAUTHENTICATED), "UNAUTHENTICATED");
    CHECK(axonic_code_name(0) == NULL && axonic_code_name(AXONIC_CODE_UNAUTHENTICATED + 1) == NULL);
    axonic_status none = AXONIC_STATUS_INIT;
    CHECK(!axonic_last_status(&none));

    SAME(axonic_dtype_name(AXONIC_DTYPE_F32), "float32");
    SAME(axonic_dtype_name(AXONIC_DTYPE_BF16), "bfloat16");
    SAME(axonic_dtype_name(AXONIC_DTYPE_C128), "complex128");
    CHECK(axonic_dtype_name(AXONIC_DTYPE_NONE) == NULL && axonic_dtype_name(16) == NULL);
    const size_t sizes[] = {0, 1, 1, 1, 2, 2, 4, 4, 8, 8, 2, 2, 4, 8, 8, 16, 0};
    for (int dtype = 0; dtype <= 16; dtype++) {
        CHECK(axonic_dtype_size(dtype) == sizes[dtype]);
        CHECK((axonic_dtype_name(dtype) != NULL) == (sizes[dtype] != 0));
    }
}

int main(void) {
    check_start();
    SAME(axonic_last_error_message(), "");
    initial_values();
    times_and_versions();
    names();
    SAME(axonic_last_error_message(), "");
    return 0;
}
