// The plugin: turns texts into vectors of floats.
//
// It hears agent.passages and says vectors.passages: tensors {texts, dimensions} that it writes straight into shared
// memory, where the tool reads them in place. And it provides the service `embed`, whose method `vector` makes one of a
// single text.
#include "features.hpp"

#include <axonic.hpp>

#include <algorithm>
#include <chrono>
#include <exception>
#include <iostream>
#include <string>
#include <thread>
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

// The service `embed`: a thread answers its calls as long as this lives.
class Embed {
public:
    explicit Embed(axonic::Domain& ax)
        : service_(ax.service("embed", "1.0.0")), spans_(ax.publisher("trace.spans", {axonic::Overflow::Block})),
          thread_([this] { service_.serve({{"vector", [this](auto& request) { vector(request); }}}); }) {}
    Embed(const Embed&) = delete;
    Embed& operator=(const Embed&) = delete;
    ~Embed() {
        service_.shutdown();
        thread_.join();
    }

private:
    void vector(axonic::Request& request) {
        trace(request);
        std::vector<float> row(features::dimensions);
        features::write("", request.text(), {row.data(), row.size()});
        request.reply(axonic::Payload::tensor(row, {row.size()}));
    }

    // Of a call that belongs to a trace we tell that it was here, and how long its caller still waits.
    void trace(const axonic::Request& request) {
        if (const auto traceparent = request.attribute("traceparent")) {
            const auto left = std::to_string(request.remaining().value_or(0ns).count() / 1e6);
            const axonic::Attributes told{{"by", "plugin"}, {"traceparent", std::string(*traceparent)}, {"left", left}};
            spans_.send(axonic::Payload().with(told));
        }
    }

    axonic::Service service_;
    axonic::Publisher spans_;
    std::thread thread_;
};

class Plugin {
public:
    void run() {
        while (auto message = next()) {
            if (message.topic() == "agent.passages") {
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

    // Makes one tensor of this passage and of those that are waiting behind it.
    void vectorise(axonic::Sample first) {
        std::vector<axonic::Sample> batch; // borrowed, not copied
        batch.push_back(std::move(first));
        while (batch.size() < largest_batch) {
            auto more = agent_.try_borrow();
            if (!more) {
                break;
            }
            if (more->topic() != "agent.passages") {
                ahead_ = std::move(*more);
                break;
            }
            batch.push_back(std::move(*more));
        }
        for (const auto& passage : batch) {
            hop_.note(passage);
        }

        auto loan = passages_.loan<float>({batch.size(), features::dimensions}); // shared memory
        for (std::size_t i = 0; i < batch.size(); i++) {
            const auto row = loan.data().subspan(i * features::dimensions).first(features::dimensions);
            features::write(title(batch[i]), batch[i].text(), row); // in place
        }
        // Row i belongs to the passage whose number in its topic is `first` + i.
        loan.commit({{"first", std::to_string(batch.front().sequence())}, {"sent", std::to_string(now())}});
    }

    // What a passage says of itself: the name of its file and its title.
    static std::string title(const axonic::Sample& passage) {
        const auto attribute = [&](const char* name) { return std::string(passage.attribute(name).value_or("")); };
        return attribute("subject") + ' ' + attribute("title");
    }

    // Publishes the latencies since the last report as a tensor.
    void report() {
        auto loan = report_.loan<double>({hop_.latencies.size()});
        std::copy(hop_.latencies.begin(), hop_.latencies.end(), loan.data().begin());
        const auto bytes = std::to_string(hop_.bytes), missed = std::to_string(hop_.missed);
        loan.commit({{"hop", "agent.passages"}, {"bytes", bytes}, {"missed", missed}});
        hop_ = Hop();
    }

    axonic::Domain ax_ = axonic::open("", {"", "plugin"}); // "": the domain that AXONIC_DOMAIN names
    Embed embed_{ax_};                                     // whoever finds our subscriber finds the service, too
    axonic::Subscriber agent_ = ax_.subscriber("agent.*");
    // Of shared memory 8 MiB are enough: when the tool is that far behind, we wait for it.
    axonic::Publisher passages_ = ax_.publisher("vectors.passages", {axonic::Overflow::Block, 0, 8 << 20});
    axonic::Publisher report_ = ax_.publisher("report.plugin", {axonic::Overflow::Block});
    axonic::Sample ahead_; // received, but not part of the batch before it
    Hop hop_;
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
