// What the C++ peer does with services and calls.
#include "peer.hpp"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <functional>
#include <iostream>
#include <thread>

using namespace std::chrono_literals;
using axonic::Payload;

// So many are at work, of which some nap.
constexpr int threads = 8;
// Of the messages that are reversed.
constexpr std::size_t sizes[] = {0, 1, 64, 4096, 1 << 20};
// Items of a stream, which are more than its credit.
constexpr std::size_t items = 600, item_size = 1024;
constexpr auto params =
    "{\"text\":\"ä€😀\",\"numbers\":[1,-2.5,1e300],\"none\":null,\"yes\":true,\"deep\":{\"a\":[{\"b\":[]}]}}";
constexpr auto traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

static std::vector<std::byte> pattern(std::size_t k, std::size_t size) {
    std::vector<std::byte> bytes(size);
    fill(bytes, k);
    return bytes;
}

// The sum of a message's bytes, each of which must be as it should be.
static std::uint32_t checked(axonic::span<const std::byte> bytes, std::size_t k, std::size_t size) {
    std::uint32_t sum = 0;
    auto value = first_byte(k, size);
    must(bytes.size() == size, "a message has its length");
    for (const auto byte : bytes) {
        must(byte == std::byte{value}, "no byte is torn");
        sum += value;
        value = static_cast<unsigned char>(value + 31);
    }
    return sum;
}

// Calls that lasted until their caller waited no more.
struct Naps {
    std::atomic<unsigned long> begun{0}, over{0};
    // How many milliseconds the last one's caller gave it; -1: as long as it takes.
    std::atomic<long> given{0};
    // Who has seen how far some work is says so.
    std::atomic<bool> go{false};

    void take(const axonic::Request& request) {
        const auto left = request.remaining();
        given = left ? static_cast<long>(std::chrono::duration_cast<std::chrono::milliseconds>(*left).count()) : -1;
        begun++;
        while (!request.is_cancelled()) {
            std::this_thread::sleep_for(1ms);
        }
        over++;
    }

    std::string text() const {
        return std::to_string(begun) + ' ' + std::to_string(over) + ' ' + std::to_string(given);
    }
};

static void stream_items(axonic::Request& request) {
    const auto count = std::stoul(std::string(request.text()));
    for (std::size_t k = 0; k < count; k++) {
        request.send(pattern(k, item_size), patience);
    }
    request.reply();
}

// Adds up what the caller streams.
static void total(axonic::Request& request) {
    std::size_t count = 0;
    std::uint32_t sum = 0;
    for (const auto& item : request.items()) {
        sum += checked(item.data(), count++, item_size);
    }
    request.reply(std::to_string(count) + ' ' + std::to_string(sum));
}

static axonic::Handlers handlers(Naps& naps) {
    return {
        {"reverse", [](axonic::Request& request) { request.reply(reversed(request.data())); }},
        {"describe", [](axonic::Request& request) {
             request.reply(Payload::json("{\"got\":" + std::string(request.text()) + "}"));
         }},
        {"fail", [](axonic::Request&) {
             throw axonic::Status{axonic::Code::FailedPrecondition, "not now", "not_now",
                                  "{\"left\":3,\"why\":[\"a\",null]}", true};
         }},
        {"nap", [&naps](axonic::Request& request) { naps.take(request); }},
        {"naps", [&naps](axonic::Request& request) { request.reply(naps.text()); }},
        {"items", stream_items},
        {"total", total},
        {"trace", [](axonic::Request& request) { request.reply(request.attribute("traceparent").value_or("")); }},
        {"go", [&naps](axonic::Request& request) {
             naps.go = true;
             request.reply();
         }},
        {"work", [&naps](axonic::Request& request) {
             request.progress(0.5, "half");
             while (!naps.go.exchange(false) && !request.is_cancelled()) {
                 std::this_thread::sleep_for(1ms);
             }
             request.reply("worked");
         }},
    };
}

int serve(const std::string& domain, const std::string& name, const std::vector<std::string>& addresses) {
    auto ax = axonic::open(domain);
    auto service = ax.service(name, "1.2.0");
    const bool is_silent = std::find(addresses.begin(), addresses.end(), "pipe:0,1") != addresses.end();
    for (const auto& address : addresses) {
        const auto at = service.listen(address);
        if (!is_silent) {
            std::cout << "at " << at << '\n';
        }
    }
    if (!is_silent) {
        std::cout << "serving" << std::endl;
    }
    Naps naps;
    std::vector<std::thread> all;
    for (int n = 0; n < threads; n++) {
        all.emplace_back([&] { service.serve(handlers(naps)); });
    }
    for (auto& thread : all) {
        thread.join();
    }
    return 0;
}

// Tells what a call failed with; it must.
static axonic::Status failure(const char* what, const std::function<void()>& call) {
    try {
        call();
    } catch (const axonic::Error& error) {
        must(error.status() != nullptr, "a failed call has a status");
        std::cout << what << ' ' << error.code().message() << ' ' << axonic::code_name(error.status()->code);
        return *error.status();
    }
    must(false, "a call that has to fail does so");
    return {};
}

// One way to the service.
class Way {
public:
    explicit Way(axonic::Client client) : client_(std::move(client)) {}

    void talk() {
        reverse();
        std::cout << "described " << client_.call("describe", Payload::json(params), patience).text() << '\n';
        fail();
        nap();
        stream();
        work();
        const auto traced = Payload::json("{}").with({{"traceparent", traceparent}});
        std::cout << "trace " << client_.call("trace", traced, patience).text() << '\n';
    }

    struct Seen {
        unsigned long begun = 0, over = 0;
        long given = 0;
    };

    Seen naps() {
        Seen seen;
        const std::string text(client_.call("naps", "", patience).text());
        must(std::sscanf(text.c_str(), "%lu %lu %ld", &seen.begun, &seen.over, &seen.given) == 3,
             "naps are three numbers");
        return seen;
    }

    // Waits until so many naps were begun, and are over.
    long until(unsigned long begun, unsigned long over) {
        const auto end = std::chrono::steady_clock::now() + patience;
        auto seen = naps();
        while (seen.begun < begun || seen.over < over) {
            must(std::chrono::steady_clock::now() < end, "naps begin and end in time");
            std::this_thread::sleep_for(1ms);
            seen = naps();
        }
        return seen.given;
    }

    axonic::Call start_nap() { return client_.start("nap"); }

private:
    void reverse() {
        std::uint32_t sum = 0;
        for (std::size_t k = 0; k < std::size(sizes); k++) {
            const auto result = client_.call("reverse", pattern(k, sizes[k]), patience);
            sum += checked(reversed(result.data()), k, sizes[k]);
        }
        std::cout << "reversed " << sum << '\n';
    }

    void fail() {
        const auto status = failure("failed", [&] { client_.call("fail", Payload::json("{}"), patience); });
        std::cout << ' ' << status.reason << ' ' << status.retryable << '|' << status.message << '|' << status.details
                  << '|' << status.origin << '\n';
        failure("unknown", [&] { client_.call("nonsense", Payload::json("{}"), patience); });
        std::cout << '\n';
    }

    // One nap that is too long, and one that is given up.
    void nap() {
        const auto before = naps();
        failure("late", [&] { client_.call("nap", "", 100ms); });
        std::cout << "\ngiven " << until(before.begun + 1, before.over + 1) << '\n';
        auto call = start_nap();
        until(before.begun + 2, before.over + 1);
        call.close();
        std::cout << "cancelled " << until(before.begun + 2, before.over + 2) << '\n';
    }

    void stream() {
        axonic::CallOptions options;
        options.timeout = patience;
        options.stream = true;
        auto call = client_.start("items", std::to_string(items), options);
        std::size_t count = 0;
        std::uint32_t sum = 0;
        for (const auto& item : call.items()) {
            sum += checked(item.data(), count++, item_size);
        }
        std::cout << "streamed " << count << ' ' << sum << '\n';
        options.stream = false;
        options.input = true;
        call = client_.start("total", "", options);
        for (std::size_t k = 0; k < items; k++) {
            call.send(pattern(k, item_size), patience);
        }
        call.finish_input();
        std::cout << "total " << call.result(patience).text() << '\n';
    }

    void work() {
        auto call = client_.start("work");
        const auto end = std::chrono::steady_clock::now() + patience;
        auto progress = call.progress();
        while (!progress) {
            must(std::chrono::steady_clock::now() < end, "progress is told in time");
            std::this_thread::sleep_for(1ms);
            progress = call.progress();
        }
        client_.call("go", "", patience);
        std::cout << "progress " << progress->done << ' ' << progress->note << ' ' << call.result(patience).text()
                  << '\n';
    }

    axonic::Client client_;
};

int call(const std::string& domain, const std::string& service, const std::vector<std::string>& addresses) {
    auto ax = axonic::open(domain);
    std::vector<Way> ways;
    for (const auto& address : addresses) {
        axonic::ClientOptions options;
        options.address = address == "-" ? "" : address;
        ways.emplace_back(ax.client(service, "^1.2", options)).talk();
    }
    failure("absent", [&] { ax.client("nobody", "*").call("reverse", "", patience); });
    const auto before = ways[0].naps();
    std::vector<axonic::Call> calls;
    for (auto& way : ways) {
        calls.push_back(way.start_nap());
    }
    ways[0].until(before.begun + calls.size(), before.over);
    std::cout << "\nnapping" << std::endl;
    for (auto& call : calls) {
        failure("gone", [&] { call.result(patience); });
        std::cout << std::endl;
    }
    return 0;
}
