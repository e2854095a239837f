#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace redis {

/// Reads commands as redis-server does: arrays of bulk strings and inline commands, with its words for what is neither.
///
/// However a command is cut, no byte is looked at twice and the outcome is the same. Nothing is kept but where the
/// arguments are; those of an inline command are unquoted into storage of their own.
/// Thread-safety: one thread at a time.
class CommandReader {
 public:
  static constexpr std::size_t kMaxLine = 64 * 1024;            // an inline command, or the line of a number
  static constexpr std::size_t kMaxArgs = 1024 * 1024;          // of one command
  static constexpr std::size_t kMaxCommand = 64 * 1024 * 1024;  // all of it

  enum class Status : std::uint8_t {
    kMore,     ///< Not whole yet.
    kCommand,  ///< Here is one.
    kNothing,  ///< An empty one, to be passed over.
    kError,    ///< See error().
  };

  struct Result {
    Status status;
    std::size_t size;  // of the whole command when there is one, 0 otherwise
  };

  /// `unread` begins with the command and only grows from call to call until that is whole; the next call is about
  /// the next one.
  Result read(std::string_view unread);

  /// The arguments, the command's name first: views that live until the next call, and no longer than `unread`.
  std::size_t size() const noexcept { return args_.size(); }
  std::string_view operator[](std::size_t i) const noexcept { return source_.substr(args_[i].begin, args_[i].size); }

  /// What is wrong, as redis-server says it.
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
  std::size_t at_ = 0;        // all before it was taken in
  std::size_t searched_ = 0;  // up to here the line at hand does not end
  std::size_t wanted_ = 0;    // how many more arguments there are to be
  std::int64_t bulk_ = -1;    // the size of the next one, -1 while it is not known
  std::vector<Range> args_;   // in source_
  std::string_view source_;
  std::string text_;  // the unquoted arguments of an inline command, or the error
};

}  // namespace redis
