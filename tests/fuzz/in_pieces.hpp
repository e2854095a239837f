#pragma once

#include <cstddef>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace evio::test {

/// What the parser under test makes of an input, as lines to compare; `ends` are where the pieces end in which the
/// input is fed. Each program defines its own.
std::vector<std::string> parse(std::string_view in, std::span<const std::size_t> ends);

/// Ends of pieces of an input of `size` bytes: the whole, or single bytes, or anything between.
std::vector<std::size_t> cut(std::size_t size, std::minstd_rand& random);

/// Whether the parser makes the same of the input however it is cut; says where not.
bool same_in_any_pieces(std::string_view in);

/// Checks `count` inputs made of the seeds: joined, cut short, with bytes and pieces changed, doubled and lost. Always
/// the same ones.
void check_generated(std::span<const std::string> seeds, int count);

}  // namespace evio::test
