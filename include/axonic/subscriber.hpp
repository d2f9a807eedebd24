// The reading side of topics. Included by axonic.hpp.
#ifndef AXONIC_SUBSCRIBER_HPP
#define AXONIC_SUBSCRIBER_HPP

#include "handle.hpp"
#include "message.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace axonic {

enum class Start : std::int32_t { Latest = AXONIC_START_LATEST, Oldest = AXONIC_START_OLDEST };
// Options mean what they mean in axonic.h; 0 and "" are the default.
struct SubscriberOptions {
    Start start = Start::Latest;
    std::size_t max_borrowed = 0;
    Wait wait = Wait::Adaptive;
    std::string schema{};
};

// Receives what is published to the topics that match its pattern. `for (auto& m : subscriber)` waits
// for one message after another; leave it with break.
class Subscriber {
public:
    Subscriber() noexcept = default;
    Subscriber(detail::SharedDomain domain, axonic_subscriber* handle)
        : member_(std::move(domain), handle, detail::share(axonic_subscriber_pattern(handle))) {}

    explicit operator bool() const noexcept { return get() != nullptr; }
    axonic_subscriber* get() const noexcept { return member_.get(); }
    void close() noexcept { member_.close(); }
    std::string_view pattern() const noexcept { return detail::text(axonic_subscriber_pattern(get())); }
    std::uint64_t id() const noexcept { return axonic_subscriber_id(get()); }

    // The next message, copied; valid until the next call.
    Message receive(Timeout timeout = forever, Report report = {}) {
        return Message(next(axonic_subscriber_receive, timeout, report));
    }
    std::optional<Message> try_receive(Report report = {}) {
        return attempt<Message>(axonic_subscriber_receive, report);
    }
    // The next message where its publisher wrote it.
    Sample borrow(Timeout timeout = forever, Report report = {}) {
        return Sample(next(axonic_subscriber_borrow, timeout, report));
    }
    std::optional<Sample> try_borrow(Report report = {}) { return attempt<Sample>(axonic_subscriber_borrow, report); }

    std::size_t publishers(Report report = {}) {
        return detail::result<std::size_t>(report,
                                           [&](auto* out) { return axonic_subscriber_publishers(use(report), out); });
    }
    // Readable until try_receive() or try_borrow() found nothing; for poll and epoll.
    int fd(Report report = {}) {
        return detail::descriptor(report, [&](int* out) { return axonic_subscriber_fd(use(report), out); });
    }
    axonic_subscriber_stats stats(Report report = {}) {
        return detail::result<axonic_subscriber_stats>(
            report, [&](auto* out) { return axonic_subscriber_get_stats(use(report), out); });
    }

    class End {};
    class Iterator {
    public:
        explicit Iterator(Subscriber& from) : from_(&from), message_(from.receive()) {}
        Message& operator*() noexcept { return message_; }
        Message* operator->() noexcept { return &message_; }
        Iterator& operator++() {
            message_ = from_->receive();
            return *this;
        }
        bool operator!=(End) const noexcept { return true; }

    private:
        Subscriber* from_;
        Message message_;
    };
    Iterator begin() { return Iterator(*this); }
    End end() const noexcept { return {}; }

private:
    axonic_subscriber* use(const Report& report) const { return member_.use("subscriber", report); }
    using Call = int(axonic_subscriber*, std::int64_t, axonic_message*);
    axonic_message next(Call call, Timeout timeout, const Report& report) {
        return detail::result<axonic_message>(report,
                                              [&](auto* out) { return call(use(report), timeout.nanoseconds(), out); });
    }
    template <class M> std::optional<M> attempt(Call call, const Report& report) {
        axonic_message out{};
        const int answer = call(use(report), 0, &out);
        if (answer == AXONIC_ERROR_WOULD_BLOCK) {
            report(AXONIC_OK);
            return std::nullopt;
        }
        return report(answer) ? std::optional<M>(M(out)) : std::nullopt;
    }

    detail::Member<axonic_subscriber, axonic_subscriber_close> member_;
};

} // namespace axonic

#endif
