/* Initialisation, the device and its attributes, contexts, streams. */
#include "driver.h"

#include <stdio.h>
#include <string.h>

static int context_storage;
static _Thread_local void *current_context;

void *primary_context(void) { return &context_storage; }

CUresult cuInit(unsigned flags)
{
    trace("cuInit(%u)", flags);
    return knob_init_error();
}

#ifndef WITHOUT_DRIVER_VERSION
CUresult cuDriverGetVersion(int *version)
{
    *version = knob_driver_version();
    trace("cuDriverGetVersion -> %d", *version);
    return CUDA_SUCCESS;
}
#endif

CUresult cuDeviceGetCount(int *count)
{
    *count = knob_devices();
    return CUDA_SUCCESS;
}

CUresult cuDeviceGet(CUdevice *device, int ordinal)
{
    trace("cuDeviceGet(%d)", ordinal);
    *device = ordinal;
    return ordinal >= 0 && ordinal < knob_devices() ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

CUresult cuDeviceGetName(char *name, int length, CUdevice device)
{
    if (knob_device_name())
        snprintf(name, (size_t)length, "%s", knob_device_name());
    else
        snprintf(name, (size_t)length, "Simulated GPU %d", device);
    return CUDA_SUCCESS;
}

CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice device)
{
    (void)device;
    *bytes = (size_t)24 << 30;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetUuid(unsigned char *uuid, CUdevice device)
{
    memset(uuid, device + 1, 16);
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetUuid_v2(unsigned char *uuid, CUdevice device) { return cuDeviceGetUuid(uuid, device); }

CUresult cuDeviceCanAccessPeer(int *can, CUdevice device, CUdevice peer)
{
    (void)device, (void)peer;
    *can = 0;
    return CUDA_SUCCESS;
}

/* CUdevice_attribute -> value, about those of a GeForce RTX 3090; what is not listed is 0. */
static const struct { int attribute, value; } ATTRIBUTES[] = {
    {1, 1024},       /* MAX_THREADS_PER_BLOCK */
    {2, 1024},       /* MAX_BLOCK_DIM_X */
    {3, 1024},       /* MAX_BLOCK_DIM_Y */
    {4, 64},         /* MAX_BLOCK_DIM_Z */
    {5, 2147483647}, /* MAX_GRID_DIM_X */
    {6, 65535},      /* MAX_GRID_DIM_Y */
    {7, 65535},      /* MAX_GRID_DIM_Z */
    {8, 49152},      /* MAX_SHARED_MEMORY_PER_BLOCK */
    {9, 65536},      /* TOTAL_CONSTANT_MEMORY */
    {10, 32},        /* WARP_SIZE */
    {11, 2147483647},/* MAX_PITCH */
    {12, 65536},     /* MAX_REGISTERS_PER_BLOCK */
    {13, 1695000},   /* CLOCK_RATE, kHz */
    {14, 512},       /* TEXTURE_ALIGNMENT */
    {15, 1},         /* GPU_OVERLAP */
    {16, 82},        /* MULTIPROCESSOR_COUNT */
    {19, 1},         /* CAN_MAP_HOST_MEMORY */
    {31, 1},         /* CONCURRENT_KERNELS */
    {36, 9751000},   /* MEMORY_CLOCK_RATE, kHz */
    {37, 384},       /* GLOBAL_MEMORY_BUS_WIDTH */
    {38, 6291456},   /* L2_CACHE_SIZE */
    {39, 1536},      /* MAX_THREADS_PER_MULTIPROCESSOR */
    {40, 2},         /* ASYNC_ENGINE_COUNT */
    {41, 1},         /* UNIFIED_ADDRESSING */
    {78, 1},         /* STREAM_PRIORITIES_SUPPORTED */
    {79, 1},         /* GLOBAL_L1_CACHE_SUPPORTED */
    {80, 1},         /* LOCAL_L1_CACHE_SUPPORTED */
    {81, 102400},    /* MAX_SHARED_MEMORY_PER_MULTIPROCESSOR */
    {82, 65536},     /* MAX_REGISTERS_PER_MULTIPROCESSOR */
    {83, 1},         /* MANAGED_MEMORY */
    {97, 101376},    /* MAX_SHARED_MEMORY_PER_BLOCK_OPTIN */
    {106, 16},       /* MAX_BLOCKS_PER_MULTIPROCESSOR */
    {111, 1024},     /* RESERVED_SHARED_MEMORY_PER_BLOCK */
};

CUresult cuDeviceGetAttribute(int *value, int attribute, CUdevice device)
{
    (void)device;
    *value = 0;
    if (attribute == 75) /* COMPUTE_CAPABILITY_MAJOR */
        *value = knob_compute_capability() / 10;
    else if (attribute == 76) /* COMPUTE_CAPABILITY_MINOR */
        *value = knob_compute_capability() % 10;
    else
        for (size_t i = 0; i < sizeof ATTRIBUTES / sizeof *ATTRIBUTES; i++)
            if (ATTRIBUTES[i].attribute == attribute)
                *value = ATTRIBUTES[i].value;
    trace("cuDeviceGetAttribute(%d) -> %d", attribute, *value);
    return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRetain(void **context, CUdevice device)
{
    trace("cuDevicePrimaryCtxRetain(%d)", device);
    *context = primary_context();
    return knob_context_error();
}

CUresult cuDevicePrimaryCtxGetState(CUdevice device, unsigned *flags, int *active)
{
    (void)device;
    *flags = 0;
    *active = 1;
    return CUDA_SUCCESS;
}

CUresult cuCtxGetCurrent(void **context)
{
    *context = current_context;
    trace("cuCtxGetCurrent -> %p", current_context);
    return CUDA_SUCCESS;
}

CUresult cuCtxSetCurrent(void *context)
{
    current_context = context;
    return CUDA_SUCCESS;
}

CUresult cuCtxPushCurrent_v2(void *context) { return cuCtxSetCurrent(context); }

CUresult cuCtxPopCurrent_v2(void **context)
{
    if (context)
        *context = current_context;
    return CUDA_SUCCESS;
}

CUresult cuCtxGetDevice(CUdevice *device)
{
    *device = 0;
    return CUDA_SUCCESS;
}

CUresult cuCtxGetApiVersion(void *context, unsigned *version)
{
    (void)context;
    *version = 3020;
    return CUDA_SUCCESS;
}

CUresult cuStreamGetCtx(void *stream, void **context)
{
    (void)stream;
    *context = primary_context();
    return CUDA_SUCCESS;
}

CUresult cuStreamIsCapturing(void *stream, int *status)
{
    (void)stream;
    *status = 0;
    return CUDA_SUCCESS;
}

CUresult cuGetErrorName(CUresult error, const char **name)
{
    (void)error;
    *name = "SIMULATED_ERROR";
    return CUDA_SUCCESS;
}

CUresult cuGetErrorString(CUresult error, const char **text)
{
    (void)error;
    *text = "an error of the simulated driver";
    return CUDA_SUCCESS;
}
