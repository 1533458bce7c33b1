// shrink makes an input tensor of a picture by area: one pass over its pixels, from strided 8-bit BGR to RGB in the tensor's type.
//
// OpenCV's INTER_AREA goes through floats where the factor is no whole number, and its result is then read twice more, to turn BGR
// into RGB and to convert it: for 640x480 to 160x160 that takes four times as long. The compiler makes vector instructions of this, of
// those that each x86-64 and arm64 processor has: newer ones would gain little.
#ifndef SIGHTD_SHRINK_H
#define SIGHTD_SHRINK_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// SHRINK_TAPS is the most pixels of a side that one of the result may cover, in whole or in part.
enum { SHRINK_TAPS = 64 };

typedef struct shrinker shrinker;

typedef struct {
	int x, y, width, height;
} shrink_part;

// shrinker_new makes a shrinker for a tensor [height, width, 3]; 0 where there is no memory. With a table, of 256 values for each of
// red, green and blue, the tensor has those floats; without one it has bytes, each a level ^ flip.
shrinker *shrinker_new(int width, int height, uint8_t flip, const float *table);
void shrinker_free(shrinker *s);

// shrinker_run writes the whole tensor: part from of *mat, a cv::Mat of 8-bit BGR pixels, to part to of it, and grey around that. Both
// parts lie inside and aren't empty; a side of from is 1 to SHRINK_TAPS-2 times as long as that of to. The result is 0 where there is
// no memory. A size like the last one's takes none.
int shrinker_run(shrinker *s, const void *mat, shrink_part from, shrink_part to, void *tensor);

#ifdef __cplusplus
}
#endif

#endif
