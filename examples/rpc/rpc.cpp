// A service: methods on bytes and by name, a stream, a failure with its reason, a call out of time.
#include <axonic.hpp>

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <map>
#include <thread>

using namespace std::chrono_literals;
using axonic::Payload;

static const std::map<std::string, int> cents{{"apple", 25}, {"pear", 40}};

static void price(axonic::Request& request) {
    char item[16] = "";
    int count = 0;
    std::sscanf(std::string(request.text()).c_str(), "{\"item\":\"%15[a-z]\",\"count\":%d}", item, &count);
    const auto found = cents.find(item);
    if (found == cents.end()) {
        throw axonic::Status{axonic::Code::NotFound, "the shop has no " + std::string(item), "no_such_item"};
    }
    request.reply(Payload::json(std::to_string(found->second * count)));
}

static void countdown(axonic::Request& request) {
    int start = 0;
    std::sscanf(std::string(request.text()).c_str(), "{\"start\":%d}", &start);
    request.begin_stream();
    for (int at = start; at > 0; at--) {
        request.send(Payload::json(std::to_string(at)));
    }
    request.reply();
}

int main() {
    auto ax = axonic::open(std::getenv("AXONIC_DOMAIN") != nullptr ? "" : "example-rpc");
    auto shop = ax.service("shop", "1.2.0");
    std::thread provider([&] {
        shop.serve({
            {"reverse", [](axonic::Request& request) {
                 request.reply(std::string(request.text().rbegin(), request.text().rend()));
             }},
            {"price", price},
            {"countdown", countdown},
            {"nap", [](axonic::Request& request) {
                 while (!request.is_cancelled()) {
                     std::this_thread::sleep_for(1ms);
                 }
             }},
        });
    });

    auto client = ax.client("shop", "^1.2");
    std::cout << "reverse: " << client.call("reverse", "hello").text() << '\n';
    const auto three = client.call("price", Payload::json("{\"item\":\"apple\",\"count\":3}"));
    std::cout << "3 apples: " << three.text() << " cents\n";
    axonic::CallOptions options;
    options.stream = true;
    auto call = client.start("countdown", Payload::json("{\"start\":3}"), options);
    for (auto& number : call.items()) {
        std::cout << "countdown: " << number.text() << '\n';
    }
    try {
        client.call("price", Payload::json("{\"item\":\"moon\",\"count\":1}"));
    } catch (const axonic::CallFailedError& error) {
        std::cout << "price failed: " << axonic::code_name(error.status()->code) << ", " << error.status()->reason
                  << '\n';
    }
    try {
        client.call("nap", "", 50ms);
    } catch (const axonic::TimeoutError& error) {
        std::cout << "nap failed: " << axonic::code_name(error.status()->code) << '\n';
    }

    shop.shutdown();
    provider.join();
    try {
        client.call("reverse", "hello");
    } catch (const axonic::UnavailableError& error) {
        std::cout << "reverse failed: " << axonic::code_name(error.status()->code) << '\n';
    }
}
