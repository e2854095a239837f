#pragma once

#include <evio/evio.hpp>

// A context that both parts of the program use. Each part has a type of its own with the name Private as well.
struct Session {
  int value = 7;
};

#define EXPORTED [[gnu::visibility("default")]]

EXPORTED bool other_part_finds_session(const evio::Conn& conn);
EXPORTED bool other_part_finds_its_own(const evio::Conn& conn);
