// Topics in C++: payloads, attributes, loans, samples and what they keep alive.
#include "check.hpp"

#include <poll.h>

#include <complex>

using namespace std::chrono_literals;
using axonic::Content;
using axonic::Dtype;

static_assert(!std::is_copy_constructible_v<axonic::Publisher>);
static_assert(std::is_nothrow_move_constructible_v<axonic::Publisher>);
static_assert(!std::is_copy_constructible_v<axonic::Subscriber>);
static_assert(!std::is_copy_constructible_v<axonic::Message> && std::is_nothrow_move_assignable_v<axonic::Message>);
static_assert(!std::is_copy_constructible_v<axonic::Sample> && std::is_nothrow_move_assignable_v<axonic::Sample>);
static_assert(!std::is_copy_constructible_v<axonic::Loan<float>>);
static_assert(!std::is_constructible_v<axonic::Message, axonic::Sample&&>, "a sample must not be sliced");

static void payloads() {
    auto ax = axonic::open("payloads");
    auto sub = ax.subscriber("t");
    auto pub = ax.publisher("t");
    CHECK(pub.topic() == "t" && sub.pattern() == "t" && pub.id() != 0 && sub.id() != 0);
    CHECK(pub.subscribers() == 1 && sub.publishers() == 1);

    pub.publish("text");
    CHECK(sub.receive(1s).text() == "text");
    pub.publish(std::string("a\0b", 3));
    CHECK(sub.receive(1s).size() == 3);
    const int three[] = {1, 2, 3};
    pub.publish({three, sizeof three});
    CHECK(sub.receive(1s).size() == 12);
    pub.publish(std::vector<double>{1.5, 2.5});
    CHECK(sub.receive(1s).size() == 16);
    pub.publish({});
    CHECK(sub.receive(1s).size() == 0);

    pub.send(axonic::Payload::json(R"({"id":1})"));
    {
        const auto m = sub.receive(1s);
        CHECK(m && m.content() == Content::Json && m.text() == R"({"id":1})" && m.dtype() == Dtype::None);
        CHECK(m.missed() == 0 && m.publisher() == pub.id() && m.attributes().empty() && m.shape().empty());
    }
    pub.send(axonic::Payload::messagepack("\x01").with({{"type", "number"}, {"subject", "one"}}), 1s);
    {
        const auto m = sub.receive(1s);
        CHECK(m.content() == Content::MessagePack && m.attribute("type") == "number");
        CHECK(m.attribute("subject") == "one" && m.attribute("specversion") == "1.0" && !m.attribute("absent"));
        CHECK(m.attributes().size() == 6);
    }
    const std::vector<std::complex<float>> wave = {{1, 2}, {3, 4}, {5, 6}, {7, 8}};
    pub.send(axonic::Payload::tensor(wave, {2, 2}));
    {
        const auto m = sub.receive(1s);
        const auto v = m.tensor<const std::complex<float>>();
        CHECK(m.dtype() == Dtype::C64 && v.size() == 4 && v(1, 0) == std::complex<float>(5, 6));
    }
    pub.publish_many({axonic::Payload{"one"}, axonic::Payload::json("2"), axonic::Payload{"three"}}, 1s);
    CHECK(sub.receive(1s).text() == "one" && sub.receive(1s).text() == "2" && sub.receive(1s).text() == "three");
    pub.publish_many({});
    CHECK(!sub.try_receive() && !sub.try_borrow());
    CHECK(pub.stats().published == 11 && sub.stats().received == 11 && sub.stats().missed == 0);
}

template <class T> static void round_trip(axonic::Publisher& pub, axonic::Subscriber& sub, Dtype dtype) {
    static_assert(axonic::dtype_of_v<const T> == axonic::dtype_of_v<T>);
    auto loan = pub.loan<T>({2, 3});
    CHECK(loan && loan.data().size() == 6 && loan.shape().size() == 2);
    loan.tensor()(1, 2) = T(1);
    loan.commit();
    CHECK(!loan);
    const auto m = sub.borrow(1s);
    CHECK(m.dtype() == dtype && m.size() == 6 * sizeof(T) && axonic::dtype_size(dtype) == sizeof(T));
    CHECK(m.tensor<const T>()(1, 2) == T(1));
}

static void every_element_type() {
    auto ax = axonic::open("dtypes");
    auto sub = ax.subscriber("t");
    auto pub = ax.publisher("t");
    CHECK(axonic::dtype_name(Dtype::F32) == std::string("float32") && axonic::dtype_size(Dtype::None) == 0);
    round_trip<bool>(pub, sub, Dtype::Bool);
    round_trip<std::int8_t>(pub, sub, Dtype::I8);
    round_trip<std::uint8_t>(pub, sub, Dtype::U8);
    round_trip<std::int16_t>(pub, sub, Dtype::I16);
    round_trip<std::uint16_t>(pub, sub, Dtype::U16);
    round_trip<std::int32_t>(pub, sub, Dtype::I32);
    round_trip<std::uint32_t>(pub, sub, Dtype::U32);
    round_trip<std::int64_t>(pub, sub, Dtype::I64);
    round_trip<std::uint64_t>(pub, sub, Dtype::U64);
    round_trip<long long>(pub, sub, Dtype::I64);
    round_trip<float>(pub, sub, Dtype::F32);
    round_trip<double>(pub, sub, Dtype::F64);
    round_trip<std::complex<float>>(pub, sub, Dtype::C64);
    round_trip<std::complex<double>>(pub, sub, Dtype::C128);
}

static void loans() {
    auto ax = axonic::open("loans");
    auto sub = ax.subscriber("t");
    {
        auto aborted = ax.publisher("t").loan<float>({1000});
        aborted.data()[0] = 1;
        auto moved = std::move(aborted);
        CHECK(!aborted && moved);
    }
    CHECK(!sub.try_receive());

    auto bytes = ax.publisher("t").loan(5000);
    CHECK(bytes.data().size() == 5000);
    std::memcpy(bytes.data().data(), R"({"short":1})", 11);
    bytes.shrink(11);
    bytes.set_content(Content::Json);
    bytes.commit({{"type", "loaned"}}, 1s);
    auto m = sub.receive(1s);
    CHECK(m.text() == R"({"short":1})" && m.content() == Content::Json && m.attribute("type") == "loaned");

    auto pub = ax.publisher("t");
    auto first = pub.loan<int>({100});
    first = pub.loan<int>({200}); // the one before is aborted
    first.commit();
    CHECK(sub.borrow(1s).tensor<const int>().size() == 200 && !sub.try_receive());
    std::error_code ec;
    first.commit(ec);
    CHECK(ec == axonic::ErrorKind::Closed);
    first.abort();
}

static void samples_outlive_everything() {
    axonic::Sample kept;
    CHECK(!kept);
    {
        auto ax = axonic::open("kept");
        auto sub = ax.subscriber("t");
        auto pub = ax.publisher("t");
        pub.publish(std::string(10000, 'k'));
        auto sample = sub.borrow(1s);
        CHECK(sub.stats().pinned == 1);
        kept = std::move(sample);
        CHECK(!sample && kept && sub.stats().pinned == 1);
        pub.publish(std::string(10000, 'l'));
        auto second = sub.try_borrow();
        CHECK(second && sub.stats().pinned == 2 && sub.stats().orphans == 0);
        second.reset();
        CHECK(sub.stats().pinned == 1);
    }
    CHECK(kept.size() == 10000 && kept.text()[9999] == 'k' && kept.topic() == "t");
    kept.release();
    CHECK(!kept);
}

static void domains_stay_open_for_their_handles() {
    auto sub = axonic::open("short").subscriber("t");
    auto pub = axonic::open("short").publisher("t");
    pub.publish("still open");
    CHECK(sub.receive(1s).text() == "still open");

    auto ax = axonic::open("described", {check_directory, "label", -1, 0, 4});
    CHECK(ax.name() == "described" && ax.path().substr(0, std::strlen(check_directory)) == check_directory);
    const auto participant = ax.participant();
    CHECK(participant.slot < 4);
    CHECK(axonic::version() == std::string(axonic_version()) && axonic::layout_version() == axonic_layout_version());
}

static void options() {
    auto ax = axonic::open("options");
    axonic::PublisherOptions reject;
    reject.overflow = axonic::Overflow::Reject;
    reject.capacity = 16 << 10;
    reject.max_bytes = 1 << 20;
    auto sub = ax.subscriber("t", {axonic::Start::Latest, 1, axonic::Wait::Block});
    auto pub = ax.publisher("t", reject);
    THROWS(TooLargeError, "max_bytes", pub.publish(std::string(2 << 20, 'x')));
    std::error_code ec;
    while (!ec) {
        pub.publish(std::string(1000, 'x'), ec);
    }
    CHECK(ec == axonic::ErrorKind::Full);

    axonic::PublisherOptions keep;
    keep.retain = true;
    ax.publisher("kept", keep).publish("kept");
    CHECK(ax.subscriber("kept", {axonic::Start::Oldest}).receive(1s).text() == "kept");

    pollfd ready{sub.fd(), POLLIN, 0};
    CHECK(poll(&ready, 1, 5000) == 1);
    CHECK(pub.fd() >= 0);
    pub.close();
    THROWS(TimeoutError, "", ax.publisher("alone").wait_for_subscribers(1, 1ms));
}

static void schemas() {
    auto ax = axonic::open("schemas");
    axonic::PublisherOptions publishes;
    axonic::SubscriberOptions receives;
    publishes.schema = receives.schema = R"({"type": "nothing"})";
    THROWS(InvalidArgumentError, "Schema", ax.publisher("t", publishes));
    THROWS(InvalidArgumentError, "Schema", ax.subscriber("t", receives));

    publishes.schema = receives.schema = R"({"type": "object", "required": ["id"]})";
    auto sub = ax.subscriber("t", receives);
    auto pub = ax.publisher("t", publishes);
    auto lax = ax.publisher("t");
    THROWS(InvalidArgumentError, "id", pub.send(axonic::Payload::json("{}")));
    THROWS(InvalidArgumentError, "raw", pub.publish("bytes"));
    CHECK(!sub.try_receive());
    lax.send(axonic::Payload::json("{}"));
    THROWS(DecodeError, "id", sub.receive(1s));
    pub.send(axonic::Payload::json(R"({"id":1})"));
    CHECK(sub.receive(1s).text() == R"({"id":1})");
}

int main() {
    return check_main([] {
        payloads();
        every_element_type();
        loans();
        samples_outlive_everything();
        domains_stay_open_for_their_handles();
        options();
        schemas();
    });
}
