// What the files of the C++ peer share.
#ifndef PEER_HPP
#define PEER_HPP

#include <axonic.hpp>

#include <string>

constexpr auto patience = std::chrono::seconds(20);

// The first byte of a message; each further one is 31 more.
unsigned char first_byte(std::size_t message, std::size_t size);
void fill(axonic::span<std::byte> bytes, std::size_t message);

int put(const std::string& domain, const std::string& queue, std::uint64_t first, std::size_t count,
        std::size_t size);
int work(const std::string& domain, const std::string& queue);
int ask(const std::string& domain, const std::string& queue, std::size_t count);
int answer(const std::string& domain, const std::string& queue, std::size_t count);
int keep(const std::string& domain, const std::string& queue, std::size_t count);
int spend(const std::string& domain, const std::string& queue, std::size_t count);
int count(const std::string& domain, const std::string& path, std::size_t times);
int alternate(const std::string& domain, const std::string& path, std::uint64_t parity, std::size_t times);
int meet(const std::string& domain, bool is_first);

#endif
