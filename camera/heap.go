package camera

/*
#include <malloc.h>

// map_from has C's memory of that size or more mapped piece by piece, keeps up to kept bytes at each heap's top, and has so many heaps.
static void map_from(int bytes, int kept, int arenas) {
#ifdef __GLIBC__
	mallopt(M_ARENA_MAX, arenas);
	mallopt(M_MMAP_THRESHOLD, bytes);
	mallopt(M_TRIM_THRESHOLD, kept);
#endif
}
*/
import "C"

import "runtime"

// mappedFrom is from how many bytes on a piece of C's memory is mapped by itself.
const mappedFrom = 1 << 20

// keptOnTop is how much may be free at a heap's top: with glibc's 128 KiB each picture gave back what the next one took.
const keptOnTop = 4 << 20

// GiveBack has the C memory of large pictures given back to the system when it is freed. Else glibc maps pieces by themselves only from the
// size of the largest that was freed so far (up to 32 MiB), and keeps what lies between others: with large pictures and reloads by turns
// a process of 20 MB came to hold 94. And it has one heap (an arena) for each core at most: glibc has 8 for each core, which threads come to
// one after the other over hours, and each keeps what the pictures that were decoded there needed. The program calls it before any other
// thread is there.
func GiveBack() { C.map_from(mappedFrom, keptOnTop, C.int(runtime.NumCPU())) }
