// What the C++ peer does with locks.
#include "peer.hpp"

#include <chrono>
#include <fcntl.h>
#include <iostream>
#include <mutex>
#include <shared_mutex>
#include <stdexcept>
#include <thread>
#include <unistd.h>

static std::uint64_t number_in(int file) {
    std::uint64_t number = 0;
    if (pread(file, &number, sizeof number, 0) != sizeof number) {
        throw std::runtime_error("the file with the number");
    }
    return number;
}

// Raises the number in a file, and answers what it is now.
static std::uint64_t raise(int file) {
    const auto number = number_in(file) + 1;
    if (pwrite(file, &number, sizeof number, 0) != sizeof number) {
        throw std::runtime_error("the file with the number");
    }
    return number;
}

int alternate(const std::string& domain, const std::string& path, std::uint64_t parity, std::size_t times) {
    auto ax = axonic::open(domain);
    auto mutex = ax.mutex("count");
    auto turn = ax.condvar("turn");
    const int file = open(path.c_str(), O_RDWR | O_CLOEXEC);
    for (std::size_t n = 0; n < times; n++) {
        std::unique_lock guard(mutex);
        if (!turn.wait_for(guard, patience, [&] { return number_in(file) % 2 == parity; })) {
            throw std::runtime_error("the other did not come round");
        }
        raise(file);
        turn.notify_one();
    }
    std::cout << "alternated " << times << std::endl;
    close(file);
    return 0;
}

int count(const std::string& domain, const std::string& path, std::size_t times) {
    auto ax = axonic::open(domain);
    auto mutex = ax.mutex("count");
    const int file = open(path.c_str(), O_RDWR | O_CLOEXEC);
    for (std::size_t n = 0; n < times; n++) {
        std::unique_lock guard(mutex, std::defer_lock);
        try {
            guard.lock();
        } catch (const axonic::OwnerDied&) {
            // Whoever catches it has the lock.
            guard = std::unique_lock(mutex, std::adopt_lock);
            std::cout << "owner died" << std::endl;
        }
        std::cout << raise(file) << std::endl;
    }
    std::cout << "counted " << times << std::endl;
    close(file);
    return 0;
}

// Has a permit for a moment, and tells from when to when.
static void sit(axonic::Semaphore& seats) {
    const auto tell = [](const char* what) {
        const auto now = std::chrono::steady_clock::now().time_since_epoch();
        std::cout << what << ' ' << std::chrono::nanoseconds(now).count() << std::endl;
    };
    must(seats.try_acquire_for(patience), "permits come back");
    tell("in");
    // Long enough for others to come.
    std::this_thread::sleep_for(std::chrono::microseconds(100));
    tell("out");
    seats.release();
}

// Takes a lock, and answers whether its owner before died in it: whoever catches that has the lock.
template <class Lock> static bool takes(Lock lock) {
    try {
        must(lock(), "nobody has it for ever");
    } catch (const axonic::OwnerDied&) {
        return true;
    }
    return false;
}

int share(const std::string& domain, const std::string& path, std::size_t times) {
    auto ax = axonic::open(domain);
    auto page = ax.rwlock("page");
    auto seats = ax.semaphore("seats", 2);
    const int file = open(path.c_str(), O_RDWR | O_CLOEXEC);
    for (std::size_t n = 0; n < times; n++) {
        if (n % 4 == 0) {
            const bool died = takes([&] { return page.try_lock_for(patience); });
            std::cout << (died ? "owner died\n" : "") << raise(file) << std::endl;
            page.unlock();
            continue;
        }
        const bool died = takes([&] { return page.try_lock_shared_for(patience); });
        const auto number = number_in(file);
        if (died) {
            std::cout << "owner died " << number << std::endl;
        }
        sit(seats);
        must(number_in(file) == number, "nobody writes while somebody reads");
        page.unlock_shared();
    }
    std::cout << "shared " << times << std::endl;
    close(file);
    return 0;
}

void must(bool holds, const char* what) {
    if (!holds) {
        throw std::runtime_error(std::string("not so: ") + what);
    }
}

namespace {
struct Hall {
    axonic::Domain domain;
    axonic::Barrier barrier;
    axonic::Event event;
    axonic::Event bell;
    axonic::RwLock rwlock;
    axonic::Semaphore seats;
    int led = 0;

    void turn() { led += barrier.arrive_and_wait(patience); }

    // Says who has a lock.
    void tell(const std::string& name) const {
        for (const auto& holder : domain.lock_holders(name)) {
            must(holder.alive && holder.since.time_since_epoch().count() > 0, "it is there, and has come");
            std::cout << name << ": " << holder.role << " " << holder.pid << " " << holder.label << std::endl;
        }
    }

    void first() {
        std::unique_lock writing(rwlock);
        seats.acquire();
        bell.set();
        bell.set();
        turn();
        turn();
        writing.unlock();
        seats.release();
        event.set();
        bell.set();
        turn();
        must(!bell.is_set(), "who passed has cleared it");
        must(!writing.try_lock(), "the other reads, so nobody writes");
        must(std::shared_lock(rwlock, std::try_to_lock).owns_lock(), "two read");
        must(!seats.try_acquire(), "the other has the only permit");
        tell("seat");
        must(event.is_set(), "it stays set");
        event.clear();
        turn();
        turn();
        must(writing.try_lock(), "the other has stopped reading");
        must(seats.try_acquire(), "the other has given its permit back");
        seats.release();
    }

    void second() {
        turn();
        must(!rwlock.try_lock_shared(), "the other writes, so nobody reads");
        must(!rwlock.try_lock(), "the other writes, so nobody else does");
        must(!seats.try_acquire(), "the other has the only permit");
        tell("page");
        must(!event.try_wait(), "nobody has set it");
        must(bell.try_wait(), "it was set before");
        must(!bell.try_wait(), "set twice it lets one pass");
        turn();
        must(event.wait_for(patience), "it is set");
        must(bell.wait_for(patience), "it is set again");
        std::shared_lock reading(rwlock);
        must(seats.try_acquire_for(patience), "the other gives its permit back");
        turn();
        turn();
        must(!event.try_wait(), "the other has cleared it");
        reading.unlock();
        seats.release();
        turn();
    }
};
} // namespace

int meet(const std::string& domain, bool is_first) {
    auto ax = axonic::open(domain);
    Hall hall{ax,
              ax.barrier("turn", 2),
              ax.event("go"),
              ax.event("bell", axonic::Reset::Auto),
              ax.rwlock("page"),
              ax.semaphore("seat", 1)};
    is_first ? hall.first() : hall.second();
    std::cout << "met " << hall.led << std::endl;
    return 0;
}
