// A worker in C++: takes documents out of a queue, and answers how often each word occurs in them.
//
// worker.py is the same in Python; they compete for the same documents, and nobody can tell who counted.
#include <axonic.hpp>

#include <exception>
#include <iostream>
#include <map>
#include <string>
#include <string_view>
#include <unistd.h>

namespace {

constexpr std::size_t at_once = 8; // documents that a worker takes at a time

// The words of a text in order, a line with its number for each.
std::string words(std::string_view text) {
    std::map<std::string, std::size_t> counts;
    std::string word;
    const auto end_word = [&] {
        if (!word.empty()) {
            counts[word]++;
            word.clear();
        }
    };
    for (char c : text) {
        if (c >= 'A' && c <= 'Z') {
            c = static_cast<char>(c - 'A' + 'a');
        }
        if (c >= 'a' && c <= 'z') {
            word += c;
        } else {
            end_word();
        }
    }
    end_word();
    std::string lines;
    for (const auto& [counted, count] : counts) {
        lines += counted + ' ' + std::to_string(count) + '\n';
    }
    return lines;
}

// Counts until told to stop.
void work(axonic::Queue& queue) {
    while (true) {
        for (auto& job : queue.get_many(at_once)) {
            if (job.attribute("type") == "stop") {
                job.ack();
                return; // what else we took goes to the others
            }
            const auto who = "C++ " + std::to_string(getpid()) + ' ' + std::to_string(job.attempt()) + '\n';
            job.ack(who + words(job.text()));
        }
    }
}

} // namespace

int main() {
    try {
        auto ax = axonic::open("", {"", "worker"}); // "": the domain that AXONIC_DOMAIN names
        auto queue = ax.queue("documents");
        work(queue);
    } catch (const std::exception& error) {
        std::cerr << "worker: " << error.what() << '\n';
        return 1;
    }
}
