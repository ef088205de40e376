/* One program for both ends of the packet tests, linked statically so that it runs in the test guest, too.
 *
 *   probe tcp|udp ADDRESS PORT [FROM_PORT]   ask once; exit 0 when the other end answered "pong" within a second
 *   probe serve PORT...                      answer "pong" on these ports, TCP and UDP, IPv4 and IPv6, for ever
 *   probe shout CARD HEX                     send one frame to everybody: HEX is what follows the two MAC addresses
 *   probe hear CARD                          print each frame's NAME (payload "ferry6003:NAME;") until half a second
 *                                            after SIGTERM
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
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
        setsockopt(wait.fd, SOL_SOCKET, SO_REUSEPORT, &(int){1}, sizeof(int)); /* it may be served, too */
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
            setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &(int){1}, sizeof(int));
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

static volatile sig_atomic_t ended;

static void end(int signal)
{
    if (signal == SIGTERM) ualarm(500000, 0); /* what is still on its way counts */
    else ended = 1;
}

static int packets(const char *card)
{
    struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
    at.sll_ifindex = if_nametoindex(card);
    return fd >= 0 && at.sll_ifindex && !bind(fd, (void *)&at, sizeof at) ? fd : -1;
}

static int shout(const char *card, const char *hex)
{
    unsigned char frame[ETH_FRAME_LEN], own[ETH_ALEN] = {0};
    char path[64];
    size_t length = 2 * ETH_ALEN;
    int fd = packets(card);
    FILE *mac;
    snprintf(path, sizeof path, "/sys/class/net/%s/address", card);
    mac = fopen(path, "r");
    if (fd < 0 || !mac) return 2;
    for (int i = 0; i < ETH_ALEN; i++)
        if (fscanf(mac, i ? ":%2hhx" : "%2hhx", &own[i]) != 1) return 2;
    memset(frame, 0xff, ETH_ALEN);
    memcpy(frame + ETH_ALEN, own, ETH_ALEN);
    for (; hex[0] && hex[1] && length < sizeof frame; hex += 2)
        if (sscanf(hex, "%2hhx", &frame[length++]) != 1) return 2;
    return write(fd, frame, length) == (ssize_t)length ? 0 : 1;
}

static int hear(const char *card)
{
    struct pollfd wait = {.fd = packets(card), .events = POLLIN};
    /* A virtual card passes on foreign VLANs only then. */
    struct packet_mreq all = {.mr_ifindex = if_nametoindex(card), .mr_type = PACKET_MR_PROMISC};
    if (wait.fd < 0 || setsockopt(wait.fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof all)) return 2;
    signal(SIGTERM, end);
    signal(SIGALRM, end);
    puts("hearing");
    fflush(stdout);
    while (!ended) {
        struct sockaddr_ll from;
        socklen_t size = sizeof from;
        char frame[2048], *found, *stop;
        ssize_t got;
        if (poll(&wait, 1, 100) < 1) continue;
        got = recvfrom(wait.fd, frame, sizeof frame, 0, (void *)&from, &size);
        if (got <= 0 || from.sll_pkttype == PACKET_OUTGOING) continue;
        found = memmem(frame, got, "ferry6003:", 10);
        stop = found ? memchr(found, ';', frame + got - found) : NULL;
        if (stop) printf("heard %.*s\n", (int)(stop - found - 10), found + 10);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc >= 3 && !strcmp(argv[1], "serve")) return serve(argc - 2, argv + 2);
    if (argc == 4 && !strcmp(argv[1], "shout")) return shout(argv[2], argv[3]);
    if (argc == 3 && !strcmp(argv[1], "hear")) return hear(argv[2]);
    if (argc < 4) return 2;
    return ask(!strcmp(argv[1], "udp") ? SOCK_DGRAM : SOCK_STREAM, argv[2], atoi(argv[3]), argc > 4 ? atoi(argv[4]) : 0);
}
