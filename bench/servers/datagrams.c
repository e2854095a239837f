#define _GNU_SOURCE
#include "datagrams.h"

#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>

#include "common.h"

enum { kBatch = 32, kTurns = 64 };

void echo_datagram_batches(int fd) {
  static _Thread_local char buffers[kBatch][kDatagramSize];
  static _Thread_local struct sockaddr_in peers[kBatch];
  static _Thread_local struct iovec parts[kBatch];
  static _Thread_local struct mmsghdr messages[kBatch];
  for (int i = 0; i < kBatch; ++i) {
    parts[i] = (struct iovec){buffers[i], kDatagramSize};
    messages[i].msg_hdr =
        (struct msghdr){.msg_name = &peers[i], .msg_namelen = sizeof peers[i], .msg_iov = &parts[i], .msg_iovlen = 1};
  }
  const int count = recvmmsg(fd, messages, kBatch, MSG_DONTWAIT, NULL);
  for (int i = 0; i < count; ++i) parts[i].iov_len = messages[i].msg_len;
  int sent = 0;
  while (sent < count) {
    const int more = sendmmsg(fd, messages + sent, (unsigned)(count - sent), MSG_DONTWAIT);
    sent += more > 0 ? more : 1; /* one that cannot be sent is lost, as datagrams are */
  }
}

void echo_datagrams(int fd) {
  char buffer[kDatagramSize];
  for (int turn = 0; turn < kTurns; ++turn) {
    struct sockaddr_in peer;
    socklen_t peer_size = sizeof peer;
    const ssize_t size = recvfrom(fd, buffer, sizeof buffer, MSG_DONTWAIT, (struct sockaddr*)&peer, &peer_size);
    if (size < 0) return;
    (void)sendto(fd, buffer, (size_t)size, MSG_DONTWAIT, (const struct sockaddr*)&peer, peer_size);
  }
}
