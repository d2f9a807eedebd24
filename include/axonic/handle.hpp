// What every noun is made of: owned handles and calls of the C functions. Included by axonic.hpp.
#ifndef AXONIC_HANDLE_HPP
#define AXONIC_HANDLE_HPP

#include "../axonic.h"
#include "error.hpp"
#include "value.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace axonic {

enum class Wait : std::int32_t {
    Adaptive = AXONIC_WAIT_ADAPTIVE,
    Spin = AXONIC_WAIT_SPIN,
    Block = AXONIC_WAIT_BLOCK,
};

namespace detail {
template <class T, int (*Close)(T*)> struct Closer {
    void operator()(T* handle) const noexcept { Close(handle); }
};
template <class T, int (*Close)(T*)> using Owned = std::unique_ptr<T, Closer<T, Close>>;

// The name of something that was opened, kept for when it is closed: nullptr of what is empty or was moved from.
using SharedName = std::shared_ptr<const std::string>;
inline SharedName share(std::string name) { return std::make_shared<const std::string>(std::move(name)); }

// Reports that something is closed, or empty.
inline void closed(const Report& report, const std::string& noun, const SharedName& name) {
    if (name == nullptr) {
        report.fail(ErrorKind::Closed, "the " + noun + " is empty: made so, or moved from");
    } else {
        const std::string what = name->empty() ? "the " + noun : noun + " '" + *name + "'";
        report.fail(ErrorKind::Closed, what + " is closed; open it again");
    }
}

// A handle that knows its name when it is closed.
template <class T, int (*Close)(T*)> class Handle {
public:
    Handle() noexcept = default;
    explicit Handle(T* handle, SharedName name = nullptr) noexcept : owned_(handle), name_(std::move(name)) {}
    T* get() const noexcept { return owned_.get(); }
    // The same for a call; reports if it is none any more.
    T* use(const char* noun, const Report& report) const {
        if (owned_ == nullptr) {
            closed(report, noun, name_);
        }
        return owned_.get();
    }
    void close() noexcept { owned_.reset(); }

private:
    Owned<T, Close> owned_;
    SharedName name_;
};

// A domain's handle, shared by everything opened from it.
using OwnedDomain = Handle<axonic_domain, axonic_domain_close>;
using SharedDomain = std::shared_ptr<OwnedDomain>;

// A handle with the domain it needs: closed before its domain may be.
template <class T, int (*Close)(T*)> class Member {
public:
    Member() noexcept = default;
    Member(SharedDomain domain, T* handle, SharedName name = nullptr) noexcept
        : domain_(std::move(domain)), handle_(handle, std::move(name)) {}
    Member(Member&&) noexcept = default;
    Member& operator=(Member&& from) noexcept {
        handle_ = std::move(from.handle_);
        domain_ = std::move(from.domain_);
        return *this;
    }
    T* get() const noexcept { return handle_.get(); }
    T* use(const char* noun, const Report& report) const { return handle_.use(noun, report); }
    // For what is opened from it.
    const SharedDomain& domain() const noexcept { return domain_; }
    void close() noexcept {
        handle_.close();
        domain_.reset();
    }

private:
    SharedDomain domain_;
    Handle<T, Close> handle_;
};

// Calls a C function whose last parameter is a place for a result of type R; R{} when it fails.
template <class R, class F> R result(const Report& report, F call) {
    R out{};
    return report(call(&out)) ? out : R{};
}

// As `result` for descriptors, where nothing is -1.
template <class F> int descriptor(const Report& report, F call) {
    int out = -1;
    report(call(&out));
    return out;
}

// Reports the answer of a call for which it is no failure that its time passed; true when it was AXONIC_OK.
inline bool in_time(int answer, const Report& report) {
    const bool late = answer == AXONIC_ERROR_TIMEOUT || answer == AXONIC_ERROR_WOULD_BLOCK;
    return report(late ? AXONIC_OK : answer) && !late;
}

// All the numbers that a C function hands out a part at a time.
template <class F> std::vector<std::uint64_t> numbers(const Report& report, F call) {
    std::vector<std::uint64_t> all;
    std::uint64_t some[64];
    std::size_t count = 0;
    while (report(call(some, std::size_t{64}, &count)) && count > 0) {
        all.insert(all.end(), some, some + count);
    }
    return all;
}

// For range-for over what `next` of a thing gives: an optional that is empty at the end.
template <class Next> class Items {
public:
    using Item = typename decltype(std::declval<Next&>()())::value_type;
    class End {};
    class Iterator {
    public:
        explicit Iterator(const Next& next) : next_(next), item_(next_()) {}
        Item& operator*() noexcept { return *item_; }
        Item* operator->() noexcept { return &*item_; }
        Iterator& operator++() {
            item_.reset(); // before the next one is waited for
            item_ = next_();
            return *this;
        }
        bool operator!=(End) const noexcept { return item_.has_value(); }

    private:
        Next next_;
        std::optional<Item> item_;
    };
    explicit Items(Next next) : next_(std::move(next)) {}
    Iterator begin() const { return Iterator(next_); }
    End end() const noexcept { return {}; }

private:
    Next next_;
};

// Reports the answer of a call for the next item of a stream, of which the end is no failure.
template <class Item, class F> std::optional<Item> next_item(const Report& report, F call) {
    axonic_message out{};
    const int answer = call(&out);
    const bool ended = answer == AXONIC_ERROR_DISCONNECTED;
    return report(ended ? AXONIC_OK : answer) && !ended ? std::optional<Item>(Item(out)) : std::nullopt;
}

// A string of C, which is NULL when there is none.
inline std::string_view text(const char* text) noexcept { return text != nullptr ? text : std::string_view(); }

// C would take a name with a NUL inside for the part before it.
inline bool nul_free(const std::string& name, const Report& report) {
    if (name.find('\0') != std::string::npos) {
        report.fail(ErrorKind::InvalidName, "the name holds a NUL character");
        return false;
    }
    return true;
}

// A payload as C wants it, with the arrays it points at.
class PayloadInC {
public:
    PayloadInC(bytes_view data, Content content, Dtype dtype, span<const std::size_t> shape,
               const Attributes& attributes) {
        for (const auto& [name, value] : attributes) {
            attributes_.push_back({name.c_str(), value.c_str()});
        }
        payload_.data = data.data();
        payload_.data_size = data.size();
        payload_.content = static_cast<std::int32_t>(content);
        payload_.dtype = static_cast<std::int32_t>(dtype);
        payload_.shape = shape.data();
        payload_.ndim = shape.size();
        payload_.attributes = attributes_.data();
        payload_.attribute_count = attributes_.size();
    }
    explicit PayloadInC(const Payload& p) : PayloadInC(p.data, p.content, p.dtype, p.shape, p.attributes) {}
    const axonic_payload& get() const noexcept { return payload_; }

private:
    axonic_payload payload_ = AXONIC_PAYLOAD_INIT;
    std::vector<axonic_attribute> attributes_;
};

// Bytes without more to them.
inline Payload raw(bytes_view data) { return {data, Content::Raw, Dtype::None, {}, {}}; }

// Many of them, as an array.
class PayloadsInC {
public:
    explicit PayloadsInC(const std::vector<Payload>& payloads) {
        kept_.reserve(payloads.size());
        for (const Payload& payload : payloads) {
            array_.push_back(kept_.emplace_back(payload).get());
        }
    }
    const axonic_payload* data() const noexcept { return array_.data(); }
    std::size_t size() const noexcept { return array_.size(); }

private:
    std::vector<PayloadInC> kept_;
    std::vector<axonic_payload> array_;
};
} // namespace detail

} // namespace axonic

#endif
