#include "shrink.h"

#include <string.h>

#include <algorithm>
#include <memory>
#include <new>
#include <vector>

#include <opencv2/core.hpp>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace {

// grey fills the bars of Letterbox. It is the middle of the range: 0 in an int8 tensor, and next to 0 for a network that takes
// pixel/127.5-1, so that bars excite a network as little as the zero padding of its convolutions does.
constexpr uint8_t grey = 128;

// Levels have 8 fractional bits on their way, weights 16, and a product's high half is a level again: what is cut off, half a step
// of 1/256 on average for each product, is added beforehand.
typedef uint16_t u16x8 __attribute__((vector_size(16)));

// high is the high half of products. On x86 the compiler has no other way to say it in one instruction; on arm64 it finds it.
inline u16x8 high(u16x8 a, u16x8 b) {
#ifdef __SSE2__
	return (u16x8)_mm_mulhi_epu16((__m128i)a, (__m128i)b);
#else
	typedef uint32_t u32x8 __attribute__((vector_size(32)));
	return __builtin_convertvector(__builtin_convertvector(a, u32x8) * __builtin_convertvector(b, u32x8) >> 16, u16x8);
#endif
}

// join has four levels from each of two places.
inline u16x8 join(const uint16_t *left, const uint16_t *right) {
	typedef uint64_t u64x2 __attribute__((vector_size(16)));
	uint64_t l, r;
	memcpy(&l, left, sizeof l);
	memcpy(&r, right, sizeof r);
	return (u16x8)(u64x2){l, r};
}

// store_rgb writes two pixels of four levels, the first three of which are blue, green and red; and two bytes behind them.
inline void store_rgb(uint8_t *to, u16x8 levels) {
	typedef uint8_t u8x8 __attribute__((vector_size(8)));
	const u16x8 order = {2, 1, 0, 3, 6, 5, 4, 7};
	const u8x8 bytes = __builtin_convertvector(__builtin_shuffle(levels >> 8, order), u8x8);
	uint64_t pixels;
	memcpy(&pixels, &bytes, sizeof pixels);
	pixels = (pixels & 0xffffff) | (pixels >> 8 & 0xffffff000000);
	memcpy(to, &pixels, sizeof pixels);
}

// axis says which pixels of a side one of the result covers, and how much of it each is.
struct axis {
	int from = 0, to = 0;
	int taps = 0;               // of the pixel that covers most
	std::vector<int> start;     // the first pixel; and one 0, for what takes two at a time
	std::vector<int> count;     // of pixels
	std::vector<uint16_t> part; // taps a pixel of the result, 0 behind the last; they sum up to 65536, or 65535 where it is one

	void plan(int n, int m) {
		if (from == n && to == m) {
			return;
		}
		from = to = 0; // nothing, if memory ends
		taps = 0;
		start.assign(m + 1, 0);
		count.resize(m);
		for (int64_t i = 0; i < m; i++) {
			const int64_t first = i * n / m, end = ((i + 1) * n + m - 1) / m;
			start[i] = first;
			count[i] = end - first;
			taps = std::max(taps, count[i]);
		}
		part.assign(size_t(m) * taps, 0);
		for (int64_t i = 0; i < m; i++) {
			// In units of 1/m of a pixel the result's goes from i*n to (i+1)*n. Sums are rounded, so that they end right.
			int64_t before = 0;
			for (int k = 0; k < count[i]; k++) {
				const int64_t covered = std::min((start[i] + k + 1) * int64_t(m), (i + 1) * n) - i * n;
				const int64_t sum = (covered * 65536 + n / 2) / n;
				part[i * taps + k] = std::min<int64_t>(sum - before, 65535);
				before = sum;
			}
		}
		from = n;
		to = m;
	}
};

// blend adds rows of pixels, as much as parts says of each, to sums; or begins them.
template <int rows, bool begin>
void blend(uint16_t *__restrict sums, int n, const uint8_t *__restrict pixels, size_t step, const uint16_t *part, uint16_t bias) {
	const uint8_t *__restrict a = pixels, *__restrict b = a + (rows > 1 ? step : 0);
	const uint8_t *__restrict c = b + (rows > 2 ? step : 0), *__restrict d = c + (rows > 3 ? step : 0);
	const uint16_t pa = part[0], pb = rows > 1 ? part[1] : 0, pc = rows > 2 ? part[2] : 0, pd = rows > 3 ? part[3] : 0;
	for (int i = 0; i < n; i++) {
		uint16_t sum = begin ? bias : sums[i];
		sum += uint32_t(uint16_t(a[i] << 8)) * pa >> 16;
		if (rows > 1) sum += uint32_t(uint16_t(b[i] << 8)) * pb >> 16;
		if (rows > 2) sum += uint32_t(uint16_t(c[i] << 8)) * pc >> 16;
		if (rows > 3) sum += uint32_t(uint16_t(d[i] << 8)) * pd >> 16;
		sums[i] = sum;
	}
}

template <bool begin>
void blend_some(int rows, uint16_t *sums, int n, const uint8_t *pixels, size_t step, const uint16_t *part, uint16_t bias) {
	switch (rows) {
	case 1: return blend<1, begin>(sums, n, pixels, step, part, bias);
	case 2: return blend<2, begin>(sums, n, pixels, step, part, bias);
	case 3: return blend<3, begin>(sums, n, pixels, step, part, bias);
	default: return blend<4, begin>(sums, n, pixels, step, part, bias);
	}
}

} // namespace

struct shrinker {
	int width, height;
	uint8_t flip;
	std::vector<float> table;

	axis x, y;
	std::vector<u16x8> pairs;   // the x axis' parts, for two pixels of the result and four channels at a time
	std::vector<uint16_t> sums; // a row, shrunk in height: BGR, 8 fractional bits
	std::vector<uint8_t> row;   // a row of the result: RGB
	std::vector<uint8_t> bar;   // grey

	shrinker(int w, int h, uint8_t f) : width(w), height(h), flip(f), row(3 * size_t(w) + 8), bar(3 * size_t(w), grey) {}
	void plan(int from_width, int from_height, int to_width, int to_height);
	template <int fixed>
	void shrink_row();
	void put(void *tensor, int x, int y, const uint8_t *levels, int pixels) const;
};

void shrinker::plan(int from_width, int from_height, int to_width, int to_height) {
	y.plan(from_height, to_height);
	if (x.from == from_width && x.to == to_width && !pairs.empty()) {
		return;
	}
	pairs.clear();
	x.plan(from_width, to_width);
	sums.assign(3 * (size_t(from_width) + x.taps) + 8, 0); // what is read behind the end counts for nothing
	std::vector<u16x8> all(size_t(to_width + 1) / 2 * x.taps);
	for (int j = 0; j < to_width; j++) {
		for (int k = 0; k < x.taps; k++) {
			for (int c = 0; c < 4; c++) {
				all[j / 2 * x.taps + k][j % 2 * 4 + c] = x.part[j * x.taps + k];
			}
		}
	}
	pairs.swap(all);
}

// shrink_row makes row of sums. fixed is the number of taps, where the compiler is to know it, or 0.
template <int fixed>
void shrinker::shrink_row() {
	const int taps = fixed ? fixed : x.taps;
	const uint16_t round = 128 + (taps + 1) / 2;
	const u16x8 bias = {round, round, round, round, round, round, round, round};
	const u16x8 *part = pairs.data();
	const uint16_t *from = sums.data();
	uint8_t *to = row.data();
	for (int j = 0; j < x.to; j += 2) {
		const uint16_t *left = from + 3 * x.start[j], *right = from + 3 * x.start[j + 1];
		u16x8 sum = bias;
		for (int k = 0; k < taps; k++) {
			sum += high(join(left + 3 * k, right + 3 * k), *part++);
		}
		store_rgb(to, sum);
		to += 6;
	}
}

// put writes pixels from x, y on to the tensor.
void shrinker::put(void *tensor, int x, int y, const uint8_t *levels, int pixels) const {
	const size_t at = (size_t(y) * width + x) * 3;
	if (table.empty()) {
		uint8_t *to = static_cast<uint8_t *>(tensor) + at;
		for (int i = 0; i < 3 * pixels; i++) {
			to[i] = levels[i] ^ flip;
		}
		return;
	}
	float *to = static_cast<float *>(tensor) + at;
	for (int i = 0; i < pixels; i++) {
		for (int c = 0; c < 3; c++) {
			to[3 * i + c] = table[256 * c + levels[3 * i + c]];
		}
	}
}

shrinker *shrinker_new(int width, int height, uint8_t flip, const float *table) {
	try {
		std::unique_ptr<shrinker> s(new shrinker(width, height, flip));
		if (table) {
			s->table.assign(table, table + 3 * 256);
		}
		return s.release();
	} catch (const std::bad_alloc &) {
		return nullptr;
	}
}

void shrinker_free(shrinker *s) { delete s; }

int shrinker_run(shrinker *s, const void *mat, shrink_part from, shrink_part to, void *tensor) {
	try {
		s->plan(from.width, from.height, to.width, to.height);
	} catch (const std::bad_alloc &) {
		return 0;
	}
	const cv::Mat &picture = *static_cast<const cv::Mat *>(mat);
	const size_t step = picture.step[0];
	const int n = 3 * from.width, right = to.x + to.width;
	const uint16_t bias = (s->y.taps + 1) / 2;
	for (int i = 0; i < s->height; i++) {
		if (i < to.y || i >= to.y + to.height) {
			s->put(tensor, 0, i, s->bar.data(), s->width);
			continue;
		}
		const int start = s->y.start[i - to.y], count = s->y.count[i - to.y];
		const uint16_t *part = &s->y.part[(i - to.y) * size_t(s->y.taps)];
		const uint8_t *pixels = picture.ptr(from.y + start) + 3 * from.x;
		blend_some<true>(count, s->sums.data(), n, pixels, step, part, bias);
		for (int k = 4; k < count; k += 4) {
			blend_some<false>(count - k, s->sums.data(), n, pixels + k * step, step, part + k, 0);
		}
		switch (s->x.taps) {
		case 2: s->shrink_row<2>(); break;
		case 3: s->shrink_row<3>(); break;
		case 4: s->shrink_row<4>(); break;
		case 5: s->shrink_row<5>(); break;
		case 6: s->shrink_row<6>(); break;
		default: s->shrink_row<0>();
		}
		s->put(tensor, 0, i, s->bar.data(), to.x);
		s->put(tensor, to.x, i, s->row.data(), to.width);
		s->put(tensor, right, i, s->bar.data(), s->width - right);
	}
	return 1;
}
