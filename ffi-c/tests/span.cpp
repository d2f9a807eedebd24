// Spans, byte views, timeouts and element types: what the compiler and a few values can tell.
#include "check.hpp"

#include <array>
#include <string_view>

#if __cplusplus >= 202002L
#include <algorithm>
#include <span>
static_assert(std::is_convertible_v<axonic::span<float>, std::span<float>>);
static_assert(std::is_convertible_v<axonic::span<float>, std::span<const float>>);
static_assert(std::is_convertible_v<const axonic::span<const std::byte>&, std::span<const std::byte>>);
static_assert(!std::is_convertible_v<axonic::span<const float>, std::span<float>>);
static_assert(std::is_convertible_v<std::span<float>, axonic::span<const float>>);
static_assert(std::ranges::contiguous_range<axonic::span<int>> && std::ranges::view<axonic::span<int>>);
#endif

using axonic::Dtype;
using axonic::span;
using axonic::Timeout;
using namespace std::chrono_literals;

static_assert(std::is_convertible_v<std::vector<int>&, span<int>>);
static_assert(std::is_convertible_v<const std::vector<int>&, span<const int>>);
static_assert(!std::is_convertible_v<const std::vector<int>&, span<int>>);
static_assert(!std::is_convertible_v<std::vector<int>&, span<float>>);
static_assert(std::is_convertible_v<span<int>, span<const int>>);
static_assert(std::is_trivially_copyable_v<span<int>>);

static_assert(std::is_convertible_v<std::string_view, axonic::bytes_view>);
static_assert(std::is_convertible_v<std::array<double, 3>, axonic::bytes_view>);
static_assert(!std::is_convertible_v<std::vector<std::string>, axonic::bytes_view>, "not trivially copyable");
static_assert(!std::is_convertible_v<int, axonic::bytes_view>);

static_assert(Timeout(5s).nanoseconds() == 5000000000);
static_assert(Timeout(1.5s).nanoseconds() == 1500000000);
static_assert(Timeout(0s).nanoseconds() == 0 && Timeout(-1h).nanoseconds() == 0);
static_assert(Timeout(std::chrono::duration<double, std::nano>(0.25)).nanoseconds() == 1);
static_assert(Timeout(std::chrono::hours::max()).nanoseconds() == AXONIC_FOREVER);
static_assert(axonic::forever.nanoseconds() == AXONIC_FOREVER);

static_assert(axonic::dtype_of_v<const float> == Dtype::F32 && axonic::dtype_of_v<bool> == Dtype::Bool);
static_assert(axonic::dtype_of_v<long> == Dtype::I64 && axonic::dtype_of_v<unsigned short> == Dtype::U16);

struct half {
    std::uint16_t bits;
};
template <> struct axonic::dtype_of<half> : axonic::dtype_constant<Dtype::F16> {};
static_assert(axonic::dtype_of_v<const half> == Dtype::F16);

int main() {
    return check_main([] {
        std::vector<int> numbers = {1, 2, 3, 4, 5, 6};
        const span<int> all = numbers;
        CHECK(all.size() == 6 && all.size_bytes() == 24 && !all.empty() && all[5] == 6);
        CHECK(all.first(2).size() == 2 && all.subspan(2)[0] == 3);
        int sum = 0;
        for (const int number : all) {
            sum += number;
        }
        CHECK(sum == 21 && span<int>().empty());

        const char text[] = "text";
        CHECK(axonic::bytes_view(text).size() == 4 && axonic::bytes_view(numbers).size() == 24);

        const std::size_t shape[] = {2, 3};
        const axonic::Tensor<int> table(numbers.data(), {shape, 2});
        CHECK(table.size() == 6 && table(0, 0) == 1 && table(1, 0) == 4 && table(1, 2) == 6);
        CHECK(table.shape()[1] == 3 && table.end() - table.begin() == 6);
        CHECK(axonic::Tensor<int>(numbers.data(), {}).size() == 1 && axonic::Tensor<int>().size() == 0);
#if __cplusplus >= 202002L
        const std::span<const int> standard = table.data();
        CHECK(standard.size() == 6 && std::ranges::max(all) == 6);
#endif
    });
}
