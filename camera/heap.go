package camera

/*
#include <malloc.h>

// map_from has C's memory of that size or more mapped piece by piece, and keeps up to kept bytes at the heap's top.
static void map_from(int bytes, int kept) {
#ifdef __GLIBC__
	mallopt(M_MMAP_THRESHOLD, bytes);
	mallopt(M_TRIM_THRESHOLD, kept);
#endif
}
*/
import "C"

// mappedFrom is from how many bytes on a piece of C's memory is mapped by itself.
const mappedFrom = 1 << 20

// keptOnTop is how much may be free at the heap's top: with glibc's 128 KiB each picture gave back what the next one took.
const keptOnTop = 4 << 20

// GiveBack has the C memory of large pictures given back to the system when it is freed. Else glibc maps pieces by themselves only from the
// size of the largest that was freed so far (up to 32 MiB), and keeps what lies between others: with large pictures and reloads by turns
// a process of 20 MB came to hold 94. The program calls it before it decodes anything.
func GiveBack() { C.map_from(mappedFrom, keptOnTop) }
