#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace redis {

/// Reads commands like redis-server: arrays of bulk strings and inline commands, with its error messages.
///
/// No matter how a command is split, no byte is examined twice and the result is the same. Only the positions of the
/// arguments are kept; those of an inline command are unquoted into separate storage.
/// Thread-safety: one thread at a time.
class CommandReader {
 public:
  static constexpr std::size_t kMaxLine = 64 * 1024;            // an inline command, or a line with a number
  static constexpr std::size_t kMaxArgs = 1024 * 1024;          // of one command
  static constexpr std::size_t kMaxCommand = 64 * 1024 * 1024;  // all of it

  enum class Status : std::uint8_t {
    kMore,     ///< Incomplete.
    kCommand,  ///< A complete command.
    kNothing,  ///< An empty command: skip it.
    kError,    ///< See error().
  };

  struct Result {
    Status status;
    std::size_t size;  // of a complete command, 0 otherwise
  };

  /// `unread` must begin with the command, and may only grow from call to call until the command is complete. The next
  /// call then begins the next command.
  Result read(std::string_view unread);

  /// The arguments, beginning with the command's name. The views are valid until the next call, as long as `unread` is.
  std::size_t size() const noexcept { return args_.size(); }
  std::string_view operator[](std::size_t i) const noexcept { return source_.substr(args_[i].begin, args_[i].size); }

  /// What is wrong, in the words of redis-server.
  std::string_view error() const noexcept { return text_; }

 private:
  struct Range {
    std::uint32_t begin, size;
  };
  enum class Step : std::uint8_t { kNext, kMore, kError };

  void begin();
  Result end(Status status, std::size_t size) noexcept;
  Result read_inline(std::string_view unread);
  Result read_array(std::string_view unread);
  Step read_count(std::string_view unread);
  Step read_arg(std::string_view unread);
  Step read_number(std::string_view unread, const char* too_long, const char* invalid, std::int64_t& number);
  Step fail(std::string_view why);
  void add_arg(std::size_t begin, std::size_t size);
  bool split(std::string_view line);
  bool unquote_word(std::string_view line, std::size_t& i);
  bool unquote(std::string_view line, std::size_t& i);

  bool begun_ = false;
  std::size_t at_ = 0;        // everything before it has been parsed
  std::size_t searched_ = 0;  // the current line does not end before this
  std::size_t wanted_ = 0;    // how many arguments are still to come
  std::int64_t bulk_ = -1;    // the size of the next one; -1 if not yet known
  std::vector<Range> args_;   // in source_
  std::string_view source_;
  std::string text_;  // the unquoted arguments of an inline command, or the error
};

}  // namespace redis
