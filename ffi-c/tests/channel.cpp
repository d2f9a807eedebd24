// Channels in C++: both ends, iteration until the end, threads, and errors.
#include "check.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <thread>

using namespace std::chrono_literals;

static bool readable(int fd, std::chrono::milliseconds within) {
    pollfd ready{fd, POLLIN, 0};
    return poll(&ready, 1, static_cast<int>(within.count())) == 1;
}

// As it is shown to newcomers.
static void shown() {
    auto ax = axonic::open("shown");
    auto listener = ax.listen("shm://shown/jobs");
    std::thread other([&] {
        auto channel = ax.connect("shm://shown/jobs", 5s);
        channel.send("one");
        channel.send("two");
        channel.finish();
        CHECK(channel.receive(5s).text() == "thanks");
    });
    auto channel = listener.accept(5s);
    std::string seen;
    for (auto& message : channel) {
        seen += message.text();
    }
    CHECK(seen == "onetwo");
    if (channel.can().half_close) {
        channel.send("thanks");
    }
    other.join();
}

static void both_ends() {
    auto ax = axonic::open("channels");
    THROWS(NotFoundError, "shm://channels/a", ax.connect("shm://channels/a", 1s));
    SETS(InvalidArgument, ax.listen("nowhere", {}, ec));
    THROWS(InvalidNameError, "NUL", ax.connect(std::string("shm://a\0b", 9)));
    auto listener = ax.listen("shm://channels/a", {1000, axonic::Wait::Adaptive, false});
    CHECK(listener && listener.address() == "shm://channels/a" && !axonic::Listener());
    CHECK(!listener.try_accept());
    THROWS(TimeoutError, "shm://channels/a", listener.accept(1ms));
    const int accepting = listener.fd();
    std::optional<axonic::Channel> there;
    std::thread other([&] { there = ax.connect("shm://channels/a", 5s, {1000, axonic::Wait::Block, false}); });
    std::optional<axonic::Channel> here;
    while (!here) {
        CHECK(readable(accepting, 5s));
        here = listener.try_accept();
    }
    other.join();

    std::error_code ec = axonic::ErrorKind::Io;
    CHECK(!here->try_receive(ec) && !ec); // nothing there is no failure
    THROWS(WouldBlockError, "", here->receive(0s));
    SETS(Timeout, here->receive(1ms, ec));
    CHECK(there->send_many({"a", "", "ccc"}) == 3 && there->try_send("d"));
    there->flush();
    CHECK(here->receive(5s).text() == "a" && here->receive(5s).text().empty());
    auto kept = here->receive(5s);
    auto moved = std::move(kept);
    CHECK(moved && !kept && moved.text() == "ccc" && moved.descriptors().empty());
    CHECK(readable(here->fd(), 5s) && here->try_receive()->text() == "d" && !here->try_receive());
    CHECK(here->max_message() == 1000 && here->can().max_message == 0 && here->can().ordered);
    CHECK(here->peer().pid == -1 || here->peer().pid == getpid());
    CHECK(there->stats().sent_messages == 4 && here->stats().received_bytes == 5);
    THROWS(TooLargeError, "max_message", there->send(std::string(1001, 'x')));
    const std::vector<int> standard{1};
    THROWS(UnsupportedError, "descriptors", there->send_descriptors("x", standard));
    while (there->try_send(std::string(1000, 'x'))) {
    }
    THROWS(TimeoutError, "behind", there->send(std::string(1000, 'x'), 1ms));
    const int sending = there->send_fd();
    while (here->try_receive()) {
    }
    CHECK(readable(sending, 5s));

    // Shut down by another thread, it ends for the one that waits.
    std::thread ending([&] {
        std::this_thread::sleep_for(20ms);
        there->shutdown();
        listener.shutdown();
    });
    THROWS(ClosedError, "shm://channels/a", there->receive());
    ending.join();
    THROWS(ClosedError, "shm://channels/a", listener.accept());
    for (auto& message : *here) {
        CHECK(message); // what was sent before
    }
    THROWS(DisconnectedError, "shm://channels/a", here->receive(5s));
    there->close();
    THROWS(ClosedError, "channel 'shm://channels/a' is closed; open it again", there->send("x"));
    THROWS(ClosedError, "the channel is empty", axonic::Channel().receive());
    listener.close();
    THROWS(ClosedError, "listener 'shm://channels/a' is closed", listener.fd());
    THROWS(ClosedError, "the listener is empty", axonic::Listener().try_accept());
}

// What the program started by pipes() does: answers all that comes.
static void child_of_pipes(const std::string& address) {
    auto channel = axonic::open("piped").connect(address, 5s);
    for (auto& message : channel) {
        channel.send(message.text());
    }
}

static bool is_open(int descriptor) { return fcntl(descriptor, F_GETFD) >= 0; }

// Two pipes to a program that is started with its ends of them.
static void pipes(char* program) {
    auto ax = axonic::open("piped");
    SETS(InvalidArgument, ax.pipe({std::size_t{2} << 30}, ec));
    auto [channel, child] = ax.pipe({1 << 20});
    const auto [read, write] = child.descriptors();
    CHECK(child && child.address() == "pipe:" + std::to_string(read) + "," + std::to_string(write));
    std::string address = child.address();
    char* arguments[] = {program, address.data(), nullptr};
    posix_spawn_file_actions_t actions;
    pid_t pid = -1;
    CHECK(posix_spawn_file_actions_init(&actions) == 0);
    for (int descriptor : child.descriptors()) {
        CHECK(posix_spawn_file_actions_adddup2(&actions, descriptor, descriptor) == 0);
    }
    CHECK(posix_spawn(&pid, "/proc/self/exe", &actions, nullptr, arguments, environ) == 0);
    CHECK(posix_spawn_file_actions_destroy(&actions) == 0);
    {
        auto moved = std::move(child);
        CHECK(moved && !child && is_open(read) && is_open(write)); // NOLINT: what was moved from is empty
    }
    CHECK(!is_open(read) && !is_open(write));
    child.close();
    channel.send("there and back");
    CHECK(channel.receive(10s).text() == "there and back");
    channel.finish();
    THROWS(DisconnectedError, address.c_str(), channel.receive(10s));
    int status = -1;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

int main(int count, char** arguments) {
    return check_main([&] {
        if (count == 2) {
            child_of_pipes(arguments[1]);
            return;
        }
        shown();
        both_ends();
        pipes(arguments[0]);
    });
}
