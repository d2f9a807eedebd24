// What the C++ peer does with channels.
#include "peer.hpp"

#include <fcntl.h>
#include <functional>
#include <iostream>
#include <unistd.h>
#include <utility>

// Of the messages both ways, as far as a transport takes them.
constexpr std::size_t sizes[] = {64, 0, 1, 4096, 60'000, 1 << 20};
// Of those that are sent many at a time, and their first number.
constexpr std::size_t small = 64, many = 100;
// The number of the last message.
constexpr std::size_t last = 999;
// What who listens says has numbers that are so much higher.
constexpr std::size_t answers = 1000;

// One end, which speaks first or answers.
class End {
public:
    End(axonic::Channel channel, bool speaks_first)
        : channel_(std::move(channel)), can_(channel_.can()), speaks_first_(speaks_first) {}

    void exchange(std::size_t k, std::size_t size) {
        in_turns([&] { say(k, size); }, [&] { hear(k, size); });
    }

    void talk(const std::string& file) {
        tell();
        for (std::size_t k = 0; k < std::size(sizes); k++) {
            if (sizes[k] <= channel_.max_message() && (can_.messages || sizes[k] > 0)) {
                exchange(k, sizes[k]);
            }
        }
        std::cout << "sizes " << heard() << '\n';
        if (can_.credentials) {
            std::cout << "peer " << channel_.peer().pid << '\n';
        }
        // Nobody waits for room, and so much there is.
        const std::size_t count = can_.back_pressure ? 200 : 8;
        in_turns([&] { say_many(count); }, [&] { hear_many(count); });
        std::cout << "many " << count << ' ' << heard() << '\n';
        if (can_.descriptors) {
            in_turns([&] { pass(file); }, [&] { tell_file(); });
        }
        end();
        std::cout << std::flush;
    }

    void expect_end() const {
        try {
            channel_.receive(patience);
        } catch (const axonic::DisconnectedError&) {
            return;
        }
        must(false, "there is no message after the last");
    }

private:
    void in_turns(const std::function<void()>& say, const std::function<void()>& hear) const {
        speaks_first_ ? say() : hear();
        speaks_first_ ? hear() : say();
    }

    std::vector<std::byte> message(std::size_t k, std::size_t size) const {
        std::vector<std::byte> bytes(size);
        fill(bytes, k + (speaks_first_ ? 0 : answers));
        return bytes;
    }

    void say(std::size_t k, std::size_t size) const { channel_.send(message(k, size), patience); }

    // So many bytes: one message, or what comes until that is all.
    std::vector<std::byte> take(std::size_t size) const {
        std::vector<std::byte> taken;
        do {
            const auto message = channel_.receive(patience);
            taken.insert(taken.end(), message.data().begin(), message.data().end());
        } while (!can_.messages && taken.size() < size);
        must(taken.size() == size, "a message has its length");
        return taken;
    }

    void verify(const std::byte* bytes, std::size_t k, std::size_t size) {
        auto value = first_byte(k + (speaks_first_ ? answers : 0), size);
        for (std::size_t i = 0; i < size; i++, value = static_cast<unsigned char>(value + 31)) {
            must(bytes[i] == std::byte{value}, "no byte is torn");
            sum_ += value;
        }
    }

    void hear(std::size_t k, std::size_t size) { verify(take(size).data(), k, size); }

    void say_many(std::size_t count) const {
        std::vector<std::vector<std::byte>> messages;
        for (std::size_t n = 0; n < count; n++) {
            messages.push_back(message(many + n, small));
        }
        const std::vector<axonic::bytes_view> views(messages.begin(), messages.end());
        must(channel_.send_many(views, patience) == count, "all are sent");
    }

    void hear_many(std::size_t count) {
        if (can_.messages) {
            for (std::size_t n = 0; n < count; n++) {
                hear(many + n, small);
            }
            return;
        }
        const auto all = take(count * small);
        for (std::size_t n = 0; n < count; n++) {
            verify(all.data() + n * small, many + n, small);
        }
    }

    void pass(const std::string& path) const {
        const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
        channel_.send_descriptors("file", axonic::span<const int>(&file, 1), patience);
        close(file);
    }

    // Says what is in the file whose descriptor comes.
    void tell_file() const {
        const auto message = channel_.receive(patience);
        must(message.text() == "file" && message.descriptors().size() == 1, "a descriptor comes with the message");
        char text[64] = "";
        must(pread(message.descriptors()[0], text, sizeof text - 1, 0) > 0, "it can be read");
        std::cout << "descriptor " << text << '\n';
    }

    // Who spoke first ends first, and hears one more message where it can.
    void end() {
        if (!can_.end || (speaks_first_ && !can_.half_close)) {
            return;
        }
        if (speaks_first_) {
            channel_.finish();
            hear(last, small);
        }
        expect_end();
        if (!speaks_first_ && can_.half_close) {
            say(last, small);
            channel_.finish();
        }
        std::cout << "ended\n";
    }

    std::uint32_t heard() { return std::exchange(sum_, 0); }

    // What its transport can do, in the order of the fields, and the largest message.
    void tell() const {
        std::cout << "can ";
        for (const bool can : {can_.reliable, can_.ordered, can_.messages, can_.back_pressure, can_.end,
                               can_.half_close, can_.descriptors, can_.credentials}) {
            std::cout << (can ? '1' : '0');
        }
        std::cout << ' ' << channel_.max_message() << '\n';
    }

    axonic::Channel channel_;
    axonic_can can_;
    bool speaks_first_;
    // Of the bytes that were heard.
    std::uint32_t sum_ = 0;
};

// Waits on each channel until the other end has died.
static int hold(std::vector<End>& ends) {
    for (auto& end : ends) {
        end.exchange(0, small);
    }
    std::cout << "holding" << std::endl;
    for (const auto& end : ends) {
        end.expect_end();
    }
    std::cout << "gone " << ends.size() << '\n';
    return 0;
}

// Talks over the first so many channels, and holds the others.
template <class Open> static int use(std::size_t count, std::size_t talks, const std::string& file, Open open) {
    std::vector<End> held;
    for (std::size_t n = 0; n < count; n++) {
        End end = open(n);
        if (n < talks) {
            end.talk(file);
        } else {
            held.push_back(std::move(end));
        }
    }
    return hold(held);
}

int listen_at(const std::string& domain, const std::string& file, std::size_t talks,
              const std::vector<std::string>& addresses) {
    auto ax = axonic::open(domain);
    std::vector<axonic::Listener> listeners;
    std::vector<axonic::Channel> pipes;
    for (const auto& address : addresses) {
        // Pipes are there already.
        const bool is_pipe = address.rfind("pipe:", 0) == 0;
        listeners.push_back(is_pipe ? axonic::Listener() : ax.listen(address));
        pipes.push_back(is_pipe ? ax.connect(address, patience) : axonic::Channel());
        std::cout << "at " << (is_pipe ? std::string_view(address) : listeners.back().address()) << '\n';
    }
    std::cout << std::flush;
    return use(addresses.size(), talks, file, [&](std::size_t n) {
        auto channel = pipes[n] ? std::move(pipes[n]) : listeners[n].accept(patience);
        listeners[n].close();
        return End(std::move(channel), false);
    });
}

int connect_at(const std::string& domain, const std::string& file, std::size_t talks,
               const std::vector<std::string>& addresses) {
    auto ax = axonic::open(domain);
    return use(addresses.size(), talks, file,
               [&](std::size_t n) { return End(ax.connect(addresses[n], patience), true); });
}
