// Raw shared memory: a named region mapped twice, and a sealed one known by its descriptor.
#include <axonic.hpp>

#include <cstdlib>
#include <cstring>
#include <iostream>

int main() {
    auto ax = axonic::open(std::getenv("AXONIC_DOMAIN") != nullptr ? "" : "example-region");

    auto table = ax.region("table", {4096});
    std::cout << (table.created() ? "created " : "opened ") << table.name() << ": " << table.size() << " bytes\n";
    auto again = ax.region("table");
    std::memcpy(table.data().data(), "hello", 5);
    std::string text(5, ' ');
    again.read(0, {reinterpret_cast<std::byte*>(text.data()), text.size()});
    std::cout << "read from " << again.name() << ": " << text << '\n';
    ax.unlink(axonic::Noun::Region, "table");

    auto sealed = axonic::Region::seal("for ever");
    auto received = axonic::Region::from_fd(sealed.fd()); // would travel over a socket, or be inherited
    std::cout << "read from a sealed region: "
              << std::string_view(reinterpret_cast<const char*>(received.data().data()), received.size()) << '\n';
}
