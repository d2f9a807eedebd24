// Calls in C++: handlers, streams both ways, failures that say why.
#include "check.hpp"

#include <algorithm>
#include <numeric>
#include <pthread.h>
#include <thread>

using namespace std::chrono_literals;

static const axonic::Handlers handlers{
    {"echo", [](axonic::Request& request) { request.reply(request.data()); }},
    {"json", [](axonic::Request& request) {
         CHECK(request.content() == axonic::Content::Json && request.attribute("traceparent") == "00-1-2-01");
         request.reply(axonic::Payload::json(request.text()));
     }},
    {"nothing", [](axonic::Request& request) {
         CHECK(request.method() == "nothing" && !request.is_stream() && !request.is_cancelled());
         CHECK(request.remaining() && *request.remaining() > 1s && *request.remaining() <= 60s);
         request.reply();
         CHECK(!request && request.data().empty());
         THROWS(ClosedError, "the request is empty", request.reply("twice"));
         SETS(Closed, (request.progress(1, "", ec), 0));
     }},
    {"count", [](axonic::Request& request) {
         request.begin_stream();
         for (int i = 0; i < std::stoi(std::string(request.text())); i++) {
             request.send(std::to_string(i));
         }
         request.reply("counted");
     }},
    {"sum", [](axonic::Request& request) {
         int sum = 0;
         for (auto& item : request.items()) {
             sum += std::stoi(std::string(item.text()));
             request.progress(0.5, "summing");
         }
         request.reply(std::to_string(sum));
     }},
    {"fail", [](axonic::Request& request) {
         request.fail({axonic::Code::Aborted, "somebody else", "raced", "{\"order\":7}", true});
     }},
    {"status", [](axonic::Request&) { throw axonic::Status{axonic::Code::NotFound, "no order 7", "no_such_order"}; }},
    {"busy", [](axonic::Request&) { throw axonic::Status{axonic::Code::Unavailable, "not now"}; }},
    {"throw", [](axonic::Request&) { throw std::out_of_range("too far"); }},
    {"odd", [](axonic::Request&) { throw 7; }},
    {"bad", [](axonic::Request&) { throw axonic::Status{axonic::Code::NotFound, "text", "", "{"}; }},
    {"late", [](axonic::Request&) { throw axonic::TimeoutError("no job came"); }},
    {"gone", [](axonic::Request&) { throw std::system_error(std::make_error_code(std::errc::operation_canceled)); }},
    {"lease", [](axonic::Request&) { throw axonic::LeaseLostError("it is somebody else's"); }},
    {"other", [](axonic::Request&) {
         axonic::Error of_call(axonic::ErrorKind::CallFailed, "call failed",
                               axonic::Status{axonic::Code::DataLoss, "torn", "disk", "[1]", true, "far@1"});
         throw of_call;
     }},
    {"drop", [](axonic::Request&) {}},
    {"later", [](axonic::Request& request) {
         std::thread([moved = std::move(request)]() mutable { moved.reply("late"); }).detach();
     }},
    {"hang", [](axonic::Request& request) {
         while (!request.is_cancelled()) {
             std::this_thread::sleep_for(1ms);
         }
     }},
};

// Serves in two threads as long as it lives.
struct Serving {
    axonic::Domain ax = axonic::open("rpc");
    axonic::Service service = ax.service("search", "1.2.0");
    std::thread one{[this] { service.serve(handlers); }};
    std::thread two{[this] { service.serve(handlers); }};
    ~Serving() {
        service.shutdown();
        one.join();
        two.join();
    }
};

// The call must fail with this status, as its exception and beside its error code.
static axonic::Status status_of(const axonic::Client& client, const std::string& method,
                                axonic::ErrorKind kind = axonic::ErrorKind::CallFailed) {
    std::error_code ec;
    CHECK(!client.call(method, "", 5s, ec) && ec == kind);
    CHECK(axonic::last_status().has_value());
    try {
        client.call(method, "", 5s);
    } catch (const axonic::Error& error) {
        CHECK(error.kind() == kind && error.status() != nullptr && error.status()->message == axonic::last_status()->message);
        CHECK(std::string(error.what()).find(error.status()->message) != std::string::npos);
        CHECK(error.status()->origin.rfind(method == "other" ? "far@1" : "search@1.2.0", 0) == 0);
        return *error.status();
    }
    SHOW("%s did not fail", method.c_str());
    std::exit(1);
}

static void failures(const axonic::Domain& ax, const axonic::Client& client) {
    using axonic::Code;
    auto status = status_of(client, "fail");
    CHECK(status.code == Code::Aborted && status.reason == "raced" && status.retryable);
    CHECK(status.details == "{\"order\":7}" && std::string(axonic::code_name(status.code)) == "ABORTED");
    status = status_of(client, "status");
    CHECK(status.code == Code::NotFound && status.reason == "no_such_order" && status.message == "no order 7");
    CHECK(!status.retryable);
    status = status_of(client, "busy", axonic::ErrorKind::Unavailable);
    CHECK(status.code == Code::Unavailable && status.message == "not now" && status.retryable);
    status = status_of(client, "throw");
    CHECK(status.code == Code::Unknown && status.reason == "std::out_of_range" && status.message == "too far");
    CHECK(status_of(client, "odd").code == Code::Unknown && status_of(client, "drop").code == Code::Internal);
    status = status_of(client, "count");
    CHECK(status.code == Code::InvalidArgument && status.reason == "stream");
    CHECK(status_of(client, "bad").message.find("the details are no JSON text") != std::string::npos);
    status = status_of(client, "late", axonic::ErrorKind::Timeout);
    CHECK(status.code == Code::DeadlineExceeded && status.reason == "Timeout");
    CHECK(status.message == "no job came");
    status = status_of(client, "gone", axonic::ErrorKind::Cancelled);
    CHECK(status.code == Code::Cancelled && status.reason == "std::system_error");
    CHECK(status_of(client, "lease").code == Code::Unknown && axonic::last_status()->reason == "LeaseLost");
    status = status_of(client, "other");
    CHECK(status.code == Code::DataLoss && status.message == "torn" && status.reason == "disk" && status.retryable);
    CHECK(status.details == "[1]");
    status = status_of(client, "nonsense");
    CHECK(status.code == Code::Unimplemented && status.message.find("count, drop, echo") != std::string::npos);
    try {
        client.call("hang", "", 20ms);
        CHECK(false);
    } catch (const axonic::TimeoutError& error) {
        CHECK(error.status() != nullptr && error.status()->code == Code::DeadlineExceeded);
    }
    THROWS(UnavailableError, "there is 1.2.0", ax.client("search", "^9").call("echo"));
    SETS(Unavailable, ax.client("nobody", "*").call("echo", "", 1s, ec));
    SETS(InvalidArgument, ax.client("search", "bad range", {}, ec));
    THROWS(InvalidNameError, "NUL", client.call(std::string("a\0b", 3)));
    CHECK(axonic::Error(axonic::ErrorKind::Io, "x").status() == nullptr);
}

static void streams(const axonic::Client& client) {
    axonic::CallOptions options;
    options.stream = true;
    auto call = client.start("count", "1000", options);
    int seen = 0;
    for (auto& item : call.items()) {
        CHECK(item.text() == std::to_string(seen++));
    }
    CHECK(seen == 1000 && !call.next(5s) && call.result(5s).text() == "counted");
    THROWS(ClosedError, "taken already", call.result());

    auto one = client.start("echo", "one", options);
    CHECK(one.next(5s)->text() == "one" && !one.next(5s));
    auto none = client.start("count", "0", options);
    CHECK(!none.next(5s) && none.result(5s).text() == "counted");

    options = {60s, true, false};
    auto sum = client.start("sum", "", options);
    CHECK(!sum.progress());
    THROWS(WouldBlockError, "", sum.result(0s));
    SETS(WouldBlock, sum.next(0s, ec));
    for (int i = 0; i < 1000; i++) {
        sum.send(std::to_string(i));
    }
    while (!sum.progress()) {
        std::this_thread::sleep_for(1ms);
    }
    CHECK(sum.progress()->done == 0.5 && sum.progress()->note == "summing");
    sum.finish_input();
    CHECK(sum.result(5s).text() == "499500");

    // Given up, it ends on the other side too: Serving's destructor waits for its handler.
    auto hanging = client.start("hang");
    CHECK(hanging.id() != sum.id());
    hanging.close();
    CHECK(!hanging);
    THROWS(ClosedError, "call 'hang' is closed", hanging.result());
    THROWS(ClosedError, "the call is empty", axonic::Call().next());
}

static void news(const axonic::Client& client) {
    CHECK(client.fd() >= 0);
    auto first = client.start("echo", "1");
    auto second = client.start("echo", "2");
    std::vector<std::uint64_t> seen;
    while (seen.size() < 2) {
        for (auto id : client.take_news()) {
            seen.push_back(id);
        }
        std::this_thread::yield();
    }
    CHECK(first.result(0s).text() == "1" && second.result(0s).text() == "2");
    CHECK(seen[0] + seen[1] == first.id() + second.id());
}

static void without_serve(axonic::Domain& ax) {
    auto service = ax.service("alone", "1.0.0", {4, 1 << 20, axonic::Wait::Block});
    std::error_code ec = axonic::ErrorKind::Io;
    CHECK(service && !service.next(1ms) && !service.next(0s, ec) && !ec && service.fd() >= 0);
    const auto address = service.listen("shm://rpc/alone");
    CHECK(address == "shm://rpc/alone");
    SETS(InvalidArgument, service.listen("nowhere", ec));
    std::thread other([&] {
        auto client = ax.client("alone", "^1", {address, 0, axonic::Wait::Adaptive});
        CHECK(client.call("any", "x", 5s).text() == "y");
    });
    if (auto request = service.next(5s)) {
        CHECK(request->method() == "any" && request->text() == "x" && request->caller().uid >= -1);
        request->reply("y");
    }
    other.join();
    service.shutdown();
    THROWS(ClosedError, "service 'alone'", service.next());
    service.close();
    THROWS(ClosedError, "service 'alone' is closed; open it again", service.serve({}));
    THROWS(ClosedError, "the service is empty", axonic::Service().serve({}));
    auto client = ax.client("alone", "^1");
    client.close();
    THROWS(ClosedError, "client 'alone' is closed", client.call("any"));
}

// Who serves at a pipe is done when the other end of it is gone.
static void at_a_pipe(axonic::Domain& ax) {
    for (bool throws : {true, false}) {
        int there[2], back[2];
        CHECK(pipe(there) == 0 && pipe(back) == 0);
        auto address = [](int read, int write) {
            return "pipe:" + std::to_string(read) + "," + std::to_string(write);
        };
        auto service = ax.service("piped", "1.0.0");
        service.listen(address(there[0], back[1]));
        std::thread serving([&] {
            if (throws) {
                service.serve(handlers);
            } else {
                std::error_code ec = axonic::ErrorKind::Io;
                service.serve(handlers, ec);
                CHECK(!ec);
            }
        });
        auto client = ax.client("piped", "^1", {address(back[0], there[1]), 0, axonic::Wait::Adaptive});
        CHECK(client.call("echo", "x", 5s).text() == "x");
        client.close();
        serving.join();
    }
}

/* Neither side waits: a client tries, a service is told who gave up. */
static void prompt(axonic::Domain& ax) {
    std::error_code ec = axonic::ErrorKind::Io;
    auto client = ax.client("prompt", "^1");
    CHECK(!client.try_start("echo", "x", {}, ec) && !ec);
    THROWS(UnavailableError, "nobody provides it", client.connect(1s));
    auto service = ax.service("prompt", "1.0.0");
    CHECK(service.fd() >= 0 && service.take_given_up().empty() && service.take_news().empty());
    std::thread other([&] { client.connect(5s); });
    CHECK(!service.next(20ms));
    auto answer = std::thread([&] { service.next(5s)->reply("x"); });
    other.join();
    auto call = client.try_start("echo", "x");
    CHECK(call && call->result(5s).text() == "x" && client.flush());
    answer.join();

    std::vector<axonic::Call> calls;
    std::vector<axonic::Request> requests;
    for (int i = 0; i < 100; i++) {
        calls.push_back(*client.try_start("hang"));
    }
    while (auto request = service.next(requests.size() < 64 ? 5s : 0s)) {
        requests.push_back(std::move(*request));
    }
    CHECK(requests.size() == 64);
    calls.clear();
    std::vector<std::uint64_t> told;
    while (told.size() < 64) {
        CHECK(!service.next(0s));
        for (auto id : service.take_given_up()) {
            told.push_back(id);
        }
    }
    for (const auto& request : requests) {
        CHECK(std::count(told.begin(), told.end(), request.id()) == 1 && request.is_cancelled());
    }
    client.close();
    THROWS(ClosedError, "client 'prompt' is closed", client.try_start("echo"));
    CHECK(!client.try_start("echo", "", {}, ec) && ec == axonic::ErrorKind::Closed);
    service.close();
    SETS(Closed, service.take_given_up(ec));
}

// A thread that ends in a handler takes its call with it, and nobody else's.
static void thread_that_ends(const axonic::Domain& ax) {
    auto service = ax.service("leaving", "1.0.0");
    const axonic::Handlers both{{"leave", [](axonic::Request&) { pthread_exit(nullptr); }},
                                {"echo", [](axonic::Request& request) { request.reply(request.data()); }}};
    std::thread leaving([&] { service.serve(both); });
    const auto client = ax.client("leaving");
    std::error_code ec;
    CHECK(!client.call("leave", "", 5s, ec) && axonic::last_status()->code == axonic::Code::Internal);
    leaving.join();
    std::thread next([&] { service.serve(both); });
    CHECK(client.call("echo", "still", 5s).text() == "still");
    service.shutdown();
    next.join();
}

int main() {
    return check_main([] {
        Serving serving;
        auto& ax = serving.ax;
        auto client = ax.client("search", "^1.2");
        CHECK(client && client.call("echo", "text", 5s).text() == "text");
        CHECK(client.call("nothing", "", 60s).size() == 0 && client.call("later", "", 5s).text() == "late");
        const auto json = axonic::Payload::json("{\"a\":1}").with({{"traceparent", "00-1-2-01"}});
        const auto result = client.call("json", json, 5s);
        CHECK(result.content() == axonic::Content::Json && result.text() == "{\"a\":1}");
        failures(ax, client);
        streams(client);
        news(client);
        without_serve(ax);
        at_a_pipe(ax);
        prompt(ax);
        thread_that_ends(ax);
    });
}
