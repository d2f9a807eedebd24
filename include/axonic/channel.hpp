// Channels: messages both ways between two ends, by address. Included by axonic.hpp.
#ifndef AXONIC_CHANNEL_HPP
#define AXONIC_CHANNEL_HPP

#include "handle.hpp"
#include "message.hpp"

#include <unistd.h>

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace axonic {

// Options mean what they mean in axonic.h; 0 is the default.
struct ChannelOptions {
    std::size_t max_message = 0;
    Wait wait = Wait::Adaptive;
    bool reconnect = false;
};

// One end of a channel. Several threads may send and receive at once. `for (auto& message : channel)` receives until the
// other end has ended.
class Channel {
public:
    Channel() noexcept = default;
    Channel(detail::SharedDomain domain, axonic_channel* handle, detail::SharedName address) noexcept
        : member_(std::move(domain), handle, std::move(address)) {}
    explicit operator bool() const noexcept { return get() != nullptr; }
    axonic_channel* get() const noexcept { return member_.get(); }
    // Not while another thread uses it.
    void close() noexcept { member_.close(); }
    // Ends it for all threads: who waits on it, or uses it later, is told ErrorKind::Closed.
    void shutdown() const noexcept { axonic_channel_shutdown(get()); }

    void send(bytes_view data, Timeout timeout = forever, Report report = {}) const {
        report(axonic_channel_send(use(report), data.data(), data.size(), timeout.nanoseconds()));
    }
    // False when there is no room. Of what is larger than the room a part is sent, and the rest with the next call that
    // sends, or by flush().
    bool try_send(bytes_view data, Report report = {}) const {
        return detail::in_time(axonic_channel_send(use(report), data.data(), data.size(), 0), report);
    }
    void flush(Timeout timeout = forever, Report report = {}) const {
        report(axonic_channel_flush(use(report), timeout.nanoseconds()));
    }
    // Sends one after another and returns how many: fewer when the time was over after some.
    std::size_t send_many(const std::vector<bytes_view>& messages, Timeout timeout = forever,
                          Report report = {}) const {
        std::vector<axonic_bytes> given;
        given.reserve(messages.size());
        for (const bytes_view& message : messages) {
            given.push_back({message.data(), message.size()});
        }
        return detail::result<std::size_t>(report, [&](auto* out) {
            return axonic_channel_send_many(use(report), given.data(), given.size(), timeout.nanoseconds(), out);
        });
    }
    // Sends a message with open descriptors, of which the other end gets copies; where can().descriptors.
    void send_descriptors(bytes_view data, span<const int> descriptors, Timeout timeout = forever,
                          Report report = {}) const {
        report(axonic_channel_send_descriptors(use(report), data.data(), data.size(), descriptors.data(),
                                               descriptors.size(), timeout.nanoseconds()));
    }
    // The next message. ErrorKind::Disconnected when the other end has ended and everything it sent was received.
    ChannelMessage receive(Timeout timeout = forever, Report report = {}) const {
        return ChannelMessage(detail::result<axonic_message>(
            report, [&](auto* out) { return axonic_channel_receive(use(report), timeout.nanoseconds(), out); }));
    }
    // Nothing when no message is there.
    std::optional<ChannelMessage> try_receive(Report report = {}) const {
        axonic_message out{};
        const int answer = axonic_channel_receive(use(report), 0, &out);
        return detail::in_time(answer, report) ? std::optional<ChannelMessage>(ChannelMessage(out)) : std::nullopt;
    }
    // Says that nothing more will be sent, once all that was has gone out.
    void finish(Timeout timeout = forever, Report report = {}) const {
        report(axonic_channel_finish(use(report), timeout.nanoseconds()));
    }

    // Readable until try_receive() found nothing; for poll and epoll.
    int fd(Report report = {}) const {
        return detail::descriptor(report, [&](int* out) { return axonic_channel_fd(use(report), out); });
    }
    // Readable when try_send() is worth trying again.
    int send_fd(Report report = {}) const {
        return detail::descriptor(report, [&](int* out) { return axonic_channel_send_fd(use(report), out); });
    }
    // Who is at the other end now.
    axonic_peer peer(Report report = {}) const {
        return detail::result<axonic_peer>(report,
                                           [&](auto* out) { return axonic_channel_peer(use(report), out); });
    }
    // The largest message it takes, in bytes: what both ends allow and the transport can.
    std::size_t max_message(Report report = {}) const {
        return detail::result<std::size_t>(
            report, [&](auto* out) { return axonic_channel_max_message(use(report), out); });
    }
    // What its transport can do; `max_message` is 0 where that has no limit of its own.
    axonic_can can(Report report = {}) const {
        return detail::result<axonic_can>(report, [&](auto* out) { return axonic_channel_can(use(report), out); });
    }
    axonic_channel_stats stats(Report report = {}) const {
        return detail::result<axonic_channel_stats>(
            report, [&](auto* out) { return axonic_channel_get_stats(use(report), out); });
    }

    auto begin() const { return detail::Items(Next{this}).begin(); }
    auto end() const noexcept { return detail::Items<Next>::End(); }

private:
    struct Next {
        const Channel* from;
        std::optional<ChannelMessage> operator()() const {
            const Report report;
            return detail::next_item<ChannelMessage>(
                report, [&](auto* out) { return axonic_channel_receive(from->use(report), AXONIC_FOREVER, out); });
        }
    };
    axonic_channel* use(const Report& report) const { return member_.use("channel", report); }

    detail::Member<axonic_channel, axonic_channel_close> member_;
};

// The end of a pair of pipes that a child is to have. Closing it, or leaving it, closes this process's copy; until then nobody
// hears of the child's end. A program has its descriptors closed as it starts: posix_spawn_file_actions_adddup2(&actions, n, n)
// passes one on, and so does clearing its FD_CLOEXEC between fork() and exec.
class ChildPipe {
public:
    ChildPipe() noexcept = default;
    explicit ChildPipe(const axonic_child_pipe& pipe)
        : descriptors_{pipe.read, pipe.write}, address_(pipe.address) {}
    ChildPipe(ChildPipe&& from) noexcept
        : descriptors_(std::exchange(from.descriptors_, none)), address_(std::move(from.address_)) {}
    ChildPipe& operator=(ChildPipe&& from) noexcept {
        if (this != &from) {
            close();
            descriptors_ = std::exchange(from.descriptors_, none);
            address_ = std::move(from.address_);
        }
        return *this;
    }
    ~ChildPipe() { close(); }
    explicit operator bool() const noexcept { return descriptors_ != none; }
    // What the child connects to, where it has the descriptors under the same numbers: "pipe:" and the numbers it has them under.
    const std::string& address() const noexcept { return address_; }
    // What the child is to have: to read from, to write to. -1 once it is closed.
    const std::array<int, 2>& descriptors() const noexcept { return descriptors_; }
    void close() noexcept {
        for (int& descriptor : descriptors_) {
            if (descriptor >= 0) {
                ::close(std::exchange(descriptor, -1));
            }
        }
    }

private:
    static constexpr std::array<int, 2> none{-1, -1};

    std::array<int, 2> descriptors_ = none;
    std::string address_;
};

// Listens for channels at an address. Several threads may accept at once.
class Listener {
public:
    Listener() noexcept = default;
    Listener(detail::SharedDomain domain, axonic_listener* handle)
        : address_(detail::share(axonic_listener_address(handle))), member_(std::move(domain), handle, address_) {}
    explicit operator bool() const noexcept { return get() != nullptr; }
    axonic_listener* get() const noexcept { return member_.get(); }
    // Not while another thread uses it. Channels that were accepted go on.
    void close() noexcept { member_.close(); }
    // Ends it for all threads: who waits on it, or uses it later, is told ErrorKind::Closed.
    void shutdown() const noexcept { axonic_listener_shutdown(get()); }
    // The address, with the port that the system chose where none was named.
    std::string_view address() const noexcept { return detail::text(axonic_listener_address(get())); }

    // The next channel that somebody opens.
    Channel accept(Timeout timeout = forever, Report report = {}) const {
        return Channel(member_.domain(), detail::result<axonic_channel*>(report, [&](auto* out) {
                           return axonic_listener_accept(use(report), timeout.nanoseconds(), out);
                       }), address_);
    }
    // Nothing when nobody has.
    std::optional<Channel> try_accept(Report report = {}) const {
        axonic_channel* out = nullptr;
        const int answer = axonic_listener_accept(use(report), 0, &out);
        return detail::in_time(answer, report) ? std::optional(Channel(member_.domain(), out, address_)) : std::nullopt;
    }
    // Readable until try_accept() found nothing; for poll and epoll.
    int fd(Report report = {}) const {
        return detail::descriptor(report, [&](int* out) { return axonic_listener_fd(use(report), out); });
    }

private:
    axonic_listener* use(const Report& report) const { return member_.use("listener", report); }

    detail::SharedName address_;
    detail::Member<axonic_listener, axonic_listener_close> member_;
};

} // namespace axonic

#endif
