#include "CPlatform.h"

#include <string.h>

// The reflected polynomial of CRC-32C (Castagnoli).
#define POLYNOMIAL 0x82F63B78u

// One byte at a time: serves CPUs without a CRC instruction.
static uint32_t byte_table[256];

// The CRC instruction has a latency of three cycles and a throughput of one: three lanes over three adjacent blocks run at
// full speed, then the lanes are joined by advancing the first ones over the length of a block of zeros (M. Adler, crc32c.c).
enum { long_block = 2048, short_block = 336 };  // three short blocks: a message of 1 KiB
static uint32_t long_shift[4][256];
static uint32_t short_shift[4][256];

// A linear operator over GF(2)^32 as the images of the 32 unit vectors.
static uint32_t apply_operator(const uint32_t *operator_, uint32_t vector) {
    uint32_t sum = 0;
    for (; vector; vector >>= 1, operator_++)
        if (vector & 1) sum ^= *operator_;
    return sum;
}

// Fills `table` so that shift() advances a CRC over `length` zero bytes.
static void fill_shift_table(uint32_t table[4][256], size_t length) {
    uint32_t operator_[32];
    for (int bit = 0; bit < 32; bit++) {
        uint32_t c = 1u << bit;
        for (size_t n = 0; n < length; n++) c = (c >> 8) ^ byte_table[c & 0xff];
        operator_[bit] = c;
    }
    for (uint32_t n = 0; n < 256; n++)
        for (int byte = 0; byte < 4; byte++) table[byte][n] = apply_operator(operator_, n << (8 * byte));
}

__attribute__((constructor)) static void fill_tables(void) {
    for (uint32_t n = 0; n < 256; n++) {
        uint32_t c = n;
        for (int k = 0; k < 8; k++) c = (c & 1) ? (c >> 1) ^ POLYNOMIAL : c >> 1;
        byte_table[n] = c;
    }
    fill_shift_table(long_shift, long_block);
    fill_shift_table(short_shift, short_block);
}

static uint32_t update_portable(uint32_t crc, const uint8_t *p, size_t n) {
    while (n--) crc = (crc >> 8) ^ byte_table[(crc ^ *p++) & 0xff];
    return crc;
}

uint32_t warren_crc32c_portable(uint32_t crc, const void *bytes, size_t length) {
    return ~update_portable(~crc, bytes, length);
}

#if defined(__x86_64__)
#include <nmmintrin.h>
#define HARDWARE __attribute__((target("sse4.2")))
#define STEP8(crc, word) _mm_crc32_u64((crc), (word))
#define STEP1(crc, byte) _mm_crc32_u8((uint32_t)(crc), (byte))
static int has_hardware(void) { return __builtin_cpu_supports("sse4.2"); }
#elif defined(__aarch64__) && defined(__linux__)
#include <arm_acle.h>
#include <asm/hwcap.h>
#include <sys/auxv.h>
#define HARDWARE __attribute__((target("+crc")))
#define STEP8(crc, word) __crc32cd((uint32_t)(crc), (word))
#define STEP1(crc, byte) __crc32cb((uint32_t)(crc), (byte))
static int has_hardware(void) { return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0; }
#endif

#if defined(HARDWARE)
static inline uint64_t load8(const uint8_t *p) {
    uint64_t word;
    memcpy(&word, p, 8);
    return word;
}

static inline uint32_t shift(uint32_t table[4][256], uint32_t crc) {
    return table[0][crc & 0xff] ^ table[1][(crc >> 8) & 0xff] ^ table[2][(crc >> 16) & 0xff] ^ table[3][crc >> 24];
}

HARDWARE static inline uint32_t three_lanes(uint32_t crc, const uint8_t *p, size_t block, uint32_t table[4][256]) {
    uint64_t a = crc, b = 0, c = 0;
    for (const uint8_t *end = p + block; p < end; p += 8) {
        a = STEP8(a, load8(p));
        b = STEP8(b, load8(p + block));
        c = STEP8(c, load8(p + 2 * block));
    }
    return shift(table, shift(table, (uint32_t)a) ^ (uint32_t)b) ^ (uint32_t)c;
}

HARDWARE static uint32_t update_hardware(uint32_t crc, const uint8_t *p, size_t n) {
    for (; n >= 3 * long_block; p += 3 * long_block, n -= 3 * long_block)
        crc = three_lanes(crc, p, long_block, long_shift);
    for (; n >= 3 * short_block; p += 3 * short_block, n -= 3 * short_block)
        crc = three_lanes(crc, p, short_block, short_shift);
    uint64_t lane = crc;
    for (; n >= 8; p += 8, n -= 8) lane = STEP8(lane, load8(p));
    crc = (uint32_t)lane;
    for (; n > 0; p++, n--) crc = STEP1(crc, *p);
    return crc;
}

uint32_t warren_crc32c(uint32_t crc, const void *bytes, size_t length) {
    crc = ~crc;
    crc = has_hardware() ? update_hardware(crc, bytes, length) : update_portable(crc, bytes, length);
    return ~crc;
}
#else
uint32_t warren_crc32c(uint32_t crc, const void *bytes, size_t length) {
    return warren_crc32c_portable(crc, bytes, length);
}
#endif
