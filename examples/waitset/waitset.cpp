// One wait for a timer and a subscriber: the timer makes the program publish.
#include <axonic.hpp>

#include <cstdlib>
#include <iostream>

using namespace std::chrono_literals;

int main() {
    constexpr std::uint64_t timer = 1, subscriber = 2;
    auto ax = axonic::open(std::getenv("AXONIC_DOMAIN") != nullptr ? "" : "example-waitset");

    auto orders = ax.subscriber("orders.>");
    auto publisher = ax.publisher("orders.created");
    axonic::WaitSet set;
    set.add_timer(10ms, timer);
    set.add(orders, subscriber);

    for (bool done = false; !done;) {
        for (const auto token : set.wait()) {
            if (token == timer) {
                std::cout << "timer ready\n";
                set.remove(timer);
                publisher.publish(R"({"id":1})");
            } else if (auto m = orders.try_receive()) {
                std::cout << "subscriber ready\nreceived " << m->topic() << ": " << m->text() << '\n';
                done = true;
            }
        }
    }
}
