// Locks between processes: mutexes, readers and writers, semaphores, events, barriers, conditions. Included by
// axonic.hpp.
//
// They are used like those of the standard library: std::scoped_lock, std::unique_lock and std::shared_lock work with
// them. Threads share one object, which is moved and closed only while nobody else uses it. What a process has comes
// back when it dies; whoever takes a Mutex or RwLock next is told by OwnerDied (error.hpp), and has the lock then.
#ifndef AXONIC_LOCK_HPP
#define AXONIC_LOCK_HPP

#include "handle.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace axonic {

// How to open a lock of any type.
struct LockOptions {
    Wait wait = Wait::Adaptive;
    // Whether whoever takes a Mutex or RwLock whose owner died gets OwnerDied; if not, owner_died() tells.
    bool throw_owner_died = true;
};

// Who has a lock, or something of it.
struct LockHolder {
    explicit LockHolder(const axonic_lock_holder& holder)
        : pid(holder.pid), label(holder.label), since(std::chrono::nanoseconds(holder.since)),
          alive(holder.alive != 0), stopped(holder.stopped != 0), role(holder.role) {}

    // 0, and label "", where nothing is known of it any more.
    std::uint32_t pid;
    std::string label;
    // The epoch where it is not known.
    std::chrono::time_point<std::chrono::system_clock, std::chrono::nanoseconds> since;
    // If not, it died, and nobody has taken the lock since.
    bool alive;
    bool stopped;
    // "owner", "reader", "permit" or "party".
    std::string role;
};

// How an event is cleared.
enum class Reset : std::int32_t {
    Manual = AXONIC_RESET_MANUAL, // by clear(); until then everybody passes
    Auto = AXONIC_RESET_AUTO,     // by the first one that waited for it, and only that one passes
};

namespace detail {
// A flag that threads share and that moves with its lock.
class Flag {
public:
    Flag() noexcept = default;
    Flag(Flag&& from) noexcept : set_(from.is_set()) {}
    Flag& operator=(Flag&& from) noexcept {
        set(from.is_set());
        return *this;
    }
    void set(bool now) noexcept { set_.store(now, std::memory_order_relaxed); }
    bool is_set() const noexcept { return set_.load(std::memory_order_relaxed); }

private:
    std::atomic<bool> set_{false};
};

// What all locks are made of.
template <class T, int (*Close)(T*)> class Lock {
public:
    using handle_type = T;

    Lock() noexcept = default;
    Lock(SharedDomain domain, T* handle, std::string name, const LockOptions& options)
        : member_(std::move(domain), handle, share(name)), name_(std::move(name)), options_(options) {}

    explicit operator bool() const noexcept { return get() != nullptr; }
    T* get() const noexcept { return member_.get(); }
    // What it has goes back.
    void close() noexcept { member_.close(); }
    std::string_view name() const noexcept { return name_; }

protected:
    T* use(const Report& report) const { return member_.use("lock", report); }
    // Takes it; false when the time passed.
    bool take(int (*call)(const T*, std::int64_t, bool*), Timeout timeout, const Report& report) {
        bool died = false;
        const bool taken = in_time(call(use(report), timeout.nanoseconds(), &died), report);
        if (taken) {
            note(died, report);
        }
        return taken;
    }
    // It was taken: whether the owner before died in it.
    void note(bool died, const Report& report) {
        if (died) {
            died_.set(true);
            if (options_.throw_owner_died) {
                report.owner_died(name_);
            }
        }
    }
    // Guards unlock in their destructors: what went back when it was closed, and what belongs to the parent of a forked
    // child, is a failure only for those who give a std::error_code.
    static void gave(int answer, const Report& report) {
        const bool gone = answer == AXONIC_ERROR_CLOSED || answer == AXONIC_ERROR_FORKED;
        report(gone && report.throws() ? AXONIC_OK : answer);
    }

    Flag died_;

private:
    Member<T, Close> member_;
    std::string name_;
    LockOptions options_;
};
} // namespace detail

// A mutex between processes, and between the threads that share this object. It is not fair: whoever unlocks it and
// wants it again at once mostly gets it before one that sleeps for it.
class Mutex : public detail::Lock<axonic_mutex, axonic_mutex_close> {
public:
    using Lock::Lock;

    void lock(Report report = {}) { try_lock_for(forever, report); }
    bool try_lock(Report report = {}) { return try_lock_for(std::chrono::seconds(0), report); }
    // False when the time passed.
    bool try_lock_for(Timeout timeout, Report report = {}) { return take(axonic_mutex_lock, timeout, report); }
    template <class Clock, class Duration>
    bool try_lock_until(const std::chrono::time_point<Clock, Duration>& end, Report report = {}) {
        return try_lock_for(end - Clock::now(), report);
    }
    void unlock(Report report = {}) {
        died_.set(false);
        gave(axonic_mutex_unlock(get()), report);
    }
    // Whether the owner before died in it; until it is unlocked.
    bool owner_died() const noexcept { return died_.is_set(); }

private:
    friend class Condvar;
};

// A lock that many read (lock_shared), or one writes (lock), between processes, and between the threads that share this
// object. One that waits to write stops those who come to read.
class RwLock : public detail::Lock<axonic_rwlock, axonic_rwlock_close> {
public:
    using Lock::Lock;

    void lock(Report report = {}) { try_lock_for(forever, report); }
    bool try_lock(Report report = {}) { return try_lock_for(std::chrono::seconds(0), report); }
    // False when the time passed.
    bool try_lock_for(Timeout timeout, Report report = {}) { return take(axonic_rwlock_write, timeout, report); }
    template <class Clock, class Duration>
    bool try_lock_until(const std::chrono::time_point<Clock, Duration>& end, Report report = {}) {
        return try_lock_for(end - Clock::now(), report);
    }
    void unlock(Report report = {}) {
        died_.set(false);
        gave(axonic_rwlock_unlock(get()), report);
    }

    void lock_shared(Report report = {}) { try_lock_shared_for(forever, report); }
    bool try_lock_shared(Report report = {}) { return try_lock_shared_for(std::chrono::seconds(0), report); }
    // False when the time passed.
    bool try_lock_shared_for(Timeout timeout, Report report = {}) {
        return take(axonic_rwlock_read, timeout, report);
    }
    template <class Clock, class Duration>
    bool try_lock_shared_until(const std::chrono::time_point<Clock, Duration>& end, Report report = {}) {
        return try_lock_shared_for(end - Clock::now(), report);
    }
    void unlock_shared(Report report = {}) { gave(axonic_rwlock_unlock(get()), report); }
    // Whether this object was told that a writer died in it; until it was locked for writing and is unlocked.
    bool owner_died() const noexcept { return died_.is_set(); }
};

// A semaphore between processes: a number of permits.
class Semaphore : public detail::Lock<axonic_semaphore, axonic_semaphore_close> {
public:
    using Lock::Lock;

    // Takes a permit, waiting for one.
    void acquire(Report report = {}) { try_acquire_for(forever, report); }
    bool try_acquire(Report report = {}) { return try_acquire_for(std::chrono::seconds(0), report); }
    // False when the time passed.
    bool try_acquire_for(Timeout timeout, Report report = {}) {
        return detail::in_time(axonic_semaphore_acquire(use(report), timeout.nanoseconds()), report);
    }
    // Gives a permit back.
    void release(Report report = {}) { report(axonic_semaphore_release(use(report))); }
    // How many permits nobody alive has.
    std::uint32_t available(Report report = {}) {
        return detail::result<std::uint32_t>(
            report, [&](auto* out) { return axonic_semaphore_available(use(report), out); });
    }
};

// An event between processes: set or clear. It goes with its last handle.
class Event : public detail::Lock<axonic_event, axonic_event_close> {
public:
    using Lock::Lock;

    // Everybody who waits passes, however soon it is cleared, or (Reset::Auto) one of them, or the next to come.
    void set(Report report = {}) { report(axonic_event_set(use(report))); }
    void clear(Report report = {}) { report(axonic_event_clear(use(report))); }
    bool is_set(Report report = {}) {
        return detail::result<bool>(report, [&](auto* out) { return axonic_event_is_set(use(report), out); });
    }
    // Waits until it is set, which (Reset::Auto) clears it.
    void wait(Report report = {}) { wait_for(forever, report); }
    bool try_wait(Report report = {}) { return wait_for(std::chrono::seconds(0), report); }
    // False when the time passed.
    bool wait_for(Timeout timeout, Report report = {}) {
        return detail::in_time(axonic_event_wait(use(report), timeout.nanoseconds()), report);
    }
};

// A barrier between processes. Each thread that waits is a party.
class Barrier : public detail::Lock<axonic_barrier, axonic_barrier_close> {
public:
    using Lock::Lock;

    // Waits until all parties have arrived; true for one of them, the last. TimeoutError: it has not arrived.
    bool arrive_and_wait(Timeout timeout = forever, Report report = {}) {
        return detail::result<bool>(
            report, [&](auto* out) { return axonic_barrier_wait(use(report), timeout.nanoseconds(), out); });
    }
};

// A condition to wait for between processes, with a Mutex that protects what it is about.
class Condvar : public detail::Lock<axonic_condvar, axonic_condvar_close> {
public:
    using Lock::Lock;

    // Unlocks, waits to be notified, and locks again. After OwnerDied it is locked; after any other failure the lock
    // owns nothing any more.
    void wait(std::unique_lock<Mutex>& lock, Report report = {}) { wait_for(lock, forever, report); }
    template <class Ready, class = std::enable_if_t<std::is_invocable_r_v<bool, Ready&>>>
    void wait(std::unique_lock<Mutex>& lock, Ready ready) {
        while (!ready()) {
            wait(lock);
        }
    }
    // False when the time passed; it is locked again all the same.
    bool wait_for(std::unique_lock<Mutex>& lock, Timeout timeout, Report report = {}) {
        if (!lock.owns_lock()) {
            const std::string what = "condvar '" + std::string(name()) + "': its mutex is not locked by this lock";
            report.fail(ErrorKind::InvalidArgument, what);
            return false;
        }
        Mutex& mutex = *lock.mutex();
        bool died = false;
        const int answer = axonic_condvar_wait(get(), mutex.get(), timeout.nanoseconds(), &died);
        const bool late = answer == AXONIC_ERROR_TIMEOUT || answer == AXONIC_ERROR_WOULD_BLOCK;
        if (answer != AXONIC_OK && !late) {
            (void)lock.release();
            (void)use(report);
            report(answer);
            return false;
        }
        report(AXONIC_OK);
        mutex.note(died, report);
        return !late;
    }
    // Whether it is ready when the time passed, if not before.
    template <class Ready, class = std::enable_if_t<std::is_invocable_r_v<bool, Ready&>>>
    bool wait_for(std::unique_lock<Mutex>& lock, Timeout timeout, Ready ready) {
        const auto begin = std::chrono::steady_clock::now();
        const std::chrono::nanoseconds most(timeout.nanoseconds());
        const bool ends = most.count() >= 0;
        while (!ready()) {
            if (!wait_for(lock, ends ? Timeout(most - (std::chrono::steady_clock::now() - begin)) : forever)) {
                return ready();
            }
        }
        return true;
    }
    // Wakes the one that has waited longest.
    void notify_one(Report report = {}) { report(axonic_condvar_notify_one(use(report))); }
    void notify_all(Report report = {}) { report(axonic_condvar_notify_all(use(report))); }
};

} // namespace axonic

#endif
