// Raw shared memory. Included by axonic.hpp.
#ifndef AXONIC_REGION_HPP
#define AXONIC_REGION_HPP

#include "handle.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace axonic {

enum class Create : std::int32_t {
    OpenOrCreate = AXONIC_CREATE_OPEN_OR_CREATE,
    CreateNew = AXONIC_CREATE_NEW,
    Open = AXONIC_CREATE_OPEN,
};
// Options mean what they mean in axonic.h; 0 is the default.
struct RegionOptions {
    std::size_t size = 0;
    Create create = Create::OpenOrCreate;
};

// Raw shared memory, named or sealed.
class Region {
public:
    Region() noexcept = default;
    explicit Region(axonic_region* handle)
        : handle_(handle, handle != nullptr ? detail::share(axonic_region_name(handle)) : nullptr) {}
    // A nameless copy of `data` that nobody can change, to be passed on by its fd().
    static Region seal(bytes_view data, Report report = {}) {
        return Region(detail::result<axonic_region*>(
            report, [&](auto* out) { return axonic_region_seal(data.data(), data.size(), out); }));
    }
    // A sealed region another process sent; the descriptor stays the caller's.
    static Region from_fd(int fd, Report report = {}) {
        return Region(
            detail::result<axonic_region*>(report, [&](auto* out) { return axonic_region_from_fd(fd, out); }));
    }
    explicit operator bool() const noexcept { return get() != nullptr; }
    axonic_region* get() const noexcept { return handle_.get(); }
    void close() noexcept { handle_.close(); }
    std::string_view name() const noexcept { return detail::text(axonic_region_name(get())); }
    std::size_t size() const noexcept { return axonic_region_size(get()); }
    // Only to be read unless writable().
    span<std::byte> data() const noexcept { return {static_cast<std::byte*>(axonic_region_data(get())), size()}; }
    bool writable() const noexcept { return axonic_region_is_writable(get()); }
    bool created() const noexcept { return axonic_region_is_created(get()); }
    void read(std::size_t offset, span<std::byte> into, Report report = {}) const {
        report(axonic_region_read(use(report), offset, into.size(), into.data()));
    }
    void write(std::size_t offset, bytes_view data, Report report = {}) const {
        report(axonic_region_write(use(report), offset, data.data(), data.size()));
    }
    int fd(Report report = {}) const {
        return detail::descriptor(report, [&](int* out) { return axonic_region_fd(use(report), out); });
    }

private:
    axonic_region* use(const Report& report) const { return handle_.use("region", report); }

    detail::Handle<axonic_region, axonic_region_close> handle_;
};

} // namespace axonic

#endif
