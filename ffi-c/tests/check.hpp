// check.h for C++, with the exceptions a call must throw.
#ifndef CHECK_HPP
#define CHECK_HPP

#include "check.h"

#include <axonic.hpp>

#include <exception>

// The expression must throw exactly this class, with this text in its message.
#define THROWS(type, text, expression)                                                                       \
    do {                                                                                                     \
        bool thrown = false;                                                                                 \
        try {                                                                                                \
            (void)(expression);                                                                              \
        } catch (const axonic::type& error) {                                                                \
            thrown = true;                                                                                   \
            CHECK(std::strstr(error.what(), text) != nullptr);                                               \
        }                                                                                                    \
        CHECK(thrown);                                                                                       \
    } while (0)

// The expression, which takes `ec`, must set it to this kind.
#define SETS(wanted, expression)                                                                             \
    do {                                                                                                     \
        std::error_code ec;                                                                                  \
        (void)(expression);                                                                                  \
        CHECK(ec == axonic::ErrorKind::wanted);                                                              \
    } while (0)

// Runs a test; an exception that leaves it is a failure with its message.
template <class F> int check_main(F body) {
    check_start();
    try {
        body();
        return 0;
    } catch (const std::exception& error) {
        SHOW("an exception left the test: %s", error.what());
        return 1;
    }
}

#endif
