// Errors in C++: kinds, exceptions, error codes. Included by axonic.hpp.
#ifndef AXONIC_ERROR_HPP
#define AXONIC_ERROR_HPP

#include "../axonic.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

namespace axonic {

// The kinds of failure; the value is the code that the C functions return.
enum class ErrorKind : std::int32_t {
    InvalidArgument = AXONIC_ERROR_INVALID_ARGUMENT,
    InvalidName = AXONIC_ERROR_INVALID_NAME,
    NotFound = AXONIC_ERROR_NOT_FOUND,
    AlreadyExists = AXONIC_ERROR_ALREADY_EXISTS,
    PermissionDenied = AXONIC_ERROR_PERMISSION_DENIED,
    Timeout = AXONIC_ERROR_TIMEOUT,
    WouldBlock = AXONIC_ERROR_WOULD_BLOCK,
    Closed = AXONIC_ERROR_CLOSED,
    Disconnected = AXONIC_ERROR_DISCONNECTED,
    TooLarge = AXONIC_ERROR_TOO_LARGE,
    Full = AXONIC_ERROR_FULL,
    LimitReached = AXONIC_ERROR_LIMIT_REACHED,
    NoSpace = AXONIC_ERROR_NO_SPACE,
    LayoutMismatch = AXONIC_ERROR_LAYOUT_MISMATCH,
    Corrupt = AXONIC_ERROR_CORRUPT,
    Forked = AXONIC_ERROR_FORKED,
    Busy = AXONIC_ERROR_BUSY,
    InUse = AXONIC_ERROR_IN_USE,
    Interrupted = AXONIC_ERROR_INTERRUPTED,
    Unsupported = AXONIC_ERROR_UNSUPPORTED,
    Decode = AXONIC_ERROR_DECODE,
    Io = AXONIC_ERROR_IO,
    LeaseLost = AXONIC_ERROR_LEASE_LOST,
    Rejected = AXONIC_ERROR_REJECTED,
    NotDurable = AXONIC_ERROR_NOT_DURABLE,
    Unavailable = AXONIC_ERROR_UNAVAILABLE,
    Cancelled = AXONIC_ERROR_CANCELLED,
    CallFailed = AXONIC_ERROR_CALL_FAILED,
};

// The category of axonic's error codes; they compare equal to the std::errc closest in meaning.
inline const std::error_category& error_category() noexcept {
    struct Category final : std::error_category {
        const char* name() const noexcept override { return "axonic"; }
        std::string message(int code) const override {
            const char* name = axonic_error_name(code);
            return name != nullptr ? name : "unknown error " + std::to_string(code);
        }
        std::error_condition default_error_condition(int code) const noexcept override {
            switch (static_cast<ErrorKind>(code)) {
            case ErrorKind::InvalidArgument:
            case ErrorKind::InvalidName: return std::errc::invalid_argument;
            case ErrorKind::NotFound: return std::errc::no_such_file_or_directory;
            case ErrorKind::AlreadyExists: return std::errc::file_exists;
            case ErrorKind::PermissionDenied: return std::errc::permission_denied;
            case ErrorKind::Timeout: return std::errc::timed_out;
            case ErrorKind::WouldBlock: return std::errc::operation_would_block;
            case ErrorKind::Closed: return std::errc::bad_file_descriptor;
            case ErrorKind::Disconnected: return std::errc::broken_pipe;
            case ErrorKind::TooLarge: return std::errc::message_size;
            case ErrorKind::Full:
            case ErrorKind::LimitReached: return std::errc::no_buffer_space;
            case ErrorKind::NoSpace: return std::errc::no_space_on_device;
            case ErrorKind::Busy:
            case ErrorKind::InUse: return std::errc::device_or_resource_busy;
            case ErrorKind::Interrupted: return std::errc::interrupted;
            case ErrorKind::Unsupported: return std::errc::not_supported;
            case ErrorKind::Decode:
            case ErrorKind::LayoutMismatch:
            case ErrorKind::Corrupt: return std::errc::bad_message;
            case ErrorKind::Forked:
            case ErrorKind::Io:
            case ErrorKind::NotDurable: return std::errc::io_error;
            case ErrorKind::LeaseLost:
            case ErrorKind::Cancelled: return std::errc::operation_canceled;
            case ErrorKind::Unavailable: return std::errc::connection_refused;
            case ErrorKind::Rejected:
            case ErrorKind::CallFailed: break; // no errc means that
            }
            return {code, *this};
        }
    };
    static const Category category;
    return category;
}

inline std::error_code make_error_code(ErrorKind kind) noexcept {
    return {static_cast<int>(kind), error_category()};
}

// What went wrong with a call to a service: gRPC's codes, as axonic_code tells them.
enum class Code : std::int32_t {
    Cancelled = AXONIC_CODE_CANCELLED,
    Unknown = AXONIC_CODE_UNKNOWN,
    InvalidArgument = AXONIC_CODE_INVALID_ARGUMENT,
    DeadlineExceeded = AXONIC_CODE_DEADLINE_EXCEEDED,
    NotFound = AXONIC_CODE_NOT_FOUND,
    AlreadyExists = AXONIC_CODE_ALREADY_EXISTS,
    PermissionDenied = AXONIC_CODE_PERMISSION_DENIED,
    ResourceExhausted = AXONIC_CODE_RESOURCE_EXHAUSTED,
    FailedPrecondition = AXONIC_CODE_FAILED_PRECONDITION,
    Aborted = AXONIC_CODE_ABORTED,
    OutOfRange = AXONIC_CODE_OUT_OF_RANGE,
    Unimplemented = AXONIC_CODE_UNIMPLEMENTED,
    Internal = AXONIC_CODE_INTERNAL,
    Unavailable = AXONIC_CODE_UNAVAILABLE,
    DataLoss = AXONIC_CODE_DATA_LOSS,
    Unauthenticated = AXONIC_CODE_UNAUTHENTICATED,
};

// gRPC's name, "NOT_FOUND"; "" for a number that is none.
inline const char* code_name(Code code) noexcept {
    const char* name = axonic_code_name(static_cast<std::int32_t>(code));
    return name != nullptr ? name : "";
}

// Why a call to a service failed, as the service says it. What is "" is not there.
struct Status {
    Code code = Code::Unknown;
    // A sentence for a person.
    std::string message{};
    // A word of the service's own that stays the same while texts change.
    std::string reason{};
    // What else the service tells, as JSON text.
    std::string details{};
    // The same call may succeed later, and does no harm if it was done already: so it is by default of what is unavailable.
    bool retryable = code == Code::Unavailable;
    // Who failed.
    std::string origin{};
};

// The status of this thread's last failed call, where its service, or who called for it, has told one.
inline std::optional<Status> last_status() {
    axonic_status told = AXONIC_STATUS_INIT;
    if (!axonic_last_status(&told)) {
        return std::nullopt;
    }
    return Status{static_cast<Code>(told.code), told.message,       told.reason,
                  told.details,                 told.retryable != 0, told.origin};
}

// What a failed call throws: the kind, and the library's whole message in what().
class Error : public std::system_error {
public:
    Error(ErrorKind kind, std::string message, std::optional<Status> status = std::nullopt)
        : std::system_error(make_error_code(kind)),
          told_(std::make_shared<const Told>(Told{std::move(message), std::move(status)})) {}
    ErrorKind kind() const noexcept { return static_cast<ErrorKind>(code().value()); }
    const char* what() const noexcept override { return told_->message.c_str(); }
    // Of a call to a service: why it failed; nullptr where nothing is told.
    const Status* status() const noexcept { return told_->status ? &*told_->status : nullptr; }

private:
    struct Told {
        std::string message;
        std::optional<Status> status;
    };
    std::shared_ptr<const Told> told_; // shared: copying an exception must not throw
};

// The subclass of one kind, to be caught by it.
template <ErrorKind Kind> class ErrorOf : public Error {
public:
    explicit ErrorOf(std::string message, std::optional<Status> status = std::nullopt)
        : Error(Kind, std::move(message), std::move(status)) {}
};

using InvalidArgumentError = ErrorOf<ErrorKind::InvalidArgument>;
using InvalidNameError = ErrorOf<ErrorKind::InvalidName>;
using NotFoundError = ErrorOf<ErrorKind::NotFound>;
using AlreadyExistsError = ErrorOf<ErrorKind::AlreadyExists>;
using PermissionDeniedError = ErrorOf<ErrorKind::PermissionDenied>;
using TimeoutError = ErrorOf<ErrorKind::Timeout>;
using WouldBlockError = ErrorOf<ErrorKind::WouldBlock>;
using ClosedError = ErrorOf<ErrorKind::Closed>;
using DisconnectedError = ErrorOf<ErrorKind::Disconnected>;
using TooLargeError = ErrorOf<ErrorKind::TooLarge>;
using FullError = ErrorOf<ErrorKind::Full>;
using LimitReachedError = ErrorOf<ErrorKind::LimitReached>;
using NoSpaceError = ErrorOf<ErrorKind::NoSpace>;
using LayoutMismatchError = ErrorOf<ErrorKind::LayoutMismatch>;
using CorruptError = ErrorOf<ErrorKind::Corrupt>;
using ForkedError = ErrorOf<ErrorKind::Forked>;
using BusyError = ErrorOf<ErrorKind::Busy>;
using InUseError = ErrorOf<ErrorKind::InUse>;
using InterruptedError = ErrorOf<ErrorKind::Interrupted>;
using UnsupportedError = ErrorOf<ErrorKind::Unsupported>;
using DecodeError = ErrorOf<ErrorKind::Decode>;
using IoError = ErrorOf<ErrorKind::Io>;
using LeaseLostError = ErrorOf<ErrorKind::LeaseLost>;
using RejectedError = ErrorOf<ErrorKind::Rejected>;
using NotDurableError = ErrorOf<ErrorKind::NotDurable>;
using UnavailableError = ErrorOf<ErrorKind::Unavailable>;
using CancelledError = ErrorOf<ErrorKind::Cancelled>;
using CallFailedError = ErrorOf<ErrorKind::CallFailed>;

// Thrown by what has taken a lock of which the owner before died while it had it. WHOEVER CATCHES IT HAS THE LOCK: what
// it protects may be half-changed; set that right, and unlock. The guard that threw it is not there to do so:
//
//     try {
//         std::scoped_lock guard(mutex);
//         change();
//     } catch (const axonic::OwnerDied&) {
//         std::scoped_lock guard(std::adopt_lock, mutex);
//         repair();
//     }
//
// It is no axonic::Error, since the call has done what it was to do. A call that is given a std::error_code sets it to
// std::errc::owner_dead. Of several locks that are taken at once only the one that it names is had then; who would rather
// have all opens them without throw_owner_died (LockOptions).
class OwnerDied : public std::system_error {
public:
    explicit OwnerDied(const std::string& lock)
        : std::system_error(std::make_error_code(std::errc::owner_dead),
                            "lock '" + lock + "': its owner died while it had it; it is locked now, set right what it " +
                                "protects and unlock it") {}
};

namespace detail {
// Throws the subclass of `code` among `Kinds`, or a plain Error for a code of a later version.
template <ErrorKind... Kinds>
[[noreturn]] void raise_among(int code, const std::string& message, const std::optional<Status>& status) {
    (void)((code == static_cast<int>(Kinds) && (throw ErrorOf<Kinds>(message, status), true)) || ...);
    throw Error(static_cast<ErrorKind>(code), message, status);
}

[[noreturn]] inline void raise(int code, const std::string& message,
                               const std::optional<Status>& status = std::nullopt) {
    using K = ErrorKind;
    raise_among<K::InvalidArgument, K::InvalidName, K::NotFound, K::AlreadyExists, K::PermissionDenied, K::Timeout,
                K::WouldBlock, K::Closed, K::Disconnected, K::TooLarge, K::Full, K::LimitReached, K::NoSpace,
                K::LayoutMismatch, K::Corrupt, K::Forked, K::Busy, K::InUse, K::Interrupted, K::Unsupported,
                K::Decode, K::Io, K::LeaseLost, K::Rejected, K::NotDurable, K::Unavailable, K::Cancelled,
                K::CallFailed>(code, message, status);
}
} // namespace detail

// Where a call reports failure: left out, it throws; made from a std::error_code, it is set.
class Report {
public:
    Report() noexcept = default;
    Report(std::error_code& code) noexcept : code_(&code) {}

    // Reports the answer of a C function; true when it was AXONIC_OK.
    bool operator()(int answer) const {
        if (code_ != nullptr) {
            *code_ = answer == AXONIC_OK ? std::error_code() : std::error_code(answer, error_category());
        } else if (answer != AXONIC_OK) {
            detail::raise(answer, axonic_last_error_message(), last_status());
        }
        return answer == AXONIC_OK;
    }
    // Reports a failure found on this side.
    void fail(ErrorKind kind, const std::string& message) const {
        if (code_ == nullptr) {
            detail::raise(static_cast<int>(kind), message);
        }
        *code_ = make_error_code(kind);
    }
    // Reports that a lock was taken from one that died.
    void owner_died(const std::string& lock) const {
        if (code_ == nullptr) {
            throw OwnerDied(lock);
        }
        *code_ = std::make_error_code(std::errc::owner_dead);
    }
    bool throws() const noexcept { return code_ == nullptr; }

private:
    std::error_code* code_ = nullptr;
};

} // namespace axonic

template <> struct std::is_error_code_enum<axonic::ErrorKind> : std::true_type {};

#endif
