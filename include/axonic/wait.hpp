// One wait for many handles. Included by axonic.hpp.
#ifndef AXONIC_WAIT_HPP
#define AXONIC_WAIT_HPP

#include "publisher.hpp"
#include "subscriber.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace axonic {

// One wait for many handles, timers and foreign descriptors, each known by a token. Remove a handle
// before it is closed.
class WaitSet {
public:
    explicit WaitSet(Report report = {})
        : handle_(detail::result<axonic_waitset*>(report, [](auto* out) { return axonic_waitset_open(out); }),
                  detail::share({})) {}
    explicit operator bool() const noexcept { return get() != nullptr; }
    axonic_waitset* get() const noexcept { return handle_.get(); }
    void close() noexcept { handle_.close(); }

    void add(Subscriber& subscriber, std::uint64_t token, Report report = {}) {
        report(axonic_waitset_add_subscriber(use(report), subscriber.get(), token));
    }
    void add(Publisher& publisher, std::uint64_t token, Report report = {}) {
        report(axonic_waitset_add_publisher(use(report), publisher.get(), token));
    }
    void add(int fd, std::uint64_t token, Report report = {}) { report(axonic_waitset_add_fd(use(report), fd, token)); }
    void add_timer(Timeout period, std::uint64_t token, Report report = {}) {
        report(axonic_waitset_add_timer(use(report), period.nanoseconds(), token));
    }
    void remove(std::uint64_t token, Report report = {}) { report(axonic_waitset_remove(use(report), token)); }
    // The tokens that are ready; none when the timeout passed.
    std::vector<std::uint64_t> wait(Timeout timeout = forever, Report report = {}) {
        std::vector<std::uint64_t> tokens(64);
        std::size_t count = 0;
        report(axonic_waitset_wait(use(report), timeout.nanoseconds(), tokens.data(), tokens.size(), &count));
        tokens.resize(count);
        return tokens;
    }
    int fd(Report report = {}) {
        return detail::descriptor(report, [&](int* out) { return axonic_waitset_fd(use(report), out); });
    }

private:
    axonic_waitset* use(const Report& report) const { return handle_.use("wait set", report); }

    detail::Handle<axonic_waitset, axonic_waitset_close> handle_;
};

} // namespace axonic

#endif
