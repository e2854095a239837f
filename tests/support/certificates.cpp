#include "tests/support/certificates.hpp"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace evio::test {

namespace {

template <class T>
T* made(T* object) {
  if (object == nullptr) throw std::runtime_error("OpenSSL cannot make a certificate");
  return object;
}

void done(int result) {
  if (result <= 0) throw std::runtime_error("OpenSSL cannot make a certificate");
}

void add_extension(X509* certificate, X509V3_CTX* context, int nid, const std::string& text) {
  X509_EXTENSION* extension = made(X509V3_EXT_conf_nid(nullptr, context, nid, text.c_str()));
  const int added = X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
  done(added);
}

void add_entry(X509_NAME* name, const char* field, const std::string& text) {
  done(X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(text.data()),
                                  static_cast<int>(text.size()), -1, 0));
}

template <class Write>
std::string written(Write write) {
  BIO* bio = made(BIO_new(BIO_s_mem()));
  const int result = write(bio);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  const std::string text(data, static_cast<std::size_t>(size));
  BIO_free(bio);
  done(result);
  return text;
}

}  // namespace

struct Certificate::Made {
  EVP_PKEY* key = nullptr;
  X509* certificate = nullptr;

  Made() = default;
  Made(const Made&) = delete;
  Made& operator=(const Made&) = delete;
  ~Made() {
    X509_free(certificate);
    EVP_PKEY_free(key);
  }
};

Certificate::Certificate(const Subject& subject, const Certificate* issuer) {
  static std::atomic<long> serial{1};
  const auto result = std::make_shared<Made>();
  result->key = made(subject.rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256"));
  X509* const certificate = result->certificate = made(X509_new());
  done(X509_set_version(certificate, X509_VERSION_3));
  done(ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++));
  made(X509_gmtime_adj(X509_getm_notBefore(certificate), subject.starts_after));
  made(X509_gmtime_adj(X509_getm_notAfter(certificate), subject.ends_after));
  X509_NAME* const name = X509_get_subject_name(certificate);
  if (!subject.more.empty()) add_entry(name, "O", subject.more);
  add_entry(name, "CN", subject.common_name);
  const Made& signer = issuer != nullptr ? *issuer->made_ : *result;
  done(X509_set_issuer_name(certificate, X509_get_subject_name(signer.certificate)));
  done(X509_set_pubkey(certificate, result->key));
  X509V3_CTX context;
  X509V3_set_ctx(&context, signer.certificate, certificate, nullptr, nullptr, 0);
  X509V3_set_ctx_nodb(&context);
  add_extension(certificate, &context, NID_basic_constraints, subject.authority ? "critical,CA:TRUE" : "CA:FALSE");
  std::string names;
  for (const std::string& alternative : subject.names) names += (names.empty() ? "" : ",") + alternative;
  if (!names.empty()) add_extension(certificate, &context, NID_subject_alt_name, names);
  done(X509_sign(certificate, signer.key, EVP_sha256()));
  made_ = result;
}

std::string Certificate::certificate_pem() const {
  return written([&](BIO* bio) { return PEM_write_bio_X509(bio, made_->certificate); });
}

std::string Certificate::key_pem() const {
  return written(
      [&](BIO* bio) { return PEM_write_bio_PrivateKey(bio, made_->key, nullptr, nullptr, 0, nullptr, nullptr); });
}

std::string Certificate::protected_key_pem(const std::string& pass_phrase) const {
  return written([&](BIO* bio) {
    return PEM_write_bio_PrivateKey(bio, made_->key, EVP_aes_256_cbc(),
                                    reinterpret_cast<const unsigned char*>(pass_phrase.data()),
                                    static_cast<int>(pass_phrase.size()), nullptr, nullptr);
  });
}

PemFolder::PemFolder() {
  std::string path = (std::filesystem::temp_directory_path() / "evio-pem-XXXXXX").string();
  if (::mkdtemp(path.data()) == nullptr) throw std::runtime_error("mkdtemp " + path);
  path_ = path;
}

PemFolder::~PemFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string PemFolder::write(const std::string& name, const std::string& text) const {
  std::ofstream file(path(name), std::ios::binary);
  file << text;
  file.close();
  if (!file) throw std::runtime_error("cannot write " + path(name));
  return path(name);
}

}  // namespace evio::test
