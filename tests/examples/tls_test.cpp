// The examples that speak TLS, as openssl s_client and curl meet them.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "tests/support/certificates.hpp"
#include "tests/support/example_program.hpp"
#include "tests/support/timing.hpp"
#include "tests/support/watchdog.hpp"

namespace evio::test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class TlsExample : public testing::Test {
 protected:
  TlsExample() {
    const Certificate authority({.common_name = "authority", .authority = true});
    const Certificate own({.common_name = "localhost", .names = {"DNS:localhost", "IP:127.0.0.1"}}, &authority);
    ca_ = files_.write("ca.pem", authority.certificate_pem());
    stranger_ = files_.write("stranger.pem", Certificate({.authority = true}).certificate_pem());
    certificate_ = "--tls-cert=" + files_.write("cert.pem", own.certificate_pem());
    key_ = "--tls-key=" + files_.write("key.pem", own.key_pem());
  }

  Program echo() { return Program(EVIO_EXAMPLES_DIR "/echo", {"--port=0", "--loops=2", certificate_, key_}); }
  Program http() { return Program(EVIO_EXAMPLES_DIR "/http", {"--port=0", "--loops=2", certificate_, key_}); }
  Program proxy(std::vector<std::string> flags) {
    flags.insert(flags.end(), {"--loops=2"});
    return Program(EVIO_EXAMPLES_DIR "/proxy", flags);
  }
  static std::string at(const std::string& scheme, Program& program) {
    return scheme + "://localhost:" + std::to_string(program.port());
  }

  // What bash makes of it, both streams in one.
  std::string output_of(const std::string& script) {
    FILE* const pipe = ::popen(("exec bash " + files_.write("script", script) + " 2>&1").c_str(), "re");
    std::string all;
    std::array<char, 4096> piece;
    for (std::size_t n = 1; pipe != nullptr && n != 0; all.append(piece.data(), n)) {
      n = std::fread(piece.data(), 1, piece.size(), pipe);
    }
    if (pipe == nullptr || ::pclose(pipe) < 0) ADD_FAILURE() << "bash cannot be started";
    return all;
  }
  // The first line that comes back for it, from a server that this authority vouches for; without one, what openssl
  // says.
  std::string echoed(Program& server, const std::string& line, const std::string& ca) {
    return output_of("coproc openssl s_client -quiet -verify_return_error -verify_hostname localhost -CAfile " + ca +
                     " -connect localhost:" + std::to_string(server.port()) + "\nclient=$COPROC_PID\n" +
                     "exec 3<&\"${COPROC[0]}\" 4>&\"${COPROC[1]}\"\n" + "printf '" + line + "\\n' >&4\n" +
                     "read -r line <&3 && echo \"got $line\"\nkill \"$client\"\n");
  }
  // What gnutls-cli says until "hello" has come back, or it gives up.
  std::string gnutls(Program& server, const std::string& flags) {
    return output_of("coproc gnutls-cli --x509cafile " + ca_ + " --port " + std::to_string(server.port()) + " " +
                     flags + " localhost 2>&1\nclient=$COPROC_PID\n" +
                     "exec 3<&\"${COPROC[0]}\" 4>&\"${COPROC[1]}\"\n" + "printf 'hello\\n' >&4\n" +
                     "while read -r line <&3; do echo \"$line\"; [[ $line != hello ]] || break; done\n" +
                     "kill \"$client\" 2>&-\n");
  }
  std::string curl(Program& server, const std::string& flags) {
    return output_of("curl --silent --show-error --max-time 600 " + flags + " " + at("https", server));
  }

  PemFolder files_;
  std::string ca_;
  std::string stranger_;
  std::string certificate_;
  std::string key_;

 private:
  Watchdog watchdog_{"a test of the examples with TLS", kWatchdogLimit};
};

TEST_F(TlsExample, EchoAnswersOpenssl) {
  Program server = echo();
  EXPECT_THAT(echoed(server, "hello", ca_), HasSubstr("got hello\n"));
  EXPECT_THAT(echoed(server, "hello", stranger_), Not(HasSubstr("got hello\n")));
  EXPECT_TRUE(server.wait_for("the peer says: unknown ca"));
}

TEST_F(TlsExample, EchoAnswersGnutls) {
  Program server = echo();
  for (const std::string version : {"1.3", "1.2"}) {
    const std::string only = "--priority NORMAL:-VERS-ALL:+VERS-TLS" + version;
    EXPECT_THAT(gnutls(server, only), AllOf(HasSubstr("The certificate is trusted"),
                                            HasSubstr("(TLS" + version + "-X.509)"), HasSubstr("\nhello\n")));
    EXPECT_THAT(gnutls(server, only + " --resume"),
                AllOf(HasSubstr("This is a resumed session"), HasSubstr("\nhello\n")));
  }
}

// The table in the README.
TEST_F(TlsExample, EchoOffersNothingElse) {
  Program server = echo();
  EXPECT_THAT(gnutls(server, "--priority NORMAL:-VERS-ALL:+VERS-TLS1.1"), HasSubstr("Error in protocol version"));
  EXPECT_THAT(gnutls(server, "--priority NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+RSA"), Not(HasSubstr("\nhello\n")))
      << "a key exchange without forward secrecy";
  const std::string renegotiates =  // what s_client does for a line "R"
      output_of("coproc openssl s_client -tls1_2 -connect localhost:" + std::to_string(server.port()) +
                " 2>&1\nexec 3<&\"${COPROC[0]}\" 4>&\"${COPROC[1]}\"\nprintf 'R\\n' >&4\ncat <&3\n");
  EXPECT_THAT(renegotiates, AllOf(HasSubstr("no renegotiation"), HasSubstr("Compression: NONE")));
}

TEST_F(TlsExample, HttpAnswersCurl) {
  Program server = http();
  EXPECT_THAT(curl(server, "--include --cacert " + ca_), StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_EQ(curl(server, "--cacert " + ca_), "Hello World!\r\n");
  EXPECT_THAT(curl(server, "--verbose --cacert " + ca_), HasSubstr("server accepted http/1.1\n"));
  EXPECT_THAT(curl(server, "--cacert " + stranger_), HasSubstr("curl: (60) "));
}

TEST_F(TlsExample, AProxyEndsTlsInFrontOfAPlainServer) {
  Program plain(EVIO_EXAMPLES_DIR "/echo", {"--port=0"});
  Program front = proxy({"--listen=tls://localhost:0", "--to=" + at("tcp", plain), certificate_, key_});
  EXPECT_THAT(echoed(front, "hello", ca_), HasSubstr("got hello\n"));
}

TEST_F(TlsExample, AProxyDialsATlsServer) {
  Program server = echo();
  Program front = proxy({"--listen=tcp://localhost:0", "--to=" + at("tls", server), "--tls-ca=" + ca_});
  Client client = front.connect();
  const std::string text = pattern(100'000);
  ASSERT_TRUE(client.send_all(text));
  EXPECT_TRUE(client.receive(text.size()) == text);
  client.shutdown_write();
  EXPECT_EQ(client.receive_all(), "");
}

TEST_F(TlsExample, AProxyDoesNotTrustAStranger) {
  Program server = echo();
  Program front = proxy({"--listen=tcp://localhost:0", "--to=" + at("tls", server), "--tls-ca=" + stranger_});
  Client client = front.connect();
  EXPECT_EQ(client.receive_all(), "");
  EXPECT_TRUE(front.wait_for("dial " + at("tls", server) + ": handshake: "));
}

TEST_F(TlsExample, WhatCannotBeServedIsTold) {
  const auto refused = [](const std::string& name, const std::vector<std::string>& flags) {
    Program program(EVIO_EXAMPLES_DIR "/" + name, flags);
    EXPECT_NE(program.wait(), 0);
    return program.written();
  };
  EXPECT_THAT(refused("echo", {"--port=0", "--tls-cert=" + files_.path("none")}), HasSubstr(files_.path("none")));
  EXPECT_EQ(refused("echo", {"--port=0", key_}), "-tls-key needs -tls-cert\n");
  EXPECT_THAT(refused("echo", {"--port=0", "--udp", certificate_, key_}), StartsWith("-udp and -tls-cert"));
  EXPECT_EQ(refused("proxy", {"--listen=tcp://:0", certificate_, key_}),
            "-tls-cert: tcp://:0 does not begin with tls\n");
}

}  // namespace
}  // namespace evio::test
