// imdecode decodes a picture that lies in memory with OpenCV, for decode.go.
//
// GoCV has two functions for that. Its IMDecodeIntoMat throws OpenCV's verdict away: a broken file leaves a Mat of the
// right size and half the pixels, and no error. Its IMDecode makes a new Mat each time and keeps the error in a global
// variable. Both copy the file, and let any exception but cv::Exception through, which ends the process.
#ifndef SIGHTD_IMDECODE_H
#define SIGHTD_IMDECODE_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
	int decoded;       // 1 where mat holds the picture
	char message[256]; // why not, where OpenCV says so
} imdecode_result;

// imdecode decodes size bytes at data into *mat, a cv::Mat, with cv::imdecode's flags. It keeps no pointer. A Mat of the
// right size and type keeps its memory. If it fails, *mat holds anything.
imdecode_result imdecode(void *data, size_t size, int flags, void *mat);

#ifdef __cplusplus
}
#endif

#endif
