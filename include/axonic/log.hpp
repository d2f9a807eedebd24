// What happens beside the answers of calls. Included by axonic.hpp.
#ifndef AXONIC_LOG_HPP
#define AXONIC_LOG_HPP

#include "error.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string_view>
#include <utility>

namespace axonic {

enum class LogLevel : std::int32_t {
    Debug = AXONIC_LOG_DEBUG,
    Info = AXONIC_LOG_INFO,
    Warn = AXONIC_LOG_WARN,
};

// Told what happened; see axonic_logger. An exception it throws is dropped.
using Logger = std::function<void(LogLevel, std::string_view)>;

namespace detail {
struct LoggerSlot {
    std::mutex mutex;
    std::shared_ptr<const Logger> logger;
};

// Never destroyed: threads may log while the program ends.
inline LoggerSlot& logger_slot() {
    static auto* const slot = new LoggerSlot;
    return *slot;
}

inline void log(std::int32_t level, const char* text, void*) noexcept {
    try {
        std::shared_ptr<const Logger> logger;
        {
            const std::lock_guard<std::mutex> guard(logger_slot().mutex);
            logger = logger_slot().logger;
        }
        if (logger) {
            (*logger)(static_cast<LogLevel>(level), text);
        }
    } catch (...) {
    }
}
} // namespace detail

// Lets `logger` hear what happens beside the answers of calls: who came, who died, what was removed. nullptr:
// nobody, as in the beginning. One for the whole process; see axonic_set_logger.
inline void set_logger(Logger logger, Report report = {}) {
    const bool wanted = static_cast<bool>(logger);
    auto shared = wanted ? std::make_shared<const Logger>(std::move(logger)) : nullptr;
    {
        const std::lock_guard<std::mutex> guard(detail::logger_slot().mutex);
        detail::logger_slot().logger.swap(shared); // the one before goes when the lock is free
    }
    report(axonic_set_logger(wanted ? detail::log : nullptr, nullptr));
}

} // namespace axonic

#endif
