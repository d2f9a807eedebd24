// Errors in C++: kinds, exceptions, error codes. Included by axonic.hpp.
#ifndef AXONIC_ERROR_HPP
#define AXONIC_ERROR_HPP

#include "../axonic.h"

#include <cstdint>
#include <memory>
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
            case ErrorKind::LeaseLost: return std::errc::operation_canceled;
            case ErrorKind::Rejected: break; // no errc means that
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

// What a failed call throws: the kind, and the library's whole message in what().
class Error : public std::system_error {
public:
    Error(ErrorKind kind, std::string message)
        : std::system_error(make_error_code(kind)), message_(std::make_shared<std::string>(std::move(message))) {}
    ErrorKind kind() const noexcept { return static_cast<ErrorKind>(code().value()); }
    const char* what() const noexcept override { return message_->c_str(); }

private:
    std::shared_ptr<const std::string> message_; // shared: copying an exception must not throw
};

// The subclass of one kind, to be caught by it.
template <ErrorKind Kind> class ErrorOf : public Error {
public:
    explicit ErrorOf(std::string message) : Error(Kind, std::move(message)) {}
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
template <ErrorKind... Kinds> [[noreturn]] void raise_among(int code, const std::string& message) {
    (void)((code == static_cast<int>(Kinds) && (throw ErrorOf<Kinds>(message), true)) || ...);
    throw Error(static_cast<ErrorKind>(code), message);
}

[[noreturn]] inline void raise(int code, const std::string& message) {
    using K = ErrorKind;
    raise_among<K::InvalidArgument, K::InvalidName, K::NotFound, K::AlreadyExists, K::PermissionDenied, K::Timeout,
                K::WouldBlock, K::Closed, K::Disconnected, K::TooLarge, K::Full, K::LimitReached, K::NoSpace,
                K::LayoutMismatch, K::Corrupt, K::Forked, K::Busy, K::InUse, K::Interrupted, K::Unsupported,
                K::Decode, K::Io, K::LeaseLost, K::Rejected, K::NotDurable>(code, message);
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
            detail::raise(answer, axonic_last_error_message());
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
