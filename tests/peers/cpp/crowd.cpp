// What the C++ peer does in a crowd: it provides a service with others, or calls it many times at once.
#include "peer.hpp"

#include <algorithm>
#include <atomic>
#include <functional>
#include <iostream>
#include <mutex>
#include <thread>

using namespace std::chrono_literals;

constexpr std::size_t threads = 8, size = 64;
// How long a call may take that takes longer.
constexpr auto limit = 20ms;
constexpr auto delay = 40ms;

// One line, whichever threads tell others.
static void tell(const std::string& what, std::uint64_t k) {
    static std::mutex mutex;
    const std::lock_guard guard(mutex);
    std::cout << what << ' ' << k << std::endl;
}

static void give(axonic::Request& request) {
    tell("did", number_in(request.data()));
    if (request.method() == "delay") {
        std::this_thread::sleep_for(delay);
    }
    std::error_code gone;
    request.reply(reversed(request.data()), gone);
}

// Each thread does the same.
static void together(std::size_t count, const std::function<void()>& act) {
    std::vector<std::thread> all;
    for (std::size_t n = 0; n < count; n++) {
        all.emplace_back(act);
    }
    for (auto& thread : all) {
        thread.join();
    }
}

int provide(const std::string& domain, const std::string& name) {
    auto ax = axonic::open(domain);
    auto service = ax.service(name, "1.0.0");
    std::cout << "providing" << std::endl;
    together(threads, [&] { service.serve({{"solve", give}, {"delay", give}}); });
    return 0;
}

static std::string outcome_of(const axonic::Client& client, std::uint64_t k) {
    const auto data = message(k, size);
    const bool is_late = k % 16 == 5;
    try {
        const auto result =
            is_late ? client.call("delay", data, limit) : client.call("solve", data, patience);
        const auto wanted = reversed(data);
        return std::equal(wanted.begin(), wanted.end(), result.data().begin(), result.data().end()) ? "ok" : "wrong";
    } catch (const axonic::UnavailableError&) {
        return "gone";
    } catch (const axonic::TimeoutError&) {
        return "late";
    }
}

int consult(const std::string& domain, const std::string& name, std::uint64_t first,
            std::chrono::milliseconds time, std::size_t calls) {
    auto ax = axonic::open(domain);
    auto client = ax.client(name, "^1");
    std::atomic next{first};
    const auto end = std::chrono::steady_clock::now() + time;
    together(calls, [&] {
        while (std::chrono::steady_clock::now() < end) {
            const auto k = next++;
            tell(outcome_of(client, k), k);
        }
    });
    tell("consulted", next - first);
    return 0;
}
