#include "eighth.h"

#include <algorithm>
#include <exception>
#include <memory>
#include <new>

#include <opencv2/core.hpp>

#include "eighth_huffman.h"

namespace {

using namespace eighth_part;

constexpr int max_side = 65500; // libjpeg's
constexpr int max_blocks = (max_side + 15) / 16 * 2;

// bytes is a part of the file.
struct bytes {
	const uint8_t *at;
	size_t size;
};

// component is one of the frame's.
struct component {
	uint8_t id = 0;
	int h = 0, v = 0; // blocks in an MCU
	int quant = 0;    // number of its table
	int q = 0;        // quantization of the DC
	const huffman *dc = nullptr, *ac = nullptr;
	int last = 0; // DC coefficient
};

struct decoder {
	int quants[4] = {};     // of DC coefficients; 0 where there is no table
	bytes codes[2][4] = {}; // of the DHT segments, DC and AC: counts and symbols
	bool jfif = false, adobe = false;
	int width = 0, height = 0, components = 0;
	component comp[3];
	int interval = 0; // MCUs between restart markers, or 0
	huffman dc[3], ac[3];
	uint8_t rows[3][2][max_blocks]; // levels of a row of MCUs

	bool headers(const uint8_t *&at, const uint8_t *end);
	bool segment(int marker, bytes s);
	bool define_quants(bytes s);
	bool define_codes(bytes s);
	bool frame(bytes s);
	bool scan(bytes s);
	bool pixels(const uint8_t *at, const uint8_t *end, uint8_t *to, size_t step);
	bool mcu(bit_reader &r, int x);
	bool block(bit_reader &r, component &c, uint8_t *to);
	void write(const uint8_t *const row[3], uint8_t *to, int n) const;
};

int word(const uint8_t *at) { return at[0] << 8 | at[1]; }

uint8_t level(int v) { return uint8_t(std::clamp(v + 128, 0, 255)); }

// headers reads the file up to the scan's data.
bool decoder::headers(const uint8_t *&at, const uint8_t *end) {
	if (end - at < 2 || word(at) != 0xffd8) {
		return false;
	}
	for (at += 2; end - at >= 4 && at[0] == 0xff;) {
		const int marker = at[1], length = word(at + 2);
		if (length < 2 || length > end - at - 2) {
			return false;
		}
		const bytes s = {at + 4, size_t(length - 2)};
		at += 2 + length;
		if (marker == 0xda) {
			return scan(s);
		}
		if (!segment(marker, s)) {
			return false;
		}
	}
	return false;
}

bool decoder::segment(int marker, bytes s) {
	switch (marker) {
	case 0xc0:
	case 0xc1: return frame(s);
	case 0xc4: return define_codes(s);
	case 0xdb: return define_quants(s);
	case 0xdd:
		interval = s.size == 2 ? word(s.at) : 0;
		return s.size == 2;
	case 0xe0:
		if (s.size >= 5 && memcmp(s.at, "JFIF", 5) == 0) {
			jfif = s.size >= 14 && s.at[5] == 1;
			return jfif;
		}
		return true;
	case 0xee:
		if (s.size >= 5 && memcmp(s.at, "Adobe", 5) == 0) {
			adobe = s.size >= 12 && s.at[11] == 1; // YCbCr
			return adobe;
		}
		return true;
	}
	return marker == 0xfe || (marker & 0xf0) == 0xe0; // comments and applications' data
}

bool decoder::define_quants(bytes s) {
	for (; s.size >= 65 && s.at[0] < 4; s = {s.at + 65, s.size - 65}) {
		if (memchr(s.at + 1, 0, 64)) {
			return false;
		}
		quants[s.at[0]] = s.at[1];
	}
	return s.size == 0;
}

bool decoder::define_codes(bytes s) {
	while (s.size >= 17) {
		const int kind = s.at[0] >> 4, number = s.at[0] & 15;
		size_t symbols = 0;
		for (int i = 1; i <= 16; i++) {
			symbols += s.at[i];
		}
		if (kind > 1 || number > 3 || symbols > 256 || symbols > s.size - 17) {
			return false;
		}
		codes[kind][number] = {s.at + 1, 16 + symbols};
		s = {s.at + 17 + symbols, s.size - 17 - symbols};
	}
	return s.size == 0;
}

bool decoder::frame(bytes s) {
	if (components || s.size < 6 || s.at[0] != 8) {
		return false;
	}
	height = word(s.at + 1);
	width = word(s.at + 3);
	components = s.at[5];
	if ((components != 1 && components != 3) || s.size != size_t(6 + 3 * components) || width < 1 || height < 1 ||
		width > max_side || height > max_side) {
		return false;
	}
	for (int i = 0; i < components; i++) {
		const uint8_t *p = s.at + 6 + 3 * i;
		component &c = comp[i];
		c.id = p[0];
		c.h = p[1] >> 4;
		c.v = p[1] & 15;
		c.quant = p[2];
		const int most = i == 0 ? 2 : 1;
		if (c.h < 1 || c.h > most || c.v < 1 || c.v > most || c.quant > 3) {
			return false;
		}
	}
	if (components == 1) {
		comp[0].h = comp[0].v = 1; // a scan of one component has its blocks in their order
		return true;
	}
	return comp[0].id != comp[1].id && comp[0].id != comp[2].id && comp[1].id != comp[2].id;
}

// scan takes the header of the one scan, and what was defined for it.
bool decoder::scan(bytes s) {
	const int n = components;
	if (n == 0 || s.size != size_t(4 + 2 * n) || s.at[0] != n || s.at[1 + 2 * n] != 0 || s.at[2 + 2 * n] != 63 || s.at[3 + 2 * n] != 0) {
		return false;
	}
	if (n == 3 && !jfif && !adobe && !(comp[0].id == 1 && comp[1].id == 2 && comp[2].id == 3)) {
		return false; // may be RGB
	}
	for (int i = 0; i < n; i++) {
		component &c = comp[i];
		const int number[2] = {s.at[2 + 2 * i] >> 4, s.at[2 + 2 * i] & 15};
		if (s.at[1 + 2 * i] != c.id || number[0] > 3 || number[1] > 3 || !quants[c.quant]) {
			return false;
		}
		const bytes d = codes[0][number[0]], a = codes[1][number[1]];
		if (!d.at || !a.at || !dc[i].make(d.at, d.at + 16)) {
			return false;
		}
		for (size_t j = 16; j < d.size; j++) {
			if (d.at[j] > max_dc) {
				return false;
			}
		}
		c.dc = &dc[i];
		for (int j = 0; j < i && !c.ac; j++) {
			c.ac = s.at[2 + 2 * j] % 16 == number[1] ? comp[j].ac : nullptr;
		}
		if (!c.ac) {
			if (!ac[i].make(a.at, a.at + 16)) {
				return false;
			}
			ac[i].make_several();
			c.ac = &ac[i];
		}
		c.q = quants[c.quant];
	}
	return true;
}

// block reads one, for the pixel that it becomes. It says whether it is sound.
inline bool decoder::block(bit_reader &r, component &c, uint8_t *to) {
	r.refill();
	const int n = c.dc->symbol(r);
	if (n < 0 || n > max_dc) {
		return false;
	}
	if (n) {
		c.last += r.value(n);
	}
	if (c.last < -32768 || c.last > 32767) {
		return false;
	}
	*to = level((c.last * c.q + 4) >> 3);
	return c.ac->skip_block(r, 1);
}

// mcu decodes MCU x of a row.
inline bool decoder::mcu(bit_reader &r, int x) {
	const int h = comp[0].h, v = comp[0].v;
	for (int i = 0; i < v; i++) {
		for (int j = 0; j < h; j++) {
			if (!block(r, comp[0], &rows[0][i][x * h + j])) {
				return false;
			}
		}
	}
	for (int c = 1; c < components; c++) {
		uint8_t *upper = &rows[c][0][x * h], *lower = &rows[c][1][x * h];
		uint8_t one;
		if (!block(r, comp[c], &one)) {
			return false;
		}
		upper[0] = upper[h - 1] = lower[0] = lower[h - 1] = one;
	}
	return true;
}

// pixels decodes the scan's data and writes the picture. It says whether the picture ends with them.
bool decoder::pixels(const uint8_t *at, const uint8_t *end, uint8_t *to, size_t step) {
	const int h = comp[0].h, v = comp[0].v, out = (width + 7) / 8, out_rows = (height + 7) / 8;
	const int across = (width + 8 * h - 1) / (8 * h);
	bit_reader r = {at, end};
	int left = interval, restarts = 0;
	for (int y = 0; y < out_rows; y += v) {
		for (int x = 0; x < across; x++) {
			if (interval && left == 0) {
				if (!r.finish(0xd0 + restarts++ % 8)) {
					return false;
				}
				left = interval;
				for (component &c : comp) {
					c.last = 0;
				}
			}
			left--;
			if (!mcu(r, x)) {
				return false;
			}
		}
		if (r.overrun()) {
			return false;
		}
		for (int i = 0; i < v && y + i < out_rows; i++) {
			const uint8_t *const row[3] = {rows[0][i], rows[1][i], rows[2][i]};
			write(row, to + (y + i) * step, out);
		}
	}
	return r.finish(0xd9);
}

// write converts n pixels to BGR, as libjpeg does.
void decoder::write(const uint8_t *const row[3], uint8_t *to, int n) const {
	for (int i = 0; i < n; i++, to += 3) {
		const int y = row[0][i];
		if (components == 1) {
			to[0] = to[1] = to[2] = uint8_t(y);
			continue;
		}
		const int cb = row[1][i] - 128, cr = row[2][i] - 128;
		to[0] = uint8_t(std::clamp(y + ((116130 * cb + 32768) >> 16), 0, 255));
		to[1] = uint8_t(std::clamp(y + ((-22554 * cb - 46802 * cr + 32768) >> 16), 0, 255));
		to[2] = uint8_t(std::clamp(y + ((91881 * cr + 32768) >> 16), 0, 255));
	}
}

} // namespace

int eighth(const void *data, size_t size, int width, int height, void *mat) {
	try {
		const std::unique_ptr<decoder> d(new decoder);
		const uint8_t *at = static_cast<const uint8_t *>(data), *const end = at + size;
		if (!d->headers(at, end) || d->width != width || d->height != height) {
			return 0;
		}
		cv::Mat &picture = *static_cast<cv::Mat *>(mat);
		picture.create((height + 7) / 8, (width + 7) / 8, CV_8UC3);
		return d->pixels(at, end, picture.data, picture.step[0]);
	} catch (const std::exception &) { // no memory
		return 0;
	}
}
