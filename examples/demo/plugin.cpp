// The plugin: turns every passage and every question into a vector of floats.
//
// It hears agent.passages and agent.questions and says vectors.passages and vectors.questions: tensors
// {texts, dimensions} that it writes straight into shared memory, where the tool reads them in place.
#include "features.hpp"

#include <axonic.hpp>

#include <algorithm>
#include <chrono>
#include <exception>
#include <iostream>
#include <map>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

namespace {

constexpr std::size_t largest_batch = 64; // texts that become one tensor

std::int64_t now() { // the clock that all processes of a machine share
    return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// What we measured on the way of one topic to us.
struct Hop {
    std::vector<double> latencies; // nanoseconds, one per message
    std::uint64_t bytes = 0, missed = 0;

    void note(const axonic::Sample& message) {
        latencies.push_back(static_cast<double>(now() - std::stoll(std::string(*message.attribute("sent")))));
        bytes += message.size();
        missed += message.missed();
    }
};

class Plugin {
public:
    void run() {
        while (auto message = next()) {
            if (message.topic() != "agent.control") {
                vectorise(std::move(message));
            } else if (message.text() == "report") {
                report();
            } else {
                return; // "stop"
            }
        }
    }

private:
    // The next message, in place; an empty one when there is nobody left to listen to.
    axonic::Sample next() {
        while (!ahead_) {
            try {
                ahead_ = agent_.borrow(1s);
            } catch (const axonic::TimeoutError&) {
                if (agent_.publishers() == 0) {
                    break;
                }
            }
        }
        return std::exchange(ahead_, axonic::Sample());
    }

    // Makes one tensor of this text and of those of the same topic that are waiting behind it.
    void vectorise(axonic::Sample first) {
        const std::string topic(first.topic());
        std::vector<axonic::Sample> batch; // borrowed, not copied
        batch.push_back(std::move(first));
        while (batch.size() < largest_batch) {
            auto more = agent_.try_borrow();
            if (!more) {
                break;
            }
            if (more->topic() != topic) {
                ahead_ = std::move(*more);
                break;
            }
            batch.push_back(std::move(*more));
        }
        for (const auto& text : batch) {
            hops_[topic].note(text);
        }

        auto& vectors = topic == "agent.questions" ? questions_ : passages_;
        auto loan = vectors.loan<float>({batch.size(), features::dimensions}); // shared memory
        for (std::size_t i = 0; i < batch.size(); i++) {
            const auto row = loan.data().subspan(i * features::dimensions).first(features::dimensions);
            features::write(title(batch[i]), batch[i].text(), row); // in place
        }
        // Row i belongs to the text whose number in its topic is `first` + i.
        loan.commit({{"first", std::to_string(batch.front().sequence())}, {"sent", std::to_string(now())}});
    }

    // What a text says of itself: the name of its file and its title.
    static std::string title(const axonic::Sample& text) {
        const auto attribute = [&](const char* name) { return std::string(text.attribute(name).value_or("")); };
        return attribute("subject") + ' ' + attribute("title");
    }

    // Publishes the latencies since the last report, one tensor per topic.
    void report() {
        for (auto& [topic, hop] : hops_) {
            auto loan = report_.loan<double>({hop.latencies.size()});
            std::copy(hop.latencies.begin(), hop.latencies.end(), loan.data().begin());
            const auto bytes = std::to_string(hop.bytes), missed = std::to_string(hop.missed);
            loan.commit({{"hop", topic}, {"bytes", bytes}, {"missed", missed}});
        }
        hops_.clear();
    }

    axonic::Domain ax_ = axonic::open("", {"", "plugin"}); // "": the domain that AXONIC_DOMAIN names
    axonic::Subscriber agent_ = ax_.subscriber("agent.*");
    // Of shared memory 8 MiB are enough: when the tool is that far behind, we wait for it.
    axonic::Publisher passages_ = ax_.publisher("vectors.passages", {axonic::Overflow::Block, 0, 8 << 20});
    axonic::Publisher questions_ = ax_.publisher("vectors.questions", {axonic::Overflow::Block});
    axonic::Publisher report_ = ax_.publisher("report.plugin", {axonic::Overflow::Block});
    axonic::Sample ahead_; // received, but not part of the batch before it
    std::map<std::string, Hop> hops_;
};

} // namespace

int main() {
    try {
        Plugin().run();
    } catch (const std::exception& error) {
        std::cerr << "plugin: " << error.what() << '\n';
        return 1;
    }
}
