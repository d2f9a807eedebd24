// The bare ring. Included by axonic.hpp.
#ifndef AXONIC_RING_HPP
#define AXONIC_RING_HPP

#include "handle.hpp"

#include <cstddef>
#include <optional>
#include <string_view>
#include <utility>

namespace axonic {

// Options mean what they mean in axonic.h; 0 is the default.
struct RingOptions {
    std::size_t capacity = 0;
    Wait wait = Wait::Adaptive;
};


// The writing end of a ring.
class RingProducer {
public:
    RingProducer() noexcept = default;
    RingProducer(detail::SharedDomain domain, axonic_ring_producer* handle)
        : member_(std::move(domain), handle, detail::share(axonic_ring_producer_name(handle))) {}
    explicit operator bool() const noexcept { return get() != nullptr; }
    axonic_ring_producer* get() const noexcept { return member_.get(); }
    void close() noexcept { member_.close(); }
    std::string_view name() const noexcept { return detail::text(axonic_ring_producer_name(get())); }
    void push(bytes_view data, Timeout timeout = forever, Report report = {}) {
        report(axonic_ring_producer_push(use(report), data.data(), data.size(), timeout.nanoseconds()));
    }
    // False when there is no room.
    bool try_push(bytes_view data, Report report = {}) {
        const int answer = axonic_ring_producer_push(use(report), data.data(), data.size(), 0);
        return report(answer == AXONIC_ERROR_WOULD_BLOCK ? AXONIC_OK : answer) && answer == AXONIC_OK;
    }
    // Room to write in place, sent by commit(); valid until the next call.
    span<std::byte> reserve(std::size_t size, Timeout timeout = forever, Report report = {}) {
        void* out = nullptr;
        const bool done = report(axonic_ring_producer_reserve(use(report), size, timeout.nanoseconds(), &out));
        return {static_cast<std::byte*>(out), done ? size : 0};
    }
    void commit(std::size_t size, Report report = {}) { report(axonic_ring_producer_commit(use(report), size)); }
    int fd(Report report = {}) {
        return detail::descriptor(report, [&](int* out) { return axonic_ring_producer_fd(use(report), out); });
    }

    axonic_ring_stats stats(Report report = {}) {
        return detail::result<axonic_ring_stats>(
            report, [&](auto* out) { return axonic_ring_producer_get_stats(use(report), out); });
    }
private:
    axonic_ring_producer* use(const Report& report) const { return member_.use("ring producer", report); }

    detail::Member<axonic_ring_producer, axonic_ring_producer_close> member_;
};

// The reading end of a ring.
class RingConsumer {
public:
    RingConsumer() noexcept = default;
    RingConsumer(detail::SharedDomain domain, axonic_ring_consumer* handle)
        : member_(std::move(domain), handle, detail::share(axonic_ring_consumer_name(handle))) {}
    explicit operator bool() const noexcept { return get() != nullptr; }
    axonic_ring_consumer* get() const noexcept { return member_.get(); }
    void close() noexcept { member_.close(); }
    std::string_view name() const noexcept { return detail::text(axonic_ring_consumer_name(get())); }
    // The next message in place: valid until the next pop or release().
    span<const std::byte> pop(Timeout timeout = forever, Report report = {}) {
        const void* data = nullptr;
        std::size_t size = 0;
        report(axonic_ring_consumer_pop(use(report), timeout.nanoseconds(), &data, &size));
        return {static_cast<const std::byte*>(data), size};
    }
    std::optional<span<const std::byte>> try_pop(Report report = {}) {
        const void* data = nullptr;
        std::size_t size = 0;
        const int answer = axonic_ring_consumer_pop(use(report), 0, &data, &size);
        if (!report(answer == AXONIC_ERROR_WOULD_BLOCK ? AXONIC_OK : answer) || answer != AXONIC_OK) {
            return std::nullopt;
        }
        return span<const std::byte>(static_cast<const std::byte*>(data), size);
    }
    void release(Report report = {}) { report(axonic_ring_consumer_release(use(report))); }
    int fd(Report report = {}) {
        return detail::descriptor(report, [&](int* out) { return axonic_ring_consumer_fd(use(report), out); });
    }

    axonic_ring_stats stats(Report report = {}) {
        return detail::result<axonic_ring_stats>(
            report, [&](auto* out) { return axonic_ring_consumer_get_stats(use(report), out); });
    }
private:
    axonic_ring_consumer* use(const Report& report) const { return member_.use("ring consumer", report); }

    detail::Member<axonic_ring_consumer, axonic_ring_consumer_close> member_;
};

} // namespace axonic

#endif
