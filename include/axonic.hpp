// Axonic for C++17 and later: the nouns of axonic.h as values that close themselves. Header only.
//
// Failures. Every call that can fail takes a Report last: leave it out and the call throws
// axonic::Error (or the subclass of its kind, such as axonic::TimeoutError); give a std::error_code
// and it is set instead, and the call returns something empty. OwnerDied is no failure: see error.hpp.
//
// Lifetime. Handles are movable and keep their domain open; a Loan keeps its publisher, a Ticket its
// queue's producer, a Sample its memory. Using a handle after close(), or after it was moved from, is ErrorKind::Closed.
//
// Threads. A Domain, a Region, locks, a Channel, a Listener, a Service and a Client may be used from several threads at
// once, and closed by the last of them; any other object by one at a time. A Ticket counts as part of its Queue; a Delivery
// or a Request may be settled by another thread than the one that took it.
#ifndef AXONIC_HPP
#define AXONIC_HPP

#include "axonic.h"
#include "axonic/channel.hpp"
#include "axonic/client.hpp"
#include "axonic/domain.hpp"
#include "axonic/error.hpp"
#include "axonic/lock.hpp"
#include "axonic/log.hpp"
#include "axonic/message.hpp"
#include "axonic/publisher.hpp"
#include "axonic/queue.hpp"
#include "axonic/region.hpp"
#include "axonic/ring.hpp"
#include "axonic/service.hpp"
#include "axonic/subscriber.hpp"
#include "axonic/value.hpp"
#include "axonic/wait.hpp"

#include <cstdint>

namespace axonic {

// The version of the library that was loaded, "0.1.0".
inline const char* version() noexcept { return axonic_version(); }
// Libraries with the same layout version share domains.
inline std::uint32_t layout_version() noexcept { return axonic_layout_version(); }

} // namespace axonic

#endif
