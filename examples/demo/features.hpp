// Text to features: the part of the plugin that knows nothing of messages.
//
// Each word of a text adds to two of the row's numbers, chosen by its hash (so there is no vocabulary
// to agree on), with a sign from the same hash (so that words that meet by chance cancel out rather
// than add up). Counts are dampened by a logarithm and the row is scaled to length 1: the product of
// two rows is then their likeness. How rare a word is (idf) is left to the index, which sees all texts.
#pragma once

#include <axonic.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>

namespace features {

constexpr std::size_t dimensions = 2048; // measured: 1024 finds less, 4096 costs twice and finds no more
constexpr float in_text = 1, in_title = 5; // how often a word counts

// Words that say nothing about what a text is about. In order, for the binary search.
constexpr std::string_view common[] = {
    "an", "and", "are", "as", "at", "be", "by", "can", "def", "do", "does", "else", "false", "for", "from",
    "has", "how", "if", "import", "in", "into", "is", "it", "its", "my", "none", "not", "of", "on", "or",
    "return", "self", "that", "the", "this", "to", "true", "was", "what", "when", "where", "which", "who",
    "why", "with", "you", "your"};

inline bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
inline bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
inline bool is_digit(char c) { return c >= '0' && c <= '9'; }
// Bytes above 127 are parts of letters in UTF-8.
inline bool is_word(char c) {
    return is_lower(c) || is_upper(c) || is_digit(c) || static_cast<unsigned char>(c) > 127;
}

// Whether a new word begins at text[i], in the middle of letters: fooBar, HTTPServer.
inline bool humps(std::string_view text, std::size_t i) {
    const char before = text[i - 1];
    const bool small_follows = i + 1 < text.size() && is_lower(text[i + 1]);
    return is_upper(text[i]) && (is_lower(before) || is_digit(before) || (is_upper(before) && small_follows));
}

// Cuts endings, so that "parsing", "parsed" and "parses" are one word. Crude, but the same for all texts.
inline void stem(std::string& word) {
    const auto ends = [&](std::string_view end) {
        return word.size() >= end.size() && std::string_view(word).substr(word.size() - end.size()) == end;
    };
    if (word.size() > 4 && ends("ies")) {
        word.replace(word.size() - 3, 3, "y");
    } else if (word.size() > 3 && ends("s") && !ends("ss") && !ends("us") && !ends("is")) {
        word.pop_back();
    }
    if (word.size() > 5 && ends("ing")) {
        word.resize(word.size() - 3);
    } else if (word.size() > 4 && ends("ed")) {
        word.resize(word.size() - 2);
    }
    if (word.size() > 3 && word.back() == 'e') {
        word.pop_back();
    }
    const auto last = word.rbegin();
    if (word.size() > 3 && last[0] == last[1] && !ends("s") && !ends("l")) {
        word.pop_back();
    }
}

// Calls `use` with each word: lower case, identifiers taken apart, endings cut.
template <class Use> void each_word(std::string_view text, Use use) {
    std::string word;
    for (std::size_t i = 0; i < text.size();) {
        if (!is_word(text[i])) {
            i++;
            continue;
        }
        word.clear();
        do {
            word += is_upper(text[i]) ? static_cast<char>(text[i] - 'A' + 'a') : text[i];
            i++;
        } while (i < text.size() && is_word(text[i]) && !humps(text, i));
        if (word.size() > 1 && !std::binary_search(std::begin(common), std::end(common), word)) {
            stem(word);
            use(word);
        }
    }
}

inline std::uint64_t hash(std::string_view word) { // FNV-1a, with its bits mixed once more
    std::uint64_t h = 14695981039346656037U;
    for (const char c : word) {
        h = (h ^ static_cast<unsigned char>(c)) * 1099511628211U;
    }
    h = (h ^ h >> 32) * 0xd6e8feb86659fd93U;
    return h ^ h >> 32;
}

inline void count(std::string_view text, float times, axonic::span<float> row) {
    each_word(text, [&](const std::string& word) {
        const std::uint64_t h = hash(word);
        row[h % row.size()] += (h >> 62 & 1) != 0 ? times : -times;
        row[(h >> 32) % row.size()] += (h >> 63) != 0 ? times : -times;
    });
}

// Writes the features of a text and its title into `row`, which may be anywhere: here, in shared memory.
inline void write(std::string_view title, std::string_view text, axonic::span<float> row) {
    std::fill(row.begin(), row.end(), 0.0F);
    count(title, in_title, row);
    count(text, in_text, row);
    float squares = 0;
    for (float& value : row) {
        value = std::copysign(std::log1p(std::abs(value)), value);
        squares += value * value;
    }
    const float length = std::sqrt(squares);
    for (float& value : row) {
        value = length > 0 ? value / length : 0;
    }
}

} // namespace features
