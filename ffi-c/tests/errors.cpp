// Errors in C++: one subclass per kind, error codes, and what what() says.
#include "check.hpp"

using axonic::ErrorKind;

static_assert(std::is_error_code_enum_v<ErrorKind>);
static_assert(std::is_base_of_v<std::system_error, axonic::Error>);
static_assert(std::is_base_of_v<axonic::Error, axonic::TimeoutError>);
static_assert(std::is_nothrow_copy_constructible_v<axonic::Error>);

// Raising the code of a kind throws the class of that kind; its name is the kind's with "Error".
template <class E> static int mapped(ErrorKind kind, const char* name) {
    try {
        axonic::detail::raise(static_cast<int>(kind), "some words");
    } catch (const E& error) {
        CHECK(error.kind() == kind && error.code() == kind);
        CHECK(std::string(error.what()) == "some words");
        CHECK(error.code().message() == name && std::string(error.code().category().name()) == "axonic");
        return 1;
    } catch (...) {
        SHOW("%s throws another class", name);
        std::exit(1);
    }
}

#define MAPPED(kind) mapped<axonic::kind##Error>(ErrorKind::kind, #kind)

static void every_kind() {
    const int count = MAPPED(InvalidArgument) + MAPPED(InvalidName) + MAPPED(NotFound) + MAPPED(AlreadyExists) +
                      MAPPED(PermissionDenied) + MAPPED(Timeout) + MAPPED(WouldBlock) + MAPPED(Closed) +
                      MAPPED(Disconnected) + MAPPED(TooLarge) + MAPPED(Full) + MAPPED(LimitReached) +
                      MAPPED(NoSpace) + MAPPED(LayoutMismatch) + MAPPED(Corrupt) + MAPPED(Forked) + MAPPED(Busy) +
                      MAPPED(InUse) + MAPPED(Interrupted) + MAPPED(Unsupported) + MAPPED(Decode) + MAPPED(Io) +
                      MAPPED(LeaseLost) + MAPPED(Rejected) + MAPPED(NotDurable) + MAPPED(Unavailable) +
                      MAPPED(Cancelled) + MAPPED(CallFailed);
    int known = 0;
    while (axonic_error_name(-known - 1) != nullptr) {
        known++;
    }
    CHECK(count == known);
    // A code of a later version is still an Error.
    bool thrown = false;
    try {
        axonic::detail::raise(-1000, "later");
    } catch (const axonic::Error& error) {
        thrown = error.code().value() == -1000 && error.code().message() == "unknown error -1000";
    }
    CHECK(thrown);
}

static void conditions() {
    CHECK(make_error_code(ErrorKind::Timeout) == std::errc::timed_out);
    CHECK(make_error_code(ErrorKind::NotFound) == std::errc::no_such_file_or_directory);
    CHECK(make_error_code(ErrorKind::WouldBlock) == std::errc::operation_would_block);
    CHECK(make_error_code(ErrorKind::Timeout) != std::errc::broken_pipe);
    const std::error_code code = ErrorKind::Busy;
    CHECK(code && code == std::errc::device_or_resource_busy && code != ErrorKind::Closed);
}

static void thrown_or_set() {
    auto ax = axonic::open("errors");
    THROWS(InvalidNameError, "a/b", ax.publisher("a/b"));
    THROWS(Error, "a/b", ax.subscriber("a/b"));
    THROWS(InvalidNameError, "NUL", ax.publisher(std::string("a\0b", 3)));
    THROWS(InvalidNameError, "NUL", ax.region(std::string("a\0b", 3)));
    THROWS(InvalidNameError, "NUL", axonic::open(std::string("a\0b", 3)));
    SETS(InvalidName, ax.publisher("a/b", {}, ec));
    SETS(InvalidName, ax.unlink(axonic::Noun::Region, std::string("a\0b", 3), ec));
    SETS(NotFound, ax.unlink(axonic::Noun::Region, "missing", ec));
    SETS(InvalidName, axonic::open("..", {}, ec));

    auto sub = ax.subscriber("t");
    THROWS(TimeoutError, "t", sub.receive(std::chrono::milliseconds(1)));
    THROWS(WouldBlockError, "", sub.receive(std::chrono::seconds(0)));
    THROWS(WouldBlockError, "", sub.receive(std::chrono::seconds(-5)));
    SETS(Timeout, sub.borrow(std::chrono::milliseconds(1), ec));
    std::error_code ec = ErrorKind::Io;
    CHECK(!sub.try_receive(ec) && !ec); // nothing there is no failure
    ec = ErrorKind::Io;
    CHECK(!sub.try_borrow(ec) && !ec);
    const axonic::Message none = sub.receive(std::chrono::milliseconds(1), ec);
    CHECK(!none && ec == ErrorKind::Timeout);

    auto pub = ax.publisher("t");
    pub.publish("text", ec);
    CHECK(!ec && sub.receive().text() == "text");
    pub.publish("12345678");
    const auto received = sub.receive();
    THROWS(DecodeError, "tensor", received.tensor<const float>());
    SETS(Decode, received.tensor<const float>(ec));
    THROWS(InvalidArgumentError, "", pub.send({"123", axonic::Content::Tensor, axonic::Dtype::F32, {1}, {}}));
    THROWS(TooLargeError, "", pub.loan<double>({std::size_t(1) << 40, std::size_t(1) << 40}));
    SETS(TooLarge, pub.loan<double>({std::size_t(1) << 40, std::size_t(1) << 40}, axonic::forever, ec));
}

static void closed() {
    auto ax = axonic::open("errors");
    auto pub = ax.publisher("t");
    auto moved = std::move(pub);
    CHECK(!pub && moved && pub.topic().empty() && moved.topic() == "t");
    THROWS(ClosedError, "the publisher is empty", pub.publish("x"));
    auto loan = moved.loan(100);
    moved.close();
    moved.close();
    CHECK(!moved);
    THROWS(ClosedError, "publisher 't' is closed; open it again", moved.publish("x"));
    THROWS(ClosedError, "publisher 't' is closed; open it again", loan.commit());
    SETS(Closed, loan.commit(ec));

    auto sub = ax.subscriber("t");
    auto producer = ax.ring_producer("r");
    auto waiting = ax.publisher("t");
    auto copy = ax;
    ax.close();
    CHECK(!ax && !copy && copy.name().empty());
    THROWS(ClosedError, "domain 'errors' is closed; open it again", copy.publisher("t"));
    THROWS(ClosedError, "domain 'errors' is closed", ax.mutex("m"));
    THROWS(ClosedError, "t", waiting.publish("x"));
    SETS(Closed, sub.receive(axonic::forever, ec));
    SETS(Closed, producer.push("x", axonic::forever, ec));
    sub.close();
    CHECK(sub.pattern().empty() && sub.id() == 0);
    THROWS(ClosedError, "the domain is empty", axonic::Domain().participant());
    THROWS(ClosedError, "the ring consumer is empty", axonic::RingConsumer().pop());
    THROWS(ClosedError, "the region is empty", axonic::Region().write(0, "x"));
    axonic::WaitSet set;
    set.close();
    THROWS(ClosedError, "the wait set is closed; open it again", set.wait());
}

// What is closed says what it was, whatever it is asked.
template <class Noun, class Call> static void closes(Noun noun, const char* text, Call call) {
    auto moved = std::move(noun);
    THROWS(ClosedError, "is empty: made so, or moved from", call(noun, axonic::Report()));
    moved.close();
    THROWS(ClosedError, text, call(moved, axonic::Report()));
    SETS(Closed, (call(moved, ec), 0));
    // Made anew, it is nothing that was closed.
    moved = Noun();
    THROWS(ClosedError, "is empty: made so, or moved from", call(moved, axonic::Report()));
}

static void closed_nouns() {
    using Report = axonic::Report;
    auto ax = axonic::open("nouns");
    closes(ax.subscriber("a.*"), "subscriber 'a.*' is closed; open it again", [](auto& s, Report r) { s.fd(r); });
    closes(ax.ring_producer("r"), "ring producer 'r' is closed", [](auto& p, Report r) { p.try_push("x", r); });
    closes(ax.ring_consumer("r"), "ring consumer 'r' is closed", [](auto& c, Report r) { c.fd(r); });
    closes(ax.region("g", {10}), "region 'g' is closed", [](auto& g, Report r) { g.write(0, "x", r); });
    closes(axonic::Region::seal("x"), "the region is closed", [](auto& g, Report r) { g.fd(r); });
    closes(ax.mutex("m"), "lock 'm' is closed; open it again", [](auto& m, Report r) { m.lock(r); });
    closes(ax.rwlock("w"), "lock 'w' is closed", [](auto& w, Report r) { w.try_lock_shared(r); });
    closes(ax.semaphore("s", 1), "lock 's' is closed", [](auto& s, Report r) { s.available(r); });
    closes(ax.event("e"), "lock 'e' is closed", [](auto& e, Report r) { e.set(r); });
    closes(ax.barrier("b", 2), "lock 'b' is closed",
           [](auto& b, Report r) { b.arrive_and_wait(axonic::forever, r); });
    closes(ax.condvar("c"), "lock 'c' is closed", [](auto& c, Report r) { c.notify_all(r); });
    auto mutex = ax.mutex("m");
    auto condvar = ax.condvar("c");
    condvar.close();
    std::unique_lock<axonic::Mutex> lock(mutex);
    THROWS(ClosedError, "lock 'c' is closed", condvar.wait_for(lock, std::chrono::seconds(1)));
    CHECK(!lock.owns_lock() && mutex.try_lock()); // as after every failure
    mutex.unlock();
}

int main() {
    return check_main([] {
        every_kind();
        conditions();
        thrown_or_set();
        closed();
        closed_nouns();
    });
}
