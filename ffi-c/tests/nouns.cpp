// Region, ring and wait set in C++.
#include "check.hpp"

#include <unistd.h>

using namespace std::chrono_literals;

static void regions() {
    auto ax = axonic::open("regions");
    THROWS(NotFoundError, "table", ax.region("table", {0, axonic::Create::Open}));
    auto region = ax.region("table", {4096, axonic::Create::CreateNew});
    CHECK(region && region.created() && region.writable() && region.size() == 4096 && region.name() == "table");
    auto again = ax.region("table");
    CHECK(!again.created() && again.data().size() == 4096);
    region.write(10, "hello");
    std::array<std::byte, 5> read{};
    again.read(10, read);
    CHECK(std::memcmp(read.data(), "hello", 5) == 0);
    again.data()[0] = std::byte{9};
    CHECK(region.data()[0] == std::byte{9});
    SETS(InvalidArgument, region.write(4095, "xy", ec));
    THROWS(UnsupportedError, "", region.fd());
    region.close();
    again.close();
    ax.unlink(axonic::Noun::Region, "table");

    auto sealed = axonic::Region::seal("for ever");
    CHECK(!sealed.writable() && sealed.name().empty() && sealed.fd() >= 0);
    auto received = axonic::Region::from_fd(sealed.fd());
    sealed.close();
    CHECK(received.size() == 8 && std::memcmp(received.data().data(), "for ever", 8) == 0);
    THROWS(PermissionDeniedError, "", received.write(0, "x"));
    SETS(InvalidArgument, axonic::Region::from_fd(-1, ec));
}

static void rings() {
    auto ax = axonic::open("rings");
    auto producer = ax.ring_producer("r", {4096});
    CHECK(producer && producer.name() == "r" && producer.fd() >= 0);
    THROWS(BusyError, "r", ax.ring_producer("r"));
    auto consumer = ax.ring_consumer("r");
    CHECK(consumer.name() == "r" && consumer.fd() >= 0);
    producer.push("one");
    auto room = producer.reserve(100, 1s);
    CHECK(room.size() == 100);
    std::memcpy(room.data(), "two", 3);
    producer.commit(3);
    auto popped = consumer.pop(1s);
    CHECK(popped.size() == 3 && std::memcmp(popped.data(), "one", 3) == 0);
    auto tried = consumer.try_pop();
    CHECK(tried && tried->size() == 3 && std::memcmp(tried->data(), "two", 3) == 0);
    consumer.release();
    CHECK(!consumer.try_pop());
    THROWS(TimeoutError, "", consumer.pop(1ms));
    int pushed = 0;
    while (producer.try_push(std::string(1000, 'x'))) {
        CHECK(++pushed < 100000);
    }
    CHECK(pushed >= 4 && producer.stats().messages == std::uint64_t(pushed) + 2 && consumer.stats().blocked == 0);
    SETS(TooLarge, producer.try_push(std::string(1 << 24, 'x'), ec));
    producer.close();
    for (int i = 0; i < pushed; i++) {
        CHECK(consumer.pop(1s).size() == 1000);
    }
    THROWS(DisconnectedError, "", consumer.pop(1s));
    SETS(Disconnected, consumer.try_pop(ec));
}

static void wait_sets() {
    auto ax = axonic::open("waits");
    auto sub = ax.subscriber("t");
    auto pub = ax.publisher("t");
    axonic::WaitSet set;
    CHECK(set && set.fd() >= 0);
    set.add(pub, 2);
    CHECK(set.wait(5s) == std::vector<std::uint64_t>{2}); // it was never told to wait
    set.remove(2);
    set.add(sub, 1);
    CHECK(!sub.try_receive());
    CHECK(set.wait(10ms).empty());
    pub.publish("x");
    const auto ready = set.wait(5s);
    CHECK(ready.size() == 1 && ready[0] == 1);
    CHECK(sub.receive().text() == "x" && !sub.try_receive());
    set.add_timer(5ms, 3);
    CHECK(set.wait(5s) == std::vector<std::uint64_t>{3});
    set.remove(3);
    int ends[2];
    CHECK(pipe(ends) == 0 && write(ends[1], "y", 1) == 1);
    set.add(ends[0], 4);
    CHECK(set.wait(5s) == std::vector<std::uint64_t>{4});
    SETS(AlreadyExists, set.add(ends[1], 4, ec));
    SETS(NotFound, set.remove(99, ec));
    THROWS(InvalidArgumentError, "period", set.add_timer(axonic::forever, 5));
}

int main() {
    return check_main([] {
        regions();
        rings();
        wait_sets();
    });
}
