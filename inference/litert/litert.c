#include "litert.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRY(name, arguments) \
	do { \
		int status = s->library->name arguments; \
		if (status != 0) return (lrt_failure){"LiteRt" #name, status}; \
	} while (0)

enum {
	memory_alignment = 64, // what the library asks of memory that it is lent
	memory_margin = 64,    // kernels may read a bit beyond the end

	option_library_directory = 22, // of an environment
	option_severity = 25,
	severity_silent = 4,
	any_integer = 2,
	any_text = 8,
	out_of_memory = 2, // a status
	invalid = 1,
};

static const lrt_failure success = {NULL, 0};

static void copy_error(char* message, size_t size) {
	const char* reason = dlerror();
	snprintf(message, size, "%s", reason ? reason : "the loader gives no reason");
}

bool lrt_load(const char* path, lrt* library, char* message, size_t size) {
	void* handle = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
	if (!handle) {
		copy_error(message, size);
		return false;
	}
#define FUNCTION(result, name, arguments) \
	*(void**)&library->name = dlsym(handle, "LiteRt" #name); \
	if (!library->name) { \
		snprintf(message, size, "%s is no LiteRT 2.3: it has no function LiteRt" #name, path); \
		dlclose(handle); \
		return false; \
	}
	LRT_FUNCTIONS(FUNCTION)
#undef FUNCTION
	return true;
}

bool lrt_probe(const char* path, char* message, size_t size) {
	void* handle = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
	if (!handle) {
		copy_error(message, size);
		return false;
	}
	if (dlsym(handle, "LiteRtAcceleratorImpl") || dlsym(handle, "LiteRtRegisterGpuAccelerator")) return true;
	snprintf(message, size, "%s is no accelerator of LiteRT", path);
	dlclose(handle);
	return false;
}

lrt_failure lrt_create_environment(lrt_session* s, const char* directory, bool* gpu) {
	lrt_environment_option options[] = {
		{option_library_directory, {any_text, {.text = directory}}},
		{option_severity, {any_integer, {.integer = severity_silent}}},
	};
	size_t n = 0;
	*gpu = false;
	TRY(CreateEnvironment, (2, options, &s->environment));
	TRY(GetNumAccelerators, (s->environment, &n));
	for (size_t i = 0; i < n; i++) {
		void* accelerator = NULL;
		int mask = 0;
		TRY(GetAccelerator, (s->environment, i, &accelerator));
		TRY(GetAcceleratorHardwareSupport, (accelerator, &mask));
		if (mask & lrt_gpu) *gpu = true;
	}
	return success;
}

lrt_failure lrt_create_model(lrt_session* s, const void* data, size_t size, lrt_graph* graph) {
	void *signature = NULL, *subgraph = NULL;
	if (posix_memalign(&s->data, memory_alignment, size + memory_margin) != 0) {
		s->data = NULL;
		return (lrt_failure){"posix_memalign", out_of_memory};
	}
	memcpy(s->data, data, size);
	memset((char*)s->data + size, 0, memory_margin);
	TRY(CreateModelFromBuffer, (s->environment, s->data, size, &s->model));
	TRY(GetModelSignature, (s->model, 0, &signature));
	TRY(GetSignatureSubgraph, (signature, &subgraph));
	TRY(GetNumSubgraphOps, (subgraph, &graph->nodes));
	TRY(GetNumSignatureInputs, (signature, &graph->inputs));
	TRY(GetNumSignatureOutputs, (signature, &graph->outputs));
	return success;
}

// find_output finds output i of the graph among those of the signature. An output that is listed twice is found at the same place.
static lrt_failure find_output(const lrt_session* s, void* signature, size_t i, size_t* index) {
	void *subgraph = NULL, *wanted = NULL;
	size_t n = 0;
	TRY(GetSignatureSubgraph, (signature, &subgraph));
	TRY(GetSubgraphOutput, (subgraph, i, &wanted));
	TRY(GetNumSignatureOutputs, (signature, &n));
	for (*index = 0; *index < n; ++*index) {
		void* tensor = NULL;
		TRY(GetSignatureOutputTensorByIndex, (signature, *index, &tensor));
		if (tensor == wanted) return success;
	}
	return (lrt_failure){"LiteRtGetSignatureOutputTensorByIndex", invalid};
}

lrt_failure lrt_get_tensor(const lrt_session* s, bool output, size_t i, lrt_tensor* t) {
	void *signature = NULL, *tensor = NULL;
	int kind = 0;
	memset(t, 0, sizeof *t);
	TRY(GetModelSignature, (s->model, 0, &signature));
	t->index = i;
	if (output) {
		lrt_failure f = find_output(s, signature, i, &t->index);
		if (f.function) return f;
		TRY(GetSignatureOutputTensorByIndex, (signature, t->index, &tensor));
	} else {
		TRY(GetSignatureInputTensorByIndex, (signature, i, &tensor));
	}
	TRY(GetTensorName, (tensor, &t->name));
	TRY(GetTensorTypeId, (tensor, &kind));
	if (kind != 0) return success; // without a rank: the type stays 0, which no tensor has
	TRY(GetRankedTensorType, (tensor, &t->type));
	TRY(GetQuantizationTypeId, (tensor, &t->quantization));
	if (t->quantization == 1) TRY(GetPerTensorQuantization, (tensor, &t->per_tensor));
	return success;
}

// add_options gives the lines of text to the part of the library that goes by identifier.
static lrt_failure add_options(lrt_session* s, void* options, const char* identifier, const char* text) {
	void* opaque = NULL;
	char* payload = strdup(text); // free frees it, as the library calls that
	if (!payload) return (lrt_failure){"strdup", out_of_memory};
	int status = s->library->CreateOpaqueOptions(identifier, payload, free, &opaque);
	if (status != 0) {
		free(payload);
		return (lrt_failure){"LiteRtCreateOpaqueOptions", status};
	}
	status = s->library->AddOpaqueOptions(options, opaque);
	if (status != 0) {
		s->library->DestroyOpaqueOptions(opaque);
		return (lrt_failure){"LiteRtAddOpaqueOptions", status};
	}
	return success;
}

static lrt_failure compile(lrt_session* s, void* options, int mask, const char* gpu, const char* cpu) {
	TRY(SetOptionsHardwareAccelerators, (options, mask));
	lrt_failure f = add_options(s, options, "gpu_options", gpu);
	if (!f.function) f = add_options(s, options, "xnnpack", cpu);
	// Complaints of kernels go nowhere: nobody would read a buffer of them where there is no compiled model.
	if (!f.function) f = add_options(s, options, "runtime_options_string", "error_reporter_mode = 0\n");
	if (f.function) return f;
	TRY(CreateCompiledModel, (s->environment, s->model, options, &s->compiled));
	return success;
}

lrt_failure lrt_compile(lrt_session* s, int mask, const char* gpu, const char* cpu) {
	void* options = NULL;
	if (s->compiled) s->library->DestroyCompiledModel(s->compiled);
	s->compiled = NULL;
	TRY(CreateOptions, (&options));
	lrt_failure f = compile(s, options, mask, gpu, cpu);
	s->library->DestroyOptions(options);
	return f;
}

bool lrt_make_room(lrt_session* s, size_t n_out) {
	s->out = calloc(n_out, sizeof *s->out);
	s->memory = calloc(n_out + 1, sizeof *s->memory);
	s->sizes = calloc(n_out + 1, sizeof *s->sizes);
	s->n_out = s->out && s->memory && s->sizes ? n_out : 0;
	return s->n_out == n_out;
}

lrt_failure lrt_bind(lrt_session* s, bool output, const lrt_tensor* tensor, size_t size, void** memory) {
	size_t slot = output ? 1 + tensor->index : 0;
	void** buffer = output ? &s->out[tensor->index] : &s->in;
	*memory = s->memory[slot];
	if (*memory) return success; // an output that is listed twice
	size_t room = (size + memory_margin + memory_alignment - 1) / memory_alignment * memory_alignment;
	if (posix_memalign(memory, memory_alignment, room) != 0) return (lrt_failure){"posix_memalign", out_of_memory};
	memset(*memory, 0, room);
	s->memory[slot] = *memory;
	s->sizes[slot] = size;
	TRY(CreateTensorBufferFromHostMemory, (&tensor->type, *memory, size, NULL, buffer));
	return success;
}

int lrt_run(const lrt_session* s) {
	void* in = s->in;
	for (size_t i = 1; i < s->n_out + 1; i++) memset(s->memory[i], 0xff, s->sizes[i]);
	return s->library->RunCompiledModel(s->compiled, 0, 1, &in, s->n_out, s->out);
}

// count_step is asked after each step whether to go no further.
static bool count_step(void* steps) {
	++*(size_t*)steps;
	return false;
}

lrt_failure lrt_count(const lrt_session* s, size_t* steps) {
	size_t counted = 0;
	TRY(SetCompiledModelCancellationFunction, (s->compiled, &counted, count_step));
	int status = lrt_run(s);
	if (status != 0) return (lrt_failure){"LiteRtRunCompiledModel", status};
	*steps = counted;
	return success;
}

void lrt_close(lrt_session* s) {
	const lrt* library = s->library;
	for (size_t i = 0; i < s->n_out; i++) {
		if (s->out[i]) library->DestroyTensorBuffer(s->out[i]);
	}
	if (s->in) library->DestroyTensorBuffer(s->in);
	if (s->compiled) library->DestroyCompiledModel(s->compiled);
	if (s->model) library->DestroyModel(s->model);
	if (s->environment) library->DestroyEnvironment(s->environment);
	for (size_t i = 0; s->memory && i < s->n_out + 1; i++) free(s->memory[i]);
	free(s->memory);
	free(s->sizes);
	free(s->out);
	free(s->data);
	free(s);
}

bool lrt_has_gpu(const lrt_session* s) {
	bool has = false;
	s->library->EnvironmentHasGpuEnvironment(s->environment, &has);
	return has;
}

lrt_failure lrt_is_gpu_alone(const lrt_session* s, bool* alone) {
	TRY(CompiledModelIsNonCpuFullyAccelerated, (s->compiled, alone));
	return success;
}
