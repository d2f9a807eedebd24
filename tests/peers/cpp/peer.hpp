// What the files of the C++ peer share.
#ifndef PEER_HPP
#define PEER_HPP

#include <axonic.hpp>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

constexpr auto patience = std::chrono::seconds(20);

// The first byte of a message; each further one is 31 more.
unsigned char first_byte(std::size_t message, std::size_t size);
void fill(axonic::span<std::byte> bytes, std::size_t message);

// Message k of a queue, the same backwards, and the number of one, every byte of which must be as it should be.
std::vector<std::byte> message(std::uint64_t k, std::size_t size);
std::vector<std::byte> reversed(axonic::span<const std::byte> data);
std::uint64_t number_in(axonic::span<const std::byte> data);
void must(bool holds, const char* what);

int put(const std::string& domain, const std::string& queue, std::uint64_t first, std::size_t count,
        std::size_t size);
int work(const std::string& domain, const std::string& queue);
int ask(const std::string& domain, const std::string& queue, std::size_t count);
int answer(const std::string& domain, const std::string& queue, std::size_t count);
int keep(const std::string& domain, const std::string& queue, std::size_t count);
int hurry(const std::string& domain, const std::string& queue);
int spend(const std::string& domain, const std::string& queue, std::size_t count);
int bring(const std::string& domain, const std::string& queue);
int fetch(const std::string& domain, const std::string& queue);
int count(const std::string& domain, const std::string& path, std::size_t times);
int share(const std::string& domain, const std::string& path, std::size_t times);
int alternate(const std::string& domain, const std::string& path, std::uint64_t parity, std::size_t times);
int meet(const std::string& domain, bool is_first);
int serve(const std::string& domain, const std::string& name, const std::vector<std::string>& addresses);
int call(const std::string& domain, const std::string& service, const std::vector<std::string>& addresses);
int provide(const std::string& domain, const std::string& name);
int consult(const std::string& domain, const std::string& name, std::uint64_t first,
            std::chrono::milliseconds time, std::size_t calls);
int listen_at(const std::string& domain, const std::string& file, std::size_t talks,
              const std::vector<std::string>& addresses);
int connect_at(const std::string& domain, const std::string& file, std::size_t talks,
               const std::vector<std::string>& addresses);

#endif
