// The writing side of a topic. Included by axonic.hpp.
#ifndef AXONIC_PUBLISHER_HPP
#define AXONIC_PUBLISHER_HPP

#include "handle.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace axonic {

enum class Overflow : std::int32_t {
    DropOldest = AXONIC_OVERFLOW_DROP_OLDEST,
    Block = AXONIC_OVERFLOW_BLOCK,
    Reject = AXONIC_OVERFLOW_REJECT,
};
// Options mean what they mean in axonic.h; 0 and "" are the default.
struct PublisherOptions {
    Overflow overflow = Overflow::DropOldest;
    std::size_t capacity = 0;
    std::size_t max_bytes = 0;
    bool retain = false;
    Wait wait = Wait::Adaptive;
    std::string schema{};
};

namespace detail {
using OwnedPublisher = Member<axonic_publisher, axonic_publisher_close>;
} // namespace detail

// Memory of a publisher to write a message into, seen as an array of T. Unless committed, it is given
// back unpublished by the destructor. Keeps its publisher open.
template <class T> class Loan {
public:
    Loan() noexcept = default;
    Loan(std::shared_ptr<detail::OwnedPublisher> publisher, axonic_loan loan, Shape shape)
        : publisher_(std::move(publisher)), loan_(loan), shape_(std::move(shape)) {}
    Loan(Loan&& from) noexcept
        : publisher_(std::move(from.publisher_)), loan_(std::exchange(from.loan_, axonic_loan{})),
          shape_(std::move(from.shape_)) {}
    Loan& operator=(Loan&& from) noexcept {
        abort();
        publisher_ = std::move(from.publisher_);
        loan_ = std::exchange(from.loan_, axonic_loan{});
        shape_ = std::move(from.shape_);
        return *this;
    }
    ~Loan() { abort(); }

    // False once committed, aborted or moved from, and for what a failed call returned.
    explicit operator bool() const noexcept { return loan_.token != nullptr; }
    span<T> data() const noexcept { return {static_cast<T*>(loan_.data), loan_.size / sizeof(T)}; }
    span<const std::size_t> shape() const noexcept { return shape_; }
    Tensor<T> tensor() const { return {static_cast<T*>(loan_.data), shape_}; }
    // Publishes fewer bytes than were lent, or another content than raw; for loans of bytes.
    void shrink(std::size_t size) noexcept {
        static_assert(std::is_same_v<T, std::byte>, "a tensor has the size of its shape");
        loan_.size = size < loan_.size ? size : loan_.size;
    }
    void set_content(Content content) noexcept {
        static_assert(std::is_same_v<T, std::byte>, "a typed loan is a tensor");
        content_ = content;
    }
    // Publishes it.
    void commit(Report report = {}) { commit({}, forever, report); }
    void commit(const Attributes& attributes, Timeout timeout = forever, Report report = {}) {
        Dtype dtype = Dtype::None;
        if constexpr (!std::is_same_v<T, std::byte>) {
            dtype = dtype_of_v<T>;
        }
        const span<const std::size_t> shape = dtype == Dtype::None ? span<const std::size_t>() : this->shape();
        const detail::PayloadInC payload({}, content_, dtype, shape, attributes);
        auto* publisher = publisher_ != nullptr ? publisher_->use("publisher", report)
                                                : detail::OwnedPublisher().use("loan", report);
        report(axonic_publisher_commit(publisher, &loan_, &payload.get(), timeout.nanoseconds()));
    }
    // Gives it back unpublished.
    void abort() noexcept {
        axonic_publisher_abort(&loan_);
        loan_ = {};
        publisher_.reset();
    }

private:
    std::shared_ptr<detail::OwnedPublisher> publisher_;
    axonic_loan loan_{};
    Shape shape_;
    Content content_ = std::is_same_v<T, std::byte> ? Content::Raw : Content::Tensor;
};

// Publishes to one topic.
class Publisher {
public:
    Publisher() noexcept = default;
    Publisher(detail::SharedDomain domain, axonic_publisher* handle)
        : member_(std::make_shared<detail::OwnedPublisher>(std::move(domain), handle,
                                                           detail::share(axonic_publisher_topic(handle)))) {}
    Publisher(Publisher&&) noexcept = default;
    Publisher& operator=(Publisher&&) noexcept = default;

    explicit operator bool() const noexcept { return get() != nullptr; }
    // The handle of the C functions.
    axonic_publisher* get() const noexcept { return member_ != nullptr ? member_->get() : nullptr; }
    // Ends it now, also for loans that are still open.
    void close() noexcept {
        if (member_ != nullptr) {
            member_->close();
        }
    }
    std::string_view topic() const noexcept { return detail::text(axonic_publisher_topic(get())); }
    std::uint64_t id() const noexcept { return axonic_publisher_id(get()); }

    // Raw bytes, copied; with Overflow::Block it waits for room.
    void publish(bytes_view data, Report report = {}) {
        report(axonic_publisher_publish(use(report), data.data(), data.size()));
    }
    void send(const Payload& payload, Timeout timeout = forever, Report report = {}) {
        report(axonic_publisher_send(use(report), &detail::PayloadInC(payload).get(), timeout.nanoseconds()));
    }
    // All of them or none.
    void publish_many(const std::vector<Payload>& payloads, Timeout timeout = forever, Report report = {}) {
        const detail::PayloadsInC given(payloads);
        report(axonic_publisher_publish_many(use(report), given.data(), given.size(), timeout.nanoseconds()));
    }
    // Bytes to write in place.
    Loan<std::byte> loan(std::size_t size, Timeout timeout = forever, Report report = {}) {
        return lend<std::byte>(size, {size}, timeout, report);
    }
    // A tensor to write in place: loan<float>({480, 640, 3}).
    template <class T> Loan<T> loan(Shape shape, Timeout timeout = forever, Report report = {}) {
        std::size_t size = sizeof(T);
        for (const std::size_t length : shape) {
            if (__builtin_mul_overflow(size, length, &size)) {
                report.fail(ErrorKind::TooLarge, "the shape has more elements than memory could hold");
                return {};
            }
        }
        return lend<T>(size, std::move(shape), timeout, report);
    }
    void wait_for_subscribers(std::size_t count, Timeout timeout = forever, Report report = {}) {
        report(axonic_publisher_wait_for_subscribers(use(report), count, timeout.nanoseconds()));
    }
    // Live ones, now.
    std::size_t subscribers(Report report = {}) {
        return detail::result<std::size_t>(report,
                                           [&](auto* out) { return axonic_publisher_subscribers(use(report), out); });
    }
    // Readable when it should be tried again after ErrorKind::WouldBlock; for poll and epoll.
    int fd(Report report = {}) {
        return detail::descriptor(report, [&](int* out) { return axonic_publisher_fd(use(report), out); });
    }
    axonic_publisher_stats stats(Report report = {}) {
        return detail::result<axonic_publisher_stats>(
            report, [&](auto* out) { return axonic_publisher_get_stats(use(report), out); });
    }

private:
    axonic_publisher* use(const Report& report) const {
        return member_ != nullptr ? member_->use("publisher", report)
                                  : detail::OwnedPublisher().use("publisher", report);
    }
    template <class T> Loan<T> lend(std::size_t size, Shape shape, Timeout timeout, Report report) {
        axonic_loan loan{};
        if (!report(axonic_publisher_loan(use(report), size, timeout.nanoseconds(), &loan))) {
            return {};
        }
        return {member_, loan, std::move(shape)};
    }

    std::shared_ptr<detail::OwnedPublisher> member_;
};

} // namespace axonic

#endif
