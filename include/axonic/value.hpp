// What goes in and comes out: spans, bytes, timeouts, tensors, payloads. Included by axonic.hpp.
#ifndef AXONIC_VALUE_HPP
#define AXONIC_VALUE_HPP

#include "../axonic.h"

#include <array>
#include <chrono>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#if __cplusplus >= 202002L
#include <ranges>
#endif

namespace axonic {

// A pointer and a number of elements; in C++20 it converts to and from std::span.
template <class T> class span {
public:
    using element_type = T;
    using value_type = std::remove_cv_t<T>;
    using iterator = T*;

    constexpr span() noexcept = default;
    constexpr span(T* data, std::size_t size) noexcept : data_(data), size_(size) {}
    // From anything contiguous with the same elements: a vector, an array, a span of non-const.
    template <class C, class E = std::remove_pointer_t<decltype(std::declval<C&>().data())>,
              class = std::enable_if_t<std::is_convertible_v<E (*)[], T (*)[]>>,
              class = decltype(std::declval<C&>().size())>
    constexpr span(C&& from) noexcept : data_(from.data()), size_(from.size()) {}

    constexpr T* data() const noexcept { return data_; }
    constexpr std::size_t size() const noexcept { return size_; }
    constexpr std::size_t size_bytes() const noexcept { return size_ * sizeof(T); }
    constexpr bool empty() const noexcept { return size_ == 0; }
    constexpr T& operator[](std::size_t index) const { return data_[index]; }
    constexpr T* begin() const noexcept { return data_; }
    constexpr T* end() const noexcept { return data_ + size_; }
    constexpr span first(std::size_t count) const { return {data_, count}; }
    constexpr span subspan(std::size_t offset) const { return {data_ + offset, size_ - offset}; }

private:
    T* data_ = nullptr;
    std::size_t size_ = 0;
};

// Bytes to send: any contiguous container of trivially copyable elements, or text without its NUL.
class bytes_view {
public:
    constexpr bytes_view() noexcept = default;
    constexpr bytes_view(const void* data, std::size_t size) noexcept : data_(data), size_(size) {}
    bytes_view(const char* text) noexcept : data_(text), size_(std::strlen(text)) {}
    template <class C, class E = std::remove_pointer_t<decltype(std::declval<const C&>().data())>,
              class = std::enable_if_t<std::is_trivially_copyable_v<E> && !std::is_void_v<E>>,
              class = decltype(std::declval<const C&>().size())>
    constexpr bytes_view(const C& from) noexcept : data_(from.data()), size_(from.size() * sizeof(E)) {}

    constexpr const void* data() const noexcept { return data_; }
    constexpr std::size_t size() const noexcept { return size_; }

private:
    const void* data_ = nullptr;
    std::size_t size_ = 0;
};

// How long to wait: any std::chrono duration (negative counts as none), or axonic::forever.
class Timeout {
public:
    template <class Rep, class Period> constexpr Timeout(std::chrono::duration<Rep, Period> duration) noexcept {
        const std::chrono::duration<long double, std::nano> exact = duration;
        if (exact.count() <= 0) {
            nanoseconds_ = 0;
        } else if (exact.count() < 9.2e18L) {
            nanoseconds_ = std::chrono::duration_cast<std::chrono::nanoseconds>(duration).count();
            nanoseconds_ = nanoseconds_ > 0 ? nanoseconds_ : 1; // less than a nanosecond is still not 0
        }
    }
    static constexpr Timeout never() noexcept { return Timeout(); }
    constexpr std::int64_t nanoseconds() const noexcept { return nanoseconds_; }

private:
    constexpr Timeout() noexcept = default;
    std::int64_t nanoseconds_ = AXONIC_FOREVER;
};
inline constexpr Timeout forever = Timeout::never();

enum class Content : std::int32_t {
    Raw = AXONIC_CONTENT_RAW,
    Json = AXONIC_CONTENT_JSON,
    MessagePack = AXONIC_CONTENT_MESSAGEPACK,
    Tensor = AXONIC_CONTENT_TENSOR,
};

enum class Dtype : std::int32_t {
    None = AXONIC_DTYPE_NONE,
    Bool = AXONIC_DTYPE_BOOL,
    I8 = AXONIC_DTYPE_I8,
    U8 = AXONIC_DTYPE_U8,
    I16 = AXONIC_DTYPE_I16,
    U16 = AXONIC_DTYPE_U16,
    I32 = AXONIC_DTYPE_I32,
    U32 = AXONIC_DTYPE_U32,
    I64 = AXONIC_DTYPE_I64,
    U64 = AXONIC_DTYPE_U64,
    F16 = AXONIC_DTYPE_F16,
    BF16 = AXONIC_DTYPE_BF16,
    F32 = AXONIC_DTYPE_F32,
    F64 = AXONIC_DTYPE_F64,
    C64 = AXONIC_DTYPE_C64,
    C128 = AXONIC_DTYPE_C128,
};

// As numpy spells it, "float32"; "" for Dtype::None.
inline const char* dtype_name(Dtype dtype) noexcept {
    const char* name = axonic_dtype_name(static_cast<std::int32_t>(dtype));
    return name != nullptr ? name : "";
}
// Bytes of one element; 0 for Dtype::None.
inline std::size_t dtype_size(Dtype dtype) noexcept { return axonic_dtype_size(static_cast<std::int32_t>(dtype)); }

// The element type of T in a tensor. Specialise it for a half-precision type of your own.
template <class T, class = void> struct dtype_of;
template <Dtype D> using dtype_constant = std::integral_constant<Dtype, D>;
template <> struct dtype_of<bool> : dtype_constant<Dtype::Bool> {};
template <> struct dtype_of<float> : dtype_constant<Dtype::F32> {};
template <> struct dtype_of<double> : dtype_constant<Dtype::F64> {};
template <> struct dtype_of<std::complex<float>> : dtype_constant<Dtype::C64> {};
template <> struct dtype_of<std::complex<double>> : dtype_constant<Dtype::C128> {};
template <class T> struct dtype_of<T, std::enable_if_t<std::is_integral_v<T> && !std::is_same_v<T, bool>>> {
    // I8 U8 I16 U16 I32 U32 I64 U64 are numbered in this order.
    static constexpr int log2 = sizeof(T) == 1 ? 0 : sizeof(T) == 2 ? 1 : sizeof(T) == 4 ? 2 : 3;
    static constexpr auto value = static_cast<Dtype>(AXONIC_DTYPE_I8 + 2 * log2 + (std::is_unsigned_v<T> ? 1 : 0));
};
template <class T> inline constexpr Dtype dtype_of_v = dtype_of<std::remove_cv_t<T>>::value;

using Shape = std::vector<std::size_t>;
using Attributes = std::vector<std::pair<std::string, std::string>>;

// A row-major array over somebody else's memory: it lives as long as the message or loan it came from.
template <class T> class Tensor {
public:
    Tensor() noexcept = default;
    Tensor(T* data, span<const std::size_t> shape) : ndim_(shape.size()) {
        std::size_t size = 1;
        for (std::size_t axis = 0; axis < ndim_; ++axis) {
            shape_[axis] = shape[axis];
            size *= shape[axis];
        }
        data_ = {data, size};
    }
    span<T> data() const noexcept { return data_; }
    span<const std::size_t> shape() const noexcept { return {shape_.data(), ndim_}; }
    std::size_t size() const noexcept { return data_.size(); }
    T* begin() const noexcept { return data_.begin(); }
    T* end() const noexcept { return data_.end(); }
    // One index per dimension; not checked.
    template <class... Index> T& operator()(Index... index) const {
        std::size_t axis = 0, at = 0;
        ((at = at * shape_[axis++] + static_cast<std::size_t>(index)), ...);
        return data_[at];
    }

private:
    span<T> data_;
    std::array<std::size_t, AXONIC_MAX_DIMENSIONS> shape_{};
    std::size_t ndim_ = 0;
};

// A message to send with more than raw bytes to it. The data is not copied before the call that sends it.
struct Payload {
    bytes_view data{};
    Content content = Content::Raw;
    Dtype dtype = Dtype::None;
    Shape shape{};
    Attributes attributes{};

    static Payload json(bytes_view text) { return {text, Content::Json, Dtype::None, {}, {}}; }
    static Payload messagepack(bytes_view data) { return {data, Content::MessagePack, Dtype::None, {}, {}}; }
    template <class C> static Payload tensor(const C& elements, Shape shape) {
        using T = std::remove_pointer_t<decltype(elements.data())>;
        return {elements, Content::Tensor, dtype_of_v<T>, std::move(shape), {}};
    }
    Payload with(Attributes more) && {
        attributes = std::move(more);
        return std::move(*this);
    }
};

} // namespace axonic

#if __cplusplus >= 202002L
// A span outlives nothing it points at, so standard ranges may take one by value; with this std::span
// is made from it implicitly.
template <class T> inline constexpr bool std::ranges::enable_borrowed_range<axonic::span<T>> = true;
template <class T> inline constexpr bool std::ranges::enable_view<axonic::span<T>> = true;
#endif

#endif
