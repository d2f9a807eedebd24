// The bare ring: messages in order, written and read in place, until the producer ends.
#include <axonic.hpp>

#include <cstdlib>
#include <cstring>
#include <iostream>

using namespace std::chrono_literals;

int main() {
    auto ax = axonic::open(std::getenv("AXONIC_DOMAIN") != nullptr ? "" : "example-ring");

    auto producer = ax.ring_producer("numbers");
    auto consumer = ax.ring_consumer("numbers");
    producer.push("one");
    producer.push("two");
    auto room = producer.reserve(100);
    std::memcpy(room.data(), "written in place", 16);
    producer.commit(16);
    producer.close();

    try {
        for (;;) {
            auto message = consumer.pop(1s);
            std::cout << "popped " << std::string_view(reinterpret_cast<const char*>(message.data()), message.size())
                      << '\n';
        }
    } catch (const axonic::DisconnectedError&) {
        std::cout << "the producer ended\n";
    }
}
