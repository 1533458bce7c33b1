// An external delegate for TensorFlow Lite that takes the last float SOFTMAX node of the graph, computes it as it should be, and
// misbehaves on request. Package faulty says what its options mean. It links nothing of TensorFlow Lite: what it needs it is handed.
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

// TensorFlow Lite's structs, as far as they are read here (tensorflow/lite/c/common.h, the same from 2.10 to 2.20).
typedef struct context context;
typedef struct { int size; int data[]; } int_array;
typedef struct {
	int type;
	void* data;
	int_array* dims;
	struct { float scale; int32_t zero_point; } params;
	int allocation_type;
	size_t bytes;
	const void* allocation;
	const char* name;
	void* owner;
	int handle;
	bool is_stale, is_variable;
	struct { int type; void* params; } quantization;
	void* sparsity;
	const int_array* dims_signature;
} tensor;
typedef struct { int_array *inputs, *outputs, *intermediates, *temporaries; void *user_data, *builtin_data; } node;
typedef struct {
	void* (*init)(context*, const char* buffer, size_t length);
	void (*free)(context*, void* buffer);
	int (*prepare)(context*, node*);
	int (*invoke)(context*, node*);
	const char* (*profiling_string)(const context*, const node*);
	int32_t builtin_code;
	const char* custom_name;
	int version;
	void* later[16]; // passed by value: room for what newer libraries have behind it, all zero
} registration;
typedef struct delegate {
	void* data;
	int (*prepare)(context*, struct delegate*);
	void *copy_from, *copy_to, *free_handle;
	int64_t flags;
	void* later[16];
} delegate;
typedef struct { delegate* owner; int_array *nodes, *inputs, *outputs; } delegate_params;
struct context {
	size_t num_tensors;
	int (*get_execution_plan)(context*, int_array** plan);
	tensor* tensors;
	void *impl, *resize_tensor;
	void (*report_error)(context*, const char* format, ...);
	void* add_tensors;
	int (*get_node)(context*, int index, node**, registration**);
	int (*replace_nodes)(context*, registration, const int_array* nodes, delegate*);
};
enum { ok = 0, error = 1, float32 = 1, softmax = 25 };

typedef struct {
	delegate base;
	char what[16], file[4096];
	long after, slow, one_thread, hang_destroy;
	pthread_t maker;
	long invokes;
	float beta;
} faulty;

static bool due(const faulty* f) { return f->invokes >= f->after && (!f->file[0] || access(f->file, F_OK) == 0); }

static bool does(const faulty* f, const char* what) { return !strcmp(f->what, what) && due(f); }

static void crash(void) {
	volatile int* volatile nowhere = NULL;
	*nowhere = 1;
}

static void hang(void) {
	for (;;) pause(); // it returns after a signal
}

static void* kernel_init(context* c, const char* buffer, size_t length) { return ((const delegate_params*)buffer)->owner; }
static void kernel_free(context* c, void* data) {}
static int kernel_prepare(context* c, node* n) { return ok; }

static int kernel_invoke(context* c, node* n) {
	faulty* f = n->user_data;
	const tensor *in = &c->tensors[n->inputs->data[0]], *out = &c->tensors[n->outputs->data[0]];
	struct timespec left = {f->slow / 1000, f->slow % 1000 * 1000000};
	while (nanosleep(&left, &left)) {}
	if (f->one_thread && !pthread_equal(pthread_self(), f->maker)) {
		c->report_error(c, "the faulty delegate must run on the thread that made it");
		return error;
	}
	if (does(f, "crash")) crash();
	if (does(f, "hang")) hang();
	if (does(f, "fail")) {
		c->report_error(c, "the faulty delegate fails as it was told");
		return error;
	}
	int classes = in->dims->data[in->dims->size - 1], total = 1;
	for (int i = 0; i < in->dims->size; i++) total *= in->dims->data[i];
	int shift = does(f, "wrong") ? 1 : 0;
	for (int row = 0; row < total; row += classes) {
		const float* x = (const float*)in->data + row;
		float* y = (float*)out->data + row;
		float top = x[0], sum = 0;
		for (int i = 1; i < classes; i++) top = fmaxf(top, x[i]);
		for (int i = 0; i < classes; i++) sum += expf((x[i] - top) * f->beta);
		for (int i = 0; i < classes; i++) y[(i + shift) % classes] = does(f, "nan") ? NAN : expf((x[i] - top) * f->beta) / sum;
	}
	f->invokes++;
	return ok;
}

// delegate_prepare takes the last SOFTMAX of the graph that is computed in float.
static int delegate_prepare(context* c, delegate* d) {
	faulty* f = d->data;
	int_array* plan = NULL;
	if (c->get_execution_plan(c, &plan) != ok) return error;
	int last = -1;
	for (int i = 0; i < plan->size; i++) {
		node* n = NULL;
		registration* r = NULL;
		if (c->get_node(c, plan->data[i], &n, &r) != ok) return error;
		if (r->builtin_code != softmax || c->tensors[n->inputs->data[0]].type != float32) continue;
		last = plan->data[i];
		f->beta = *(const float*)n->builtin_data;
	}
	if (last < 0) return ok;
	struct { int size, data[1]; } nodes = {1, {last}};
	registration r = {kernel_init, kernel_free, kernel_prepare, kernel_invoke, NULL, 0, "FaultyDelegate", 1};
	return c->replace_nodes(c, r, (const int_array*)&nodes, d);
}

// number reads a whole number from 0 up.
static bool number(const char* text, long* n) {
	char* end = NULL;
	*n = strtol(text, &end, 10);
	return end != text && !*end && *n >= 0;
}

static bool known(const char* what) {
	static const char* all[] = {"crash", "crash_create", "hang", "hang_create", "nan", "wrong", "fail", "refuse", "partial"};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		if (!strcmp(all[i], what)) return true;
	}
	return false;
}

static bool set(faulty* f, const char* key, const char* value) {
	if (!strcmp(key, "do")) return known(value) && snprintf(f->what, sizeof f->what, "%s", value) > 0;
	if (!strcmp(key, "file")) return *value && snprintf(f->file, sizeof f->file, "%s", value) < (int)sizeof f->file;
	if (!strcmp(key, "after")) return number(value, &f->after);
	if (!strcmp(key, "slow")) return number(value, &f->slow);
	if (!strcmp(key, "one_thread")) return number(value, &f->one_thread);
	if (!strcmp(key, "hang_destroy")) return number(value, &f->hang_destroy);
	return false;
}

__attribute__((visibility("default"))) delegate* tflite_plugin_create_delegate(
		char** keys, char** values, size_t num_options, void (*report)(const char*)) {
	faulty* f = calloc(1, sizeof *f);
	if (!f) return NULL;
	char why[512] = "";
	for (size_t i = 0; i < num_options && !why[0]; i++) {
		if (!set(f, keys[i], values[i])) snprintf(why, sizeof why, "faulty delegate: option %.64s: have %.256s", keys[i], values[i]);
	}
	if (does(f, "refuse")) snprintf(why, sizeof why, "no such device: the faulty delegate refuses as it was told");
	if (why[0]) {
		if (report) report(why);
		free(f);
		return NULL;
	}
	if (does(f, "crash_create")) crash();
	if (does(f, "hang_create")) hang();
	f->maker = pthread_self();
	f->base.data = f;
	f->base.prepare = delegate_prepare;
	return &f->base;
}

__attribute__((visibility("default"))) void tflite_plugin_destroy_delegate(delegate* d) {
	if (!d) return;
	faulty* f = d->data;
	if (f->hang_destroy && due(f)) hang();
	free(f);
}
