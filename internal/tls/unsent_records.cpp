#include "internal/tls/unsent_records.hpp"

namespace evio::internal {

void UnsentRecords::add(std::string_view bytes, std::span<const RecordEnd> records, std::size_t before) {
  bytes_.erase(0, sent_);
  records_.erase(records_.begin(), records_.begin() + static_cast<std::ptrdiff_t>(completed_));
  for (RecordEnd& record : records_) record.at -= sent_;
  sent_ = completed_ = 0;
  const std::size_t start = bytes_.size();
  bytes_.append(bytes);
  for (const RecordEnd& record : records) {
    if (record.at > before) records_.push_back({start + record.at - before, record.plain});
  }
}

std::size_t UnsentRecords::taken(std::size_t n) noexcept {
  sent_ += n;
  std::size_t plain = 0;
  for (; completed_ < records_.size() && records_[completed_].at <= sent_; ++completed_)
    plain += records_[completed_].plain;
  return plain;
}

}  // namespace evio::internal
