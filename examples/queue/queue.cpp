// A queue: jobs by priority, one given back, one rejected, one whose result comes back.
#include <axonic.hpp>

#include <cstdlib>
#include <iostream>

using namespace std::chrono_literals;

static void work(axonic::Delivery& job) {
    std::cout << job.text() << ": priority " << job.priority() << ", attempt " << job.attempt();
    if (job.text() == "sweep") {
        job.reject("no broom");
        std::cout << ", rejected\n";
    } else if (job.text() == "paint" && job.attempt() == 1) {
        job.nack();
        std::cout << ", given back\n";
    } else {
        job.ack();
        std::cout << '\n';
    }
}

int main() {
    auto ax = axonic::open(std::getenv("AXONIC_DOMAIN") != nullptr ? "" : "example-queue");

    auto queue = ax.queue("jobs");
    queue.put("sweep");
    queue.put("wash", {7});
    queue.put("paint", {3});
    while (auto job = queue.get(0s)) {
        work(*job);
    }

    auto ticket = queue.put_for_result("6 x 7");
    if (auto job = queue.get(1s)) {
        std::cout << job->text();
        job->ack("42");
    }
    if (auto result = ticket.result(1s)) {
        std::cout << " is " << result->text() << '\n';
    }

    for (const auto& dead : queue.dead_letters(10)) {
        std::cout << "dead letter: " << dead.text() << ", " << dead.reason_text() << '\n';
    }
    queue.purge_dead_letters();
}
