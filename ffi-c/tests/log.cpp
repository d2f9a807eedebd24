// The logger of C++: a function object, an exception that goes nowhere.
#include "check.hpp"

#include <stdexcept>
#include <string>
#include <vector>

int main() {
    return check_main([] {
        std::vector<std::pair<axonic::LogLevel, std::string>> heard;
        axonic::set_logger([&heard](axonic::LogLevel level, std::string_view text) {
            heard.emplace_back(level, text);
            throw std::runtime_error("lost");
        });
        {
            auto ax = axonic::open("talk");
            axonic::RegionOptions options;
            options.size = 8;
            ax.region("r", options);
            ax.unlink(axonic::Noun::Region, "r");
        }
        const std::vector<std::string> expected = {"domain 'talk': joined", "region 'r': made it",
                                                   "region 'r': unlinked", "domain 'talk': participant"};
        CHECK(heard.size() == expected.size());
        for (std::size_t i = 0; i < expected.size(); i++) {
            CHECK(heard[i].second.find(expected[i]) == 0);
            CHECK(heard[i].first == (i == 2 ? axonic::LogLevel::Info : axonic::LogLevel::Debug));
        }
        axonic::set_logger(nullptr);
        axonic::open("quiet").close();
        CHECK(heard.size() == expected.size());
        std::error_code code;
        axonic::set_logger([](axonic::LogLevel, std::string_view) {}, code);
        CHECK(!code);
    });
}
