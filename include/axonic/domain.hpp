// The domain, from which the other nouns are opened. Included by axonic.hpp.
#ifndef AXONIC_DOMAIN_HPP
#define AXONIC_DOMAIN_HPP

#include "channel.hpp"
#include "client.hpp"
#include "lock.hpp"
#include "publisher.hpp"
#include "queue.hpp"
#include "region.hpp"
#include "ring.hpp"
#include "service.hpp"
#include "subscriber.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace axonic {

enum class Noun : std::int32_t {
    Topic = AXONIC_NOUN_TOPIC,
    Region = AXONIC_NOUN_REGION,
    Ring = AXONIC_NOUN_RING,
    Queue = AXONIC_NOUN_QUEUE,
    Lock = AXONIC_NOUN_LOCK,
};

// Options mean what they mean in axonic.h; 0 and "" are the default.
struct DomainOptions {
    std::string runtime_dir{};
    std::string label{};
    std::int64_t group = -1;
    std::uint32_t mode = 0;
    std::uint32_t max_participants = 0;
    std::uint64_t quota = 0;
    std::uint64_t participant_quota = 0;
    std::string data_dir{};
};

// A domain this process attached to. Copies are the same participant; it is left when the last copy
// and the last handle opened from it are gone, or at close().
class Domain {
public:
    Domain() noexcept = default;
    explicit Domain(axonic_domain* handle)
        : shared_(std::make_shared<detail::OwnedDomain>(
              handle, handle != nullptr ? detail::share(axonic_domain_name(handle)) : nullptr)) {}

    explicit operator bool() const noexcept { return get() != nullptr; }
    axonic_domain* get() const noexcept { return shared_ != nullptr ? shared_->get() : nullptr; }
    // Leaves the domain now: its handles answer ErrorKind::Closed. Not while another thread uses it.
    void close() noexcept {
        if (shared_ != nullptr) {
            shared_->close();
        }
    }
    std::string_view name() const noexcept { return detail::text(axonic_domain_name(get())); }
    std::string_view path() const noexcept { return detail::text(axonic_domain_path(get())); }
    axonic_participant participant(Report report = {}) const {
        return detail::result<axonic_participant>(
            report, [&](auto* out) { return axonic_domain_participant(use(report), out); });
    }

    Publisher publisher(const std::string& topic, const PublisherOptions& options = {}, Report report = {}) const {
        axonic_publisher_options given = AXONIC_PUBLISHER_OPTIONS_INIT;
        given.overflow = static_cast<std::int32_t>(options.overflow);
        given.wait = static_cast<std::int32_t>(options.wait);
        given.capacity = options.capacity;
        given.max_bytes = options.max_bytes;
        given.retain = options.retain ? 1 : 0;
        given.schema = options.schema.c_str();
        return open<Publisher>(axonic_publisher_open, topic, given, report);
    }
    Subscriber subscriber(const std::string& pattern, const SubscriberOptions& options = {},
                          Report report = {}) const {
        axonic_subscriber_options given = AXONIC_SUBSCRIBER_OPTIONS_INIT;
        given.start = static_cast<std::int32_t>(options.start);
        given.wait = static_cast<std::int32_t>(options.wait);
        given.max_borrowed = options.max_borrowed;
        given.schema = options.schema.c_str();
        return open<Subscriber>(axonic_subscriber_open, pattern, given, report);
    }
    Region region(const std::string& name, const RegionOptions& options = {}, Report report = {}) const {
        axonic_region_options given = AXONIC_REGION_OPTIONS_INIT;
        given.bytes = options.size;
        given.create = static_cast<std::int32_t>(options.create);
        if (!detail::nul_free(name, report)) {
            return Region();
        }
        return Region(detail::result<axonic_region*>(
            report, [&](auto* out) { return axonic_region_open(use(report), name.c_str(), &given, out); }));
    }
    RingProducer ring_producer(const std::string& name, const RingOptions& options = {}, Report report = {}) const {
        return open<RingProducer>(axonic_ring_producer_open, name, ring(options), report);
    }
    RingConsumer ring_consumer(const std::string& name, const RingOptions& options = {}, Report report = {}) const {
        return open<RingConsumer>(axonic_ring_consumer_open, name, ring(options), report);
    }
    // Opens nothing yet: its sides are opened by their first use.
    Queue queue(const std::string& name, const QueueOptions& options = {}) const {
        return Queue(shared_, name, options);
    }
    Mutex mutex(const std::string& name, const LockOptions& options = {}, Report report = {}) const {
        return lock<Mutex>(name, options, report, [&](auto* given, auto* out) {
            return axonic_mutex_open(use(report), name.c_str(), given, out);
        });
    }
    RwLock rwlock(const std::string& name, const LockOptions& options = {}, Report report = {}) const {
        return lock<RwLock>(name, options, report, [&](auto* given, auto* out) {
            return axonic_rwlock_open(use(report), name.c_str(), given, out);
        });
    }
    Semaphore semaphore(const std::string& name, std::uint32_t permits, const LockOptions& options = {},
                        Report report = {}) const {
        return lock<Semaphore>(name, options, report, [&](auto* given, auto* out) {
            return axonic_semaphore_open(use(report), name.c_str(), permits, given, out);
        });
    }
    Event event(const std::string& name, Reset reset = Reset::Manual, const LockOptions& options = {},
                Report report = {}) const {
        return lock<Event>(name, options, report, [&](auto* given, auto* out) {
            return axonic_event_open(use(report), name.c_str(), static_cast<std::int32_t>(reset), given, out);
        });
    }
    Barrier barrier(const std::string& name, std::uint32_t parties, const LockOptions& options = {},
                    Report report = {}) const {
        return lock<Barrier>(name, options, report, [&](auto* given, auto* out) {
            return axonic_barrier_open(use(report), name.c_str(), parties, given, out);
        });
    }
    Condvar condvar(const std::string& name, const LockOptions& options = {}, Report report = {}) const {
        return lock<Condvar>(name, options, report, [&](auto* given, auto* out) {
            return axonic_condvar_open(use(report), name.c_str(), given, out);
        });
    }
    // Who has the lock of this name, of any type; nobody has an event or a condition.
    std::vector<LockHolder> lock_holders(const std::string& name, Report report = {}) const {
        std::vector<axonic_lock_holder> found(8);
        std::size_t count = 0;
        do {
            found.resize(std::max(found.size(), count));
            if (!detail::nul_free(name, report) ||
                !report(axonic_domain_lock_holders(use(report), name.c_str(), found.data(), found.size(), &count))) {
                return {};
            }
        } while (count > found.size());
        return std::vector<LockHolder>(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(count));
    }
    // Listens for channels at an address, such as "shm://domain/name" or "unix:///run/jobs.sock".
    Listener listen(const std::string& address, const ChannelOptions& options = {}, Report report = {}) const {
        return open<Listener>(axonic_listener_open, address, channel(options), report);
    }
    // Opens a channel to whoever listens at `address`: ErrorKind::NotFound at once where nobody does.
    Channel connect(const std::string& address, Timeout timeout = forever, const ChannelOptions& options = {},
                    Report report = {}) const {
        const axonic_channel_options given = channel(options);
        axonic_channel* out = nullptr;
        const bool opened =
            detail::nul_free(address, report) &&
            report(axonic_channel_connect(use(report), address.c_str(), &given, timeout.nanoseconds(), &out));
        return opened ? Channel(shared_, out, detail::share(address)) : Channel();
    }
    // Opens a channel over two pipes, of which a child of this process gets the other end.
    std::pair<Channel, ChildPipe> pipe(const ChannelOptions& options = {}, Report report = {}) const {
        const axonic_channel_options given = channel(options);
        axonic_channel* out = nullptr;
        axonic_child_pipe child{};
        if (!report(axonic_domain_pipe(use(report), &given, &out, &child))) {
            return {};
        }
        return {Channel(shared_, out, detail::share(child.address)), ChildPipe(child)};
    }
    // Provides the service `name` in a version such as "1.2.0", from now on.
    Service service(const std::string& name, const std::string& version, const ServiceOptions& options = {},
                    Report report = {}) const {
        axonic_service_options given = AXONIC_SERVICE_OPTIONS_INIT;
        given.concurrency = options.concurrency;
        given.max_message = options.max_message;
        given.wait = static_cast<std::int32_t>(options.wait);
        axonic_service* out = nullptr;
        const bool opened =
            detail::nul_free(name, report) && detail::nul_free(version, report) &&
            report(axonic_service_open(use(report), name.c_str(), version.c_str(), &given, &out));
        return opened ? Service(shared_, out, name) : Service();
    }
    // Calls the service of this name of whoever provides a version in `range`, such as "^1.2" ("*": any). That nobody does is
    // told by calls.
    Client client(const std::string& service, const std::string& range = "*", const ClientOptions& options = {},
                  Report report = {}) const {
        axonic_client_options given = AXONIC_CLIENT_OPTIONS_INIT;
        given.address = options.address.c_str();
        given.max_message = options.max_message;
        given.wait = static_cast<std::int32_t>(options.wait);
        axonic_client* out = nullptr;
        const bool opened =
            detail::nul_free(service, report) && detail::nul_free(range, report) &&
            detail::nul_free(options.address, report) &&
            report(axonic_client_open(use(report), service.c_str(), range.c_str(), &given, &out));
        return opened ? Client(shared_, out, service) : Client();
    }
    void unlink(Noun noun, const std::string& name, Report report = {}) const {
        if (detail::nul_free(name, report)) {
            report(axonic_domain_unlink(use(report), static_cast<std::int32_t>(noun), name.c_str()));
        }
    }

private:
    axonic_domain* use(const Report& report) const {
        return shared_ != nullptr ? shared_->use("domain", report) : detail::OwnedDomain().use("domain", report);
    }
    static axonic_ring_options ring(const RingOptions& options) noexcept {
        axonic_ring_options given = AXONIC_RING_OPTIONS_INIT;
        given.capacity = options.capacity;
        given.wait = static_cast<std::int32_t>(options.wait);
        return given;
    }
    static axonic_channel_options channel(const ChannelOptions& options) noexcept {
        axonic_channel_options given = AXONIC_CHANNEL_OPTIONS_INIT;
        given.max_message = options.max_message;
        given.wait = static_cast<std::int32_t>(options.wait);
        given.reconnect = options.reconnect ? 1 : 0;
        return given;
    }
    template <class L, class F>
    L lock(const std::string& name, const LockOptions& options, const Report& report, F open) const {
        axonic_lock_options given = AXONIC_LOCK_OPTIONS_INIT;
        given.wait = static_cast<std::int32_t>(options.wait);
        typename L::handle_type* handle = nullptr;
        const bool opened = detail::nul_free(name, report) && report(open(&given, &handle));
        return opened ? L(shared_, handle, name, options) : L();
    }
    // Opens a handle that keeps this domain open.
    template <class H, class Options, class T>
    H open(int (*call)(const axonic_domain*, const char*, const Options*, T**), const std::string& name,
           const Options& options, const Report& report) const {
        T* handle = nullptr;
        const bool opened =
            detail::nul_free(name, report) && report(call(use(report), name.c_str(), &options, &handle));
        return opened ? H(shared_, handle) : H();
    }

    detail::SharedDomain shared_;
};

// Attaches to a domain and creates it if needed; "" is AXONIC_DOMAIN or "default".
inline Domain open(const std::string& name = "", const DomainOptions& options = {}, Report report = {}) {
    axonic_domain_options given = AXONIC_DOMAIN_OPTIONS_INIT;
    given.runtime_dir = options.runtime_dir.c_str();
    given.label = options.label.c_str();
    given.group = options.group;
    given.mode = options.mode;
    given.max_participants = options.max_participants;
    given.quota = options.quota;
    given.participant_quota = options.participant_quota;
    given.data_dir = options.data_dir.c_str();
    if (!detail::nul_free(name, report)) {
        return Domain();
    }
    return Domain(detail::result<axonic_domain*>(
        report, [&](auto* out) { return axonic_domain_open(name.c_str(), &given, out); }));
}

} // namespace axonic

#endif
