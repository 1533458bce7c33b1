package tflite

/*
#include <malloc.h>

static void trim(void) {
#ifdef __GLIBC__
	malloc_trim(0);
#endif
}
*/
import "C"

// Trim gives what C has freed back to the system. Its allocator has an arena for each of several threads, and keeps in each as much as
// the largest model needed that was opened there. It takes some milliseconds.
func Trim() { C.trim() }
