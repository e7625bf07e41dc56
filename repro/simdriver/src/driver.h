/* A simulated CUDA driver: a libcuda.so.1 that answers the calls libcufft makes, on a machine without a GPU.
 *
 * No kernel runs and no memory is touched. What is real is the library above: the codes that cuFFT returns are its own
 * answers to the faults injected here. Structures and call signatures follow NVIDIA's public CUDA driver API reference.
 *
 * Knobs are environment variables, read at every call, so a running process can have a fault come and go:
 *
 *   SIMCUDA_DRIVER_VERSION      what cuDriverGetVersion reports, 1000 * major + 10 * minor          (13000)
 *   SIMCUDA_COMPUTE_CAPABILITY  10 * major + minor of the device                                    (86)
 *   SIMCUDA_FREE_MB             device memory that is free; a larger allocation is out of memory    (20000)
 *   SIMCUDA_HOST_MEMORY         1: device memory is the process's own, and copies copy               (0)
 *   SIMCUDA_DEVICES             number of GPUs                                                      (1)
 *   SIMCUDA_DEVICE_NAME         their name                                            (Simulated GPU N)
 *   SIMCUDA_INIT_ERROR          CUresult of cuInit, 0: works                                        (0)
 *   SIMCUDA_CONTEXT_ERROR       CUresult of retaining the primary context, 0: works                 (0)
 *   SIMCUDA_JIT_ERROR           CUresult of loading an image that needs the PTX compiler, 0: works  (0)
 *   SIMCUDA_JIT_CACHED          1: a cache hides SIMCUDA_JIT_ERROR, unless CUDA_CACHE_DISABLE is set (0)
 *   SIMCUDA_MODULE_ERROR        CUresult of loading any image, 0: works                             (0)
 *   SIMCUDA_LAUNCH_ERROR        CUresult of cuLaunchKernel, 0: works                                (0)
 *   SIMCUDA_TRACE               1: write every call to stderr                                       (0)
 *
 * In place of a CUresult, INIT_ERROR, CONTEXT_ERROR and JIT_ERROR may be what a driver does that never returns: "crash",
 * "exit", "hang", or "stubborn", which hangs and ignores SIGINT and SIGTERM. Compiled with -DWITHOUT_DRIVER_VERSION, it
 * lacks cuDriverGetVersion, as a stub does.
 */
#ifndef SIMCUDA_DRIVER_H
#define SIMCUDA_DRIVER_H

#include <stddef.h>
#include <stdint.h>

typedef int CUresult;
typedef int CUdevice;
typedef uintptr_t CUdeviceptr;

enum {
    CUDA_SUCCESS = 0,
    CUDA_ERROR_OUT_OF_MEMORY = 2,
    CUDA_ERROR_INVALID_DEVICE = 101,
    CUDA_ERROR_NO_BINARY_FOR_GPU = 209,
    CUDA_ERROR_INVALID_HANDLE = 400,
    CUDA_ERROR_NOT_FOUND = 500,
};

/* knobs.c */
int knob_driver_version(void);
int knob_compute_capability(void);
size_t knob_free_bytes(void);
int knob_host_memory(void);
int knob_devices(void);
const char *knob_device_name(void); /* NULL: none given */
CUresult knob_init_error(void);
CUresult knob_context_error(void);
CUresult knob_jit_error(void);
CUresult knob_module_error(void);
CUresult knob_launch_error(void);
void trace(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* device.c: the one context of the one device */
void *primary_context(void);

/* memory.c: an address that nothing lies at; successive answers do not overlap */
CUdeviceptr next_address(size_t bytes);

/* image.c: what of a fat binary fits a device */
enum {
    IMAGE_MACHINE_CODE = 1, /* machine code the device runs as it is */
    IMAGE_PTX = 2,          /* PTX that a compiler in the driver could turn into such code */
    IMAGE_UNKNOWN = 4,      /* a format this driver does not know */
};
int classify_image(const void *image, int compute_capability, char *description, size_t size);

/* module.c: also reached through the CUDA runtime's private tables */
CUresult load_module(void **module, const void *image, const char *caller);

#endif
