// A lock: processes count in turn; one is killed while it has the mutex, and the next is told.
#include <axonic.hpp>

#include <csignal>
#include <cstdlib>
#include <iostream>
#include <sys/wait.h>
#include <unistd.h>

using namespace std::chrono_literals;

// The child has the parent's handles, but nothing that the parent has locked.
template <class F> static pid_t start(F role) {
    const pid_t child = fork();
    if (child == 0) {
        role();
        _exit(0);
    }
    return child;
}

int main() {
    auto ax = axonic::open(std::getenv("AXONIC_DOMAIN") != nullptr ? "" : "example-lock");
    auto region = ax.region("counter", {sizeof(std::uint64_t)});
    auto mutex = ax.mutex("counter");
    auto taken = ax.event("taken");
    auto& counter = *reinterpret_cast<volatile std::uint64_t*>(region.data().data());

    auto count = [&] {
        for (int i = 0; i < 1000; i++) {
            std::scoped_lock guard(mutex);
            counter = counter + 1; // in two steps: only the mutex makes this right
        }
    };
    auto die = [&] {
        std::scoped_lock guard(mutex);
        counter = counter + 1;
        taken.set();
        pause();
    };
    for (int i = 0; i < 3; i++) {
        start(count);
    }
    while (wait(nullptr) > 0) {
    }
    std::cout << "3 processes counted to " << counter << '\n';

    const pid_t victim = start(die);
    taken.wait_for(5s);
    std::cout << std::boolalpha << "locked: " << !mutex.try_lock() << '\n';
    kill(victim, SIGKILL);
    try {
        std::scoped_lock guard(mutex);
    } catch (const axonic::OwnerDied&) {
        // Whoever catches it has the lock.
        std::scoped_lock guard(std::adopt_lock, mutex);
        std::cout << "owner died: " << mutex.owner_died() << ", the counter says " << counter << '\n';
    }
    wait(nullptr);
    ax.unlink(axonic::Noun::Region, "counter");
}
