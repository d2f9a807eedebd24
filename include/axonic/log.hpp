// What happens beside the answers of calls. Included by axonic.hpp.
#ifndef AXONIC_LOG_HPP
#define AXONIC_LOG_HPP

#include "error.hpp"

#include <cstdint>
#include <functional>
#include <memory>
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
inline void log(std::int32_t level, const char* text, void* context) noexcept {
    try {
        (*static_cast<const Logger*>(context))(static_cast<LogLevel>(level), text);
    } catch (...) {
    }
}
} // namespace detail

// Lets `logger` hear what happens beside the answers of calls: who came, who died, what was removed. nullptr:
// nobody, as in the beginning. One for the whole process, kept until it ends: another thread may be about to call
// the one before. See axonic_set_logger.
inline void set_logger(Logger logger, Report report = {}) {
    if (!logger) {
        report(axonic_set_logger(nullptr, nullptr));
        return;
    }
    auto kept = std::make_unique<Logger>(std::move(logger));
    if (report(axonic_set_logger(detail::log, kept.get()))) {
        kept.release();
    }
}

} // namespace axonic

#endif
