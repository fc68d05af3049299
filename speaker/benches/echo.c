// The least that answers ARP requests or neighbour solicitations from a packet socket: what the speaker is measured
// against. It answers for every address, and checks nothing.
//
//     echo INTERFACE arp|ndp GROUPS
//
// It joins so many solicited-node groups, from that of fd00::1:0 on, as whoever answers for so many addresses has to.
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ETHERNET = 14, IPV6 = 40, MESSAGE = 24, OPTION = 8 };

static int answer_arp(unsigned char *frame, ssize_t length, const unsigned char *mac) {
    if (length < 42 || frame[21] != 1) return 0;
    unsigned char target[4];
    memcpy(target, frame + 38, 4);
    memcpy(frame, frame + 22, 6);
    memcpy(frame + 6, mac, 6);
    frame[21] = 2;
    memcpy(frame + 32, frame + 22, 10);
    memcpy(frame + 22, mac, 6);
    memcpy(frame + 28, target, 4);
    return 42;
}

static void set_checksum(unsigned char *frame, int length) {
    uint32_t sum = (uint32_t)length + 58;
    unsigned char *message = frame + ETHERNET + IPV6;
    message[2] = message[3] = 0;
    for (int at = ETHERNET + 8; at < ETHERNET + IPV6 + length; at += 2) sum += (uint32_t)(frame[at] << 8 | frame[at + 1]);
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
    message[2] = (unsigned char)(~sum >> 8);
    message[3] = (unsigned char)~sum;
}

static int answer_ndp(unsigned char *frame, ssize_t length, const unsigned char *mac) {
    if (length < ETHERNET + IPV6 + MESSAGE + OPTION || frame[20] != 58 || frame[54] != 135) return 0;
    memcpy(frame, frame + 80, 6);
    memcpy(frame + 6, mac, 6);
    frame[18] = 0;
    frame[19] = MESSAGE + OPTION;
    memcpy(frame + 38, frame + 22, 16);
    memcpy(frame + 22, frame + 62, 16);
    frame[54] = 136;
    frame[58] = 0x60;
    frame[78] = 2;
    frame[79] = 1;
    memcpy(frame + 80, mac, 6);
    set_checksum(frame, MESSAGE + OPTION);
    return ETHERNET + IPV6 + MESSAGE + OPTION;
}

// Returns whether all were joined.
static int join(unsigned interface, unsigned groups) {
    int member = -1;
    for (unsigned number = 0; number < groups; number++) {
        unsigned low = 0xff010000 + number;
        struct ipv6_mreq group = {.ipv6mr_interface = interface};
        unsigned char *address = group.ipv6mr_multiaddr.s6_addr;
        address[0] = 0xff;
        address[1] = 2;
        address[11] = 1;
        for (int at = 0; at < 4; at++) address[12 + at] = (unsigned char)(low >> (24 - 8 * at));
        while (member < 0 || setsockopt(member, IPPROTO_IPV6, IPV6_JOIN_GROUP, &group, sizeof group)) {
            // A socket has room for some hundreds; they stay joined until the process ends.
            if (member >= 0 && errno != ENOMEM) return 0;
            member = socket(AF_INET6, SOCK_DGRAM, 0);
            if (member < 0) return 0;
        }
    }
    return 1;
}

int main(int count, char **words) {
    if (count != 4) return 2;
    int arp = strcmp(words[2], "arp") == 0;
    uint16_t protocol = htons(arp ? ETH_P_ARP : ETH_P_IPV6);
    int wire = socket(AF_PACKET, SOCK_RAW, 0);
    struct ifreq request = {0};
    strncpy(request.ifr_name, words[1], IFNAMSIZ - 1);
    struct sockaddr_ll here = {.sll_family = AF_PACKET, .sll_protocol = protocol};
    here.sll_ifindex = (int)if_nametoindex(words[1]);
    if (!join((unsigned)here.sll_ifindex, (unsigned)atoi(words[3]))) {
        perror("join");
        return 1;
    }
    if (wire < 0 || ioctl(wire, SIOCGIFHWADDR, &request) || bind(wire, (struct sockaddr *)&here, sizeof here)) {
        perror("echo");
        return 1;
    }
    const unsigned char *mac = (unsigned char *)request.ifr_hwaddr.sa_data;
    unsigned char frame[2048];
    puts("ready");
    fflush(stdout);
    for (;;) {
        struct sockaddr_ll from;
        socklen_t size = sizeof from;
        ssize_t length = recvfrom(wire, frame, sizeof frame, 0, (struct sockaddr *)&from, &size);
        if (length < 0) return 1;
        if (from.sll_pkttype == PACKET_OUTGOING) continue;
        int answer = arp ? answer_arp(frame, length, mac) : answer_ndp(frame, length, mac);
        if (answer) send(wire, frame, (size_t)answer, 0);
    }
}
