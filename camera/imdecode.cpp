#include "imdecode.h"

#include <stdio.h>

#include <exception>

#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>

imdecode_result imdecode(void *data, size_t size, int flags, void *mat) {
	imdecode_result result = {};
	try {
		const cv::Mat file(1, static_cast<int>(size), CV_8UC1, data);
		const cv::Mat picture = cv::imdecode(file, flags, static_cast<cv::Mat *>(mat));
		result.decoded = !picture.empty();
	} catch (const cv::Exception &e) {
		snprintf(result.message, sizeof result.message, "%s", e.err.c_str());
	} catch (const std::exception &e) {
		snprintf(result.message, sizeof result.message, "%s", e.what());
	} catch (...) {
		snprintf(result.message, sizeof result.message, "unknown exception");
	}
	return result;
}
