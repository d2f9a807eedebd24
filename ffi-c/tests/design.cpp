// The lines that show Axonic in C++, as they are printed for newcomers.
#include "check.hpp"

#include <numeric>
#include <thread>

using namespace std::chrono_literals;

static std::size_t used = 0;

static void use(axonic::span<const std::byte> data) { used += data.size(); }

static void fill(axonic::span<float> values) { std::iota(values.begin(), values.end(), 0.0F); }

int main() {
    return check_main([] {
        const std::vector<std::byte> bytes(100, std::byte{7});
        auto ax = axonic::open("demo");
        auto orders = ax.subscriber("orders.>");
        auto sub = ax.subscriber("cam");

        ax.publisher("orders").publish(bytes);
        ax.publisher("orders.created").publish(bytes);
        for (auto& m : orders) {
            use(m.data());
            CHECK(m.topic() == "orders.created");
            break;
        }
        CHECK(used == 100);

        // A subscriber made in the loop's own line lives as long as the loop.
        std::thread later([&] {
            auto pub = ax.publisher("orders.later");
            pub.wait_for_subscribers(2, 5s);
            pub.publish(bytes);
        });
        for (auto& m : ax.subscriber("orders.>")) {
            use(m.data());
            break;
        }
        later.join();
        CHECK(used == 200);

        auto t = ax.publisher("cam").loan<float>({480, 640, 3}); fill(t.data()); t.commit(); // destructor aborts
        auto m = sub.borrow(5s); auto v = m.tensor<const float>();
        CHECK(v.size() == 480 * 640 * 3 && v.shape().size() == 3 && v.shape()[1] == 640);
        CHECK(v(0, 0, 0) == 0 && v(0, 1, 2) == 5 && v(1, 0, 0) == 1920 && v(479, 639, 2) == v.size() - 1);
    });
}
