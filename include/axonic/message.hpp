// Messages that arrive: received ones and borrowed ones. Included by axonic.hpp.
#ifndef AXONIC_MESSAGE_HPP
#define AXONIC_MESSAGE_HPP

#include "../axonic.h"
#include "error.hpp"
#include "value.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

namespace axonic {

// The bytes of a message and how to understand them.
class ContentView {
public:
    span<const std::byte> data() const noexcept {
        return {static_cast<const std::byte*>(message_.data), message_.size};
    }
    std::string_view text() const noexcept { return {static_cast<const char*>(message_.data), message_.size}; }
    std::size_t size() const noexcept { return message_.size; }
    Content content() const noexcept { return static_cast<Content>(message_.content); }
    Dtype dtype() const noexcept { return static_cast<Dtype>(message_.dtype); }
    span<const std::size_t> shape() const noexcept { return {message_.shape, message_.ndim}; }
    span<const axonic_attribute> attributes() const noexcept {
        return {message_.attributes, message_.attribute_count};
    }
    std::optional<std::string_view> attribute(const char* name) const noexcept {
        const char* value = axonic_message_attribute(&message_, name);
        return value != nullptr ? std::optional<std::string_view>(value) : std::nullopt;
    }
    // The array it holds, in place. ErrorKind::Decode unless its elements are T.
    template <class T> Tensor<T> tensor(Report report = {}) const {
        static_assert(std::is_const_v<T>, "a message is read-only: tensor<const T>()");
        if (content() != Content::Tensor || dtype() != dtype_of_v<T>) {
            report.fail(ErrorKind::Decode, "the message holds no tensor of that element type");
            return {};
        }
        report(AXONIC_OK);
        return {static_cast<T*>(message_.data), shape()};
    }

protected:
    ContentView() noexcept = default;
    explicit ContentView(const axonic_message& message) noexcept : message_(message) {}
    ContentView(const ContentView&) noexcept = default;
    ContentView& operator=(const ContentView&) noexcept = default;
    ~ContentView() = default;

    axonic_message message_{};
};

// What both kinds of message of a topic tell.
class MessageView : public ContentView {
public:
    // False for what a failed call returned.
    explicit operator bool() const noexcept { return message_.topic != nullptr; }
    std::string_view topic() const noexcept { return {message_.topic, message_.topic_size}; }
    std::uint64_t missed() const noexcept { return message_.missed; }
    std::uint64_t sequence() const noexcept { return message_.sequence; }
    std::uint64_t publisher() const noexcept { return message_.publisher; }

protected:
    MessageView() noexcept = default;
    explicit MessageView(const axonic_message& message) noexcept : ContentView(message) {}
    MessageView(MessageView&& from) noexcept : ContentView(std::exchange(from.message_, axonic_message{})) {}
    MessageView& operator=(MessageView&& from) noexcept {
        message_ = std::exchange(from.message_, axonic_message{});
        return *this;
    }
    ~MessageView() = default;
};

// A message that was received: valid until the next call on its subscriber.
class Message final : public MessageView {
public:
    Message() noexcept = default;
    explicit Message(const axonic_message& message) noexcept : MessageView(message) {}
};

// A borrowed message: valid as long as this object, on any thread, also after its subscriber.
class Sample final : public MessageView {
public:
    Sample() noexcept = default;
    explicit Sample(const axonic_message& message) noexcept : MessageView(message) {}
    Sample(Sample&&) noexcept = default;
    Sample& operator=(Sample&& from) noexcept {
        release();
        MessageView::operator=(std::move(from));
        return *this;
    }
    ~Sample() { release(); }
    // Gives the memory back before the end of the scope.
    void release() noexcept {
        axonic_subscriber_release(&message_);
        message_ = {};
    }
};

// What a call carried, or an item of its streams: valid as long as this object, on any thread.
class Body : public ContentView {
public:
    Body() noexcept = default;
    explicit Body(const axonic_message& message) noexcept : ContentView(message) {}
    Body(Body&& from) noexcept : ContentView(std::exchange(from.message_, axonic_message{})) {}
    Body& operator=(Body&& from) noexcept {
        release();
        message_ = std::exchange(from.message_, axonic_message{});
        return *this;
    }
    ~Body() { release(); }
    // False for what a failed call returned.
    explicit operator bool() const noexcept { return message_.sample != nullptr; }
    // Gives the memory back before the end of the scope.
    void release() noexcept {
        axonic_message_release(&message_);
        message_ = {};
    }
};

// A message of a channel: as a Body, with the descriptors that were passed with it.
class ChannelMessage final : public Body {
public:
    using Body::Body;
    // Closed with the message: dup() what is to stay.
    span<const int> descriptors() const noexcept { return {message_.descriptors, message_.descriptor_count}; }
};

} // namespace axonic

#endif
