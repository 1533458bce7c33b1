// Package malloctest tells tests how much memory C code holds. The resident set can't tell: the allocator keeps what was freed, in an
// arena for each thread, and so comes and goes by tens of megabytes.
package malloctest

// #include <malloc.h>
//
// static size_t in_use(void) {
// 	struct mallinfo2 m = mallinfo2();
// 	return m.uordblks + m.hblkhd;
// }
import "C"

// InUse is the number of bytes that were allocated by malloc and not freed, in all arenas and in mappings of their own (glibc's
// mallinfo2).
func InUse() int64 { return int64(C.in_use()) }
