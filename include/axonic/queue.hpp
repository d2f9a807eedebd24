// Queues: each message goes to one consumer, which says when it is done. Included by axonic.hpp.
#ifndef AXONIC_QUEUE_HPP
#define AXONIC_QUEUE_HPP

#include "handle.hpp"
#include "message.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace axonic {

// Whether what is in a queue survives a reboot, and when it is known to be on the disk.
enum class Fsync : std::int32_t {
    None = AXONIC_FSYNC_NONE,
    Always = AXONIC_FSYNC_ALWAYS,
    Interval = AXONIC_FSYNC_INTERVAL,
    Never = AXONIC_FSYNC_NEVER,
};

// Options mean what they mean in axonic.h; 0 is the default.
struct QueueOptions {
    std::size_t capacity = 0;
    std::size_t max_bytes = 0;
    std::int32_t max_attempts = 0;
    Wait wait = Wait::Adaptive;
    Fsync durable = Fsync::None;
    std::chrono::nanoseconds fsync_interval{0};
    std::size_t dedup_count = 0;
    std::chrono::nanoseconds dedup_within{0};
    std::string schema{};
};

// How to put a message; a ttl of 0 and a dedup_id of "" are none. Durable or not is as the queue says unless given.
struct Put {
    std::uint32_t priority = 0;
    std::chrono::nanoseconds delay{0};
    std::chrono::nanoseconds ttl{0};
    std::string dedup_id{};
    std::optional<bool> durable{};
};

// How to take a message; a lease of 0 ends with its consumer.
struct Get {
    std::chrono::nanoseconds lease{0};
    std::optional<bool> durable{};
};

enum class Reason : std::int32_t {
    None = AXONIC_REASON_NONE,
    Rejected = AXONIC_REASON_REJECTED,
    Attempts = AXONIC_REASON_ATTEMPTS,
    Expired = AXONIC_REASON_EXPIRED,
};

// What a put answers that found room.
struct Receipt {
    // One with its dedup_id was put before, so that nothing was done now.
    bool duplicate = false;
};

namespace detail {
// Reports that something of a queue is not to be used any more.
inline void gone(const Report& report, const std::string& noun, const SharedName& queue, const char* happened) {
    report.fail(ErrorKind::Closed, queue != nullptr ? noun + " of queue '" + *queue + "': " + happened
                                                    : "the " + noun + " is empty: made so, or moved from");
}
} // namespace detail

// A message taken from a queue. Unless settled, it is given back by the destructor. Any thread may settle it.
class Delivery final : public ContentView {
public:
    Delivery() noexcept = default;
    Delivery(detail::SharedDomain domain, detail::SharedName queue, const axonic_delivery& delivery) noexcept
        : ContentView(delivery.message), domain_(std::move(domain)), queue_(std::move(queue)), delivery_(delivery) {}
    Delivery(Delivery&& from) noexcept
        : ContentView(std::exchange(from.message_, axonic_message{})), domain_(std::move(from.domain_)),
          queue_(std::move(from.queue_)), delivery_(std::exchange(from.delivery_, axonic_delivery{})) {}
    Delivery& operator=(Delivery&& from) noexcept {
        release();
        message_ = std::exchange(from.message_, axonic_message{});
        domain_ = std::move(from.domain_);
        queue_ = std::move(from.queue_);
        delivery_ = std::exchange(from.delivery_, axonic_delivery{});
        return *this;
    }
    ~Delivery() { release(); }

    // False once settled, released or moved from; its data is gone then.
    explicit operator bool() const noexcept { return delivery_.held != nullptr; }
    std::uint32_t priority() const noexcept { return delivery_.priority; }
    // The number of this delivery of the message, from 1.
    std::uint32_t attempt() const noexcept { return delivery_.attempt; }
    // Greater for each later delivery of the same message.
    std::uint64_t token() const noexcept { return delivery_.token; }

    // The message is done with and goes; a result is for its producer, if it waits for one.
    void ack(Report report = {}) {
        settle(report, [&] { return axonic_delivery_ack(&delivery_, nullptr); });
    }
    void ack(const Payload& result, Report report = {}) {
        const detail::PayloadInC payload(result);
        settle(report, [&] { return axonic_delivery_ack(&delivery_, &payload.get()); });
    }
    void ack(bytes_view result, Report report = {}) {
        ack(detail::raw(result), report);
    }
    // Gives it back, to be delivered again at once, or after the delay.
    void nack(Report report = {}) { nack(std::chrono::nanoseconds(0), report); }
    void nack(std::chrono::nanoseconds delay, Report report = {}) {
        settle(report, [&] { return axonic_delivery_nack(&delivery_, delay.count()); });
    }
    // Nobody is to get it any more: it goes to the dead letters, with the reason. Of that, 4,096 bytes are kept.
    void reject(const std::string& reason = "", Report report = {}) {
        settle(report, [&] { return axonic_delivery_reject(&delivery_, reason.c_str()); });
    }
    // From now on it is this consumer's for that long.
    void extend(std::chrono::nanoseconds lease, Report report = {}) {
        if (is_held(report)) {
            report(axonic_delivery_extend(&delivery_, lease.count()));
        }
    }
    // Tells the producer how far the work is, from 0 to 1.
    void progress(double done, Report report = {}) {
        if (is_held(report)) {
            report(axonic_delivery_progress(&delivery_, done));
        }
    }
    // Gives it back before the end of the scope.
    void release() noexcept {
        axonic_delivery_release(&delivery_);
        forget();
    }

private:
    bool is_held(const Report& report) const {
        if (delivery_.held == nullptr) {
            detail::gone(report, "delivery", queue_, "it was settled or released before; get the next one");
        }
        return delivery_.held != nullptr;
    }
    template <class F> void settle(const Report& report, F call) {
        if (!is_held(report)) {
            return;
        }
        const int answer = call();
        if (delivery_.held == nullptr) {
            forget();
        }
        report(answer);
    }
    void forget() noexcept {
        message_ = {};
        delivery_ = {};
        domain_.reset();
    }

    detail::SharedDomain domain_;
    detail::SharedName queue_;
    axonic_delivery delivery_{};
};

// A message as it was when somebody looked at it: valid until the next look into the queue.
class Peeked final : public ContentView {
public:
    explicit Peeked(const axonic_peeked& peeked) noexcept : ContentView(peeked.message), peeked_(peeked) {}
    std::uint32_t priority() const noexcept { return peeked_.priority; }
    std::uint32_t attempts() const noexcept { return peeked_.attempts; }
    Reason reason() const noexcept { return static_cast<Reason>(peeked_.reason); }
    // In the words of whoever rejected it.
    std::string_view reason_text() const noexcept { return peeked_.reason_text; }

private:
    axonic_peeked peeked_;
};

namespace detail {
using OwnedProducer = Member<axonic_queue_producer, axonic_queue_producer_close>;
using OwnedTicket = Owned<axonic_ticket, axonic_ticket_close>;
} // namespace detail

// What a consumer gave as the result of a message.
class Outcome final : public ContentView {
public:
    Outcome(std::shared_ptr<detail::OwnedTicket> ticket, const axonic_message& message) noexcept
        : ContentView(message), ticket_(std::move(ticket)) {}

private:
    std::shared_ptr<detail::OwnedTicket> ticket_; // the bytes are there
};

// A claim on what becomes of one message. The destructor gives it up; the message is worked on all the same.
class Ticket {
public:
    Ticket() noexcept = default;
    Ticket(std::shared_ptr<detail::OwnedProducer> producer, detail::SharedName queue, axonic_ticket* handle)
        : producer_(std::move(producer)), queue_(std::move(queue)),
          ticket_(std::make_shared<detail::OwnedTicket>(handle)) {}
    Ticket(Ticket&&) noexcept = default;
    Ticket& operator=(Ticket&&) noexcept = default;

    explicit operator bool() const noexcept { return get() != nullptr; }
    axonic_ticket* get() const noexcept { return ticket_ != nullptr ? ticket_->get() : nullptr; }
    // Waits for the result: nothing when the timeout passed; RejectedError when the message is a dead letter. Asked
    // again, it answers the same.
    std::optional<Outcome> result(Timeout timeout = forever, Report report = {}) {
        axonic_message out{};
        auto* producer = producer_ != nullptr ? producer_->get() : nullptr;
        if (producer == nullptr || get() == nullptr) {
            detail::gone(report, "ticket", queue_, "its queue was closed; keep that open until the result is there");
            return std::nullopt;
        }
        const int answer = axonic_ticket_result(get(), producer, timeout.nanoseconds(), &out);
        return detail::in_time(answer, report) ? std::optional<Outcome>(Outcome(ticket_, out)) : std::nullopt;
    }
    // How far the work is, from 0 to 1; negative when there is no ticket.
    double progress() const noexcept { return axonic_ticket_progress(get()); }

private:
    std::shared_ptr<detail::OwnedProducer> producer_;
    detail::SharedName queue_;
    std::shared_ptr<detail::OwnedTicket> ticket_;
};

// A queue: both its sides, each opened by its first use. `for (auto& job : queue)` takes one message after
// another; leave it with break.
class Queue {
public:
    Queue() noexcept = default;
    Queue(detail::SharedDomain domain, std::string name, const QueueOptions& options)
        : domain_(std::move(domain)), name_(std::make_shared<const std::string>(std::move(name))), options_(options) {}
    Queue(Queue&&) noexcept = default;
    Queue& operator=(Queue&&) noexcept = default;

    explicit operator bool() const noexcept { return domain_ != nullptr; }
    std::string_view name() const noexcept { return name_ != nullptr ? *name_ : std::string_view(); }
    // Ends both sides now, also for tickets. Deliveries stay its own until they are settled.
    void close() noexcept {
        if (producer_ != nullptr) {
            producer_->close();
        }
        consumer_.close();
        domain_.reset();
    }

    // Puts a message, waiting for room, and for the disk if it is to be durable.
    Receipt put(bytes_view data, const Put& how = {}, Timeout timeout = forever, Report report = {}) {
        if (!is_plain(how)) {
            return put(detail::raw(data), how, timeout, report);
        }
        if (axonic_queue_producer* to = producer(report)) {
            report(axonic_queue_producer_put(to, data.data(), data.size(), timeout.nanoseconds()));
        }
        return {};
    }
    Receipt put(const Payload& payload, const Put& how = {}, Timeout timeout = forever, Report report = {}) {
        axonic_receipt receipt{};
        send(payload, how, false, timeout, receipt, report);
        return {receipt.duplicate != 0};
    }
    // Puts a message if there is room for it: nothing when there is none. A duplicate needs none. If it is to be
    // durable (Fsync::Always, or Put::durable) it waits for the disk all the same, for as long as that takes.
    std::optional<Receipt> try_put(bytes_view data, const Put& how = {}, Report report = {}) {
        return try_put(detail::raw(data), how, report);
    }
    std::optional<Receipt> try_put(const Payload& payload, const Put& how = {}, Report report = {}) {
        axonic_queue_producer* to = producer(report);
        if (to == nullptr) {
            return std::nullopt;
        }
        const detail::PayloadInC given(payload);
        const axonic_put_options options = in_c(how, false);
        axonic_receipt receipt{};
        const int answer = axonic_queue_producer_send(to, &given.get(), &options, 0, &receipt);
        return detail::in_time(answer, report) ? std::optional(Receipt{receipt.duplicate != 0}) : std::nullopt;
    }
    // Puts one after another and returns how many: fewer when a later one found no room or failed. With NotDurable as
    // many are in the queue as its message says, and as are returned where it is not thrown: do not put them again. It
    // waits for the disk once, in what is left of the time: unlike try_put(), a call with a timeout of 0 gives up, with
    // NotDurable, if somebody else is just writing to it.
    std::size_t put_many(const std::vector<Payload>& payloads, const Put& how = {}, Timeout timeout = forever,
                         Report report = {}) {
        axonic_queue_producer* to = producer(report);
        if (to == nullptr) {
            return 0;
        }
        const detail::PayloadsInC given(payloads);
        const axonic_put_options options = in_c(how, false);
        std::size_t count = 0;
        report(axonic_queue_producer_put_many(to, given.data(), given.size(), &options, timeout.nanoseconds(), &count));
        return count;
    }
    // Puts a message and returns a claim on what becomes of it; none when one with its dedup_id was put before.
    Ticket put_for_result(bytes_view data, const Put& how = {}, Timeout timeout = forever, Report report = {}) {
        return put_for_result(detail::raw(data), how, timeout, report);
    }
    Ticket put_for_result(const Payload& payload, const Put& how = {}, Timeout timeout = forever,
                          Report report = {}) {
        axonic_receipt receipt{};
        send(payload, how, true, timeout, receipt, report);
        return receipt.ticket != nullptr ? Ticket(producer_, name_, receipt.ticket) : Ticket();
    }

    // Takes the next message, waiting for one: nothing when the timeout passed.
    std::optional<Delivery> get(Timeout timeout = forever, const Get& how = {}, Report report = {}) {
        axonic_queue_consumer* from = consumer(report);
        if (from == nullptr) {
            return std::nullopt;
        }
        const axonic_get_options options = in_c(how);
        axonic_delivery out{};
        const int answer = axonic_queue_consumer_get(from, &options, timeout.nanoseconds(), &out);
        return detail::in_time(answer, report) ? std::optional<Delivery>(Delivery(domain_, name_, out)) : std::nullopt;
    }
    // Waits for a message and takes up to `most` that are there then: none when the timeout passed.
    std::vector<Delivery> get_many(std::size_t most, Timeout timeout = forever, const Get& how = {},
                                   Report report = {}) {
        std::vector<Delivery> taken;
        axonic_queue_consumer* from = consumer(report);
        if (from == nullptr) {
            return taken;
        }
        const axonic_get_options options = in_c(how);
        // There is room for some at a time only: `most` may be any number.
        std::vector<axonic_delivery> out(std::min<std::size_t>(most, 256));
        for (std::int64_t wait = timeout.nanoseconds();; wait = 0) {
            const std::size_t room = std::min(most - taken.size(), out.size());
            taken.reserve(2 * taken.size() + room);
            std::size_t count = 0;
            const int answer = axonic_queue_consumer_get_many(from, &options, wait, out.data(), room, &count);
            // What was taken comes first; the next call tells what is wrong.
            if (!taken.empty() ? answer != AXONIC_OK : !detail::in_time(answer, report)) {
                return taken;
            }
            for (std::size_t index = 0; index < count; ++index) {
                taken.emplace_back(domain_, name_, out[index]);
            }
            if (count < out.size() || taken.size() == most) {
                return taken;
            }
        }
    }

    // Returns when everything that was put and settled before is on the disk.
    void sync(Timeout timeout = forever, Report report = {}) {
        if (consumer_.get() != nullptr) {
            report(axonic_queue_consumer_sync(consumer_.get(), timeout.nanoseconds()));
        } else if (axonic_queue_producer* to = producer(report)) {
            report(axonic_queue_producer_sync(to, timeout.nanoseconds()));
        }
    }

    // Up to `most` messages that can be delivered now, in that order, without taking them.
    std::vector<Peeked> peek(std::size_t most, Report report = {}) {
        return look(axonic_queue_consumer_peek, most, report);
    }
    // The same with the dead letters, in no order.
    std::vector<Peeked> dead_letters(std::size_t most, Report report = {}) {
        return look(axonic_queue_consumer_dead_letters, most, report);
    }
    // Takes all messages away that nobody has; dead letters stay. How many.
    std::uint64_t purge(Report report = {}) {
        return with_consumer(report, [](auto* from, auto* out) { return axonic_queue_consumer_purge(from, out); });
    }
    // Takes all dead letters away. How many.
    std::uint64_t purge_dead_letters(Report report = {}) {
        return with_consumer(
            report, [](auto* from, auto* out) { return axonic_queue_consumer_purge_dead_letters(from, out); });
    }
    // Lets up to `most` dead letters be delivered again. How many.
    std::uint64_t redrive(std::size_t most = SIZE_MAX, Report report = {}) {
        return with_consumer(
            report, [&](auto* from, auto* out) { return axonic_queue_consumer_redrive(from, most, out); });
    }
    axonic_queue_stats stats(Report report = {}) {
        if (consumer_.get() == nullptr && producer(report) == nullptr) {
            return {};
        }
        return detail::result<axonic_queue_stats>(report, [&](auto* out) {
            return consumer_.get() != nullptr ? axonic_queue_consumer_get_stats(consumer_.get(), out)
                                              : axonic_queue_producer_get_stats(producer_->get(), out);
        });
    }
    // Readable until get() with a timeout of 0 found nothing; for poll and epoll.
    int get_fd(Report report = {}) {
        axonic_queue_consumer* from = consumer(report);
        if (from == nullptr) {
            return -1;
        }
        return detail::descriptor(report, [&](int* out) { return axonic_queue_consumer_fd(from, out); });
    }
    // Readable when try_put(), or a ticket's result(0s), should be tried again.
    int put_fd(Report report = {}) {
        axonic_queue_producer* to = producer(report);
        if (to == nullptr) {
            return -1;
        }
        return detail::descriptor(report, [&](int* out) { return axonic_queue_producer_fd(to, out); });
    }

    class End {};
    class Iterator {
    public:
        explicit Iterator(Queue& from) : from_(&from), delivery_(std::move(*from.get())) {}
        Delivery& operator*() noexcept { return delivery_; }
        Delivery* operator->() noexcept { return &delivery_; }
        Iterator& operator++() {
            delivery_.release(); // before the next one is waited for
            delivery_ = std::move(*from_->get());
            return *this;
        }
        bool operator!=(End) const noexcept { return true; }

    private:
        Queue* from_;
        Delivery delivery_;
    };
    Iterator begin() { return Iterator(*this); }
    End end() const noexcept { return {}; }

private:
    static axonic_put_options in_c(const Put& how, bool result) noexcept {
        axonic_put_options options = AXONIC_PUT_OPTIONS_INIT;
        options.priority = how.priority;
        options.result = result ? 1 : 0;
        options.delay = how.delay.count();
        options.ttl = how.ttl.count();
        options.dedup_id = how.dedup_id.c_str();
        options.durable = in_c(how.durable);
        return options;
    }
    static axonic_get_options in_c(const Get& how) noexcept {
        axonic_get_options options = AXONIC_GET_OPTIONS_INIT;
        options.lease = how.lease.count();
        options.durable = in_c(how.durable);
        return options;
    }
    static std::int32_t in_c(const std::optional<bool>& durable) noexcept { return durable ? (*durable ? 1 : -1) : 0; }
    static bool is_plain(const Put& how) noexcept {
        return how.priority == 0 && how.delay.count() == 0 && how.ttl.count() == 0 && how.dedup_id.empty() &&
               !how.durable;
    }
    void send(const Payload& payload, const Put& how, bool result, Timeout timeout, axonic_receipt& receipt,
              const Report& report) {
        if (axonic_queue_producer* to = producer(report)) {
            const detail::PayloadInC given(payload);
            const axonic_put_options options = in_c(how, result);
            report(axonic_queue_producer_send(to, &given.get(), &options, timeout.nanoseconds(), &receipt));
        }
    }
    std::vector<Peeked> look(int (*call)(axonic_queue_consumer*, std::size_t, const axonic_peeked**, std::size_t*),
                             std::size_t most, const Report& report) {
        const axonic_peeked* seen = nullptr;
        std::size_t count = 0;
        axonic_queue_consumer* from = consumer(report);
        if (from == nullptr || !report(call(from, most, &seen, &count))) {
            return {};
        }
        return std::vector<Peeked>(seen, seen + count);
    }
    template <class F> std::uint64_t with_consumer(const Report& report, F call) {
        axonic_queue_consumer* from = consumer(report);
        return from != nullptr
                   ? detail::result<std::uint64_t>(report, [&](auto* out) { return call(from, out); })
                   : 0;
    }

    bool is_open(const Report& report) const {
        const bool open = domain_ != nullptr && domain_->get() != nullptr;
        if (domain_ == nullptr) {
            detail::closed(report, "queue", name_);
        } else if (!open) {
            report.fail(ErrorKind::Closed, "queue '" + *name_ + "': its domain is closed");
        }
        return open;
    }
    // A side of it, opened if it is not yet; nullptr when that fails.
    axonic_queue_producer* producer(const Report& report) {
        if (producer_ == nullptr || producer_->get() == nullptr) {
            auto opened = std::make_shared<detail::OwnedProducer>();
            *opened = {domain_, open(axonic_queue_producer_open, report)};
            if (opened->get() == nullptr) {
                return nullptr;
            }
            producer_ = std::move(opened);
        }
        return producer_->get();
    }
    axonic_queue_consumer* consumer(const Report& report) {
        if (consumer_.get() == nullptr) {
            consumer_ = {domain_, open(axonic_queue_consumer_open, report)};
        }
        return consumer_.get();
    }
    template <class T>
    T* open(int (*call)(const axonic_domain*, const char*, const axonic_queue_options*, T**),
            const Report& report) const {
        axonic_queue_options given = AXONIC_QUEUE_OPTIONS_INIT;
        given.capacity = options_.capacity;
        given.max_bytes = options_.max_bytes;
        given.max_attempts = options_.max_attempts;
        given.durable = static_cast<std::int32_t>(options_.durable);
        given.fsync_interval = options_.fsync_interval.count();
        given.dedup_count = options_.dedup_count;
        given.dedup_within = options_.dedup_within.count();
        given.schema = options_.schema.c_str();
        given.wait = static_cast<std::int32_t>(options_.wait);
        if (!is_open(report) || !detail::nul_free(*name_, report)) {
            return nullptr;
        }
        return detail::result<T*>(report, [&](auto* out) { return call(domain_->get(), name_->c_str(), &given, out); });
    }

    detail::SharedDomain domain_;
    detail::SharedName name_;
    QueueOptions options_;
    std::shared_ptr<detail::OwnedProducer> producer_;
    detail::Member<axonic_queue_consumer, axonic_queue_consumer_close> consumer_;
};

} // namespace axonic

#endif
