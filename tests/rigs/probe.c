/* One program for both ends of the packet tests, linked statically so that it runs in the test guest, too.
 *
 *   probe tcp|udp ADDRESS PORT [FROM_PORT]   ask once; exit 0 when the other end answered "pong" within a second
 *   probe serve PORT...                      answer "pong" on these ports, TCP and UDP, IPv4 and IPv6, for ever
 */
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static socklen_t address(const char *text, int port, struct sockaddr_storage *out)
{
    struct sockaddr_in *v4 = (void *)out;
    struct sockaddr_in6 *v6 = (void *)out;
    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        return sizeof *v4;
    }
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    return inet_pton(AF_INET6, text, &v6->sin6_addr) == 1 ? sizeof *v6 : 0;
}

static int ask(int type, const char *to, int port, int from)
{
    struct sockaddr_storage there, here;
    socklen_t length = address(to, port, &there);
    struct pollfd wait = {.events = POLLIN};
    char answer[8] = "";
    wait.fd = socket(there.ss_family, type, 0);
    if (from) {
        socklen_t size = address(there.ss_family == AF_INET ? "0.0.0.0" : "::", from, &here);
        setsockopt(wait.fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
        if (bind(wait.fd, (void *)&here, size)) return 3;
    }
    alarm(1); /* a connect that nobody answers ends here, too: by SIGALRM */
    if (!length || connect(wait.fd, (void *)&there, length)) return 1;
    if (type == SOCK_DGRAM && send(wait.fd, "ping", 4, 0) < 0) return 1;
    if (poll(&wait, 1, 1000) != 1) return 1;
    return read(wait.fd, answer, 4) == 4 && !strcmp(answer, "pong") ? 0 : 1;
}

static int serve(int count, char **ports)
{
    struct pollfd fds[32];
    int used = 0;
    for (int i = 0; i < count && used < 30; i++)
        for (int udp = 0; udp < 2; udp++) {
            struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(atoi(ports[i]))};
            int fd = socket(AF_INET6, udp ? SOCK_DGRAM : SOCK_STREAM, 0);
            setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
            if (bind(fd, (void *)&any, sizeof any) || (!udp && listen(fd, 8))) return 2;
            fds[used++] = (struct pollfd){.fd = fd, .events = POLLIN};
        }
    puts("serving");
    fflush(stdout);
    for (;;) {
        poll(fds, used, -1);
        for (int i = 0; i < used; i++) {
            struct sockaddr_storage peer;
            socklen_t size = sizeof peer;
            char query[8];
            if (!(fds[i].revents & POLLIN)) continue;
            if (i % 2) { /* UDP */
                if (recvfrom(fds[i].fd, query, sizeof query, 0, (void *)&peer, &size) >= 0)
                    sendto(fds[i].fd, "pong", 4, 0, (void *)&peer, size);
            } else {
                int one = accept(fds[i].fd, NULL, NULL);
                if (write(one, "pong", 4) != 4) perror("write");
                close(one);
            }
        }
    }
}

int main(int argc, char **argv)
{
    if (argc >= 3 && !strcmp(argv[1], "serve")) return serve(argc - 2, argv + 2);
    if (argc < 4) return 2;
    return ask(!strcmp(argv[1], "udp") ? SOCK_DGRAM : SOCK_STREAM, argv[2], atoi(argv[3]), argc > 4 ? atoi(argv[4]) : 0);
}
