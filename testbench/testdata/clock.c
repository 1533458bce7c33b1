// A wall clock that a test sets: preloaded, it has every program's clock_gettime go by the file TEST_CLOCK, whose first eight bytes are
// nanoseconds that CLOCK_REALTIME is ahead. Go asks the kernel's vDSO itself, so that is what is written over: the entry of the
// vDSO's clock_gettime becomes a jump to ours, in this process's own copy of the page. Monotonic time is left alone, as it is when
// somebody sets the clock.
#define _GNU_SOURCE
#include <elf.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *ahead;

#if defined(__x86_64__)
static const char *entry = "__vdso_clock_gettime";
static long ask(long clock, struct timespec *at) {
	long result;
	__asm__ volatile("syscall" : "=a"(result) : "0"(SYS_clock_gettime), "D"(clock), "S"(at) : "rcx", "r11", "memory");
	return result;
}
static size_t jump(unsigned char *code, uintptr_t to) {
	memcpy(code, "\x48\xb8", 2); // mov rax, to
	memcpy(code + 2, &to, 8);
	memcpy(code + 10, "\xff\xe0", 2); // jmp rax
	return 12;
}
#elif defined(__aarch64__)
static const char *entry = "__kernel_clock_gettime";
static long ask(long clock, struct timespec *at) {
	register long x0 __asm__("x0") = clock;
	register struct timespec *x1 __asm__("x1") = at;
	register long x8 __asm__("x8") = SYS_clock_gettime;
	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x1), "r"(x8) : "memory");
	return x0;
}
static size_t jump(unsigned char *code, uintptr_t to) {
	uint32_t words[2] = {0x58000050, 0xd61f0200}; // ldr x16, .+8; br x16
	memcpy(code, words, 8);
	memcpy(code + 8, &to, 8);
	return 16;
}
#endif

static int shifted(clockid_t clock, struct timespec *at) {
	long result = ask(clock, at);
	if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
		int64_t ns = at->tv_nsec + *ahead % 1000000000;
		at->tv_sec += *ahead / 1000000000;
		if (ns < 0)
			at->tv_sec--, ns += 1000000000;
		else if (ns >= 1000000000)
			at->tv_sec++, ns -= 1000000000;
		at->tv_nsec = ns;
	}
	return result;
}

// find looks the vDSO's entry up in its dynamic symbols.
static unsigned char *find(unsigned char *base) {
	Elf64_Ehdr *head = (void *)base;
	Elf64_Phdr *part = (void *)(base + head->e_phoff);
	Elf64_Dyn *dynamic = 0;
	unsigned char *from = 0;
	for (int i = 0; i < head->e_phnum; i++) {
		if (part[i].p_type == PT_LOAD && !from)
			from = base + part[i].p_offset - part[i].p_vaddr;
		if (part[i].p_type == PT_DYNAMIC)
			dynamic = (void *)(base + part[i].p_offset);
	}
	Elf64_Sym *symbols = 0;
	char *names = 0;
	for (; dynamic && dynamic->d_tag; dynamic++) {
		if (dynamic->d_tag == DT_SYMTAB)
			symbols = (void *)(from + dynamic->d_un.d_ptr);
		if (dynamic->d_tag == DT_STRTAB)
			names = (char *)(from + dynamic->d_un.d_ptr);
	}
	// The names lie behind the symbols.
	for (Elf64_Sym *s = symbols; s && (char *)s < names; s++)
		if (s->st_value && !strcmp(names + s->st_name, entry))
			return from + s->st_value;
	return 0;
}

__attribute__((constructor)) static void start(void) {
	char *path = getenv("TEST_CLOCK");
	unsigned char *vdso = (void *)getauxval(AT_SYSINFO_EHDR);
	if (!path || !vdso)
		return;
	int file = open(path, O_RDONLY | O_CLOEXEC);
	void *page = mmap(0, 4096, PROT_READ, MAP_SHARED, file, 0);
	close(file);
	unsigned char *code = find(vdso);
	if (page == MAP_FAILED || !code)
		abort();
	ahead = page;
	uintptr_t first = (uintptr_t)code & ~4095ul;
	if (mprotect((void *)first, 8192, PROT_READ | PROT_WRITE | PROT_EXEC))
		abort();
	size_t n = jump(code, (uintptr_t)shifted);
	__builtin___clear_cache((char *)code, (char *)code + n);
	mprotect((void *)first, 8192, PROT_READ | PROT_EXEC);
}
