// Locks in C++: the guards of the standard library, owners that died, and what each type answers.
#include "check.hpp"

#include <atomic>
#include <csignal>
#include <shared_mutex>
#include <thread>

using namespace std::chrono_literals;

// Runs this in a process of its own, which is killed where it returns: what it holds it holds then.
template <class F> static void die_holding(F take) {
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        const auto kept = take();
        std::raise(SIGKILL);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
}

static void die_with_mutex(const char* name = "m") {
    die_holding([name] {
        auto mutex = axonic::open("locks").mutex(name);
        mutex.lock();
        return mutex;
    });
}

static void die_writing() {
    die_holding([] {
        auto lock = axonic::open("locks").rwlock("rw");
        lock.lock();
        return lock;
    });
}

template <class F> static void in_threads(int count, F body) {
    std::vector<std::thread> threads;
    for (int i = 0; i < count; i++) {
        threads.emplace_back(body);
    }
    for (auto& thread : threads) {
        thread.join();
    }
}

static void mutexes() {
    auto ax = axonic::open("locks");
    auto one = ax.mutex("m");
    auto other = ax.mutex("m", {axonic::Wait::Block});
    CHECK(one && one.name() == "m" && !axonic::Mutex());
    {
        std::scoped_lock guard(one);
        CHECK(!other.try_lock() && !other.try_lock_for(1ms) && !one.try_lock_for(1ms));
        CHECK(!other.try_lock_until(std::chrono::system_clock::now() + 1ms) && !one.owner_died());
        std::unique_lock<axonic::Mutex> tried(other, std::try_to_lock);
        CHECK(!tried.owns_lock());
        std::unique_lock<axonic::Mutex> timed(other, 1ms);
        CHECK(!timed.owns_lock());
        THROWS(InvalidArgumentError, "not locked", other.unlock());
    }
    {
        std::unique_lock<axonic::Mutex> guard(other, std::defer_lock);
        CHECK(guard.try_lock_for(1s));
        guard.unlock();
        CHECK(guard.try_lock_until(std::chrono::steady_clock::now() + 1s));
    }
    THROWS(InvalidArgumentError, "mutex 'm'", one.unlock());
    SETS(InvalidArgument, one.unlock(ec));
    auto second = ax.mutex("second");
    long counter = 0;
    in_threads(4, [&] {
        for (int i = 0; i < 300; i++) {
            std::scoped_lock guard(one, second);
            const long before = counter;
            counter = before + 1;
        }
    });
    CHECK(counter == 1200);

    auto moved = std::move(one);
    CHECK(!one && moved.try_lock());
    THROWS(ClosedError, "the lock is empty", one.lock());
    moved.close(); // while it is locked
    CHECK(other.try_lock() && !other.owner_died());
    other.unlock();
    THROWS(InvalidNameError, "a/b", ax.mutex("a/b"));
    SETS(InvalidName, ax.mutex(std::string("a\0b", 3), {}, ec));
    SETS(Busy, ax.unlink(axonic::Noun::Lock, "m", ec));
    other.close();
    SETS(NotFound, ax.unlink(axonic::Noun::Lock, "m", ec));
}

// What the guard of a lock that went back already does at its end.
static void who_has_it() {
    auto ax = axonic::open("locks");
    std::error_code ec;
    CHECK(ax.lock_holders("m", ec).empty() && ec == axonic::ErrorKind::NotFound);
    auto seats = ax.semaphore("many", 12);
    for (int i = 0; i < 12; i++) {
        seats.acquire();
    }
    const auto holders = ax.lock_holders("many");
    CHECK(holders.size() == 12);
    for (const axonic::LockHolder& holder : holders) {
        CHECK(holder.pid == static_cast<std::uint32_t>(getpid()) && holder.alive && !holder.stopped);
        CHECK(holder.role == "permit" && !holder.label.empty());
        CHECK(std::chrono::abs(std::chrono::system_clock::now() - holder.since) < 60s);
    }
    die_with_mutex();
    CHECK(ax.lock_holders("m").size() == 1 && !ax.lock_holders("m")[0].alive);
    CHECK(ax.lock_holders("m")[0].role == "owner");
    ax.unlink(axonic::Noun::Lock, "m");
    THROWS(InvalidNameError, "NUL", ax.lock_holders(std::string("a\0b", 3)));
}

static void guards_of_what_is_gone() {
    auto ax = axonic::open("locks");
    auto leaving = axonic::open("locks");
    auto mutex = leaving.mutex("m");
    {
        std::scoped_lock guard(mutex);
        const pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            SETS(Forked, mutex.unlock(ec));
            std::unique_lock<axonic::Mutex>(mutex, std::adopt_lock).unlock();
            _exit(0);
        }
        check_child(child);
        CHECK(!ax.mutex("m").try_lock()); // the child let go of nothing
        leaving.close();
        CHECK(ax.mutex("m").try_lock());
        SETS(Closed, mutex.unlock(ec));
        THROWS(ClosedError, "m", mutex.lock());
    }
}

static void owners_that_died() {
    auto ax = axonic::open("locks");
    auto mutex = ax.mutex("m");
    // As it is shown to newcomers.
    int repaired = 0;
    die_with_mutex();
    for (int i = 0; i < 2; i++) {
        try {
            std::scoped_lock guard(mutex);
            CHECK(i == 1 && !mutex.owner_died());
        } catch (const axonic::OwnerDied& died) {
            CHECK(std::strstr(died.what(), "lock 'm'") != nullptr && died.code() == std::errc::owner_dead);
            CHECK(mutex.owner_died() && !ax.mutex("m").try_lock());
            std::scoped_lock guard(std::adopt_lock, mutex);
            repaired++;
        }
    }
    CHECK(repaired == 1 && mutex.try_lock());
    mutex.unlock();
    static_assert(!std::is_base_of_v<axonic::Error, axonic::OwnerDied>);

    // A call that was given a code, and one that tries.
    die_with_mutex();
    std::error_code ec;
    mutex.lock(ec);
    CHECK(ec == std::errc::owner_dead && mutex.owner_died());
    mutex.unlock(ec);
    CHECK(!ec && !mutex.owner_died());
    die_with_mutex();
    CHECK(mutex.try_lock_for(1s, ec) && ec == std::errc::owner_dead);
    mutex.unlock();
    die_with_mutex();
    THROWS(OwnerDied, "owner died", mutex.try_lock());
    mutex.unlock();

    // Opened so that nothing is thrown.
    axonic::LockOptions quiet;
    quiet.throw_owner_died = false;
    auto calm = ax.mutex("m", quiet);
    die_with_mutex();
    {
        std::scoped_lock guard(calm);
        CHECK(calm.owner_died());
    }
    CHECK(!calm.owner_died());
    auto lock = ax.rwlock("rw", quiet);
    die_writing();
    {
        std::shared_lock<axonic::RwLock> guard(lock);
        CHECK(lock.owner_died());
    }
    {
        std::scoped_lock guard(lock);
        CHECK(lock.owner_died()); // until somebody could set it right
    }
    CHECK(!lock.owner_died());
}

// Of several at once, one whose owner died is had by whoever catches that; those whose owners did not are not.
static void several_with_a_dead_owner() {
    auto ax = axonic::open("locks");
    auto a = ax.mutex("a");
    auto b = ax.mutex("b");
    const auto is_free = [&](const char* name) { return ax.mutex(name).try_lock(); };
    die_with_mutex("b");
    try {
        std::scoped_lock guard(a, b);
        CHECK(false);
    } catch (const axonic::OwnerDied& died) {
        CHECK(std::strstr(died.what(), "lock 'b'") != nullptr);
        CHECK(b.owner_died() && !is_free("b") && !a.owner_died() && is_free("a"));
        std::scoped_lock guard(std::adopt_lock, b);
    }
    { std::scoped_lock guard(a, b); }

    die_with_mutex("a");
    die_with_mutex("b");
    int told = 0;
    for (int i = 0; i < 3; i++) {
        try {
            std::scoped_lock guard(a, b);
            CHECK(i == 2 && !a.owner_died() && !b.owner_died());
        } catch (const axonic::OwnerDied& died) {
            CHECK(a.owner_died() != b.owner_died());
            auto& dead = a.owner_died() ? a : b;
            CHECK(std::strstr(died.what(), a.owner_died() ? "lock 'a'" : "lock 'b'") != nullptr);
            std::scoped_lock guard(std::adopt_lock, dead);
            told++;
        }
    }
    CHECK(told == 2);

    // Opened as who takes several at once had better.
    axonic::LockOptions quiet;
    quiet.throw_owner_died = false;
    auto calm_a = ax.mutex("a", quiet);
    auto calm_b = ax.mutex("b", quiet);
    die_with_mutex("b");
    {
        std::scoped_lock guard(calm_a, calm_b);
        CHECK(!calm_a.owner_died() && calm_b.owner_died() && !is_free("a") && !is_free("b"));
    }
    CHECK(is_free("a") && is_free("b"));
}

static void readers_and_writers() {
    auto ax = axonic::open("locks");
    auto lock = ax.rwlock("rw");
    auto other = ax.rwlock("rw");
    {
        std::shared_lock<axonic::RwLock> one(lock);
        std::shared_lock<axonic::RwLock> two(lock, 1s);
        CHECK(two.owns_lock() && other.try_lock_shared());
        other.unlock_shared();
        CHECK(!other.try_lock() && !other.try_lock_for(1ms));
        CHECK(!lock.try_lock_until(std::chrono::steady_clock::now() + 1ms));
    }
    {
        std::unique_lock<axonic::RwLock> writing(lock);
        CHECK(!other.try_lock_shared() && !other.try_lock_shared_for(1ms));
        CHECK(!other.try_lock_shared_until(std::chrono::system_clock::now() + 1ms));
    }
    THROWS(InvalidArgumentError, "not locked", lock.unlock());
    SETS(InvalidArgument, lock.unlock_shared(ec));

    die_writing();
    try {
        std::shared_lock<axonic::RwLock> guard(lock);
        CHECK(false);
    } catch (const axonic::OwnerDied&) {
        std::shared_lock<axonic::RwLock> guard(lock, std::adopt_lock);
        CHECK(!other.try_lock());
    }
    die_writing();
    THROWS(OwnerDied, "lock 'rw'", lock.lock());
    CHECK(!other.try_lock_shared());
    lock.unlock();

    // Together, if they read, and alone, if they write.
    std::atomic<int> writers{0};
    auto together = ax.barrier("together", 3);
    in_threads(3, [&] {
        {
            std::shared_lock<axonic::RwLock> reading(lock);
            together.arrive_and_wait(10s);
        }
        for (int i = 0; i < 100; i++) {
            std::scoped_lock writing(lock);
            CHECK(++writers == 1);
            --writers;
        }
    });
}

static void semaphores() {
    auto ax = axonic::open("locks");
    auto semaphore = ax.semaphore("s", 2);
    auto other = ax.semaphore("s", 2);
    THROWS(InvalidArgumentError, "permits 2", ax.semaphore("s", 3));
    SETS(InvalidArgument, ax.semaphore("none", 0, {}, ec));
    semaphore.acquire();
    CHECK(other.try_acquire_for(1s) && other.available() == 0);
    CHECK(!semaphore.try_acquire() && !other.try_acquire_for(1ms));
    semaphore.release();
    THROWS(InvalidArgumentError, "no permit", semaphore.release());
    CHECK(semaphore.try_acquire());
    semaphore.close(); // with a permit
    CHECK(other.available() == 1);
    die_holding([] {
        auto taken = axonic::open("locks").semaphore("s", 2);
        taken.acquire();
        return taken;
    });
    CHECK(other.try_acquire());
    THROWS(ClosedError, "lock 's' is closed", semaphore.release());
    SETS(Closed, semaphore.available(ec));
    std::atomic<int> inside{0};
    other.release();
    other.release();
    in_threads(4, [&] {
        for (int i = 0; i < 100; i++) {
            other.acquire();
            CHECK(++inside <= 2);
            --inside;
            other.release();
        }
    });
}

static void events() {
    auto ax = axonic::open("locks");
    auto event = ax.event("manual");
    CHECK(!event.is_set() && !event.try_wait() && !event.wait_for(1ms));
    std::thread waiting([&] { event.wait(); });
    event.set();
    waiting.join();
    CHECK(event.is_set() && event.try_wait() && event.wait_for(1s));
    event.clear();
    CHECK(!event.is_set());
    auto once = ax.event("once", axonic::Reset::Auto);
    once.set();
    CHECK(once.wait_for(1s) && !once.try_wait());
    SETS(InvalidArgument, ax.event("once", axonic::Reset::Manual, {}, ec));
    once.close();
    THROWS(ClosedError, "is closed", once.set());
    SETS(Closed, once.wait(ec));
}

static void barriers() {
    auto ax = axonic::open("locks");
    auto barrier = ax.barrier("b", 3);
    THROWS(TimeoutError, "not all parties", barrier.arrive_and_wait(1ms));
    SETS(WouldBlock, barrier.arrive_and_wait(0s, ec));
    std::atomic<int> leaders{0};
    in_threads(3, [&] {
        for (int round = 0; round < 20; round++) {
            leaders += barrier.arrive_and_wait(10s) ? 1 : 0;
        }
    });
    CHECK(leaders == 20);
    SETS(InvalidArgument, ax.barrier("one", 1, {}, ec));
}

static void condvars() {
    auto ax = axonic::open("locks");
    auto mutex = ax.mutex("m");
    auto condvar = ax.condvar("c");
    std::unique_lock<axonic::Mutex> lock(mutex);
    CHECK(!condvar.wait_for(lock, 1ms) && lock.owns_lock() && !ax.mutex("m").try_lock());
    CHECK(!condvar.wait_for(lock, 5ms, [] { return false; }) && !condvar.wait_for(lock, 0s));
    CHECK(condvar.wait_for(lock, 0s, [] { return true; }));
    int ready = 0;
    std::thread giving([&] {
        for (int i = 0; i < 3; i++) {
            std::scoped_lock guard(mutex);
            ready++;
            i == 0 ? condvar.notify_all() : condvar.notify_one();
        }
    });
    condvar.wait(lock, [&] { return ready >= 1; });
    CHECK(condvar.wait_for(lock, 10s, [&] { return ready >= 2; }));
    CHECK(condvar.wait_for(lock, axonic::forever, [&] { return ready == 3; }));
    giving.join();

    // It is locked again in the place of one that died.
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        mutex.lock();
        std::raise(SIGKILL);
    }
    bool died = false;
    while (!died) {
        try {
            CHECK(!condvar.wait_for(lock, 1ms));
        } catch (const axonic::OwnerDied&) {
            died = true;
        }
    }
    CHECK(waitpid(child, nullptr, 0) == child && lock.owns_lock() && mutex.owner_died());
    lock.unlock();

    // Wrong use, after which the lock owns nothing.
    THROWS(InvalidArgumentError, "condvar 'c'", condvar.wait(lock));
    SETS(InvalidArgument, condvar.wait_for(lock, 1s, ec));
    lock.lock();
    auto elsewhere = axonic::open("elsewhere").condvar("c");
    THROWS(InvalidArgumentError, "same domain", elsewhere.wait(lock));
    CHECK(!lock.owns_lock() && mutex.try_lock());
    condvar.close();
    std::unique_lock<axonic::Mutex> again(mutex, std::adopt_lock);
    SETS(Closed, condvar.wait(again, ec));
    CHECK(!again.owns_lock() && mutex.try_lock());
    mutex.unlock();
    SETS(Closed, condvar.notify_one(ec));
    THROWS(ClosedError, "is closed", condvar.notify_all());
}

int main() {
    return check_main([] {
        mutexes();
        who_has_it();
        guards_of_what_is_gone();
        owners_that_died();
        several_with_a_dead_owner();
        readers_and_writers();
        semaphores();
        events();
        barriers();
        condvars();
    });
}
