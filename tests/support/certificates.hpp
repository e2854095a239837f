#pragma once

#include <memory>
#include <string>
#include <vector>

namespace evio::test {

/// A certificate and its key, for one test; made on the spot, so that none expires in the sources. Thread-safety: a
/// value; copies share.
class Certificate {
 public:
  /// The alternative names are as x509v3_config(5) has them: "DNS:a.example", "IP:127.0.0.1", "email:a@b.example".
  struct Subject {
    std::string common_name = "evio";
    std::vector<std::string> names = {};
    bool authority = false;
    bool rsa = false;                                   // else on the curve P-256
    long starts_after = -3600, ends_after = 24 * 3600;  // seconds from now
    std::string more = {};                              // of the subject, before the common name: "O=Evio, Inc."
  };

  /// Signed by `issuer`, or by itself.
  explicit Certificate(const Subject& subject, const Certificate* issuer = nullptr);

  std::string certificate_pem() const;
  std::string key_pem() const;
  /// Under a pass phrase.
  std::string protected_key_pem(const std::string& pass_phrase) const;

 private:
  struct Made;
  std::shared_ptr<const Made> made_;
};

/// A folder for PEM files, which goes with it. Thread-safety: one thread.
class PemFolder {
 public:
  PemFolder();
  ~PemFolder();
  PemFolder(const PemFolder&) = delete;
  PemFolder& operator=(const PemFolder&) = delete;

  /// The path of a file with this text.
  std::string write(const std::string& name, const std::string& text) const;
  std::string path(const std::string& name) const { return path_ + '/' + name; }

 private:
  std::string path_;
};

}  // namespace evio::test
