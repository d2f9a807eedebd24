// Queues in C++: both sides of one object, deliveries that settle themselves, tickets.
#include "check.hpp"

#include <algorithm>
#include <poll.h>
#include <thread>

using namespace std::chrono_literals;

static bool readable(int fd, std::chrono::milliseconds within) {
    pollfd ready{fd, POLLIN, 0};
    return poll(&ready, 1, static_cast<int>(within.count())) == 1;
}

// As it is shown to newcomers.
static void shown() {
    auto ax = axonic::open("shown");
    const std::vector<std::byte> bytes(10, std::byte{7});
    std::size_t worked = 0;
    auto work = [&](axonic::span<const std::byte> data) { worked += data.size(); };

    auto q = ax.queue("jobs");
    q.put(bytes, {3});
    q.put("more");
    while (auto job = q.get(10ms)) {
        work(job->data());
        job->ack();
    }
    CHECK(worked == 14);
    auto t = q.put_for_result("question");
    q.get(5s)->ack("answer");
    CHECK(t.result(5s)->text() == "answer");
}

static void deliveries() {
    auto ax = axonic::open("queues");
    auto q = ax.queue("q");
    CHECK(q && q.name() == "q" && !axonic::Queue());
    CHECK(!q.get(1ms) && !q.get(0s));
    std::error_code ec = axonic::ErrorKind::Io;
    CHECK(!q.get(0s, {}, ec) && !ec); // nothing there is no failure
    q.put("low");
    q.put(axonic::Payload::json("{}").with({{"type", "order"}}), {5});
    const auto peeked = q.peek(10);
    CHECK(peeked.size() == 2 && peeked[0].text() == "{}" && peeked[0].priority() == 5);
    CHECK(peeked[0].content() == axonic::Content::Json && peeked[1].attempts() == 0);
    CHECK(peeked[1].reason() == axonic::Reason::None && peeked[1].reason_text().empty());

    auto first = q.get();
    CHECK(first && *first && first->attribute("type") == "order" && first->content() == axonic::Content::Json);
    CHECK(first->priority() == 5 && first->attempt() == 1);
    const auto token = first->token();
    first.reset(); // not settled
    auto again = q.get();
    CHECK(again->text() == "{}" && again->attempt() == 2 && again->token() > token);
    auto moved = std::move(*again);
    CHECK(moved && !*again && moved.text() == "{}");
    SETS(Closed, again->ack(ec));
    std::thread([&] { moved.ack(); }).join(); // any thread may settle
    CHECK(!moved && moved.data().empty());
    THROWS(ClosedError, "delivery of queue 'q': it was settled", moved.ack());
    THROWS(ClosedError, "delivery of queue 'q'", moved.nack());
    THROWS(ClosedError, "delivery of queue 'q'", moved.reject());
    THROWS(ClosedError, "delivery of queue 'q'", moved.extend(1s));
    THROWS(ClosedError, "delivery of queue 'q'", moved.progress(1));
    THROWS(ClosedError, "the delivery is empty", axonic::Delivery().ack("x"));
    SETS(Closed, moved.progress(1, ec));

    auto low = q.get();
    low->nack(20ms);
    CHECK(q.stats().delayed == 1 && !q.get(0s));
    low = q.get(5s);
    CHECK(low->attempt() == 2);
    low->nack();
    low = q.get(5s);
    low->ack(ec);
    CHECK(!ec);

    const std::vector<float> numbers{1, 2, 3, 4};
    q.put(axonic::Payload::tensor(numbers, {2, 2}));
    auto array = q.get();
    CHECK(array->tensor<const float>()(1, 0) == 3 && array->shape().size() == 2);
    array->ack();

    // A loop over the queue, left with break: that job goes back.
    q.put("one");
    q.put("two");
    std::string seen;
    for (auto& job : q) {
        seen += job.text();
        if (job.text() == "two") {
            break;
        }
        job.ack();
    }
    CHECK(seen == "onetwo" && q.stats().ready == 1 && q.stats().returned == 4);

    // A delivery keeps its domain, and outlives queue and consumer.
    auto held = q.get();
    q.close();
    CHECK(!q);
    SETS(Closed, q.put("x", {}, axonic::forever, ec));
    THROWS(ClosedError, "queue 'q' is closed; open it again", q.get(1s));
    THROWS(ClosedError, "queue 'q' is closed", q.put("x"));
    THROWS(ClosedError, "queue 'q' is closed", q.stats());
    THROWS(ClosedError, "queue 'q' is closed", q.sync());
    THROWS(ClosedError, "the queue is empty", axonic::Queue().peek(1));
    auto closed = axonic::open("closed");
    auto orphan = closed.queue("orphan");
    closed.close();
    THROWS(ClosedError, "queue 'orphan': its domain is closed", orphan.put("x"));
    ax = axonic::Domain();
    CHECK(held->text() == "two");
    held->ack();
}

static void leases_and_dead_letters() {
    auto ax = axonic::open("queues");
    auto q = ax.queue("dead", {0, 0, 2, axonic::Wait::Adaptive});
    q.put("slow");
    auto late = q.get(5s, {20ms});
    late->extend(30ms);
    auto now = q.get(5s);
    CHECK(now->attempt() == 2 && now->token() > late->token());
    THROWS(LeaseLostError, "lease", late->extend(1s));
    SETS(LeaseLost, late->progress(0.5, ec));
    SETS(LeaseLost, late->ack(ec));
    CHECK(!*late);
    now->nack(); // that was the second attempt
    q.put("bad");
    q.get()->reject("not a job");
    q.put("brief", {0, 0ns, 1ns});
    CHECK(!q.get(0s));
    const auto dead = q.dead_letters(10);
    CHECK(dead.size() == 3);
    int reasons = 0;
    for (const auto& letter : dead) {
        reasons += 1 << static_cast<int>(letter.reason());
        CHECK((letter.reason_text() == "not a job") == (letter.reason() == axonic::Reason::Rejected));
        CHECK((letter.text() == "brief") == (letter.reason() == axonic::Reason::Expired));
    }
    CHECK(reasons == 2 + 4 + 8 && q.dead_letters(1).size() == 1);
    CHECK(q.redrive(1) == 1 && q.redrive() == 2 && q.purge() == 3 && q.purge_dead_letters() == 0);
    CHECK(q.stats().buried == 3);
    q.put("left");
    q.close();
    ax.unlink(axonic::Noun::Queue, "dead");
    SETS(NotFound, ax.unlink(axonic::Noun::Queue, "dead", ec));
}

static void tickets() {
    auto ax = axonic::open("queues");
    auto q = ax.queue("asked");
    auto ticket = q.put_for_result("6 x 7");
    CHECK(ticket && !axonic::Ticket() && ticket.progress() == 0 && axonic::Ticket().progress() < 0);
    CHECK(!ticket.result(0s) && !ticket.result(1ms) && q.put_fd() >= 0 && !ticket.result(0s));
    CHECK(!readable(q.put_fd(), 0ms));
    auto job = q.get();
    job->progress(0.25);
    CHECK(ticket.progress() == 0.25);
    job->ack(axonic::Payload::json("42"));
    CHECK(readable(q.put_fd(), 5s));
    auto result = ticket.result(0s);
    CHECK(result && result->text() == "42" && result->content() == axonic::Content::Json);
    CHECK(ticket.result(0s)->text() == "42"); // asked again, it answers the same
    ticket = axonic::Ticket();
    CHECK(result->text() == "42"); // it keeps what it shows

    auto refused = q.put_for_result("impossible");
    q.get()->reject("cannot be done");
    THROWS(RejectedError, "cannot be done", refused.result(1s));
    auto moved = std::move(q);
    auto kept = moved.put_for_result("after a move");
    moved.get()->ack();
    CHECK(kept.result(1s)->size() == 0);
    moved.close();
    THROWS(ClosedError, "ticket of queue 'asked': its queue was closed", kept.result(1s));
    THROWS(ClosedError, "the ticket is empty", axonic::Ticket().result(1s));
    SETS(Closed, kept.result(0s, ec));
}

static void many() {
    auto ax = axonic::open("queues");
    auto q = ax.queue("small", {4});
    const std::vector<axonic::Payload> payloads(6, axonic::Payload::json("1"));
    CHECK(q.put_many(payloads, {2}, 0s) == 4 && q.put_many({}) == 0);
    THROWS(WouldBlockError, "small", q.put_many(payloads, {}, 0s));
    THROWS(TimeoutError, "capacity", q.put("x", {}, 1ms));
    CHECK(!q.try_put("x"));
    SETS(InvalidArgument, q.try_put("x", {8}, ec));
    SETS(Timeout, q.put_for_result("x", {}, 1ms, ec));
    auto taken = q.get_many(3, 1s);
    CHECK(taken.size() == 3 && taken[2].priority() == 2 && q.stats().leased == 3);
    taken[0].ack();
    const auto put = q.try_put("x");
    CHECK(put && !put->duplicate && q.get_fd() >= 0);
    std::error_code full;
    CHECK(!q.try_put("x", {}, full) && !full); // no room is no failure
    taken.clear();
    CHECK(q.stats().leased == 0 && q.get_many(9, 1s).size() == 4);
    CHECK(q.purge() == 4 && q.get_many(9, 0s).empty() && q.get_many(9, 1ms).empty());
    CHECK(!readable(q.get_fd(), 0ms));
    q.put("y");
    CHECK(readable(q.get_fd(), 5s));
    SETS(InvalidArgument, q.get_many(0, 1s, {}, ec));

    // Any number may be the most, whatever there is.
    auto large = ax.queue("large", {2000});
    CHECK(large.put_many(std::vector<axonic::Payload>(1000, axonic::Payload::json("1"))) == 1000);
    for (const std::size_t most : {std::size_t(600), std::size_t(512), std::size_t(1000), std::size_t(SIZE_MAX)}) {
        CHECK(large.get_many(most, 1s).size() == std::min<std::size_t>(most, 1000));
    }
    CHECK(large.peek(SIZE_MAX).size() == 1000 && large.dead_letters(SIZE_MAX).empty());
    CHECK(large.purge() == 1000 && large.get_many(SIZE_MAX, 1ms).empty());

    auto wrong = ax.queue("a/b");
    THROWS(InvalidNameError, "a/b", wrong.put("x"));
    SETS(InvalidName, wrong.peek(1, ec));
    SETS(InvalidName, ax.queue(std::string("a\0b", 3)).stats(ec));
    SETS(InvalidName, wrong.get_fd(ec));
}

static void durable_and_once() {
    char directory[] = "/tmp/axonic-test-data-XXXXXX";
    CHECK(mkdtemp(directory) != nullptr);
    axonic::DomainOptions options;
    options.data_dir = directory;
    auto ax = axonic::open("durable", options);
    auto q = ax.queue("d", {0, 0, 0, axonic::Wait::Adaptive, axonic::Fsync::Interval, 10ms, 2, 1h});
    axonic::Put once;
    once.dedup_id = "a";
    CHECK(!q.put("a", once).duplicate && q.put("a", once).duplicate && q.stats().put == 1);
    const auto tried = q.try_put("a", once);
    CHECK(tried && tried->duplicate && !q.put_for_result("a", once));
    axonic::Put waits;
    waits.durable = true;
    CHECK(!q.put("b", waits).duplicate);
    q.sync(5s);
    auto job = q.get(0s, {0ns, true});
    CHECK(job->text() == "a");
    job->ack();
    q.sync();
    // Only as many ids are remembered as the queue was told to.
    for (const char* id : {"x", "y", "z"}) {
        once.dedup_id = id;
        CHECK(!q.put(id, once).duplicate);
    }
    once.dedup_id = "a";
    CHECK(!q.put("a", once).duplicate);
    SETS(InvalidArgument, ax.queue("e", {0, 0, 0, axonic::Wait::Adaptive, axonic::Fsync::Always, 1s}).put("x", {}, 0s, ec));
    q.purge();
    q.close();
    ax = axonic::Domain();
    nftw(directory, check_remove, 16, FTW_DEPTH | FTW_PHYS);
}

int main() {
    return check_main([] {
        shown();
        deliveries();
        leases_and_dead_letters();
        tickets();
        many();
        durable_and_once();
    });
}
