// Guarantee 28: the keys of session tickets, and sessions that a client keeps.
#include "internal/tls/ticket_keys.hpp"

#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include "internal/tls/client_sessions.hpp"

namespace evio::test {
namespace {

using internal::ClientSessions;
using internal::OpensslPtr;
using internal::TicketKey;
using internal::TicketKeyRing;
using internal::TicketKeys;
using std::chrono::hours;

const TicketKey::Clock::time_point kStart{std::chrono::hours(1000)};

TEST(TicketKeyRingTest, KnowsItsKeysAsLongAsTheirTickets) {
  TicketKeyRing ring(kStart);
  const auto first = ring.newest(kStart);
  EXPECT_EQ(ring.newest(kStart + hours(11))->name, first->name);
  const auto second = ring.newest(kStart + hours(12));
  EXPECT_NE(second->name, first->name);
  EXPECT_NE(second->cipher, first->cipher);
  EXPECT_FALSE(ring.find(first->name, kStart + hours(13))->newest);
  EXPECT_TRUE(ring.find(second->name, kStart + hours(13))->newest);
  EXPECT_FALSE(ring.find(first->name, kStart + hours(14)));
  for (int i = 0; i < 100; ++i) ring.newest(kStart + hours(i * 7));
}

TEST(TicketKeysTest, GoOnWithEarlierOnes) {
  const TicketKeys first({}, nullptr, kStart);
  const auto key = first.newest(kStart);
  const TicketKeys second({}, &first, kStart), third({}, &second, kStart);
  const auto found = third.find(key->name, kStart);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->cipher, key->cipher);
  EXPECT_FALSE(found->newest);
  EXPECT_FALSE(first.find(third.newest(kStart)->name, kStart));
}

TEST(TicketKeysTest, GoOnWhereTheSameAuthoritiesAreTrusted) {
  const TicketKeys unasked({}, nullptr, kStart), one({"a"}, nullptr, kStart);
  const auto of_unasked = unasked.newest(kStart), of_one = one.newest(kStart);
  EXPECT_FALSE(TicketKeys({"a"}, &unasked, kStart).find(of_unasked->name, kStart));
  EXPECT_TRUE(TicketKeys({"a"}, &one, kStart).find(of_one->name, kStart));
  EXPECT_TRUE(TicketKeys({"a", "b"}, &one, kStart).find(of_one->name, kStart));
  EXPECT_FALSE(TicketKeys({"b"}, &one, kStart).find(of_one->name, kStart));
  EXPECT_TRUE(TicketKeys({}, &one, kStart).find(of_one->name, kStart));
  // What stands between them does not matter: it has made no ticket of these.
  const TicketKeys between({"b"}, &one, kStart);
  EXPECT_TRUE(TicketKeys({"a"}, &between, kStart).find(of_one->name, kStart));
}

TEST(TicketKeysTest, AreNotKeptForEver) {
  auto keys = std::make_unique<TicketKeys>(TicketKeys::Authorities(), nullptr, kStart);
  for (int i = 1; i <= 100; ++i) {
    keys->newest(kStart + hours(i));
    keys = std::make_unique<TicketKeys>(TicketKeys::Authorities(), keys.get(), kStart + hours(i));
    EXPECT_LE(keys->earlier(), 3U);
  }
}

TEST(TicketKeysTest, AreKeptWhileTheirContextMakesTickets) {
  const TicketKeys first({}, nullptr, kStart);
  auto keys = std::make_unique<TicketKeys>(TicketKeys::Authorities(), &first, kStart);
  for (int i = 1; i <= 10; ++i)
    keys = std::make_unique<TicketKeys>(TicketKeys::Authorities(), keys.get(), kStart + hours(10 * i));
  EXPECT_TRUE(keys->find(first.newest(kStart + hours(100))->name, kStart + hours(100)));
}

TEST(ClientSessionsTest, KeepTheNamesThatWereDialedLast) {
  ClientSessions sessions;
  for (int i = 0; i < 1000; ++i) sessions.add(std::to_string(i), OpensslPtr<SSL_SESSION>(SSL_SESSION_new()));
  EXPECT_EQ(sessions.names(), ClientSessions::kNames);
  for (int i = 0; i < 100; ++i) sessions.add("999", OpensslPtr<SSL_SESSION>(SSL_SESSION_new()));
  EXPECT_EQ(sessions.names(), ClientSessions::kNames);
  EXPECT_FALSE(sessions.take("0"));
}

}  // namespace
}  // namespace evio::test
