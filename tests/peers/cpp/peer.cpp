// The C++ peer of the conformance tests; its arguments and output are those of every language, as
// tests/peers/rust/peer.rs has them.
#include "peer.hpp"

#include <cstdlib>
#include <functional>
#include <iostream>
#include <sstream>
#include <thread>

using namespace std::chrono_literals;

struct Work {
    std::string domain, topic;
    bool in_place = false;
    std::vector<std::size_t> sizes;
    std::size_t count = 0;
};

unsigned char first_byte(std::size_t message, std::size_t size) {
    return static_cast<unsigned char>(message * 7 + size);
}

void fill(axonic::span<std::byte> bytes, std::size_t message) {
    auto value = first_byte(message, bytes.size());
    for (auto& byte : bytes) {
        byte = std::byte{value};
        value = static_cast<unsigned char>(value + 31);
    }
}

static int send(const Work& work) {
    auto ax = axonic::open(work.domain);
    axonic::PublisherOptions options;
    options.overflow = axonic::Overflow::Block;
    options.max_bytes = std::size_t(512) << 20;
    auto publisher = ax.publisher(work.topic, options);
    publisher.wait_for_subscribers(1, 10s);
    std::size_t message = 0;
    for (const auto size : work.sizes) {
        std::vector<std::byte> bytes(size);
        for (std::size_t k = 0; k < work.count; k++, message++) {
            if (work.in_place) {
                auto loan = publisher.loan(size, 20s);
                fill(loan.data(), message);
                loan.commit({}, 20s);
            } else {
                fill(bytes, message);
                publisher.publish(bytes);
            }
        }
    }
    const auto until = std::chrono::steady_clock::now() + 20s;
    while (publisher.subscribers() != 0 && std::chrono::steady_clock::now() < until) {
        std::this_thread::sleep_for(2ms);
    }
    std::cout << "sent " << message << '\n';
    return 0;
}

// Adds the bytes of a message to the sum; false, with the reason printed, if one is not as it was sent.
static bool verify(const axonic::MessageView& m, std::size_t message, std::size_t size, std::uint32_t& sum) {
    if (m.size() != size || m.missed() != 0) {
        std::cout << "bad message " << message << ": " << m.size() << " bytes instead of " << size << ", missed "
                  << m.missed() << '\n';
        return false;
    }
    auto value = first_byte(message, size);
    for (const auto byte : m.data()) {
        if (byte != std::byte{value}) {
            std::cout << "bad message " << message << " of " << size << " bytes\n";
            return false;
        }
        sum += value;
        value = static_cast<unsigned char>(value + 31);
    }
    return true;
}

static int receive(const Work& work) {
    auto ax = axonic::open(work.domain);
    auto subscriber = ax.subscriber(work.topic);
    std::cout << "ready" << std::endl;
    std::size_t message = 0;
    std::uint32_t sum = 0;
    for (const auto size : work.sizes) {
        for (std::size_t k = 0; k < work.count; k++, message++) {
            const bool good = work.in_place ? verify(subscriber.borrow(20s), message, size, sum)
                                            : verify(subscriber.receive(20s), message, size, sum);
            if (!good) {
                return 1;
            }
        }
    }
    std::cout << "ok " << message << ' ' << sum << '\n';
    return 0;
}

static int print_errors() {
    using K = axonic::ErrorKind;
    for (const auto kind : {K::InvalidArgument, K::InvalidName, K::NotFound, K::AlreadyExists, K::PermissionDenied,
                            K::Timeout, K::WouldBlock, K::Closed, K::Disconnected, K::TooLarge, K::Full,
                            K::LimitReached, K::NoSpace, K::LayoutMismatch, K::Corrupt, K::Forked, K::Busy, K::InUse,
                            K::Interrupted, K::Unsupported, K::Decode, K::Io, K::LeaseLost, K::Rejected,
                            K::NotDurable, K::Unavailable, K::Cancelled, K::CallFailed}) {
        std::cout << -static_cast<int>(kind) << ' ' << make_error_code(kind).message() << '\n';
    }
    return 0;
}

static void raised(const char* what, const std::function<void()>& call) {
    std::cout << what << ' ';
    try {
        call();
        std::cout << "nothing\n";
    } catch (const axonic::Error& error) {
        std::cout << error.code().message() << '\n';
    }
}

static int raise_each(const std::string& name) {
    auto ax = axonic::open(name);
    raised("invalid-name", [&] { ax.publisher("a/b"); });
    raised("not-found", [&] { ax.region("missing", {0, axonic::Create::Open}); });
    auto subscriber = ax.subscriber("errors");
    raised("timeout", [&] { subscriber.receive(1ms); });
    axonic::PublisherOptions small;
    small.max_bytes = 1 << 20;
    auto publisher = ax.publisher("errors", small);
    raised("too-large", [&] { publisher.publish(std::string(2 << 20, 'x')); });
    auto closing = axonic::open(name);
    publisher = closing.publisher("errors");
    closing.close();
    raised("closed", [&] { publisher.publish("x"); });
    auto producer = ax.ring_producer("errors");
    raised("busy", [&] { ax.ring_producer("errors"); });

    auto queue = ax.queue("errors");
    auto ticket = queue.put_for_result("x");
    queue.get(patience)->reject("as agreed");
    raised("rejected", [&] { ticket.result(patience); });
    queue.put("x");
    auto late = queue.get(patience, {1ms});
    queue.get(patience)->ack();
    raised("lease-lost", [&] { late->ack(); });
    axonic::QueueOptions tiny;
    tiny.capacity = 1;
    auto full = ax.queue("full", tiny);
    full.put("x");
    raised("full", [&] { full.put("x", {}, 0s); });
    auto mutex = ax.mutex("errors");
    raised("other-lock", [&] { ax.rwlock("errors"); });
    return 0;
}

static Work read_work(char** argv) {
    Work work{argv[2], argv[3], std::string_view(argv[4]) != "copy", {}, std::strtoull(argv[6], nullptr, 10)};
    std::istringstream sizes(argv[5]);
    for (std::string size; std::getline(sizes, size, ',');) {
        work.sizes.push_back(std::strtoull(size.c_str(), nullptr, 10));
    }
    return work;
}

// The verbs of queues, locks, channels and calls.
static int act(std::string_view verb, const std::vector<std::string>& words) {
    const auto number = [&](std::size_t at) { return std::strtoull(words.at(at).c_str(), nullptr, 10); };
    if (verb == "put") {
        return put(words[0], words[1], number(2), number(3), number(4));
    }
    if (verb == "work") {
        return work(words[0], words[1]);
    }
    if (verb == "ask" || verb == "answer") {
        return (verb == "ask" ? ask : answer)(words[0], words[1], number(2));
    }
    if (verb == "keep" || verb == "spend") {
        return (verb == "keep" ? keep : spend)(words[0], words[1], number(2));
    }
    if (verb == "hurry") {
        return hurry(words[0], words[1]);
    }
    if (verb == "bring" || verb == "fetch") {
        return (verb == "bring" ? bring : fetch)(words[0], words[1]);
    }
    if (verb == "alternate") {
        return alternate(words[0], words[1], number(2), number(3));
    }
    if (verb == "count" || verb == "share") {
        return (verb == "count" ? count : share)(words[0], words[1], number(2));
    }
    if (verb == "serve" || verb == "call") {
        return (verb == "serve" ? serve : call)(words[0], words[1], {words.begin() + 2, words.end()});
    }
    if (verb == "provide") {
        return provide(words[0], words[1]);
    }
    if (verb == "consult") {
        return consult(words[0], words[1], number(2), std::chrono::milliseconds(number(3)), number(4));
    }
    if (verb == "listen" || verb == "connect") {
        const std::vector<std::string> addresses(words.begin() + 3, words.end());
        return (verb == "listen" ? listen_at : connect_at)(words[0], words[1], number(2), addresses);
    }
    return verb == "meet" ? meet(words[0], words[1] == "first") : 2;
}

int main(int argc, char** argv) {
    const std::string_view verb = argc > 1 ? argv[1] : "";
    try {
        if (verb == "errors") {
            return print_errors();
        }
        if (verb == "raise" && argc == 3) {
            return raise_each(argv[2]);
        }
        if ((verb == "send" || verb == "recv") && argc == 7) {
            return verb == "send" ? send(read_work(argv)) : receive(read_work(argv));
        }
        if (argc >= 4) {
            return act(verb, std::vector<std::string>(argv + 2, argv + argc));
        }
    } catch (const axonic::Error& error) {
        std::cout << "bad " << error.code().message() << ": " << error.what() << '\n';
        return 1;
    } catch (const std::exception& wrong) {
        std::cout << "bad " << wrong.what() << '\n';
        return 1;
    }
    std::cerr << "usage: peer <verb> <domain> ..., as tests/peers/rust/peer.rs has it\n";
    return 2;
}
