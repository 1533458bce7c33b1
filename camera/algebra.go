package camera

/*
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>

// OpenCV's core brings OpenBLAS, which starts a thread for each further processor before the program begins. They run idle for a tenth of
// a second, beside those that prove the model. Nothing here needs them; OpenBLAS starts them again for what does.
__attribute__((constructor)) static void end_algebra(void) {
	int (*end)(void) = (int (*)(void))dlsym(RTLD_DEFAULT, "blas_thread_shutdown_");
	if (end != NULL) end();
}
*/
import "C"
