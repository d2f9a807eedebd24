// Services: whoever answers calls. Included by axonic.hpp.
#ifndef AXONIC_SERVICE_HPP
#define AXONIC_SERVICE_HPP

#include "handle.hpp"
#include "message.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cxxabi.h>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <typeinfo>
#include <utility>
#include <vector>

namespace axonic {

// Options mean what they mean in axonic.h; 0 is the default.
struct ServiceOptions {
    std::size_t concurrency = 0;
    std::size_t max_message = 0;
    Wait wait = Wait::Adaptive;
};

namespace detail {
inline std::string class_name(const std::type_info& type) {
    int failed = 0;
    const std::unique_ptr<char, void (*)(void*)> name(abi::__cxa_demangle(type.name(), nullptr, nullptr, &failed),
                                                      std::free);
    return name != nullptr ? name.get() : type.name();
}
} // namespace detail

// A call to be answered; its content is what the caller sends with it. Unless answered, it fails in the destructor. Any
// thread may answer it; const functions may be called by several at once.
class Request final : public ContentView {
public:
    Request() noexcept = default;
    Request(detail::SharedDomain domain, const axonic_request& request) noexcept
        : ContentView(request.message), domain_(std::move(domain)), request_(request) {}
    Request(Request&& from) noexcept
        : ContentView(std::exchange(from.message_, axonic_message{})), domain_(std::move(from.domain_)),
          request_(std::exchange(from.request_, axonic_request{})) {}
    Request& operator=(Request&& from) noexcept {
        release();
        message_ = std::exchange(from.message_, axonic_message{});
        domain_ = std::move(from.domain_);
        request_ = std::exchange(from.request_, axonic_request{});
        return *this;
    }
    ~Request() { release(); }

    // False once answered, released or moved from; what it points at is gone then.
    explicit operator bool() const noexcept { return request_.held != nullptr; }
    std::string_view method() const noexcept { return detail::text(request_.method); }
    const axonic_peer& caller() const noexcept { return request_.caller; }
    // No other call that the service has under way has the same.
    std::uint64_t id() const noexcept { return request_.id; }
    // Whether the caller takes items of a stream: send(). Callers over JSON-RPC take that or one result.
    bool is_stream() const noexcept { return request_.is_stream; }
    // How long the caller still waits; nothing: as long as it takes.
    std::optional<std::chrono::nanoseconds> remaining() const noexcept {
        const std::int64_t left = axonic_request_remaining(&request_);
        return left >= 0 ? std::optional(std::chrono::nanoseconds(left)) : std::nullopt;
    }
    // Whether the caller waits no more.
    bool is_cancelled() const noexcept { return axonic_request_is_cancelled(&request_); }
    // Tells the caller how far the work is, from 0 to 1.
    void progress(double done, const std::string& note = "", Report report = {}) const {
        if (is_held(report)) {
            report(axonic_request_progress(&request_, done, note.c_str()));
        }
    }
    // Says that the method streams, as its first item does: without items, it is then a stream that has none. A caller that
    // takes one result is told Code::InvalidArgument with the reason "stream", whatever else the call is answered, and this
    // is ErrorKind::CallFailed with that status.
    void begin_stream(Report report = {}) const {
        if (is_held(report)) {
            report(axonic_request_begin_stream(&request_));
        }
    }
    // Streams one more item to the caller. ErrorKind::Cancelled when it takes no more; to who takes one result it fails as
    // begin_stream() does.
    void send(const Payload& item, Timeout timeout = forever, Report report = {}) const {
        if (is_held(report)) {
            const detail::PayloadInC given(item);
            report(axonic_request_send(&request_, &given.get(), timeout.nanoseconds()));
        }
    }
    void send(bytes_view item, Timeout timeout = forever, Report report = {}) const {
        send(detail::raw(item), timeout, report);
    }
    // The next item that the caller streams: nothing when that was all.
    std::optional<Body> next(Timeout timeout = forever, Report report = {}) const {
        if (!is_held(report)) {
            return std::nullopt;
        }
        return detail::next_item<Body>(
            report, [&](auto* out) { return axonic_request_next(&request_, timeout.nanoseconds(), out); });
    }
    // All of them, for `for (auto& item : request.items())`.
    auto items() const& {
        return detail::Items([this] { return next(); });
    }
    auto items() const&& = delete;

    // Answers it; where nothing was streamed, to who takes a stream only, by a stream of that one item.
    void reply(Report report = {}) {
        answer(report, [&] { return axonic_request_reply(&request_, nullptr); });
    }
    void reply(const Payload& result, Report report = {}) {
        const detail::PayloadInC given(result);
        answer(report, [&] { return axonic_request_reply(&request_, &given.get()); });
    }
    void reply(bytes_view result, Report report = {}) { reply(detail::raw(result), report); }
    // Answers that it failed, and why.
    void fail(const Status& status, Report report = {}) {
        const axonic_status given = in_c(status);
        answer(report, [&] { return axonic_request_fail(&request_, &given); });
    }
    // The same by what was thrown: an Error of a call with its status, one that says that a time is over, or that something
    // was cancelled, with that code, anything else with Code::Unknown; by its class (of an Error its kind's name) and its text.
    void fail(const std::exception& thrown, Report report = {}) {
        const auto* error = dynamic_cast<const Error*>(&thrown);
        const auto* system = dynamic_cast<const std::system_error*>(&thrown);
        int kind = AXONIC_OK;
        if (error != nullptr) {
            kind = static_cast<int>(error->kind());
        } else if (system != nullptr && system->code() == std::errc::timed_out) {
            kind = AXONIC_ERROR_TIMEOUT;
        } else if (system != nullptr && system->code() == std::errc::operation_canceled) {
            kind = AXONIC_ERROR_CANCELLED;
        }
        const Status* told = error != nullptr ? error->status() : nullptr;
        const axonic_status given = told != nullptr ? in_c(*told) : axonic_status{};
        const std::string name = error != nullptr ? "" : detail::class_name(typeid(thrown));
        answer(report, [&] {
            return axonic_request_fail_by(&request_, kind, name.c_str(), thrown.what(), told != nullptr ? &given : nullptr);
        });
    }
    // Answers that the service has no such method, but these.
    void no_such_method(const std::vector<std::string>& methods, Report report = {}) {
        std::vector<const char*> names;
        for (const std::string& method : methods) {
            names.push_back(method.c_str());
        }
        answer(report, [&] { return axonic_request_no_such_method(&request_, names.data(), names.size()); });
    }
    // Ends it before the end of the scope: unless answered, it fails.
    void release() noexcept {
        axonic_request_release(&request_);
        forget();
    }

private:
    static axonic_status in_c(const Status& status) noexcept {
        axonic_status given = AXONIC_STATUS_INIT;
        given.code = static_cast<std::int32_t>(status.code);
        given.retryable = status.retryable ? 1 : 0;
        given.reason = status.reason.c_str();
        given.message = status.message.c_str();
        given.details = status.details.c_str();
        given.origin = status.origin.c_str();
        return given;
    }
    bool is_held(const Report& report) const {
        if (request_.held == nullptr) {
            report.fail(ErrorKind::Closed, "the request is empty: answered or released before, or moved from");
        }
        return request_.held != nullptr;
    }
    template <class F> void answer(const Report& report, F call) {
        if (!is_held(report)) {
            return;
        }
        const int answered = call();
        if (request_.held == nullptr) {
            forget();
        }
        report(answered);
    }
    void forget() noexcept {
        message_ = {};
        request_ = {};
        domain_.reset();
    }

    detail::SharedDomain domain_;
    axonic_request request_{};
};

// Answers a call, or streams and then answers.
using Handler = std::function<void(Request&)>;
// Handlers by their methods' names.
using Handlers = std::map<std::string, Handler, std::less<>>;

namespace detail {
// Whatever was thrown, service goes on. After the answer it has nobody to hear of it.
template <class Why> void failed(Request& request, const Why& why) {
    std::error_code wrong;
    if (request) {
        request.fail(why, wrong);
    }
    if (wrong && request) {
        request.fail(Status{Code::Internal, std::string("the failure cannot be told: ") + axonic_last_error_message()});
    }
}

inline void answer(Request request, const Handlers& handlers) {
    const auto found = handlers.find(request.method());
    try {
        if (found != handlers.end()) {
            found->second(request);
        } else {
            std::vector<std::string> methods;
            for (const auto& handler : handlers) {
                methods.push_back(handler.first);
            }
            request.no_such_method(methods);
        }
    } catch (const Status& status) {
        failed(request, status);
    } catch (const std::exception& error) {
        failed(request, error);
#ifdef __GLIBCXX__
    } catch (const abi::__forced_unwind&) {
        // The thread ends (pthread_exit), which must not be stopped; its call ends with the request.
        throw;
#endif
    } catch (...) {
        failed(request, Status{Code::Unknown, "the handler threw something that is no std::exception"});
    }
}
} // namespace detail

// Provides a service. Several threads may take its calls at once.
class Service {
public:
    Service() noexcept = default;
    Service(detail::SharedDomain domain, axonic_service* handle, const std::string& name)
        : member_(std::move(domain), handle, detail::share(name)) {}
    explicit operator bool() const noexcept { return get() != nullptr; }
    axonic_service* get() const noexcept { return member_.get(); }
    // Not while another thread uses it. Calls that are not answered fail with Code::Unavailable.
    void close() noexcept { member_.close(); }
    // Ends it for all threads: serve() returns, and who waits otherwise, or uses it later, is told ErrorKind::Closed.
    void shutdown() const noexcept { axonic_service_shutdown(get()); }

    // Has it called at an address too, by clients of other domains or machines. The address, with what the system chose.
    std::string listen(const std::string& address, Report report = {}) const {
        const char* out = nullptr;
        if (detail::nul_free(address, report)) {
            report(axonic_service_listen(use(report), address.c_str(), &out));
        }
        return std::string(detail::text(out));
    }
    // The next call: nothing when the timeout passed.
    std::optional<Request> next(Timeout timeout = forever, Report report = {}) const {
        axonic_request out{};
        const int answer = axonic_service_next(use(report), timeout.nanoseconds(), &out);
        return detail::in_time(answer, report) ? std::optional<Request>(Request(member_.domain(), out)) : std::nullopt;
    }
    // Answers calls until it is shut down, or who was at the pipe that it listens at is gone, one at a time: in several threads, as many at a time. What a handler throws is
    // told to the caller: a Status as it is, the rest as Request::fail() has it.
    void serve(const Handlers& handlers, Report report = {}) const {
        for (;;) {
            axonic_request out{};
            axonic_service* from = use(report);
            const int answer = axonic_service_next(from, AXONIC_FOREVER, &out);
            const bool over =
                from != nullptr && (answer == AXONIC_ERROR_CLOSED || answer == AXONIC_ERROR_DISCONNECTED);
            if (!report(over ? AXONIC_OK : answer) || over) {
                return;
            }
            detail::answer(Request(member_.domain(), out), handlers);
        }
    }
    // Readable until next() with a timeout of 0 found nothing; for poll and epoll.
    int fd(Report report = {}) const {
        return detail::descriptor(report, [&](int* out) { return axonic_service_fd(use(report), out); });
    }
    // Calls at work (Request::id) that nobody waits for any more, since fd() or the last time, as next() found them out.
    std::vector<std::uint64_t> take_given_up(Report report = {}) const {
        return detail::numbers(report,
                               [&](auto... out) { return axonic_service_take_given_up(use(report), out...); });
    }
    // Calls at work whose streams may go on, from the first time on: sends and next() are worth trying again.
    std::vector<std::uint64_t> take_news(Report report = {}) const {
        return detail::numbers(report, [&](auto... out) { return axonic_service_take_news(use(report), out...); });
    }

private:
    axonic_service* use(const Report& report) const { return member_.use("service", report); }

    detail::Member<axonic_service, axonic_service_close> member_;
};

} // namespace axonic

#endif
