#include "litert.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// What is called of Vulkan 1.0, declared by hand.
typedef struct {
	int32_t type; // 1: that of this structure
	const void* next;
	uint32_t flags;
	const void* application;
	uint32_t n_layers;
	const char* const* layers;
	uint32_t n_extensions;
	const char* const* extensions;
} instance_info;

typedef struct {
	uint32_t api, driver, vendor, device;
	int32_t type; // 1 integrated, 2 discrete, 3 virtual, 4 the processor
	char name[256];
	char rest[2048]; // of which Vulkan fills some hundred bytes
} device_properties;

typedef void (*function)(void);
typedef function (*get_function)(void* instance, const char* name);
typedef int (*create_instance)(const instance_info* info, const void* allocator, void** instance);
typedef void (*destroy_instance)(void* instance, const void* allocator);
typedef int (*enumerate_devices)(void* instance, uint32_t* n, void** devices);
typedef void (*get_properties)(void* device, device_properties* properties);

enum { max_devices = 8, incomplete = 5 };

// list writes the names of the instance's devices.
static void list(get_function get, void* instance, char* text, size_t size) {
	void* devices[max_devices];
	uint32_t n = max_devices;
	enumerate_devices enumerate = (enumerate_devices)get(instance, "vkEnumeratePhysicalDevices");
	get_properties properties_of = (get_properties)get(instance, "vkGetPhysicalDeviceProperties");
	int status = enumerate ? enumerate(instance, &n, devices) : -1;
	if (!properties_of || (status != 0 && status != incomplete)) n = 0;
	if (n == 0) {
		snprintf(text, size, "Vulkan finds no device: please install the GPU's Vulkan driver (Debian's for Intel, AMD, Raspberry Pi: "
			"mesa-vulkan-drivers) and see that this user may open /dev/dri/render*");
		return;
	}
	size_t used = (size_t)snprintf(text, size, "LiteRT can't use what Vulkan finds:");
	for (uint32_t i = 0; i < n && used < size; i++) {
		device_properties* p = calloc(1, sizeof *p);
		if (!p) return;
		properties_of(devices[i], p);
		p->name[sizeof p->name - 1] = 0;
		used += (size_t)snprintf(text + used, size - used, "%s %s (Vulkan %u.%u)", i ? "," : "", p->name, p->api >> 22 & 0x7f, p->api >> 12 & 0x3ff);
		free(p);
	}
}

void lrt_vulkan(char* text, size_t size) {
	void* loader = dlopen("libvulkan.so.1", RTLD_LAZY | RTLD_LOCAL);
	if (!loader) {
		const char* reason = dlerror();
		snprintf(text, size, "can't load Vulkan's loader: please install it (Debian: libvulkan1) and the GPU's driver: %s", reason ? reason : "");
		return;
	}
	get_function get = (get_function)dlsym(loader, "vkGetInstanceProcAddr");
	create_instance create = get ? (create_instance)get(NULL, "vkCreateInstance") : NULL;
	void* instance = NULL;
	instance_info info = {.type = 1};
	int status = create ? create(&info, NULL, &instance) : -1;
	if (status != 0) {
		snprintf(text, size, "Vulkan finds no driver (status %d): please install the GPU's (Debian's for Intel, AMD, Raspberry Pi: "
			"mesa-vulkan-drivers)", status);
	} else {
		list(get, instance, text, size);
		destroy_instance destroy = (destroy_instance)get(instance, "vkDestroyInstance");
		if (destroy) destroy(instance, NULL);
	}
	dlclose(loader);
}
