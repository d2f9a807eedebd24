// Clients: whoever calls a service. Included by axonic.hpp.
#ifndef AXONIC_CLIENT_HPP
#define AXONIC_CLIENT_HPP

#include "handle.hpp"
#include "message.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace axonic {

// Options mean what they mean in axonic.h; 0 and "" are the default.
struct ClientOptions {
    std::string address{};
    std::size_t max_message = 0;
    Wait wait = Wait::Adaptive;
};

// How to call: how long it may take, whether the caller streams its input, and whether it takes a stream.
struct CallOptions {
    Timeout timeout = forever;
    bool input = false;
    bool stream = false;
};

// How far a call is, from 0 to 1, and what its service notes.
struct Progress {
    double done = 0;
    std::string note{};
};

// A call that is under way. Unless it is done, the destructor gives it up, and the service is told.
class Call {
public:
    Call() noexcept = default;
    Call(detail::SharedDomain domain, axonic_call* handle, detail::SharedName method) noexcept
        : member_(std::move(domain), handle, std::move(method)) {}
    explicit operator bool() const noexcept { return get() != nullptr; }
    axonic_call* get() const noexcept { return member_.get(); }
    // Gives it up.
    void close() noexcept { member_.close(); }
    // No other call that is under way in this process has the same.
    std::uint64_t id() const noexcept { return axonic_call_id(get()); }

    // Waits for the result, which is taken once. ErrorKind::Timeout gives the call up only if it has a status.
    Body result(Timeout timeout = forever, Report report = {}) {
        return Body(detail::result<axonic_message>(
            report, [&](auto* out) { return axonic_call_result(use(report), timeout.nanoseconds(), out); }));
    }
    // The next item that the service streams: nothing when that was all; result() may still have one.
    std::optional<Body> next(Timeout timeout = forever, Report report = {}) {
        return detail::next_item<Body>(
            report, [&](auto* out) { return axonic_call_next(use(report), timeout.nanoseconds(), out); });
    }
    // All of them, for `for (auto& item : call.items())`; the call is to outlive them.
    auto items() & {
        return detail::Items([this] { return next(); });
    }
    auto items() && = delete;
    // Streams one more item to the service.
    void send(const Payload& item, Timeout timeout = forever, Report report = {}) {
        const detail::PayloadInC given(item);
        report(axonic_call_send(use(report), &given.get(), timeout.nanoseconds()));
    }
    void send(bytes_view item, Timeout timeout = forever, Report report = {}) {
        send(detail::raw(item), timeout, report);
    }
    // Says that there is no more input.
    void finish_input(Report report = {}) { report(axonic_call_finish_input(use(report))); }
    // How far it is, as its service told last; nothing when it has told nothing.
    std::optional<Progress> progress() {
        const char* note = nullptr;
        const double done = axonic_call_progress(get(), &note);
        return done >= 0 ? std::optional(Progress{done, note}) : std::nullopt;
    }

private:
    axonic_call* use(const Report& report) const { return member_.use("call", report); }

    detail::Member<axonic_call, axonic_call_close> member_;
};

// Calls a service, at any of its providers. Several threads may use it at once.
class Client {
public:
    Client() noexcept = default;
    Client(detail::SharedDomain domain, axonic_client* handle, const std::string& service)
        : member_(std::move(domain), handle, detail::share(service)) {}
    explicit operator bool() const noexcept { return get() != nullptr; }
    axonic_client* get() const noexcept { return member_.get(); }
    // Not while another thread uses it. Its calls that are under way fail.
    void close() noexcept { member_.close(); }

    // Calls a method and waits for its result. What fails has a status(): CallFailed, Unavailable, Timeout, Cancelled.
    Body call(const std::string& method, const Payload& payload, Timeout timeout = forever, Report report = {}) const {
        axonic_message out{};
        if (detail::nul_free(method, report)) {
            const detail::PayloadInC given(payload);
            report(axonic_client_call(use(report), method.c_str(), &given.get(), timeout.nanoseconds(), &out));
        }
        return Body(out);
    }
    Body call(const std::string& method, bytes_view payload = {}, Timeout timeout = forever,
              Report report = {}) const {
        return call(method, detail::raw(payload), timeout, report);
    }
    // Sends a call on its way. The first one to a provider waits until that lets this client in, as far as there is time for
    // the call.
    Call start(const std::string& method, const Payload& payload, const CallOptions& options = {},
               Report report = {}) const {
        const axonic_call_options how = in_c(options);
        axonic_call* out = nullptr;
        if (detail::nul_free(method, report)) {
            const detail::PayloadInC given(payload);
            report(axonic_client_start(use(report), method.c_str(), &given.get(), &how, &out));
        }
        return out != nullptr ? Call(member_.domain(), out, detail::share(method)) : Call();
    }
    Call start(const std::string& method, bytes_view payload = {}, const CallOptions& options = {},
               Report report = {}) const {
        return start(method, detail::raw(payload), options, report);
    }
    // The same for who must not wait: nothing where it would have to connect() first.
    std::optional<Call> try_start(const std::string& method, const Payload& payload, const CallOptions& options = {},
                                  Report report = {}) const {
        const axonic_call_options how = in_c(options);
        axonic_call* out = nullptr;
        if (!detail::nul_free(method, report)) {
            return std::nullopt;
        }
        const detail::PayloadInC given(payload);
        const int answer = axonic_client_try_start(use(report), method.c_str(), &given.get(), &how, &out);
        if (!detail::in_time(answer, report)) {
            return std::nullopt;
        }
        return Call(member_.domain(), out, detail::share(method));
    }
    std::optional<Call> try_start(const std::string& method, bytes_view payload = {}, const CallOptions& options = {},
                                  Report report = {}) const {
        return try_start(method, detail::raw(payload), options, report);
    }
    // Connects to whoever provides the service now, ahead of calls.
    void connect(Timeout timeout = forever, Report report = {}) const {
        report(axonic_client_connect(use(report), timeout.nanoseconds()));
    }
    // Sends what try_start() and sends with a timeout of 0 could not yet. False while some is left.
    bool flush(Report report = {}) const { return detail::in_time(axonic_client_flush(use(report)), report); }
    // Readable until take_news() found nothing; for poll and epoll.
    int fd(Report report = {}) const {
        return detail::descriptor(report, [&](int* out) { return axonic_client_fd(use(report), out); });
    }
    // The calls (Call::id) that something came for since the last time.
    std::vector<std::uint64_t> take_news(Report report = {}) const {
        return detail::numbers(report, [&](auto... out) { return axonic_client_take_news(use(report), out...); });
    }

private:
    static axonic_call_options in_c(const CallOptions& options) noexcept {
        axonic_call_options how = AXONIC_CALL_OPTIONS_INIT;
        how.timeout = options.timeout.nanoseconds();
        how.input = options.input ? 1 : 0;
        how.stream = options.stream ? 1 : 0;
        return how;
    }
    axonic_client* use(const Report& report) const { return member_.use("client", report); }

    detail::Member<axonic_client, axonic_client_close> member_;
};

} // namespace axonic

#endif
