package camera

// C's memory in a program that decodes pictures, set before the program has threads, since a thread keeps the heap that it finds:
//
//   - Pieces of 1 MiB and more are mapped by themselves, and so given back to the system when they are freed. Else glibc does so only from
//     the size of the largest piece that was freed so far (up to 32 MiB), and keeps what lies between others: with large pictures and reloads
//     by turns a process of 20 MB came to hold 94.
//   - 4 MiB may be free at a heap's top: with glibc's 128 KiB each picture gave back what the next one took.
//   - There is a heap (an arena) for each core at most. glibc has 8 for each, which threads come to one after the other over hours, and each
//     keeps what the pictures that were decoded there needed.

/*
#include <malloc.h>
#include <sys/sysinfo.h>

#ifdef __GLIBC__
static void __attribute__((constructor)) bound_heaps(void) {
	mallopt(M_MMAP_THRESHOLD, 1 << 20);
	mallopt(M_TRIM_THRESHOLD, 4 << 20);
	mallopt(M_ARENA_MAX, get_nprocs());
}
#endif
*/
import "C"
