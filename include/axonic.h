/*
 * Axonic: local communication between processes through shared memory.
 * Generated from ffi-c/src by cbindgen (`cargo xtask codegen`); change it there.
 *
 * Rules for every function
 *
 * - Answers. A function returns AXONIC_OK (0) or a negative axonic_error_kind, and then
 *   axonic_last_error_message() of the same thread says what happened and what to do. Functions that
 *   return what they found say what they return on failure. Results come last among the parameters
 *   and are written only on success.
 * - Handles are opaque. axonic_<noun>_close(NULL) is a no-op; handles may be closed in any order; a
 *   handle must not be used after it was closed. (The library tries to answer that mistake, and a
 *   pointer of another noun, with AXONIC_ERROR_CLOSED or AXONIC_ERROR_INVALID_ARGUMENT. That helps
 *   debugging and is no promise.)
 * - Threads. Functions that take `const T *` may be called on one handle from several threads at
 *   once. A function that takes `T *` must be the only one on that handle while it runs. Handles are
 *   independent of each other, may move between threads, and no thread is ever started. A thread must not
 *   be cancelled (pthread_cancel) while it is inside.
 * - Timeouts are nanoseconds. Negative (AXONIC_FOREVER): for ever. Positive: AXONIC_ERROR_TIMEOUT
 *   afterwards. 0: try once, AXONIC_ERROR_WOULD_BLOCK if it would have to wait. Signal handlers do
 *   not end a wait, except that axonic_waitset_wait() then comes back with no token.
 * - Strings are UTF-8 and end with a NUL. Those the library returns belong to it; each function says
 *   how long they are valid, otherwise until their handle is closed.
 * - Data is a pointer and a number of bytes; the pointer may be NULL when the number is 0.
 * - Options begin with their own size, so that they can grow: start with AXONIC_<X>_OPTIONS_INIT and
 *   change what matters. NULL means the defaults. Fields that take one of an enum's values are int32_t.
 * - After fork() the child may use the parent's handles: they reopen themselves at their first use.
 *   Loans, borrowed messages, listeners, channels, calls and requests answer AXONIC_ERROR_FORKED there,
 *   and so does unlocking what the parent has locked.
 */

#ifndef AXONIC_H
#define AXONIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if !defined(__linux__) || !(defined(__x86_64__) || defined(__aarch64__)) || !defined(__LP64__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "axonic runs on 64-bit little-endian Linux (x86-64, aarch64) only"
#endif

/* A timeout that never ends, and time units to write the others with: 5 * AXONIC_SECOND. */
#define AXONIC_FOREVER ((int64_t)-1)
#define AXONIC_MICROSECOND ((int64_t)1000)
#define AXONIC_MILLISECOND ((int64_t)1000000)
#define AXONIC_SECOND ((int64_t)1000000000)

/* Initial values, for C and C++: axonic_publisher_options options = AXONIC_PUBLISHER_OPTIONS_INIT; */
#define AXONIC_DOMAIN_OPTIONS_INIT { sizeof(axonic_domain_options), NULL, NULL, -1, 0, 0, 0, 0, NULL }
#define AXONIC_PUBLISHER_OPTIONS_INIT { sizeof(axonic_publisher_options), 0, 0, 0, 0, 0, 0, NULL }
#define AXONIC_SUBSCRIBER_OPTIONS_INIT { sizeof(axonic_subscriber_options), 0, 0, 0, NULL }
#define AXONIC_REGION_OPTIONS_INIT { sizeof(axonic_region_options), 0, 0, 0 }
#define AXONIC_RING_OPTIONS_INIT { sizeof(axonic_ring_options), 0, 0, 0 }
#define AXONIC_QUEUE_OPTIONS_INIT { sizeof(axonic_queue_options), 0, 0, 0, 0, 0, 0, 0, NULL, 0, 0 }
#define AXONIC_PUT_OPTIONS_INIT { sizeof(axonic_put_options), 0, 0, 0, 0, NULL, 0, 0 }
#define AXONIC_GET_OPTIONS_INIT { sizeof(axonic_get_options), 0, 0, 0 }
#define AXONIC_LOCK_OPTIONS_INIT { sizeof(axonic_lock_options), 0, 0 }
#define AXONIC_CHANNEL_OPTIONS_INIT { sizeof(axonic_channel_options), 0, 0, 0 }
#define AXONIC_SERVICE_OPTIONS_INIT { sizeof(axonic_service_options), 0, 0, 0, 0 }
#define AXONIC_CLIENT_OPTIONS_INIT { sizeof(axonic_client_options), NULL, 0, 0, 0 }
#define AXONIC_CALL_OPTIONS_INIT { sizeof(axonic_call_options), AXONIC_FOREVER, 0, 0 }
#define AXONIC_STATUS_INIT { sizeof(axonic_status), AXONIC_CODE_UNKNOWN, -1, NULL, NULL, NULL, NULL, { 0, 0 } }
#define AXONIC_PAYLOAD_INIT { sizeof(axonic_payload), NULL, 0, 0, 0, NULL, 0, NULL, 0 }

#define AXONIC_VERSION_MAJOR 0

#define AXONIC_VERSION_MINOR 1

#define AXONIC_VERSION_PATCH 0

/// The most dimensions a tensor has.
#define AXONIC_MAX_DIMENSIONS 8

/// What a function returns: AXONIC_OK or the negative number of what went wrong. Numbers are never
/// reused; later versions may add some.
typedef enum axonic_error_kind {
    AXONIC_OK = 0,
    /// An argument makes no sense; also NULL where data or a place for a result is needed.
    AXONIC_ERROR_INVALID_ARGUMENT = -1,
    /// A name or pattern is not made of tokens joined by '.'.
    AXONIC_ERROR_INVALID_NAME = -2,
    AXONIC_ERROR_NOT_FOUND = -3,
    AXONIC_ERROR_ALREADY_EXISTS = -4,
    AXONIC_ERROR_PERMISSION_DENIED = -5,
    /// The timeout passed.
    AXONIC_ERROR_TIMEOUT = -6,
    /// The timeout was 0 and it would have had to wait.
    AXONIC_ERROR_WOULD_BLOCK = -7,
    /// The handle or its domain is closed, or the handle is NULL.
    AXONIC_ERROR_CLOSED = -8,
    /// The other side ended.
    AXONIC_ERROR_DISCONNECTED = -9,
    /// Larger than an option allows; the message names it.
    AXONIC_ERROR_TOO_LARGE = -10,
    /// A publisher with AXONIC_OVERFLOW_REJECT found no room.
    AXONIC_ERROR_FULL = -11,
    /// A table or quota is used up; the message names it.
    AXONIC_ERROR_LIMIT_REACHED = -12,
    /// The filesystem of the runtime directory is full.
    AXONIC_ERROR_NO_SPACE = -13,
    /// The domain was made by an incompatible version.
    AXONIC_ERROR_LAYOUT_MISMATCH = -14,
    /// Shared memory holds what no version writes.
    AXONIC_ERROR_CORRUPT = -15,
    /// A loan or borrowed message was carried across fork().
    AXONIC_ERROR_FORKED = -16,
    /// Somebody else holds it.
    AXONIC_ERROR_BUSY = -17,
    /// Still referred to from this process.
    AXONIC_ERROR_IN_USE = -18,
    AXONIC_ERROR_INTERRUPTED = -19,
    AXONIC_ERROR_UNSUPPORTED = -20,
    /// The bytes are not what the content type says, or do not satisfy the schema.
    AXONIC_ERROR_DECODE = -21,
    /// Any other failure of the operating system, and errors inside the library.
    AXONIC_ERROR_IO = -22,
    /// The lease of a delivery ran out: its message is somebody else's now.
    AXONIC_ERROR_LEASE_LOST = -23,
    /// A message whose result was waited for is a dead letter.
    AXONIC_ERROR_REJECTED = -24,
    /// What was put is in the queue, or what was acknowledged done with, and that is not known to be on the disk. Do
    /// not do it again.
    AXONIC_ERROR_NOT_DURABLE = -25,
    /// Nobody provides the service, or who did is gone; axonic_last_status() tells more.
    AXONIC_ERROR_UNAVAILABLE = -26,
    /// The caller gave the call up.
    AXONIC_ERROR_CANCELLED = -27,
    /// The service says that the call failed; axonic_last_status() tells why.
    AXONIC_ERROR_CALL_FAILED = -28,
} axonic_error_kind;

/// How much it matters.
typedef enum axonic_log_level {
    /// The ordinary course: what was opened and closed, who met whom.
    AXONIC_LOG_DEBUG = 1,
    /// What one may want to know: somebody died, leftovers were removed.
    AXONIC_LOG_INFO = 2,
    /// Something was lost or could not be done.
    AXONIC_LOG_WARN = 3,
} axonic_log_level;

/// What axonic_domain_unlink() removes.
typedef enum axonic_noun {
    AXONIC_NOUN_TOPIC = 1,
    AXONIC_NOUN_REGION = 2,
    AXONIC_NOUN_RING = 3,
    AXONIC_NOUN_QUEUE = 4,
    /// A lock of any type.
    AXONIC_NOUN_LOCK = 5,
} axonic_noun;

/// How a handle waits, in option structs.
typedef enum axonic_wait {
    /// Spin briefly, then sleep.
    AXONIC_WAIT_ADAPTIVE = 0,
    /// Never sleep: the lowest latency for a whole core.
    AXONIC_WAIT_SPIN = 1,
    /// Sleep at once.
    AXONIC_WAIT_BLOCK = 2,
} axonic_wait;

/// What the bytes of a message are.
typedef enum axonic_content {
    AXONIC_CONTENT_RAW = 0,
    AXONIC_CONTENT_JSON = 1,
    AXONIC_CONTENT_MESSAGEPACK = 2,
    /// An array of `dtype` elements with a `shape`, row-major.
    AXONIC_CONTENT_TENSOR = 3,
} axonic_content;

/// The element type of a tensor.
typedef enum axonic_dtype {
    /// No tensor.
    AXONIC_DTYPE_NONE = 0,
    AXONIC_DTYPE_BOOL = 1,
    AXONIC_DTYPE_I8 = 2,
    AXONIC_DTYPE_U8 = 3,
    AXONIC_DTYPE_I16 = 4,
    AXONIC_DTYPE_U16 = 5,
    AXONIC_DTYPE_I32 = 6,
    AXONIC_DTYPE_U32 = 7,
    AXONIC_DTYPE_I64 = 8,
    AXONIC_DTYPE_U64 = 9,
    AXONIC_DTYPE_F16 = 10,
    AXONIC_DTYPE_BF16 = 11,
    AXONIC_DTYPE_F32 = 12,
    AXONIC_DTYPE_F64 = 13,
    AXONIC_DTYPE_C64 = 14,
    AXONIC_DTYPE_C128 = 15,
} axonic_dtype;

/// What a publisher does when a subscriber has not read what it would overwrite.
typedef enum axonic_overflow {
    /// Overwrite the oldest; the next message received says how many were missed.
    AXONIC_OVERFLOW_DROP_OLDEST = 0,
    /// Wait for the slowest subscriber.
    AXONIC_OVERFLOW_BLOCK = 1,
    /// Refuse with AXONIC_ERROR_FULL.
    AXONIC_OVERFLOW_REJECT = 2,
} axonic_overflow;

/// Where a subscriber begins with publishers that were there before it.
typedef enum axonic_start {
    /// With the next message.
    AXONIC_START_LATEST = 0,
    /// With the oldest message that is still there.
    AXONIC_START_OLDEST = 1,
} axonic_start;

/// Whether opening may create.
typedef enum axonic_create {
    AXONIC_CREATE_OPEN_OR_CREATE = 0,
    /// AXONIC_ERROR_ALREADY_EXISTS if it does.
    AXONIC_CREATE_NEW = 1,
    /// AXONIC_ERROR_NOT_FOUND if it does not exist.
    AXONIC_CREATE_OPEN = 2,
} axonic_create;

/// Why a message is a dead letter.
typedef enum axonic_reason {
    /// It is not dead.
    AXONIC_REASON_NONE = 0,
    /// A consumer rejected it.
    AXONIC_REASON_REJECTED = 1,
    /// It was delivered as often as the queue allows.
    AXONIC_REASON_ATTEMPTS = 2,
    /// It was too late for it.
    AXONIC_REASON_EXPIRED = 3,
} axonic_reason;

/// Whether what is in a queue survives a reboot, and when it is known to be on the disk.
typedef enum axonic_fsync {
    /// It does not survive: the queue is in memory only.
    AXONIC_FSYNC_NONE = 0,
    /// Before a put or an acknowledgement returns; what is under way at the same time shares one sync.
    AXONIC_FSYNC_ALWAYS = 1,
    /// Every `fsync_interval`, as long as somebody uses the queue, by the call that comes when it is due; and when the
    /// last one closes it.
    AXONIC_FSYNC_INTERVAL = 2,
    /// When the system writes it, and when the last one closes it.
    AXONIC_FSYNC_NEVER = 3,
} axonic_fsync;

/// How an event is cleared.
typedef enum axonic_reset {
    /// By axonic_event_clear(); until then everybody passes.
    AXONIC_RESET_MANUAL = 0,
    /// By the first one that waited for it, and only that one passes.
    AXONIC_RESET_AUTO = 1,
} axonic_reset;

/// What went wrong with a call: gRPC's codes, by their numbers and names.
typedef enum axonic_code {
    /// The caller gave it up.
    AXONIC_CODE_CANCELLED = 1,
    /// Something that fits no other code.
    AXONIC_CODE_UNKNOWN = 2,
    /// The arguments are wrong, whatever the state of the service.
    AXONIC_CODE_INVALID_ARGUMENT = 3,
    /// It took longer than the caller gave it.
    AXONIC_CODE_DEADLINE_EXCEEDED = 4,
    /// What was asked for does not exist.
    AXONIC_CODE_NOT_FOUND = 5,
    /// What should be made exists.
    AXONIC_CODE_ALREADY_EXISTS = 6,
    /// The caller may not do that.
    AXONIC_CODE_PERMISSION_DENIED = 7,
    /// A quota is used up, or a queue is full.
    AXONIC_CODE_RESOURCE_EXHAUSTED = 8,
    /// The service is not in a state to do that; trying again as it is does not help.
    AXONIC_CODE_FAILED_PRECONDITION = 9,
    /// Somebody else did something at the same time; begin anew.
    AXONIC_CODE_ABORTED = 10,
    /// Past the end of what there is.
    AXONIC_CODE_OUT_OF_RANGE = 11,
    /// The service has no such method.
    AXONIC_CODE_UNIMPLEMENTED = 12,
    /// The service is broken.
    AXONIC_CODE_INTERNAL = 13,
    /// Nobody provides the service now.
    AXONIC_CODE_UNAVAILABLE = 14,
    /// Data is lost or damaged.
    AXONIC_CODE_DATA_LOSS = 15,
    /// The caller has not said who it is.
    AXONIC_CODE_UNAUTHENTICATED = 16,
} axonic_code;

/// A barrier between processes: whoever arrives waits until so many have. Each thread that waits is a party.
typedef struct axonic_barrier axonic_barrier;

/// A call that is under way.
typedef struct axonic_call axonic_call;

/// One end of a channel. It may be used by several threads at once: what they send goes out whole, one after the other.
typedef struct axonic_channel axonic_channel;

/// Calls a service, at any of its providers. It may be used by several threads at once.
typedef struct axonic_client axonic_client;

/// A condition to wait for between processes, with a mutex that protects what it is about.
typedef struct axonic_condvar axonic_condvar;

/// What keeps a delivery the consumer's.
typedef struct axonic_delivery_token axonic_delivery_token;

/// A domain this process attached to: one participant, shared by every handle opened from it.
typedef struct axonic_domain axonic_domain;

/// An event between processes: set or clear. It belongs to nobody, and goes with its last handle.
typedef struct axonic_event axonic_event;

/// Listens for channels at an address. It may be used by several threads at once.
typedef struct axonic_listener axonic_listener;

/// What keeps a loan's memory in place.
typedef struct axonic_loan_token axonic_loan_token;

/// A mutex between processes, and between the threads that share this handle: one of them all has it. It is the
/// handle's, not the thread's: any thread may unlock it.
typedef struct axonic_mutex axonic_mutex;

/// Publishes to one topic.
typedef struct axonic_publisher axonic_publisher;

/// The taking side of a queue.
typedef struct axonic_queue_consumer axonic_queue_consumer;

/// The putting side of a queue.
typedef struct axonic_queue_producer axonic_queue_producer;

/// A piece of memory that several processes map.
typedef struct axonic_region axonic_region;

/// What keeps a call at work.
typedef struct axonic_request_token axonic_request_token;

/// The reading end of a ring.
typedef struct axonic_ring_consumer axonic_ring_consumer;

/// The writing end of a ring.
typedef struct axonic_ring_producer axonic_ring_producer;

/// A lock that many read, or one writes, between processes, and between the threads that share this handle. One
/// that waits to write stops those who come to read.
typedef struct axonic_rwlock axonic_rwlock;

/// What keeps a message that was borrowed, or that is the caller's, in place.
typedef struct axonic_sample axonic_sample;

/// A semaphore between processes: a number of permits. Those of one that dies come back by themselves.
typedef struct axonic_semaphore axonic_semaphore;

/// Provides a service. It may be used by several threads at once: each takes calls of its own.
typedef struct axonic_service axonic_service;

/// Receives what is published to the topics that match its pattern.
typedef struct axonic_subscriber axonic_subscriber;

/// A claim on what becomes of one message. It belongs to the producer that put it.
typedef struct axonic_ticket axonic_ticket;

/// Waits for several things at once. Each is known by a token of the caller's choice.
typedef struct axonic_waitset axonic_waitset;

/// Why a call failed. Start with AXONIC_STATUS_INIT to say it with axonic_request_fail(), or to have it filled by
/// axonic_last_status(). NULL and "" both mean that a text is not there.
typedef struct axonic_status {
    /// sizeof(axonic_status)
    size_t size;
    /// An axonic_code.
    int32_t code;
    /// Whether the same call may succeed later, and does no harm if it was done already: 0 or 1. To say a status also -1, as
    /// AXONIC_STATUS_INIT has it: as the code has it, which is 1 for AXONIC_CODE_UNAVAILABLE only.
    int32_t retryable;
    /// A word of the service's own that stays the same while texts change, such as "no_such_order".
    const char *reason;
    /// A sentence for a person.
    const char *message;
    /// What else the service tells, as JSON text.
    const char *details;
    /// Who failed, "service@version (program, pid)"; of one that does not say, whoever answers.
    const char *origin;
    /// 0; for later versions.
    uint64_t reserved[2];
} axonic_status;

/// Told what happened: `level` is an axonic_log_level, `text` is valid until it returns. It runs in the middle of the
/// call it happened in, on that thread, and may call the library, except on the handle of that call; what its own
/// calls cause is not told.
typedef void (*axonic_logger)(int32_t level, const char *text, void *context);

/// Start with AXONIC_DOMAIN_OPTIONS_INIT. NULL or 0 means the default except where said.
typedef struct axonic_domain_options {
    /// sizeof(axonic_domain_options)
    size_t size;
    /// Default: AXONIC_RUNTIME_DIR, else a private directory of this user on /dev/shm.
    const char *runtime_dir;
    /// What `axonic ls` shows for this participant; default: the name of the program.
    const char *label;
    /// Group id of a domain shared between users; -1: none.
    int64_t group;
    /// Permissions of the files: 0600 (the default), 0660 or 0666.
    uint32_t mode;
    /// Participants a domain that is created has room for.
    uint32_t max_participants;
    /// Bytes all objects of a domain that is created may take together; 0: no limit.
    uint64_t quota;
    /// Bytes each participant's objects may take in a domain that is created; 0: no limit.
    uint64_t participant_quota;
    /// Where what must survive a reboot is kept; default: AXONIC_DATA_DIR, else axonic in XDG_STATE_HOME, which
    /// is ~/.local/state unless set.
    const char *data_dir;
} axonic_domain_options;

/// Who a participant is, as `axonic ls` shows it: "slot.epoch".
typedef struct axonic_participant {
    uint32_t slot;
    uint32_t epoch;
} axonic_participant;

/// A CloudEvents 1.0 attribute. A name is 1 to 20 characters of a-z and 0-9, a value holds no control
/// characters.
typedef struct axonic_attribute {
    const char *name;
    const char *value;
} axonic_attribute;

/// A message that arrived. Filled by axonic_subscriber_receive() and axonic_subscriber_borrow(); all
/// its pointers stay valid until the next call on the subscriber, or, when it was borrowed, until
/// axonic_subscriber_release(). In an axonic_delivery, an axonic_peeked and as the result of a ticket it
/// has the queue's name as its topic, and 0 as `missed`, `sequence` and `publisher`. Of a channel or a call it has
/// no topic, and is the caller's, for any thread, until axonic_message_release().
typedef struct axonic_message {
    /// Ends with a NUL.
    const char *topic;
    size_t topic_size;
    /// Aligned to 64 bytes. Not to be written to.
    const void *data;
    /// Bytes at `data`.
    size_t size;
    /// An axonic_content.
    int32_t content;
    /// An axonic_dtype.
    int32_t dtype;
    size_t ndim;
    size_t shape[AXONIC_MAX_DIMENSIONS];
    /// Messages of this publisher that were overwritten unread just before this one.
    uint64_t missed;
    /// Counts this publisher's messages.
    uint64_t sequence;
    /// The publisher's id.
    uint64_t publisher;
    /// `attribute_count` attributes in the order they were sent; see axonic_message_attribute().
    const struct axonic_attribute *attributes;
    size_t attribute_count;
    /// NULL unless it is to be released.
    struct axonic_sample *sample;
    /// `descriptor_count` open descriptors that were passed with it; its release closes them, so dup() what is to stay.
    const int *descriptors;
    size_t descriptor_count;
    /// 0; for later versions.
    uint64_t reserved[2];
} axonic_message;

/// Start with AXONIC_PUBLISHER_OPTIONS_INIT. 0 means the default.
typedef struct axonic_publisher_options {
    /// sizeof(axonic_publisher_options)
    size_t size;
    /// An axonic_overflow.
    int32_t overflow;
    /// An axonic_wait.
    int32_t wait;
    /// Bytes of the ring of small messages; default 256 KiB.
    size_t capacity;
    /// Bytes larger messages (over 2 KiB) may use together; default 64 MiB.
    size_t max_bytes;
    /// Not 0: keep the messages after this publisher ends, for AXONIC_START_OLDEST.
    int32_t retain;
    /// 0; for later versions.
    int32_t reserved;
    /// JSON Schema text, read while the publisher is opened; NULL or "": none. A message that does not
    /// satisfy it is refused with AXONIC_ERROR_INVALID_ARGUMENT. Bytes and tensors satisfy no schema.
    const char *schema;
} axonic_publisher_options;

/// What a publisher sends. Start with AXONIC_PAYLOAD_INIT, which is an empty raw message.
typedef struct axonic_payload {
    /// sizeof(axonic_payload)
    size_t size;
    const void *data;
    /// Bytes at `data`.
    size_t data_size;
    /// An axonic_content.
    int32_t content;
    /// An axonic_dtype, for AXONIC_CONTENT_TENSOR only.
    int32_t dtype;
    /// `ndim` lengths, for AXONIC_CONTENT_TENSOR only.
    const size_t *shape;
    size_t ndim;
    /// `attribute_count` attributes. When there are any, the missing ones of specversion, id, source,
    /// type and time are filled in.
    const struct axonic_attribute *attributes;
    size_t attribute_count;
} axonic_payload;

/// Memory of the publisher to write a message into. Fill `data`, lower `size` to publish less of it,
/// then axonic_publisher_commit() or axonic_publisher_abort(), once. It outlives its publisher.
typedef struct axonic_loan {
    /// Aligned to 64 bytes; what it holds at first is unspecified.
    void *data;
    size_t size;
    /// NULL once committed or aborted.
    struct axonic_loan_token *token;
} axonic_loan;

/// Counters of a publisher, as `axonic stat` shows them.
typedef struct axonic_publisher_stats {
    uint64_t published;
    uint64_t bytes;
    /// Times it waited for room.
    uint64_t blocked;
    /// Sleeping subscribers it woke.
    uint64_t wakes_sent;
    /// Messages for which nobody had to be woken.
    uint64_t wakes_elided;
    uint64_t subscribers;
    /// Memory held for larger messages.
    uint64_t slab_bytes;
    /// Slots of that memory which readers have pinned now.
    uint64_t pinned;
    /// Finished publishers of this topic whose rings still wait for a reader, or are retained.
    uint64_t orphans;
    /// Those of which only the count is left, for subscribers that are still to be told what they missed.
    uint64_t remnants;
    /// 0; for later versions.
    uint64_t reserved[2];
} axonic_publisher_stats;

/// Start with AXONIC_SUBSCRIBER_OPTIONS_INIT. 0 means the default.
typedef struct axonic_subscriber_options {
    /// sizeof(axonic_subscriber_options)
    size_t size;
    /// An axonic_start.
    int32_t start;
    /// An axonic_wait.
    int32_t wait;
    /// Messages borrowed at once; default 128, at most 1024.
    size_t max_borrowed;
    /// JSON Schema text, read while the subscriber is opened; NULL or "": none. A message that does not
    /// satisfy it is passed over with AXONIC_ERROR_DECODE. Bytes and tensors satisfy no schema.
    const char *schema;
} axonic_subscriber_options;

/// Counters of a subscriber, as `axonic stat` shows them.
typedef struct axonic_subscriber_stats {
    uint64_t received;
    uint64_t bytes;
    /// Messages overwritten before it read them.
    uint64_t missed;
    /// Publishers it reads from, ended ones with unread messages included.
    uint64_t rings;
    /// Borrowed messages that hold a publisher's memory.
    uint64_t pinned;
    /// Of these rings, those whose publishers have ended and that are still to be read out.
    uint64_t orphans;
    /// 0; for later versions.
    uint64_t reserved[2];
} axonic_subscriber_stats;

/// Start with AXONIC_REGION_OPTIONS_INIT.
typedef struct axonic_region_options {
    /// sizeof(axonic_region_options)
    size_t size;
    /// Bytes; needed to create. Not 0 and not the size of an existing region: AXONIC_ERROR_INVALID_ARGUMENT.
    size_t bytes;
    /// An axonic_create.
    int32_t create;
    /// 0; for later versions.
    int32_t reserved;
} axonic_region_options;

/// Start with AXONIC_RING_OPTIONS_INIT. 0 means the default.
typedef struct axonic_ring_options {
    /// sizeof(axonic_ring_options)
    size_t size;
    /// The largest message in bytes; default 512 KiB. Whoever makes the ring decides.
    size_t capacity;
    /// An axonic_wait.
    int32_t wait;
    /// 0; for later versions.
    int32_t reserved;
} axonic_ring_options;

/// Counters of one end of a ring.
typedef struct axonic_ring_stats {
    /// Since the ring was made.
    uint64_t messages;
    /// Times the producer had to wait for room.
    uint64_t blocked;
    /// Bytes of the ring that are written and not given back yet, record headers included.
    uint64_t pending_bytes;
    /// Messages that are written and not given back yet.
    uint64_t pending_messages;
    /// Times a sleeping consumer was woken.
    uint64_t wakes_sent;
    /// Messages for which the consumer had not to be woken.
    uint64_t wakes_elided;
    /// 0; for later versions.
    uint64_t reserved[2];
} axonic_ring_stats;

/// Start with AXONIC_QUEUE_OPTIONS_INIT. 0 means the default. Except for `schema` and `wait`, whoever makes the
/// queue decides.
typedef struct axonic_queue_options {
    /// sizeof(axonic_queue_options)
    size_t size;
    /// Messages it can hold, up to 16,777,216; default 65,536. Dead letters, and results that nobody fetched, take
    /// room too.
    size_t capacity;
    /// Bytes of messages over 128 bytes it can hold together; default 128 MiB. One message, or one result, has at
    /// most 64 MiB; AXONIC_ERROR_TOO_LARGE tells of more.
    size_t max_bytes;
    /// Deliveries of one message before it is a dead letter, up to 65,535; default 16; negative: no limit.
    int32_t max_attempts;
    /// An axonic_fsync. A durable queue that is there can be opened with any and keeps its own; one in memory is refused
    /// to whoever asks for a durable one, and so is to make one that is on the disk already without this.
    int32_t durable;
    /// Nanoseconds, for AXONIC_FSYNC_INTERVAL only.
    int64_t fsync_interval;
    /// Ids of messages that are remembered (see `dedup_id`), up to 1,048,576; default 4096.
    size_t dedup_count;
    /// Nanoseconds for which they are; default five minutes.
    int64_t dedup_within;
    /// JSON Schema, as JSON text, that every value must satisfy; NULL or "": none. What does not is refused with
    /// AXONIC_ERROR_INVALID_ARGUMENT, and what comes out and does not goes to the dead letters, which
    /// AXONIC_ERROR_DECODE tells. Bytes and tensors satisfy no schema.
    const char *schema;
    /// An axonic_wait.
    int32_t wait;
    /// 0; for later versions.
    int32_t reserved;
} axonic_queue_options;

/// How to put a message. Start with AXONIC_PUT_OPTIONS_INIT, which is an ordinary message, now.
typedef struct axonic_put_options {
    /// sizeof(axonic_put_options)
    size_t size;
    /// 0 to 7; the highest is served first.
    uint32_t priority;
    /// Not 0: the receipt has a ticket, with which to wait for what becomes of the message.
    int32_t result;
    /// Nanoseconds after which it is delivered, and not before; due, it is in line where it was put.
    int64_t delay;
    /// Nanoseconds after which it is a dead letter, if nobody has taken it; 0: never.
    int64_t ttl;
    /// A message with this id is put only once, as far as the queue remembers ids; NULL or "": none.
    const char *dedup_id;
    /// Positive: the put waits until the message is on the disk, which a queue in memory refuses; negative: it
    /// does not; 0: as the queue's axonic_fsync says.
    int32_t durable;
    /// 0; for later versions.
    int32_t reserved;
} axonic_put_options;

/// What a put gives: the message is in the queue, and survives the death of any process.
typedef struct axonic_receipt {
    /// NULL unless it was asked for. Ends with axonic_ticket_close().
    struct axonic_ticket *ticket;
    /// Not 0: a message with this id was put before, and nothing was done now.
    int32_t duplicate;
    /// 0; for later versions.
    int32_t reserved0;
    /// 0; for later versions.
    uint64_t reserved[2];
} axonic_receipt;

/// What is in a queue, each number read by itself, and what its handles have done since it was made.
typedef struct axonic_queue_stats {
    /// Messages to be delivered now, those given back included.
    uint64_t ready;
    /// Messages for later.
    uint64_t delayed;
    /// Messages that consumers have.
    uint64_t leased;
    /// Results that producers have not fetched.
    uint64_t done;
    /// Dead letters.
    uint64_t dead;
    /// Messages it can hold.
    uint64_t capacity;
    /// Bytes of messages over 128 bytes, in the parts they are stored in.
    uint64_t bytes;
    /// The most there can be of these.
    uint64_t max_bytes;
    /// Messages put.
    uint64_t put;
    /// Messages handed out, some more than once.
    uint64_t delivered;
    /// Messages acknowledged.
    uint64_t acked;
    /// Deliveries given back, by their consumers, by the end of a lease or after a death.
    uint64_t returned;
    /// Messages that became dead letters.
    uint64_t buried;
    /// Times a producer had to wait for room.
    uint64_t blocked;
    /// Sleeping consumers that were woken.
    uint64_t wakes_sent;
    /// 0; for later versions.
    uint64_t reserved[3];
} axonic_queue_stats;

/// How to take a message. Start with AXONIC_GET_OPTIONS_INIT.
typedef struct axonic_get_options {
    /// sizeof(axonic_get_options)
    size_t size;
    /// Nanoseconds for which it is the consumer's, and then somebody else's; 0: until the consumer is dead.
    int64_t lease;
    /// As in axonic_put_options, for the acknowledgement.
    int32_t durable;
    /// 0; for later versions.
    int32_t reserved;
} axonic_get_options;

/// A message taken from a queue: nobody else gets it until it is settled, given back, or its consumer is
/// dead. Filled by axonic_queue_consumer_get(); all its pointers stay valid until it is settled or
/// released, once, whatever becomes of the consumer. Any thread may do that.
typedef struct axonic_delivery {
    struct axonic_message message;
    /// 0 to 7.
    uint32_t priority;
    /// The number of this delivery of the message, from 1.
    uint32_t attempt;
    /// A number that is greater for each later delivery of the same message, to tell a storage that a late
    /// writer is late.
    uint64_t token;
    /// NULL once settled or released.
    struct axonic_delivery_token *held;
    /// 0; for later versions.
    uint64_t reserved[2];
} axonic_delivery;

/// A message as it was when somebody looked at it.
typedef struct axonic_peeked {
    /// Without attributes, shape and element type.
    struct axonic_message message;
    /// 0 to 7.
    uint32_t priority;
    /// How often it was delivered.
    uint32_t attempts;
    /// An axonic_reason.
    int32_t reason;
    /// 0; for later versions.
    int32_t reserved0;
    /// The same in the words of whoever rejected it; "" if nobody did.
    const char *reason_text;
    /// 0; for later versions.
    uint64_t reserved[2];
} axonic_peeked;

/// Who has a lock, or something of it.
typedef struct axonic_lock_holder {
    /// Since when: nanoseconds since 1970, to a millisecond; 0 where that is not known.
    int64_t since;
    /// As its own pid namespace numbers it; 0 where nothing is known of it any more.
    uint32_t pid;
    /// 0: it died, and nobody has taken the lock since.
    int32_t alive;
    /// Not 0: it is stopped by a signal or a debugger.
    int32_t stopped;
    /// 0; for later versions.
    int32_t reserved;
    /// "owner" (of a mutex, or one that writes), "reader", "permit" (each of a semaphore's) or "party" (one that waits
    /// at a barrier).
    char role[16];
    /// What `axonic ls` shows for it; "" where nothing is known of it any more.
    char label[208];
} axonic_lock_holder;

/// How to open a lock of any type. Start with AXONIC_LOCK_OPTIONS_INIT.
typedef struct axonic_lock_options {
    /// sizeof(axonic_lock_options)
    size_t size;
    /// An axonic_wait.
    int32_t wait;
    /// 0; for later versions.
    int32_t reserved;
} axonic_lock_options;

/// Start with AXONIC_CHANNEL_OPTIONS_INIT. 0 means the default. What only one transport has is set in the address.
typedef struct axonic_channel_options {
    /// sizeof(axonic_channel_options)
    size_t size;
    /// The largest message in bytes, to send and to receive; default 16 MiB, at most 1 GiB.
    size_t max_message;
    /// An axonic_wait.
    int32_t wait;
    /// Not 0: whoever connects does so anew when the other end is gone; what was sent and not received is lost then.
    int32_t reconnect;
} axonic_channel_options;

/// The end of a pair of pipes that a child is to have. Both descriptors are the caller's to close, once the child is started:
/// until then nobody hears of the child's end.
typedef struct axonic_child_pipe {
    /// The descriptor the child reads from.
    int32_t read;
    /// The descriptor the child writes to.
    int32_t write;
    /// What the child connects to, where it has them under these numbers.
    char address[32];
} axonic_child_pipe;

/// Bytes to send; laid out as a struct iovec.
typedef struct axonic_bytes {
    const void *data;
    size_t size;
} axonic_bytes;

/// Who is at the other end, as far as the kernel tells.
typedef struct axonic_peer {
    /// Its process, in the numbers of this process's namespace; -1: not known.
    int64_t pid;
    /// Its user; -1: not known.
    int64_t uid;
    /// Its group; -1: not known.
    int64_t gid;
    /// Where it is: its socket's address, or its label in a domain; "": not known.
    char address[208];
    /// 0; for later versions.
    uint64_t reserved[2];
} axonic_peer;

/// What a channel can do, by its transport.
typedef struct axonic_can {
    /// All that is sent arrives, once, unless the other end is gone.
    bool reliable;
    /// Messages arrive in the order in which they were sent.
    bool ordered;
    /// Messages arrive as they were sent; otherwise it is a stream of bytes.
    bool messages;
    /// Who sends faster than is received is made to wait; otherwise messages are lost.
    bool back_pressure;
    /// The other end is told when this one has ended.
    bool end;
    /// An end can say that it will send nothing more and go on receiving.
    bool half_close;
    /// Open descriptors can be passed.
    bool descriptors;
    /// The kernel tells who is at the other end.
    bool credentials;
    /// The largest message in bytes that the transport takes; 0: it has no limit of its own. axonic_channel_max_message() says
    /// what counts.
    size_t max_message;
    /// 0; for later versions.
    uint64_t reserved[2];
} axonic_can;

/// Counters of one end of a channel.
typedef struct axonic_channel_stats {
    uint64_t sent_messages;
    uint64_t sent_bytes;
    uint64_t received_messages;
    uint64_t received_bytes;
    /// Sends that had to wait for room.
    uint64_t blocked;
    /// 0; for later versions.
    uint64_t reserved[3];
} axonic_channel_stats;

/// Start with AXONIC_SERVICE_OPTIONS_INIT. 0 means the default.
typedef struct axonic_service_options {
    /// sizeof(axonic_service_options)
    size_t size;
    /// Calls that may be at work at the same time, while the others wait; default 64.
    size_t concurrency;
    /// The largest message in bytes, as in axonic_channel_options; one call, item or result is one.
    size_t max_message;
    /// An axonic_wait.
    int32_t wait;
    /// 0; for later versions.
    int32_t reserved;
} axonic_service_options;

/// A call to be answered. Filled by axonic_service_next(); all its pointers stay valid until it is answered or released,
/// once, whatever becomes of the service. Any thread may do that; what takes a `const axonic_request *` may be called by
/// several at once.
typedef struct axonic_request {
    /// The method's name.
    const char *method;
    /// What the caller sends with it.
    struct axonic_message message;
    /// Who calls, as far as the kernel tells.
    struct axonic_peer caller;
    /// No other call that the service has under way has the same.
    uint64_t id;
    /// The caller takes items of a stream: axonic_request_send(). Callers over JSON-RPC take that or one result.
    bool is_stream;
    /// NULL once answered or released.
    struct axonic_request_token *held;
    /// 0; for later versions.
    uint64_t reserved[2];
} axonic_request;

/// Start with AXONIC_CLIENT_OPTIONS_INIT. 0 means the default.
typedef struct axonic_client_options {
    /// sizeof(axonic_client_options)
    size_t size;
    /// Where the service is (see axonic_channel_connect()); NULL or "": at whoever provides it in the domain.
    const char *address;
    /// The largest message in bytes, as in axonic_channel_options; one call, item or result is one.
    size_t max_message;
    /// An axonic_wait.
    int32_t wait;
    /// 0; for later versions.
    int32_t reserved;
} axonic_client_options;

/// How to call. Start with AXONIC_CALL_OPTIONS_INIT: one payload there, one back, for ever.
typedef struct axonic_call_options {
    /// sizeof(axonic_call_options)
    size_t size;
    /// Nanoseconds it may take, sending included; the service is told. Negative: until it is done, or its provider is gone.
    int64_t timeout;
    /// Not 0: the caller streams its input with axonic_call_send(), after the payload of the call.
    int32_t input;
    /// Not 0: the caller takes items that the service streams, with axonic_call_next().
    int32_t stream;
} axonic_call_options;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/// The message of this thread's last failed call: the noun, its name, what happened, the limit or
/// setting, the remedy. "" before the first failure; valid until the next failed call of this thread.
/// A call that succeeds does not clear it.
const char *axonic_last_error_message(void);

/// The name of a code, the same in every language: "Timeout" for AXONIC_ERROR_TIMEOUT, "Ok" for
/// AXONIC_OK, NULL for a number this version does not know. Valid for ever.
const char *axonic_error_name(int32_t code);

/// The version of the library that was loaded, "0.1.0". The header's own is in AXONIC_VERSION_MAJOR,
/// _MINOR and _PATCH. Valid for ever.
const char *axonic_version(void);

/// The version of the layout of shared memory: libraries with the same number share domains.
uint32_t axonic_layout_version(void);

/// Why the last failed call of this thread failed, where its service, or who called for it, has told a status, beside
/// axonic_last_error_message(). False where there is none, and nothing is written then. The strings are valid until the
/// next failed call of this thread.
bool axonic_last_status(struct axonic_status *out);

/// The name of an axonic_code, gRPC's, "NOT_FOUND"; NULL for a number that is none. Valid for ever.
const char *axonic_code_name(int32_t code);

/// Lets `logger` hear, with `context`, what happens beside the answers of calls: who came, who died, what was
/// removed. NULL: nobody, as in the beginning. There is one for the whole process, called by any thread that calls the
/// library; another thread may still be in, or about to call, the one before when this returns.
int axonic_set_logger(axonic_logger logger,
                      void *context);

/// Attaches to a domain and creates it if needed. `name` NULL or "": AXONIC_DOMAIN from the
/// environment, else "default". `options` NULL: the defaults.
int axonic_domain_open(const char *name,
                       const struct axonic_domain_options *options,
                       struct axonic_domain **out);

/// Leaves the domain. Handles opened from it answer AXONIC_ERROR_CLOSED from now on; they are still
/// to be closed, before or after.
int axonic_domain_close(struct axonic_domain *domain);

/// Its name. NULL on failure.
const char *axonic_domain_name(const struct axonic_domain *domain);

/// Its folder in the runtime directory. NULL on failure.
const char *axonic_domain_path(const struct axonic_domain *domain);

/// Who this process is in the domain. A child of fork() becomes another one at its first use.
int axonic_domain_participant(const struct axonic_domain *domain, struct axonic_participant *out);

/// Removes a region, a lock, a queue with all that is in it, or what a topic or ring left behind; `noun` is
/// an axonic_noun. AXONIC_ERROR_BUSY while somebody alive holds a topic, ring, queue or lock of that name.
int axonic_domain_unlink(const struct axonic_domain *domain, int32_t noun, const char *name);

/// The value of an attribute of a message, or NULL when it has none of that name.
const char *axonic_message_attribute(const struct axonic_message *message, const char *name);

/// Bytes of one element of an axonic_dtype; 0 for a number that is none.
size_t axonic_dtype_size(int32_t dtype);

/// The name of an axonic_dtype as numpy spells it, "float32"; NULL for a number that is none. Valid for ever.
const char *axonic_dtype_name(int32_t dtype);

/// Gives back what axonic_channel_receive(), axonic_request_next(), axonic_client_call(), axonic_call_result() or
/// axonic_call_next() has filled; the struct becomes an empty message. No-op for NULL and for an empty message.
int axonic_message_release(struct axonic_message *message);

/// Opens a publisher of a topic, "orders.created". `options` NULL: the defaults.
int axonic_publisher_open(const struct axonic_domain *domain,
                          const char *topic,
                          const struct axonic_publisher_options *options,
                          struct axonic_publisher **out);

/// Ends the publisher. What subscribers have not read yet stays readable to them.
int axonic_publisher_close(struct axonic_publisher *publisher);

/// Its topic. NULL on failure.
const char *axonic_publisher_topic(const struct axonic_publisher *publisher);

/// Its id, which its messages carry. 0 on failure.
uint64_t axonic_publisher_id(const struct axonic_publisher *publisher);

/// Publishes a copy of raw bytes; with AXONIC_OVERFLOW_BLOCK it waits for room for ever.
int axonic_publisher_publish(struct axonic_publisher *publisher, const void *data, size_t size);

/// Publishes a copy of a payload; with AXONIC_OVERFLOW_BLOCK it waits for room.
int axonic_publisher_send(struct axonic_publisher *publisher,
                          const struct axonic_payload *payload,
                          int64_t timeout);

/// Publishes `count` payloads so that a subscriber finds all of them or none.
/// AXONIC_ERROR_TOO_LARGE when they can never fit together.
int axonic_publisher_publish_many(struct axonic_publisher *publisher,
                                  const struct axonic_payload *payloads,
                                  size_t count,
                                  int64_t timeout);

/// Lends `size` bytes to write a message in place.
int axonic_publisher_loan(struct axonic_publisher *publisher,
                          size_t size,
                          int64_t timeout,
                          struct axonic_loan *out);

/// Publishes a loan of this publisher. `payload` says what it holds (its `data` and `data_size` stay
/// NULL and 0); NULL: raw bytes. The loan is spent whatever the answer is.
int axonic_publisher_commit(struct axonic_publisher *publisher,
                            struct axonic_loan *loan,
                            const struct axonic_payload *payload,
                            int64_t timeout);

/// Gives a loan back unpublished. No-op for NULL and for a loan that is spent. Needs no publisher.
int axonic_publisher_abort(struct axonic_loan *loan);

/// Waits until at least `count` subscribers would receive what is published next.
int axonic_publisher_wait_for_subscribers(struct axonic_publisher *publisher, size_t count, int64_t timeout);

/// Live subscribers whose pattern matches, now.
int axonic_publisher_subscribers(struct axonic_publisher *publisher, size_t *out);

/// A descriptor for poll() and epoll, readable until a call with timeout 0 has answered
/// AXONIC_ERROR_WOULD_BLOCK, and again when it should be tried again. Only poll it; it belongs to
/// the publisher.
int axonic_publisher_fd(struct axonic_publisher *publisher, int *out);

/// Its counters.
int axonic_publisher_get_stats(struct axonic_publisher *publisher, struct axonic_publisher_stats *out);

/// Subscribes to a topic or a pattern: "orders.created", "orders.*" (one token), "orders.>" (the
/// rest). `options` NULL: the defaults.
int axonic_subscriber_open(const struct axonic_domain *domain,
                           const char *pattern,
                           const struct axonic_subscriber_options *options,
                           struct axonic_subscriber **out);

/// Ends the subscription. Borrowed messages stay valid until they are released.
int axonic_subscriber_close(struct axonic_subscriber *subscriber);

/// Its pattern. NULL on failure.
const char *axonic_subscriber_pattern(const struct axonic_subscriber *subscriber);

/// Its id. 0 on failure.
uint64_t axonic_subscriber_id(const struct axonic_subscriber *subscriber);

/// Copies the next message into the subscriber and describes it in `out`.
int axonic_subscriber_receive(struct axonic_subscriber *subscriber,
                              int64_t timeout,
                              struct axonic_message *out);

/// As axonic_subscriber_receive() without the copy: a larger message is read where its publisher
/// wrote it. Ends with axonic_subscriber_release().
int axonic_subscriber_borrow(struct axonic_subscriber *subscriber,
                             int64_t timeout,
                             struct axonic_message *out);

/// Ends a borrow; the struct becomes an empty message. No-op for NULL and for a message that is not
/// borrowed. Needs no subscriber and may be called from any thread.
int axonic_subscriber_release(struct axonic_message *message);

/// Live publishers whose topic matches, now.
int axonic_subscriber_publishers(struct axonic_subscriber *subscriber, size_t *out);

/// A descriptor for poll() and epoll, readable until a call with timeout 0 has answered
/// AXONIC_ERROR_WOULD_BLOCK (level-triggered). Only poll it; it belongs to the subscriber.
int axonic_subscriber_fd(struct axonic_subscriber *subscriber, int *out);

/// Its counters.
int axonic_subscriber_get_stats(struct axonic_subscriber *subscriber, struct axonic_subscriber_stats *out);

/// Opens a region and creates it if the options allow. It stays until axonic_domain_unlink().
int axonic_region_open(const struct axonic_domain *domain,
                       const char *name,
                       const struct axonic_region_options *options,
                       struct axonic_region **out);

/// Makes a nameless region with a copy of `data` that nobody can change or truncate any more, to be
/// handed to another process by its descriptor.
int axonic_region_seal(const void *data, size_t size, struct axonic_region **out);

/// Opens a sealed region by a descriptor that another process sent, after checking its seals. The
/// descriptor is duplicated: the caller keeps its own.
int axonic_region_from_fd(int fd, struct axonic_region **out);

/// Unmaps it. Pointers into it are dead afterwards.
int axonic_region_close(struct axonic_region *region);

/// Its name, "" when it is sealed. NULL on failure.
const char *axonic_region_name(const struct axonic_region *region);

/// Its memory, page-aligned, the same in every process that maps it. Not to be written to unless
/// axonic_region_is_writable(). Who writes when is up to its users. NULL on failure.
void *axonic_region_data(const struct axonic_region *region);

/// Bytes at axonic_region_data(). 0 on failure.
size_t axonic_region_size(const struct axonic_region *region);

/// Whether it may be written to: sealed regions may not.
bool axonic_region_is_writable(const struct axonic_region *region);

/// Whether this call of axonic_region_open() created it, so that exactly one process initialises it.
bool axonic_region_is_created(const struct axonic_region *region);

/// Copies `size` bytes at `offset` out of it, checked against its size.
int axonic_region_read(const struct axonic_region *region, size_t offset, size_t size, void *out);

/// Copies `size` bytes into it at `offset`, checked against its size.
int axonic_region_write(const struct axonic_region *region, size_t offset, const void *data, size_t size);

/// The descriptor of a sealed region, to be sent over a socket or inherited. Belongs to the region.
int axonic_region_fd(const struct axonic_region *region, int *out);

/// Opens the writing end of a ring and creates the ring if needed. A ring has one of each:
/// AXONIC_ERROR_BUSY for a second one. What is pushed before a consumer opened waits for it.
int axonic_ring_producer_open(const struct axonic_domain *domain,
                              const char *name,
                              const struct axonic_ring_options *options,
                              struct axonic_ring_producer **out);

/// Ends the writing end; the consumer reads what is left, then answers AXONIC_ERROR_DISCONNECTED.
int axonic_ring_producer_close(struct axonic_ring_producer *producer);

/// The ring's name. NULL on failure.
const char *axonic_ring_producer_name(const struct axonic_ring_producer *producer);

/// Pushes a copy of a message, waiting for room.
int axonic_ring_producer_push(struct axonic_ring_producer *producer,
                              const void *data,
                              size_t size,
                              int64_t timeout);

/// Room for a message of `size` bytes to be written in place, aligned to 16 bytes; nothing is sent
/// before axonic_ring_producer_commit(). Valid until the next call on this producer.
int axonic_ring_producer_reserve(struct axonic_ring_producer *producer,
                                 size_t size,
                                 int64_t timeout,
                                 void **out);

/// Sends the first `size` bytes of what was reserved last.
int axonic_ring_producer_commit(struct axonic_ring_producer *producer, size_t size);

/// A descriptor for poll() and epoll, readable until a push with timeout 0 has answered
/// AXONIC_ERROR_WOULD_BLOCK, and again when it should be tried again. Only poll it; it belongs to
/// the producer.
int axonic_ring_producer_fd(struct axonic_ring_producer *producer, int *out);

/// Its counters.
int axonic_ring_producer_get_stats(struct axonic_ring_producer *producer, struct axonic_ring_stats *out);

/// Opens the reading end of a ring and creates the ring if needed.
int axonic_ring_consumer_open(const struct axonic_domain *domain,
                              const char *name,
                              const struct axonic_ring_options *options,
                              struct axonic_ring_consumer **out);

/// Ends the reading end; another consumer may take its place.
int axonic_ring_consumer_close(struct axonic_ring_consumer *consumer);

/// The ring's name. NULL on failure.
const char *axonic_ring_consumer_name(const struct axonic_ring_consumer *consumer);

/// The next message, read in place: valid until the next axonic_ring_consumer_pop() or
/// axonic_ring_consumer_release(), which give its room back to the producer.
int axonic_ring_consumer_pop(struct axonic_ring_consumer *consumer,
                             int64_t timeout,
                             const void **out_data,
                             size_t *out_size);

/// Gives the room of the message popped last back to the producer; no-op if it was given back.
int axonic_ring_consumer_release(struct axonic_ring_consumer *consumer);

/// A descriptor for poll() and epoll, readable until a pop with timeout 0 has answered
/// AXONIC_ERROR_WOULD_BLOCK (level-triggered). Only poll it; it belongs to the consumer.
int axonic_ring_consumer_fd(struct axonic_ring_consumer *consumer, int *out);

/// Its counters.
int axonic_ring_consumer_get_stats(struct axonic_ring_consumer *consumer, struct axonic_ring_stats *out);

/// Opens the putting side of a queue, making it if there is none. `options` NULL: the defaults.
int axonic_queue_producer_open(const struct axonic_domain *domain,
                               const char *name,
                               const struct axonic_queue_options *options,
                               struct axonic_queue_producer **out);

/// Ends it. What it has put stays.
int axonic_queue_producer_close(struct axonic_queue_producer *producer);

/// Puts a copy of raw bytes, an ordinary message, waiting for room, and until it is on the disk if the queue's
/// axonic_fsync says so. `timeout` is for both. If it is 0 no room is waited for, but the disk for as long as it
/// takes; axonic_queue_producer_send() with a negative `durable` does not wait for it.
int axonic_queue_producer_put(struct axonic_queue_producer *producer,
                              const void *data,
                              size_t size,
                              int64_t timeout);

/// Puts a copy of a payload as `options` say (NULL: as an ordinary message), waiting as
/// axonic_queue_producer_put() does, unless `durable` says otherwise. `out` is NULL when nobody needs the
/// receipt; a ticket needs it.
int axonic_queue_producer_send(struct axonic_queue_producer *producer,
                               const struct axonic_payload *payload,
                               const struct axonic_put_options *options,
                               int64_t timeout,
                               struct axonic_receipt *out);

/// Puts `count` payloads one after another, each as `options` say, waiting for room up to `timeout` in
/// all, and writes to `out_count` how many were put: fewer than `count` where a later one found no room
/// or failed, which the next call tells. There are no tickets. With AXONIC_ERROR_NOT_DURABLE, too,
/// `out_count` is how many are in the queue: do not put them again. The disk is waited for once, in what is
/// left of the time: unlike a put of one, a call with timeout 0 gives up, with that error, if somebody else is
/// just writing to it.
int axonic_queue_producer_put_many(struct axonic_queue_producer *producer,
                                   const struct axonic_payload *payloads,
                                   size_t count,
                                   const struct axonic_put_options *options,
                                   int64_t timeout,
                                   size_t *out_count);

/// Returns when everything that was put into this queue and settled before is on the disk; at once if it
/// is in memory only.
int axonic_queue_producer_sync(struct axonic_queue_producer *producer, int64_t timeout);

/// A descriptor for poll() and epoll, readable until a put or a result with timeout 0 has answered
/// AXONIC_ERROR_WOULD_BLOCK, and again when it should be tried again. Only poll it; it belongs to
/// the producer.
int axonic_queue_producer_fd(struct axonic_queue_producer *producer, int *out);

/// What is in the queue, and its counters.
int axonic_queue_producer_get_stats(struct axonic_queue_producer *producer, struct axonic_queue_stats *out);

/// Opens the taking side of a queue, making it if there is none. `options` NULL: the defaults.
int axonic_queue_consumer_open(const struct axonic_domain *domain,
                               const char *name,
                               const struct axonic_queue_options *options,
                               struct axonic_queue_consumer **out);

/// Ends it. Deliveries that are not settled stay its own until they are.
int axonic_queue_consumer_close(struct axonic_queue_consumer *consumer);

/// Takes the next message, waiting for one: of the highest priority, and of these what was given back
/// before what is delivered first. It is settled with axonic_delivery_ack(), _nack() or _reject(), or
/// given back with _release().
int axonic_queue_consumer_get(struct axonic_queue_consumer *consumer,
                              const struct axonic_get_options *options,
                              int64_t timeout,
                              struct axonic_delivery *out);

/// Waits for a message, takes up to `capacity` that are there then, and writes them to `out` and their
/// number to `out_count`.
int axonic_queue_consumer_get_many(struct axonic_queue_consumer *consumer,
                                   const struct axonic_get_options *options,
                                   int64_t timeout,
                                   struct axonic_delivery *out,
                                   size_t capacity,
                                   size_t *out_count);

/// A descriptor for poll() and epoll, readable until a get with timeout 0 has answered
/// AXONIC_ERROR_WOULD_BLOCK (level-triggered). Only poll it; it belongs to the consumer.
int axonic_queue_consumer_fd(struct axonic_queue_consumer *consumer, int *out);

/// As axonic_queue_producer_sync().
int axonic_queue_consumer_sync(struct axonic_queue_consumer *consumer, int64_t timeout);

/// Up to `most` messages that can be delivered now, in that order, without taking them; how many is
/// written to `out_count`. Valid until the next axonic_queue_consumer_peek() or
/// axonic_queue_consumer_dead_letters() on this consumer.
int axonic_queue_consumer_peek(struct axonic_queue_consumer *consumer,
                               size_t most,
                               const struct axonic_peeked **out,
                               size_t *out_count);

/// As axonic_queue_consumer_peek() with the dead letters, in no order.
int axonic_queue_consumer_dead_letters(struct axonic_queue_consumer *consumer,
                                       size_t most,
                                       const struct axonic_peeked **out,
                                       size_t *out_count);

/// Takes all messages away that nobody has, those for later included, but not the dead letters. How many
/// is written to `out`.
int axonic_queue_consumer_purge(struct axonic_queue_consumer *consumer, uint64_t *out);

/// Takes all dead letters away. How many is written to `out`.
int axonic_queue_consumer_purge_dead_letters(struct axonic_queue_consumer *consumer, uint64_t *out);

/// Lets up to `most` dead letters be delivered again, as if they never had been. How many is written to
/// `out`.
int axonic_queue_consumer_redrive(struct axonic_queue_consumer *consumer, size_t most, uint64_t *out);

/// What is in the queue, and its counters.
int axonic_queue_consumer_get_stats(struct axonic_queue_consumer *consumer, struct axonic_queue_stats *out);

/// The message is done with and goes. `result` is what its producer gets that waits for it; NULL: nothing.
/// The delivery is spent whatever the answer is but AXONIC_ERROR_INVALID_ARGUMENT, which changes nothing (so with
/// axonic_delivery_nack and axonic_delivery_reject): AXONIC_ERROR_LEASE_LOST when the message was somebody
/// else's already, AXONIC_ERROR_FULL when there was no room for the result and it was given back, and so it is by
/// AXONIC_ERROR_TOO_LARGE; with AXONIC_ERROR_NOT_DURABLE it is done with, and that is not known to be on the disk.
int axonic_delivery_ack(struct axonic_delivery *delivery,
                        const struct axonic_payload *result);

/// Gives it back, to be delivered again after `delay` nanoseconds. Spent as by axonic_delivery_ack().
int axonic_delivery_nack(struct axonic_delivery *delivery, int64_t delay);

/// Nobody is to get it any more: it goes to the dead letters, with the reason in words (NULL or "": none),
/// of which 4,096 bytes are kept. Spent as by axonic_delivery_ack().
int axonic_delivery_reject(struct axonic_delivery *delivery, const char *reason);

/// From now on it is this consumer's for `lease` nanoseconds, whatever was left of it. Its `token` changes.
int axonic_delivery_extend(struct axonic_delivery *delivery, int64_t lease);

/// Tells a producer that waits for the result how far the work is, from 0 to 1.
int axonic_delivery_progress(struct axonic_delivery *delivery, double done);

/// Ends it in any case: what is not settled is given back, to be delivered again at once. The struct
/// becomes an empty message. No-op for NULL and for a delivery that is spent. Needs no consumer.
int axonic_delivery_release(struct axonic_delivery *delivery);

/// Gives the claim up; the message is worked on all the same.
int axonic_ticket_close(struct axonic_ticket *ticket);

/// How far the work is, from 0 to 1, as its consumer told. Negative on failure.
double axonic_ticket_progress(const struct axonic_ticket *ticket);

/// Waits for what becomes of the message, and writes the result its consumer gave to `out`, empty if it
/// gave none; valid until the ticket is closed. AXONIC_ERROR_REJECTED, with the reason, when the message is
/// a dead letter; AXONIC_ERROR_NOT_FOUND when somebody took it away. Asked again, it answers the same. `producer`
/// is the one that put the message.
int axonic_ticket_result(struct axonic_ticket *ticket,
                         struct axonic_queue_producer *producer,
                         int64_t timeout,
                         struct axonic_message *out);

/// Who has the lock `name`, of any type. The first `capacity` of them are written to `out`, which may be NULL if that is
/// 0, and how many there are to `out_count`: none of an event or a condition. AXONIC_ERROR_NOT_FOUND if there is no such
/// lock.
int axonic_domain_lock_holders(const struct axonic_domain *domain,
                               const char *name,
                               struct axonic_lock_holder *out,
                               size_t capacity,
                               size_t *out_count);

/// Opens the mutex `name`, making it if there is none. `options` NULL: the defaults. It is not fair: whoever unlocks
/// it and wants it again at once mostly gets it before one that sleeps for it.
int axonic_mutex_open(const struct axonic_domain *domain,
                      const char *name,
                      const struct axonic_lock_options *options,
                      struct axonic_mutex **out);

/// Ends it. If it is locked, it is not any more.
int axonic_mutex_close(struct axonic_mutex *mutex);

/// Locks it, waiting for it. `owner_died` (or NULL) is set to whether its owner before died while it had it: what
/// it protects may be half-changed, and it is for the caller to set that right. A thread that has it already would
/// wait for itself.
int axonic_mutex_lock(const struct axonic_mutex *mutex,
                      int64_t timeout,
                      bool *owner_died);

/// Unlocks it. AXONIC_ERROR_INVALID_ARGUMENT if it is not locked by this handle.
int axonic_mutex_unlock(const struct axonic_mutex *mutex);

/// Opens the readers' and writers' lock `name`, making it if there is none. `options` NULL: the defaults.
int axonic_rwlock_open(const struct axonic_domain *domain,
                       const char *name,
                       const struct axonic_lock_options *options,
                       struct axonic_rwlock **out);

/// Ends it. If it is locked, it is not any more.
int axonic_rwlock_close(struct axonic_rwlock *rwlock);

/// Locks it for reading, waiting until nobody writes. `owner_died` (or NULL) is set to whether a writer died in
/// it, which is told to the first to read, or who writes next.
int axonic_rwlock_read(const struct axonic_rwlock *rwlock,
                       int64_t timeout,
                       bool *owner_died);

/// Locks it for writing, waiting until nobody has it. `owner_died` is as in axonic_rwlock_read().
int axonic_rwlock_write(const struct axonic_rwlock *rwlock, int64_t timeout, bool *owner_died);

/// Ends one reading, or the writing. AXONIC_ERROR_INVALID_ARGUMENT if it is not locked by this handle.
int axonic_rwlock_unlock(const struct axonic_rwlock *rwlock);

/// Opens the semaphore `name`, making it with so many permits, 1 to 1024, if there is none. `options` NULL: the
/// defaults.
int axonic_semaphore_open(const struct axonic_domain *domain,
                          const char *name,
                          uint32_t permits,
                          const struct axonic_lock_options *options,
                          struct axonic_semaphore **out);

/// Ends it. Its permits go back.
int axonic_semaphore_close(struct axonic_semaphore *semaphore);

/// Takes a permit, waiting for one.
int axonic_semaphore_acquire(const struct axonic_semaphore *semaphore, int64_t timeout);

/// Gives a permit back. AXONIC_ERROR_INVALID_ARGUMENT if this handle has none.
int axonic_semaphore_release(const struct axonic_semaphore *semaphore);

/// How many permits nobody alive has.
int axonic_semaphore_available(const struct axonic_semaphore *semaphore, uint32_t *out);

/// Opens the event `name`, making it, clear, if there is none; `reset` is an axonic_reset. `options` NULL: the
/// defaults.
int axonic_event_open(const struct axonic_domain *domain,
                      const char *name,
                      int32_t reset,
                      const struct axonic_lock_options *options,
                      struct axonic_event **out);

/// Ends it.
int axonic_event_close(struct axonic_event *event);

/// Sets it. Everybody who waits passes, however soon it is cleared, or (AXONIC_RESET_AUTO) one of them, or the
/// next to come.
int axonic_event_set(const struct axonic_event *event);

/// Clears it.
int axonic_event_clear(const struct axonic_event *event);

/// Whether it is set.
int axonic_event_is_set(const struct axonic_event *event, bool *out);

/// Waits until it is set. If it is cleared by that (AXONIC_RESET_AUTO), this call did it.
int axonic_event_wait(const struct axonic_event *event, int64_t timeout);

/// Opens the barrier `name`, making it for so many parties, 2 to 64, if there is none. `options` NULL: the
/// defaults.
int axonic_barrier_open(const struct axonic_domain *domain,
                        const char *name,
                        uint32_t parties,
                        const struct axonic_lock_options *options,
                        struct axonic_barrier **out);

/// Ends it.
int axonic_barrier_close(struct axonic_barrier *barrier);

/// Arrives, and waits until all have. `leads` (or NULL) is set to whether it was the last, of which there is one
/// each time. If the time is over first, or its process dies, it has not arrived.
int axonic_barrier_wait(const struct axonic_barrier *barrier,
                        int64_t timeout,
                        bool *leads);

/// Opens the condition `name`, making it if there is none. `options` NULL: the defaults.
int axonic_condvar_open(const struct axonic_domain *domain,
                        const char *name,
                        const struct axonic_lock_options *options,
                        struct axonic_condvar **out);

/// Ends it.
int axonic_condvar_close(struct axonic_condvar *condvar);

/// Unlocks the mutex, which the caller has, waits to be notified, and locks it again, however long that takes.
/// After AXONIC_ERROR_TIMEOUT and AXONIC_ERROR_WOULD_BLOCK it is locked too, and `owner_died` (or NULL) is set as by
/// axonic_mutex_lock(); after any other failure it is not. What is waited for is looked at again afterwards:
/// another may have come first.
int axonic_condvar_wait(const struct axonic_condvar *condvar,
                        const struct axonic_mutex *mutex,
                        int64_t timeout,
                        bool *owner_died);

/// Wakes the one that has waited longest, if there is one.
int axonic_condvar_notify_one(const struct axonic_condvar *condvar);

/// Wakes all who wait.
int axonic_condvar_notify_all(const struct axonic_condvar *condvar);

/// Opens a channel to whoever listens at `address`, such as "shm://domain/name" or "unix:///run/jobs.sock".
/// AXONIC_ERROR_NOT_FOUND at once where nobody does; `timeout` (not 0) is for one that is slow to answer. `options` NULL:
/// the defaults.
int axonic_channel_connect(const struct axonic_domain *domain,
                           const char *address,
                           const struct axonic_channel_options *options,
                           int64_t timeout,
                           struct axonic_channel **out);

/// Opens a channel over two pipes, of which a child of this process gets the other end. A program has them closed as it
/// starts: posix_spawn_file_actions_adddup2(&actions, child.read, child.read) passes one on, and so does clearing its
/// FD_CLOEXEC between fork() and exec. It connects to the address, "pipe:" and the numbers it has them under: to read from, to
/// write to. `options` NULL: the defaults.
int axonic_domain_pipe(const struct axonic_domain *domain,
                       const struct axonic_channel_options *options,
                       struct axonic_channel **out,
                       struct axonic_child_pipe *out_child);

/// Ends it; the other end receives what was sent, and then AXONIC_ERROR_DISCONNECTED. It does not wait: what there is no room for
/// now of a message that was sent in part is cut off, and the other end is told. axonic_channel_flush() before it waits for room.
int axonic_channel_close(struct axonic_channel *channel);

/// Ends it as axonic_channel_close() does, for all threads: who waits on it or uses it later is answered
/// AXONIC_ERROR_CLOSED. The handle is still to be closed, when no thread uses it any more.
int axonic_channel_shutdown(const struct axonic_channel *channel);

/// Sends a message, waiting for room; after a failure nothing of it was sent. With timeout 0, one that is larger than the
/// room there is is taken if there is any, and the rest goes out with the next call that sends, or with
/// axonic_channel_flush().
int axonic_channel_send(const struct axonic_channel *channel,
                        const void *data,
                        size_t size,
                        int64_t timeout);

/// Sends several messages, which costs less than one by one, and writes how many to `out_count`: fewer than `count` when
/// the time was over after some.
int axonic_channel_send_many(const struct axonic_channel *channel,
                             const struct axonic_bytes *messages,
                             size_t count,
                             int64_t timeout,
                             size_t *out_count);

/// Sends a message with open descriptors, of which the other end gets copies; where `descriptors` of axonic_can says so.
int axonic_channel_send_descriptors(const struct axonic_channel *channel,
                                    const void *data,
                                    size_t size,
                                    const int *descriptors,
                                    size_t count,
                                    int64_t timeout);

/// Sends what a call with timeout 0 could not yet.
int axonic_channel_flush(const struct axonic_channel *channel, int64_t timeout);

/// The next message, waiting for it. Ends with axonic_message_release(). AXONIC_ERROR_DISCONNECTED when the other end has
/// ended and everything it sent was received.
int axonic_channel_receive(const struct axonic_channel *channel,
                           int64_t timeout,
                           struct axonic_message *out);

/// Says that nothing more will be sent: the other end receives what was sent and then AXONIC_ERROR_DISCONNECTED. It may
/// still send where `half_close` of axonic_can says so. Waits until what calls with timeout 0 could not send has gone out, and
/// what says so; when that takes too long, call it again, or axonic_channel_close(). With timeout 0 it answers
/// AXONIC_ERROR_WOULD_BLOCK until that is done: call it again when axonic_channel_send_fd() is readable.
int axonic_channel_finish(const struct axonic_channel *channel,
                          int64_t timeout);

/// A descriptor for poll() and epoll, readable until a receive with timeout 0 has answered AXONIC_ERROR_WOULD_BLOCK
/// (level-triggered). Only poll it; it belongs to the channel.
int axonic_channel_fd(const struct axonic_channel *channel,
                      int *out);

/// Another one, readable when a send that answered AXONIC_ERROR_WOULD_BLOCK is worth trying again.
int axonic_channel_send_fd(const struct axonic_channel *channel, int *out);

/// Who is at the other end now.
int axonic_channel_peer(const struct axonic_channel *channel, struct axonic_peer *out);

/// What it can do.
int axonic_channel_can(const struct axonic_channel *channel, struct axonic_can *out);

/// The largest message it takes, in bytes: what both ends allow and the transport can.
int axonic_channel_max_message(const struct axonic_channel *channel, size_t *out);

/// Its counters.
int axonic_channel_get_stats(const struct axonic_channel *channel, struct axonic_channel_stats *out);

/// Listens for channels at an address, such as "shm://domain/name" or "unix:///run/jobs.sock". `options` NULL: the
/// defaults; they hold for the channels, too.
int axonic_listener_open(const struct axonic_domain *domain,
                         const char *address,
                         const struct axonic_channel_options *options,
                         struct axonic_listener **out);

/// Ends it; who connects from now on is refused. Channels that were accepted go on.
int axonic_listener_close(struct axonic_listener *listener);

/// Ends it as axonic_listener_close() does, for all threads: see axonic_channel_shutdown().
int axonic_listener_shutdown(const struct axonic_listener *listener);

/// Its address, with the port that the system chose where none was named. NULL on failure.
const char *axonic_listener_address(const struct axonic_listener *listener);

/// The next channel that somebody opens, waiting for it.
int axonic_listener_accept(const struct axonic_listener *listener,
                           int64_t timeout,
                           struct axonic_channel **out);

/// A descriptor for poll() and epoll, readable until an accept with timeout 0 has answered AXONIC_ERROR_WOULD_BLOCK
/// (level-triggered). Only poll it; it belongs to the listener.
int axonic_listener_fd(const struct axonic_listener *listener,
                       int *out);

/// Provides the service `name` in a version such as "1.2.0", from now on: whoever calls it waits until its calls are taken
/// with axonic_service_next(). Several processes may provide it, and share its calls. `options` NULL: the defaults.
int axonic_service_open(const struct axonic_domain *domain,
                        const char *name,
                        const char *version,
                        const struct axonic_service_options *options,
                        struct axonic_service **out);

/// Ends it. Calls that are not answered fail with AXONIC_CODE_UNAVAILABLE; requests that were taken are still to be
/// released.
int axonic_service_close(struct axonic_service *service);

/// Ends it as axonic_service_close() does, for all threads: see axonic_channel_shutdown().
int axonic_service_shutdown(const struct axonic_service *service);

/// Has it called at an address too (see axonic_listener_open()), by clients of other domains or machines. The address,
/// with what the system chose, is written to `out_address`, which may be NULL.
int axonic_service_listen(const struct axonic_service *service,
                          const char *address,
                          const char **out_address);

/// Takes the next call, waiting for one. Answer it with axonic_request_reply() or axonic_request_fail(). Of a service that
/// listens at "pipe:0,1": AXONIC_ERROR_DISCONNECTED once the other end has ended and all that it asked for is answered.
int axonic_service_next(const struct axonic_service *service,
                        int64_t timeout,
                        struct axonic_request *out);

/// A descriptor for poll() and epoll, readable until axonic_service_next() with timeout 0 has answered
/// AXONIC_ERROR_WOULD_BLOCK (level-triggered). Only poll it; it belongs to the service.
int axonic_service_fd(const struct axonic_service *service, int *out);

/// For event loops: writes the numbers (`id` of axonic_request) of up to `capacity` calls at work that nobody waits for any
/// more, since axonic_service_fd() or the last time, to `ids`, and how many to `out_count`. axonic_service_next() finds them
/// out: look after it has answered AXONIC_ERROR_WOULD_BLOCK, until this writes 0, and stop the work on them. They are still
/// to be answered or released.
int axonic_service_take_given_up(const struct axonic_service *service,
                                 uint64_t *ids,
                                 size_t capacity,
                                 size_t *out_count);

/// The same of calls at work whose streams may go on, from the first time on: their callers take more, have sent more, or
/// take nothing any more. What answered AXONIC_ERROR_WOULD_BLOCK for one is worth trying again.
int axonic_service_take_news(const struct axonic_service *service,
                             uint64_t *ids,
                             size_t capacity,
                             size_t *out_count);

/// Nanoseconds that the caller still waits, as a timeout for what is done for it: AXONIC_FOREVER if it waits as long as it
/// takes. 0 when its time is over, and on failure.
int64_t axonic_request_remaining(const struct axonic_request *request);

/// Whether the caller waits no more: it gave the call up, it is gone, or its time is over. True on failure.
bool axonic_request_is_cancelled(const struct axonic_request *request);

/// Tells the caller how far the work is, from 0 to 1, with a note (NULL or "": none).
int axonic_request_progress(const struct axonic_request *request, double done, const char *note);

/// Says that the method streams, as its first item does: without items, it is then a stream that has none. A caller that takes
/// one result is told AXONIC_CODE_INVALID_ARGUMENT with the reason "stream", whatever else the call is answered, and this is
/// AXONIC_ERROR_CALL_FAILED with that status.
int axonic_request_begin_stream(const struct axonic_request *request);

/// Streams one more item to the caller, waiting until it takes some. AXONIC_ERROR_CANCELLED when it takes no more; to who takes
/// one result it fails as axonic_request_begin_stream() does.
int axonic_request_send(const struct axonic_request *request,
                        const struct axonic_payload *item,
                        int64_t timeout);

/// The next item that the caller streams, waiting for it; axonic_message_release() ends it. AXONIC_ERROR_DISCONNECTED
/// when that was all, AXONIC_ERROR_CANCELLED when the caller gave the call up.
int axonic_request_next(const struct axonic_request *request,
                        int64_t timeout,
                        struct axonic_message *out);

/// Answers it; where nothing was streamed, to who takes a stream only, by a stream of that one item. `result` NULL: with
/// nothing. The request is spent whatever the answer is but AXONIC_ERROR_INVALID_ARGUMENT, which changes nothing; by
/// AXONIC_ERROR_TOO_LARGE the caller is told that it failed.
int axonic_request_reply(struct axonic_request *request,
                         const struct axonic_payload *result);

/// Answers that it failed, and why, which must be told. Spent as by axonic_request_reply().
int axonic_request_fail(struct axonic_request *request, const struct axonic_status *status);

/// Answers that it failed by an error that its handler met: the `class_name` of the error, which is the reason told (NULL or
/// "": the kind's name is), its `text`, and its `kind`, the axonic_error_kind that a function has answered, or that means the
/// same; AXONIC_OK: none. AXONIC_ERROR_TIMEOUT is told as AXONIC_CODE_DEADLINE_EXCEEDED, AXONIC_ERROR_CANCELLED as
/// AXONIC_CODE_CANCELLED, anything else as AXONIC_CODE_UNKNOWN. Of a call that failed, the `status` (axonic_last_status())
/// is passed on as it is; otherwise NULL. Spent as by axonic_request_reply().
int axonic_request_fail_by(struct axonic_request *request,
                           int32_t kind,
                           const char *class_name,
                           const char *text,
                           const struct axonic_status *status);

/// Answers that the service has no such method, but these `count`. Spent as by axonic_request_reply().
int axonic_request_no_such_method(struct axonic_request *request, const char *const *methods, size_t count);

/// Ends it in any case: what is not answered fails with AXONIC_CODE_INTERNAL. The struct is spent. No-op for NULL and for a
/// request that is spent. Needs no service.
int axonic_request_release(struct axonic_request *request);

/// Calls the service `service` of whoever provides a version in `range`, such as "^1.2". That nobody does is told by
/// calls: AXONIC_ERROR_UNAVAILABLE. `options` NULL: the defaults.
int axonic_client_open(const struct axonic_domain *domain,
                       const char *service,
                       const char *range,
                       const struct axonic_client_options *options,
                       struct axonic_client **out);

/// Ends it. Its calls that are under way fail; they are still to be closed.
int axonic_client_close(struct axonic_client *client);

/// Calls a method with a payload (NULL: with nothing) and waits for its result; axonic_message_release() ends that.
/// AXONIC_ERROR_CALL_FAILED, _UNAVAILABLE, _TIMEOUT and _CANCELLED have a status: axonic_last_status().
int axonic_client_call(const struct axonic_client *client,
                       const char *method,
                       const struct axonic_payload *payload,
                       int64_t timeout,
                       struct axonic_message *out);

/// Sends a call on its way, to the provider with the fewest under way. `options` NULL: the defaults. The first one to a provider
/// waits until that takes calls and has let this client in, as far as there is time for the call; who must not wait uses
/// axonic_client_try_start().
int axonic_client_start(const struct axonic_client *client,
                        const char *method,
                        const struct axonic_payload *payload,
                        const struct axonic_call_options *options,
                        struct axonic_call **out);

/// The same for who must not wait, in an event loop: AXONIC_ERROR_WOULD_BLOCK where it would have to be connected to a
/// provider first, which axonic_client_connect() does. What finds no room is kept; it goes out with
/// axonic_client_take_news(), or axonic_client_flush().
int axonic_client_try_start(const struct axonic_client *client,
                            const char *method,
                            const struct axonic_payload *payload,
                            const struct axonic_call_options *options,
                            struct axonic_call **out);

/// Connects to whoever provides the service now, ahead of calls; for a thread that may wait while an event loop goes on.
/// AXONIC_ERROR_UNAVAILABLE at once where nobody does.
int axonic_client_connect(const struct axonic_client *client,
                          int64_t timeout);

/// Sends what axonic_client_try_start() and axonic_call_send() with timeout 0 could not yet, as far as there is room.
/// AXONIC_ERROR_WOULD_BLOCK: some is left. Never waits; who waits for a result, and axonic_client_take_news(), do it too.
int axonic_client_flush(const struct axonic_client *client);

/// A descriptor for poll() and epoll, readable until axonic_client_take_news() has found nothing (level-triggered). Only
/// poll it; it belongs to the client. It does not tell of what another thread has read that waits for a call meanwhile: that
/// one uses a client of its own.
int axonic_client_fd(const struct axonic_client *client,
                     int *out);

/// Reads what came, and writes the numbers (axonic_call_id()) of up to `capacity` calls that something came for since the
/// last time to `ids`, and how many to `out_count`. Those that do not fit come first next time: call it until it writes 0,
/// and only then wait for the descriptor again.
int axonic_client_take_news(const struct axonic_client *client,
                            uint64_t *ids,
                            size_t capacity,
                            size_t *out_count);

/// Ends it. If it is not done, it is given up, and the service is told.
int axonic_call_close(struct axonic_call *call);

/// Its number: no other call that is under way in this process has the same. 0 on failure.
uint64_t axonic_call_id(const struct axonic_call *call);

/// Waits for the result, which is taken once; axonic_message_release() ends it. AXONIC_ERROR_TIMEOUT gives the call up
/// only if it has a status (axonic_last_status()): then the call's own time was over. Items of a stream that were not
/// taken are dropped. To give a call up from outside, wait in slices by `timeout`, and close it.
int axonic_call_result(struct axonic_call *call,
                       int64_t timeout,
                       struct axonic_message *out);

/// The next item that the service streams, waiting for it; axonic_message_release() ends it. AXONIC_ERROR_DISCONNECTED
/// when that was all; axonic_call_result() may still have a result.
int axonic_call_next(struct axonic_call *call,
                     int64_t timeout,
                     struct axonic_message *out);

/// Streams one more item to the service, waiting until it takes some. Goes nowhere when the service has answered already.
/// With timeout 0, what the service takes and finds no room is kept: see axonic_client_flush().
int axonic_call_send(struct axonic_call *call,
                     const struct axonic_payload *item,
                     int64_t timeout);

/// Says that there is no more input.
int axonic_call_finish_input(struct axonic_call *call);

/// How far the work is, from 0 to 1, as its service told last; negative when it has told nothing, and on failure. Its note
/// is written to `out_note`, which may be NULL; valid until the next call of this function.
double axonic_call_progress(struct axonic_call *call,
                            const char **out_note);

/// Makes an empty wait set.
int axonic_waitset_open(struct axonic_waitset **out);

/// Ends it; what was added is not touched.
int axonic_waitset_close(struct axonic_waitset *waitset);

/// Ready while the subscriber may have messages. A token can be used once:
/// AXONIC_ERROR_ALREADY_EXISTS.
int axonic_waitset_add_subscriber(struct axonic_waitset *waitset,
                                  struct axonic_subscriber *subscriber,
                                  uint64_t token);

/// Ready as axonic_publisher_fd() is readable: add a publisher when it was told
/// AXONIC_ERROR_WOULD_BLOCK and remove it when there was room again.
int axonic_waitset_add_publisher(struct axonic_waitset *waitset,
                                 struct axonic_publisher *publisher,
                                 uint64_t token);

/// Ready while a descriptor is readable: any of the system's, or one from an `_fd` function above.
int axonic_waitset_add_fd(struct axonic_waitset *waitset, int fd, uint64_t token);

/// Ready every `period` nanoseconds, the first time after one period.
int axonic_waitset_add_timer(struct axonic_waitset *waitset, int64_t period, uint64_t token);

/// Takes what has this token out of the set; AXONIC_ERROR_NOT_FOUND if nothing has it. What was added
/// may be closed before, and foreign descriptors must not be.
int axonic_waitset_remove(struct axonic_waitset *waitset, uint64_t token);

/// Waits until something is ready and writes up to `capacity` tokens to `tokens` and their number to
/// `out_count`: 0 when the timeout passed, which is no error. Tokens that do not fit come first next time.
int axonic_waitset_wait(struct axonic_waitset *waitset,
                        int64_t timeout,
                        uint64_t *tokens,
                        size_t capacity,
                        size_t *out_count);

/// A descriptor that is readable while something in the set is ready. Belongs to the set.
int axonic_waitset_fd(struct axonic_waitset *waitset, int *out);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* AXONIC_H */
