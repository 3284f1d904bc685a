/*
 * Measures a network between a guest and its host: static, so that it runs in any guest.
 *   netbench serve PORT                 on the host: serves and reports each connection, by the host's clock
 *   netbench send|receive|ping HOST PORT COUNT   in the guest: COUNT bytes, or round trips of one byte
 * A connection begins with a letter and 8 bytes of COUNT, big-endian. The report is a line: MODE COUNT SECONDS.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static char buffer[256 * 1024];

static void die(const char *what) { perror(what); exit(1); }

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

static void whole_write(int fd, const char *data, size_t length) {
  while (length > 0) {
    ssize_t n = write(fd, data, length);
    if (n <= 0) die("write");
    data += n;
    length -= n;
  }
}

static void whole_read(int fd, char *data, size_t length) {
  while (length > 0) {
    ssize_t n = read(fd, data, length);
    if (n <= 0) die("read");
    data += n;
    length -= n;
  }
}

/* Reads until the end; every byte must be what `push` has sent. */
static uint64_t drain(int fd, uint64_t count) {
  uint64_t got = 0;
  while (got < count) {
    ssize_t n = read(fd, buffer, sizeof buffer);
    if (n <= 0) die("read");
    if ((unsigned char)buffer[0] != (unsigned char)(got % 251)) { fprintf(stderr, "wrong byte at %llu\n", (unsigned long long)got); exit(1); }
    got += n;
  }
  return got;
}

static void push(int fd, uint64_t count) {
  /* The length is a multiple of 251, so that the pattern goes on in the next round. */
  size_t most = sizeof buffer / 251 * 251;
  for (size_t i = 0; i < most; i++) buffer[i] = i % 251;
  for (uint64_t left = count; left > 0;) {
    size_t n = left < most ? left : most;
    whole_write(fd, buffer, n);
    left -= n;
  }
}

static void answer(int fd) {
  char head[9];
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  whole_read(fd, head, sizeof head);
  uint64_t count = 0;
  for (int i = 1; i < 9; i++) count = count << 8 | (unsigned char)head[i];
  double begin = now();
  char byte;
  switch (head[0]) {
    case 's':
      drain(fd, count);
      whole_write(fd, "!", 1);
      break;
    case 'r':
      push(fd, count);
      whole_read(fd, &byte, 1);
      break;
    case 'p':
      for (uint64_t i = 0; i < count; i++) {
        whole_read(fd, &byte, 1);
        whole_write(fd, &byte, 1);
      }
      break;
  }
  const char *mode = head[0] == 's' ? "send" : head[0] == 'r' ? "receive" : "ping";
  printf("%s %llu %.6f\n", mode, (unsigned long long)count, now() - begin);
  fflush(stdout);
}

static void serve(int port) {
  int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0) die("bind");
  if (listen(fd, 16) < 0) die("listen");
  puts("listening");
  fflush(stdout);
  signal(SIGCHLD, SIG_IGN);
  for (;;) {
    int peer = accept(fd, NULL, NULL);
    if (peer < 0) die("accept");
    if (fork() == 0) {
      answer(peer);
      exit(0);
    }
    close(peer);
  }
}

int main(int argc, char **argv) {
  if (argc == 3 && strcmp(argv[1], "serve") == 0) serve(atoi(argv[2]));
  if (argc != 5) {
    fprintf(stderr, "usage: netbench serve PORT | send|receive|ping HOST PORT COUNT\n");
    return 2;
  }
  uint64_t count = strtoull(argv[4], NULL, 10);
  int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[3]))};
  inet_pton(AF_INET, argv[2], &to.sin_addr);
  if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0) die("connect");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  char head[9] = {argv[1][0]};
  for (int i = 0; i < 8; i++) head[1 + i] = count >> (56 - 8 * i);
  whole_write(fd, head, sizeof head);
  char byte = 0;
  switch (argv[1][0]) {
    case 's':
      push(fd, count);
      whole_read(fd, &byte, 1);
      break;
    case 'r':
      drain(fd, count);
      whole_write(fd, "!", 1);
      break;
    case 'p':
      for (uint64_t i = 0; i < count; i++) {
        whole_write(fd, &byte, 1);
        whole_read(fd, &byte, 1);
      }
      break;
  }
  return 0;
}
