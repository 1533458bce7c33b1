// eighth decodes a JPEG at an eighth of its size, for eighth.go.
//
// There a block of 8x8 samples is one pixel, and its DC coefficient is all that counts. libjpeg decodes the 63 others of each block
// as for the whole picture, one by one, and throws them away: of a photo of 12 megapixels that is two thirds of its time. Here they
// are passed over, several at a step of a table.
//
// It takes what cameras write: baseline or extended sequential JPEG with Huffman coding, grey or YCbCr, 4:4:4, 4:2:2, 4:4:0 or 4:2:0,
// in one scan, with restart markers or without, and not the slightest fault. Anything else it leaves to libjpeg, and with that the
// verdict on it. Its levels are libjpeg's own, but for the chroma of 4:2:0: a block of that becomes four like pixels, as libjpeg has it
// in 4:2:2 as well, whereas there it takes the block's other coefficients for four of their own.
#ifndef SIGHTD_EIGHTH_H
#define SIGHTD_EIGHTH_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

// eighth decodes size bytes at data, a file that picture.Inspect has accepted, into *mat, a cv::Mat: 8-bit BGR. The picture must have
// that width and height. The result is 1, or 0 where the file isn't for it; *mat then holds anything. It keeps no pointer. A Mat
// of the right size and type keeps its memory.
int eighth(const void *data, size_t size, int width, int height, void *mat);

#ifdef __cplusplus
}
#endif

#endif
