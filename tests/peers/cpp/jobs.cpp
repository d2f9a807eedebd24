// What the C++ peer does with queues.
#include "peer.hpp"

#include <algorithm>
#include <cstring>
#include <iostream>
#include <stdexcept>
#include <thread>

using namespace std::chrono_literals;

static constexpr std::size_t asked_size = 64;
// A worker that got nothing for so long is done.
static constexpr auto idle = 1s;
// Every second message is taken for this long only.
static constexpr auto lease = 2s;

// Message k: its number, then bytes as in topics, so that one in three is in its slot, one in some parts and one in
// many.
std::vector<std::byte> message(std::uint64_t k, std::size_t size) {
    constexpr std::size_t factors[] = {1, 10, 300};
    std::vector<std::byte> bytes(size * factors[k % 3]);
    fill(bytes, k);
    std::memcpy(bytes.data(), &k, sizeof k);
    return bytes;
}

using Bytes = axonic::span<const std::byte>;

std::vector<std::byte> reversed(Bytes data) {
    std::vector<std::byte> bytes(data.size());
    std::reverse_copy(data.begin(), data.end(), bytes.begin());
    return bytes;
}

// The number of a message, every byte of which is as it should be.
std::uint64_t number_in(Bytes data) {
    std::uint64_t k = 0;
    std::memcpy(&k, data.data(), std::min(data.size(), sizeof k));
    std::vector<std::byte> wanted(data.size());
    fill(wanted, k);
    if (data.size() < sizeof k || !std::equal(wanted.begin() + sizeof k, wanted.end(), data.begin() + sizeof k)) {
        throw std::runtime_error("message " + std::to_string(k) + " is torn");
    }
    return k;
}

int put(const std::string& domain, const std::string& queue, std::uint64_t first, std::size_t count,
        std::size_t size) {
    auto ax = axonic::open(domain);
    auto to = ax.queue(queue);
    for (auto k = first; k < first + count; k++) {
        to.put(message(k, size), {static_cast<std::uint32_t>(k % 3)}, patience);
        std::cout << "put " << k << std::endl;
    }
    std::cout << "sent " << count << std::endl;
    return 0;
}

// Gives some back once, rejects others, acknowledges the rest, and tells.
static void settle(axonic::Delivery job) {
    const auto k = number_in(job.data());
    const auto attempt = job.attempt();
    std::cout << "take " << k << ' ' << attempt << std::endl;
    const char* outcome = "ack";
    try {
        if (attempt == 1 && k % 5 == 3) {
            outcome = "back";
            job.nack();
        } else if (k % 11 == 7) {
            outcome = "dead";
            job.reject("as agreed");
        } else {
            job.ack();
        }
    } catch (const axonic::LeaseLostError&) {
        outcome = "lost";
    }
    std::cout << outcome << ' ' << k << std::endl;
}

int work(const std::string& domain, const std::string& queue) {
    auto ax = axonic::open(domain);
    auto from = ax.queue(queue);
    std::size_t done = 0;
    while (auto job = from.get(idle, {done % 2 == 1 ? lease : 0s})) {
        settle(std::move(*job));
        done++;
    }
    std::cout << "done " << done << std::endl;
    return 0;
}

int ask(const std::string& domain, const std::string& queue, std::size_t count) {
    auto ax = axonic::open(domain);
    auto to = ax.queue(queue);
    std::vector<axonic::Ticket> tickets;
    for (std::size_t k = 0; k < count; k++) {
        tickets.push_back(to.put_for_result(message(k, asked_size), {}, patience));
    }
    for (std::size_t k = 0; k < count; k++) {
        const auto wanted = reversed(message(k, asked_size));
        const auto result = tickets[k].result(patience);
        const auto given = result ? result->data() : Bytes();
        if (!std::equal(wanted.begin(), wanted.end(), given.begin(), given.end())) {
            std::cout << "bad result of message " << k << ": it is not its reverse\n";
            return 1;
        }
    }
    std::cout << "asked " << count << std::endl;
    return 0;
}

int answer(const std::string& domain, const std::string& queue, std::size_t count) {
    auto ax = axonic::open(domain);
    auto from = ax.queue(queue);
    for (std::size_t n = 0; n < count; n++) {
        auto job = from.get(patience);
        if (!job) {
            std::cout << "bad: nothing to answer\n";
            return 1;
        }
        number_in(job->data());
        job->ack(reversed(job->data()));
    }
    std::cout << "answered " << count << std::endl;
    return 0;
}

static axonic::QueueOptions durable() {
    axonic::QueueOptions options;
    options.durable = axonic::Fsync::Never;
    return options;
}

int keep(const std::string& domain, const std::string& queue, std::size_t count) {
    auto ax = axonic::open(domain);
    auto to = ax.queue(queue, durable());
    axonic::Put how;
    how.durable = true;
    for (std::size_t k = 0; k < count; k++) {
        to.put(message(k, asked_size), how, patience);
    }
    std::cout << "kept " << count << std::endl;
    std::this_thread::sleep_for(patience);
    return 0;
}

int hurry(const std::string& domain, const std::string& queue) {
    auto ax = axonic::open(domain);
    auto to = ax.queue(queue, durable());
    axonic::Put how;
    how.durable = true;
    try {
        to.put(message(0, asked_size), how, 10ms);
        std::cout << "nothing" << std::endl;
    } catch (const axonic::Error& error) {
        std::cout << error.code().message() << std::endl;
    }
    return 0;
}

int spend(const std::string& domain, const std::string& queue, std::size_t count) {
    auto ax = axonic::open(domain);
    auto from = ax.queue(queue, durable());
    axonic::Get how;
    how.durable = true;
    // All are taken before one is given back.
    std::vector<axonic::Delivery> jobs;
    while (jobs.size() < count) {
        jobs.push_back(from.get(patience, how).value());
    }
    for (auto& job : jobs) {
        number_in(job.data()) % 2 == 0 ? job.ack() : job.nack();
    }
    std::cout << "spent " << count << std::endl;
    return 0;
}
