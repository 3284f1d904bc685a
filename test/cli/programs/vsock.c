/*
 * A guest's end of a vsock connection, for x86-64 without a C library (gcc -static -nostdlib):
 *   vsock connect PORT   to the host's PORT: standard input goes there, what comes back to standard output
 *   vsock listen PORT    says "listening", takes one connection and sends back what comes, until its end
 */
enum { AF_VSOCK = 40, SOCK_STREAM = 1, HOST = 2, SHUT_WR = 1 };
enum { READ = 0, WRITE = 1, SOCKET = 41, CONNECT = 42, ACCEPT = 43, SHUTDOWN = 48, BIND = 49, LISTEN = 50, FORK = 57, EXIT = 60 };

static long call(long number, long a, long b, long c)
{
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}

struct address {
    unsigned short family, reserved;
    unsigned port, cid;
    unsigned char zero[4];
};

static char buffer[65536];

static void copy(long from, long to)
{
    for (;;) {
        long count = call(READ, from, (long)buffer, sizeof buffer);
        if (count <= 0)
            return;
        for (long done = 0, n; done < count; done += n)
            if ((n = call(WRITE, to, (long)buffer + done, count - done)) <= 0)
                return;
    }
}

static long fail(long result)
{
    if (result < 0)
        call(EXIT, 100 - (result < -99 ? -1 : 0), 0, 0);
    return result;
}

void run(long *stack)
{
    const char *mode = (const char *)stack[2];
    const char *digits = (const char *)stack[3];
    struct address address = { AF_VSOCK, 0, 0, 0, { 0 } };
    long fd = fail(call(SOCKET, AF_VSOCK, SOCK_STREAM, 0));
    while (*digits)
        address.port = address.port * 10 + (*digits++ - '0');
    if (mode[0] == 'c') {
        address.cid = HOST;
        fail(call(CONNECT, fd, (long)&address, sizeof address));
        if (call(FORK, 0, 0, 0) == 0) {
            copy(0, fd);
            call(SHUTDOWN, fd, SHUT_WR, 0);
        } else {
            copy(fd, 1);
        }
    } else {
        address.cid = -1;
        fail(call(BIND, fd, (long)&address, sizeof address));
        fail(call(LISTEN, fd, 1, 0));
        call(WRITE, 1, (long)"listening\n", 10);
        fd = fail(call(ACCEPT, fd, 0, 0));
        copy(fd, fd);
    }
    call(EXIT, 0, 0, 0);
}

__asm__(".globl _start\n_start: mov %rsp, %rdi\n and $-16, %rsp\n call run\n");
