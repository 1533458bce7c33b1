// What sightd calls of LiteRT 2.3's C interface, declared by hand and found at run time: nothing is linked. Every handle of the library is
// a pointer to something that only it knows.
#ifndef SIGHTD_LITERT_H
#define SIGHTD_LITERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { lrt_max_rank = 8, lrt_cpu = 1, lrt_gpu = 2 };

// A value of some type, as options have it.
typedef struct {
	int32_t type; // 2: integer, 8: text
	union {
		int64_t integer;
		const char* text;
	} value;
} lrt_any;

// An option of an environment.
typedef struct {
	int32_t tag;
	lrt_any value;
} lrt_environment_option;

// The type and shape of a tensor.
typedef struct {
	int32_t element; // numbered as TfLiteType
	uint32_t rank;   // in bits 0 to 6; bit 7 says whether there are strides
	int32_t dimensions[lrt_max_rank];
	uint32_t strides[lrt_max_rank];
} lrt_ranked;

// Scale and zero point of a whole tensor.
typedef struct {
	float scale;
	int64_t zero_point;
} lrt_quantization;

// FUNCTION(result, name without its prefix LiteRt, arguments). An int that comes back is a status, 0 for success.
#define LRT_FUNCTIONS(FUNCTION) \
	FUNCTION(int, CreateEnvironment, (int n, const lrt_environment_option* options, void** environment)) \
	FUNCTION(void, DestroyEnvironment, (void* environment)) \
	FUNCTION(void, EnvironmentHasGpuEnvironment, (void* environment, bool* has)) \
	FUNCTION(int, GetNumAccelerators, (void* environment, size_t* n)) \
	FUNCTION(int, GetAccelerator, (void* environment, size_t i, void** accelerator)) \
	FUNCTION(int, GetAcceleratorHardwareSupport, (void* accelerator, int* mask)) \
	FUNCTION(int, CreateModelFromBuffer, (void* environment, const void* data, size_t size, void** model)) \
	FUNCTION(void, DestroyModel, (void* model)) \
	FUNCTION(int, GetModelSignature, (void* model, size_t i, void** signature)) \
	FUNCTION(int, GetSignatureSubgraph, (void* signature, void** subgraph)) \
	FUNCTION(int, GetNumSignatureInputs, (void* signature, size_t* n)) \
	FUNCTION(int, GetNumSignatureOutputs, (void* signature, size_t* n)) \
	FUNCTION(int, GetSignatureInputTensorByIndex, (void* signature, size_t i, void** tensor)) \
	FUNCTION(int, GetSignatureOutputTensorByIndex, (void* signature, size_t i, void** tensor)) \
	FUNCTION(int, GetNumSubgraphOps, (void* subgraph, size_t* n)) \
	FUNCTION(int, GetNumSubgraphOutputs, (void* subgraph, size_t* n)) \
	FUNCTION(int, GetSubgraphOutput, (void* subgraph, size_t i, void** tensor)) \
	FUNCTION(int, GetTensorName, (void* tensor, const char** name)) \
	FUNCTION(int, GetTensorTypeId, (void* tensor, int* type)) \
	FUNCTION(int, GetRankedTensorType, (void* tensor, lrt_ranked* type)) \
	FUNCTION(int, GetQuantizationTypeId, (void* tensor, int* kind)) \
	FUNCTION(int, GetPerTensorQuantization, (void* tensor, lrt_quantization* quantization)) \
	FUNCTION(int, CreateOptions, (void** options)) \
	FUNCTION(void, DestroyOptions, (void* options)) \
	FUNCTION(int, SetOptionsHardwareAccelerators, (void* options, int mask)) \
	FUNCTION(int, CreateOpaqueOptions, (const char* identifier, void* payload, void (*destroy)(void*), void** opaque)) \
	FUNCTION(void, DestroyOpaqueOptions, (void* opaque)) \
	FUNCTION(int, AddOpaqueOptions, (void* options, void* opaque)) \
	FUNCTION(int, CreateCompiledModel, (void* environment, void* model, void* options, void** compiled)) \
	FUNCTION(void, DestroyCompiledModel, (void* compiled)) \
	FUNCTION(int, CompiledModelIsNonCpuFullyAccelerated, (void* compiled, bool* fully)) \
	FUNCTION(int, SetCompiledModelCancellationFunction, (void* compiled, void* data, bool (*cancel)(void* data))) \
	FUNCTION(int, CreateTensorBufferFromHostMemory, \
		(const lrt_ranked* type, void* memory, size_t size, void (*destroy)(void*), void** buffer)) \
	FUNCTION(void, DestroyTensorBuffer, (void* buffer)) \
	FUNCTION(int, RunCompiledModel, (void* compiled, size_t signature, size_t n_in, void** in, size_t n_out, void** out))

// lrt is the library, loaded.
typedef struct {
#define FUNCTION(result, name, arguments) result(*name) arguments;
	LRT_FUNCTIONS(FUNCTION)
#undef FUNCTION
} lrt;

// lrt_failure says which function gave which status. function is NULL where there was no failure.
typedef struct {
	const char* function;
	int status;
} lrt_failure;

// lrt_graph is the model's main graph: its number of nodes, and of inputs and outputs of its first signature.
typedef struct {
	size_t nodes, inputs, outputs;
} lrt_graph;

// lrt_tensor is an input or output of the first signature. name belongs to the model.
typedef struct {
	const char* name;
	lrt_ranked type;
	int quantization; // 0 none, 1 of the whole tensor, 2 by channel
	lrt_quantization per_tensor;
	size_t index; // among those of the signature
} lrt_tensor;

// lrt_session is an opened model. What is in it belongs to it, but the library; parts that aren't there are NULL.
typedef struct {
	const lrt* library;
	void *environment, *model, *compiled;
	void* data; // the file
	void *in, **out; // tensor buffers, of which out are in the order of the signature
	size_t n_out;
	void** memory;   // that of the input, then of the outputs in the order of out
	size_t* sizes;   // of memory, in bytes
} lrt_session;

// lrt_load loads the library at path, for good: neither it nor the accelerators that it loads stand being unloaded. message says why that
// fails.
bool lrt_load(const char* path, lrt* library, char* message, size_t size);

// lrt_probe loads an accelerator, for good, and looks whether it is one.
bool lrt_probe(const char* path, char* message, size_t size);

// lrt_create_environment makes the session's environment, which has the accelerators of a folder, and says whether one is for the GPU.
lrt_failure lrt_create_environment(lrt_session* s, const char* directory, bool* gpu);

// lrt_create_model makes the session's model of a copy of data.
lrt_failure lrt_create_model(lrt_session* s, const void* data, size_t size, lrt_graph* graph);

// lrt_get_tensor describes input i, or output i in the order of the graph, which needn't be that of the signature.
lrt_failure lrt_get_tensor(const lrt_session* s, bool output, size_t i, lrt_tensor* tensor);

// lrt_compile makes the session's compiled model for a mask of accelerators, in place of the one before. gpu and cpu are their options as lines of `key = value`.
lrt_failure lrt_compile(lrt_session* s, int mask, const char* gpu, const char* cpu);

// lrt_make_room makes room for an input and n_out outputs, for lrt_bind.
bool lrt_make_room(lrt_session* s, size_t n_out);

// lrt_bind allocates size bytes of zeros for a tensor, gives them to the network and says where they are.
lrt_failure lrt_bind(lrt_session* s, bool output, const lrt_tensor* tensor, size_t size, void** memory);

// lrt_count runs the network once, and gives the number of steps that this took: one for each of the graph's nodes where the processor runs
// them one by one, and one for what the GPU takes of them. The compiled model must not be run again.
lrt_failure lrt_count(const lrt_session* s, size_t* steps);

// lrt_run runs the network once and gives the status. Before, it fills the outputs with bytes that are no numbers as floats: a run that
// writes nothing, though it says that it succeeded, must not pass for the one before.
int lrt_run(const lrt_session* s);

// lrt_close frees everything that is in the session, and the session.
void lrt_close(lrt_session* s);

// lrt_has_gpu says whether the session's environment has set a GPU up.
bool lrt_has_gpu(const lrt_session* s);

// lrt_is_gpu_alone says whether the GPU runs the whole compiled model.
lrt_failure lrt_is_gpu_alone(const lrt_session* s, bool* alone);

// lrt_vulkan writes into text why no device can be had by Vulkan, or which there are. It loads Vulkan's loader and the drivers.
void lrt_vulkan(char* text, size_t size);

#endif
