// A channel: messages both ways by address, until both ends have said all.
#include <axonic.hpp>

#include <cstdlib>
#include <iostream>
#include <thread>

using namespace std::chrono_literals;

int main() {
    auto ax = axonic::open(std::getenv("AXONIC_DOMAIN") != nullptr ? "" : "example-channel");
    const std::string address = "shm://" + std::string(ax.name()) + "/words";

    auto listener = ax.listen(address);
    std::thread answering([&] {
        auto channel = listener.accept(5s);
        for (auto& message : channel) {
            channel.send(std::string(message.text().rbegin(), message.text().rend()));
        }
        channel.finish();
    });

    auto channel = ax.connect(address, 5s);
    for (auto word : {"stop", "live", "draw"}) {
        channel.send(word);
    }
    channel.finish();
    for (auto& message : channel) {
        std::cout << "answer: " << message.text() << '\n';
    }
    std::cout << "the other end has ended\n";
    try {
        channel.send(std::string(channel.max_message() + 1, 'x'));
    } catch (const axonic::TooLargeError&) {
        std::cout << "too large\n";
    }
    channel.close();
    answering.join();

    listener.close();
    try {
        ax.connect(address);
    } catch (const axonic::NotFoundError&) {
        std::cout << "nobody listens\n";
    }
}
