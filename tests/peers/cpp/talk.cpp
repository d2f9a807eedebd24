// A conversation in which everything that queues can do occurs once.
#include "peer.hpp"

#include <algorithm>
#include <iostream>
#include <set>
#include <stdexcept>
#include <thread>

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

static constexpr std::size_t size = 64;
static constexpr auto soon = 100ms;
// What its consumer says of message 3 while it has it.
static constexpr double half = 0.5;

int bring(const std::string& domain, const std::string& queue) {
    auto ax = axonic::open(domain);
    auto to = ax.queue(queue);
    const std::vector<std::byte> first[] = {message(0, size), message(1, size), message(2, size)};
    std::vector<axonic::Payload> payloads(3);
    for (std::size_t k = 0; k < payloads.size(); k++) {
        payloads[k].data = first[k];
    }
    const auto many = to.put_many(payloads, {}, patience);
    axonic::Put urgent, brief, once, late, later, first_of_all;
    urgent.priority = 2;
    auto ticket = to.put_for_result(message(3, size), urgent, patience);
    brief.ttl = 1ms;
    to.put(message(4, size), brief, patience);
    once.dedup_id = "once";
    const bool known = to.put(message(5, size), once, patience).duplicate;
    const bool again = to.put(message(9, size), once, patience).duplicate;
    late.delay = 1h;
    to.put(message(6, size), late, patience);
    later.delay = soon;
    to.put(message(7, size), later, patience);
    std::cout << "brought " << many << ' ' << known << ' ' << again << std::endl;
    const auto until = Clock::now() + patience;
    while (ticket.progress() != half && Clock::now() < until) {
        std::this_thread::sleep_for(1ms);
    }
    first_of_all.priority = 7;
    to.put(message(8, size), first_of_all, patience);
    const auto result = ticket.result(patience);
    const auto wanted = reversed(message(3, size));
    must(result && std::equal(wanted.begin(), wanted.end(), result->data().begin(), result->data().end()),
         "the result is the message's reverse");
    std::cout << "answered" << std::endl;
    return 0;
}

// The next message, which must be this one, delivered for the n-th time.
static axonic::Delivery next(axonic::Queue& from, std::uint64_t k, std::uint32_t attempt) {
    auto job = from.get(patience).value();
    if (number_in(job.data()) != k || job.attempt() != attempt) {
        throw std::runtime_error("message " + std::to_string(k) + " is next for time " + std::to_string(attempt) +
                                 ", it is " + std::to_string(number_in(job.data())));
    }
    return job;
}

template <class Seen> static void tell(const char* what, const std::vector<Seen>& all) {
    std::cout << what;
    for (const auto& one : all) {
        std::cout << ' ' << number_in(one.data());
    }
    std::cout << std::endl;
}

static void tell_dead(axonic::Queue& from) {
    std::set<std::string> lines;
    for (const auto& letter : from.dead_letters(9)) {
        const char* reason = letter.reason() == axonic::Reason::Rejected  ? "rejected"
                             : letter.reason() == axonic::Reason::Expired ? "expired"
                                                                          : "none";
        lines.insert("dead " + std::to_string(number_in(letter.data())) + ' ' + reason + " '" +
                     std::string(letter.reason_text()) + "'");
    }
    for (const auto& line : lines) {
        std::cout << line << std::endl;
    }
}

int fetch(const std::string& domain, const std::string& queue) {
    auto ax = axonic::open(domain);
    auto from = ax.queue(queue);
    tell("peek", from.peek(5));
    auto jobs = from.get_many(3, patience, {patience});
    tell("many", jobs);
    auto &asked = jobs.at(0), &late = jobs.at(2);
    jobs.at(1).ack();
    auto two = from.get_many(2, patience);
    tell("many", two);
    for (auto& job : two) {
        job.ack();
    }
    next(from, 7, 1).ack();
    late.extend(soon);
    auto again = next(from, 1, 2);
    const auto given = Clock::now();
    again.nack(soon);
    next(from, 1, 3).reject("as agreed");
    must(Clock::now() - given >= soon, "what is given back for later comes later");
    asked.progress(half);
    next(from, 8, 1).ack();
    tell_dead(from);
    std::cout << "redriven " << from.redrive(9) << std::endl;
    next(from, 1, 1).ack();
    next(from, 4, 1).reject();
    const auto stats = from.stats();
    std::cout << "stats " << stats.ready << ' ' << stats.delayed << ' ' << stats.leased << ' ' << stats.dead << ' '
              << stats.put << std::endl;
    const auto purged = from.purge();
    std::cout << "purged " << purged << ' ' << from.purge_dead_letters() << std::endl;
    asked.ack(reversed(asked.data()));
    std::cout << "fetched" << std::endl;
    return 0;
}
