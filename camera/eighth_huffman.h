// The entropy coding of a sequential JPEG (ITU-T T.81, annex F), as far as eighth.cpp needs it: DC coefficients, and passing over AC
// coefficients. Nothing here reads outside of what it was given, or believes it.
#ifndef SIGHTD_EIGHTH_HUFFMAN_H
#define SIGHTD_EIGHTH_HUFFMAN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

namespace eighth_part {

constexpr int max_dc = 11, max_ac = 10; // most bits of a coefficient (difference) of 8-bit samples
constexpr int end_of_block = 0x00, sixteen_zeros = 0xf0;

// bit_reader reads the bits of entropy-coded data up to a marker, and behind that zeros.
struct bit_reader {
	const uint8_t *at, *end; // the next byte, and the end of the file
	uint64_t bits = 0;       // from the highest on; behind the first count of them come those of the next byte, or zeros
	int count = 0;
	int lent = 0; // zeros among the bits that were read or wait in count

	// refill makes sure that 56 bits wait.
	void refill() {
		if (end - at >= 8) {
			uint64_t next;
			memcpy(&next, at, sizeof next);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
			next = __builtin_bswap64(next);
#endif
			const int bytes = (63 - count) >> 3;
			const uint64_t ff = (~next - 0x0101010101010101) & next & 0x8080808080808080; // not 0 where a byte is 0xFF
			if (__builtin_expect(!(ff >> (56 - 8 * bytes)), 1)) {
				bits |= next >> count;
				at += bytes;
				count |= 56;
				return;
			}
		}
		*this = refill_slowly(*this);
	}

	// refill_slowly takes byte by byte. It works on a copy, for the compiler to keep the original in registers.
	__attribute__((noinline)) static bit_reader refill_slowly(bit_reader r) {
		while (r.count < 56) {
			uint64_t byte = 0;
			if (r.at_marker()) {
				r.lent += 8;
			} else {
				byte = *r.at;
				r.at += byte == 0xff ? 2 : 1;
			}
			r.bits |= byte << (56 - r.count);
			r.count += 8;
		}
		return r;
	}

	// at_marker says whether no byte of data comes next: a marker does, a broken one, or nothing.
	bool at_marker() const { return at == end || (*at == 0xff && (end - at < 2 || at[1] != 0)); }

	void skip(int n) {
		bits <<= n & 63;
		count -= n;
	}

	// value reads a coefficient of n bits, of 1 to max_dc.
	int value(int n) {
		const int v = int(bits >> (64 - n));
		skip(n);
		return v >> (n - 1) ? v : v - (1 << n) + 1;
	}

	bool overrun() const { return count < lent; }

	// finish goes behind marker, if it comes next and no more than the padding of a byte is left.
	bool finish(int marker) {
		if (overrun() || count - lent >= 8 || end - at < 2 || at[0] != 0xff || at[1] != marker) {
			return false;
		}
		*this = bit_reader{at + 2, end};
		return true;
	}
};

// huffman is a table of codes.
struct huffman {
	static constexpr int width = 12; // bits that are looked up at once

	uint16_t one[1 << width];     // of a code: its bits and, << 8, its symbol; 0 where it is longer
	uint16_t several[1 << width]; // of AC coefficients, as many as those bits begin: all their bits and, << 8, how far they lead
	int32_t past[17];             // behind the last code of so many bits
	int32_t offset[17];           // of the symbol of a code of so many bits: to be added to it
	uint8_t symbols[256];

	static constexpr int ends = 128;    // is added to how far they lead where the end of the block follows
	static constexpr int nothing = 255; // stands for how far they lead where there is none of them

	bool make(const uint8_t *counts, const uint8_t *from);
	void make_several();

	// symbol reads one; 16 bits must wait. -1: there is none.
	int symbol(bit_reader &r) const {
		const int entry = one[r.bits >> (64 - width)];
		if (__builtin_expect(entry, 1)) {
			r.skip(entry & 255);
			return entry >> 8;
		}
		for (int n = width + 1; n <= 16; n++) {
			const int32_t code = int32_t(r.bits >> (64 - n));
			if (code < past[n]) {
				r.skip(n);
				return symbols[(code + offset[n]) & 255];
			}
		}
		return -1;
	}

	// skip_one passes over an AC symbol, and goes from coefficient k to the next; 64 at the end of the block, more where it is broken.
	int skip_one(bit_reader &r, int k) const {
		r.refill();
		const int s = symbol(r), bits = s & 15, zeros = s >> 4;
		if (s < 0 || bits > max_ac || (bits == 0 && s != end_of_block && s != sixteen_zeros)) {
			return 65;
		}
		r.skip(bits);
		return s == end_of_block ? 64 : k + zeros + 1;
	}

	// skip_block passes over the AC coefficients from k on. It says whether they fit into the block.
	bool skip_block(bit_reader &r, int k) const {
		while (k < 64) {
			r.refill(); // enough for two steps of at most width + max_ac bits
			for (int i = 0; i < 2; i++) {
				const int entry = several[r.bits >> (64 - width)], next = k + (entry >> 8);
				if (__builtin_expect(next < 64, 1)) {
					r.skip(entry & 255);
					k = next;
					continue;
				}
				if (next == 64 || (next >= ends && next < ends + 64)) {
					r.skip(entry & 255);
					return true;
				}
				k = skip_one(r, k); // a long code; or the block ends within these coefficients
				break;
			}
		}
		return k == 64;
	}
};

// make reads a table of a DHT segment: the numbers of codes of 1 to 16 bits, and their symbols, 256 at most. It says whether it is one.
inline bool huffman::make(const uint8_t *counts, const uint8_t *from) {
	memset(one, 0, sizeof one);
	int32_t code = 0;
	int known = 0;
	for (int n = 1; n <= 16; n++) {
		offset[n] = known - code;
		for (int i = 0; i < counts[n - 1]; i++, code++, known++) {
			if (known == 256 || code >= (1 << n) - 1) { // a code of ones alone is none
				return false;
			}
			symbols[known] = from[known];
			if (n <= width) {
				for (int j = 0; j < 1 << (width - n); j++) {
					one[(code << (width - n)) + j] = uint16_t(from[known] << 8 | n);
				}
			}
		}
		past[n] = code;
		code <<= 1;
	}
	return known > 0;
}

// make_several fills that table.
inline void huffman::make_several() {
	for (int index = 0; index < 1 << width; index++) {
		int used = 0, k = 0;
		while (used < width) {
			const int entry = one[(index << used) & ((1 << width) - 1)];
			const int s = entry >> 8, bits = s & 15, next = k + (s >> 4) + 1;
			if (!entry || used + (entry & 255) > width) {
				break;
			}
			if (s == end_of_block) {
				used += entry & 255;
				k += ends;
				break;
			}
			if (bits > max_ac || (bits == 0 && s != sixteen_zeros) || next > 63) {
				break;
			}
			used += (entry & 255) + bits;
			k = next;
		}
		several[index] = uint16_t((used ? k : nothing) << 8 | used);
	}
}

} // namespace eighth_part

#endif
