// Publish and subscribe: copies through a pattern, then an array written and read in place.
#include <axonic.hpp>

#include <cstdlib>
#include <iostream>
#include <numeric>

using namespace std::chrono_literals;

int main() {
    auto ax = axonic::open(std::getenv("AXONIC_DOMAIN") != nullptr ? "" : "example-topic");

    auto orders = ax.subscriber("orders.>");
    ax.publisher("orders.created").send(axonic::Payload::json(R"({"id":1})"));
    ax.publisher("orders.paid").send(axonic::Payload::json(R"({"id":2})"));
    for (int i = 0; i < 2; i++) {
        auto m = orders.receive(1s);
        std::cout << "received " << m.topic() << ": " << m.text() << '\n';
    }

    auto viewer = ax.subscriber("camera");
    auto frame = ax.publisher("camera").loan<float>({2, 3});
    std::iota(frame.data().begin(), frame.data().end(), 0.0F);
    frame.commit();

    auto m = viewer.borrow(1s);
    auto v = m.tensor<const float>();
    std::cout << "borrowed " << m.topic() << ": " << v.shape()[0] << 'x' << v.shape()[1] << ' '
              << axonic::dtype_name(m.dtype()) << ", sum " << std::accumulate(v.begin(), v.end(), 0.0F) << '\n';
}
