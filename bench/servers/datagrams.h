#pragma once

/* Echoes what waits on a datagram socket: the whole of it in batches (recvmmsg, sendmmsg), as the limit has it, or one
 * datagram a call, as a user of a library without datagrams of its own writes it. */
void echo_datagram_batches(int fd);
void echo_datagrams(int fd);
