/* Modules, functions, launches: where a driver without a working PTX compiler fails. */
#include "driver.h"

/* A module is the image it was loaded from, a function its name: both only have to be distinct and not null. */

CUresult load_module(void **module, const void *image, const char *caller)
{
    char description[256];
    int fits = classify_image(image, knob_compute_capability(), description, sizeof description);
    CUresult result = CUDA_ERROR_NO_BINARY_FOR_GPU;
    if (fits & (IMAGE_MACHINE_CODE | IMAGE_UNKNOWN))
        result = CUDA_SUCCESS;
    else if (fits & IMAGE_PTX)
        result = knob_jit_error();
    if (knob_module_error())
        result = knob_module_error();
    *module = result ? NULL : (void *)image;
    trace("%s(%s) -> %d", caller, description, result);
    return result;
}

CUresult cuModuleLoadData(void **module, const void *image) { return load_module(module, image, __func__); }

CUresult cuModuleLoadFatBinary(void **module, const void *image) { return load_module(module, image, __func__); }

CUresult cuModuleLoadDataEx(void **module, const void *image, unsigned count, int *options, void **values)
{
    (void)count, (void)options, (void)values;
    return load_module(module, image, __func__);
}

CUresult cuModuleGetFunction(void **function, void *module, const char *name)
{
    *function = module ? (void *)name : NULL;
    trace("cuModuleGetFunction(%p, %.100s)", module, name);
    return module ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

CUresult cuModuleGetGlobal_v2(CUdeviceptr *address, size_t *bytes, void *module, const char *name)
{
    trace("cuModuleGetGlobal(%p, %.100s)", module, name);
    if (!module)
        return CUDA_ERROR_INVALID_HANDLE;
    if (address)
        *address = next_address(4096);
    if (bytes)
        *bytes = 64;
    return CUDA_SUCCESS;
}

CUresult cuFuncGetAttribute(int *value, int attribute, void *function)
{
    if (!function)
        return CUDA_ERROR_INVALID_HANDLE;
    enum { MAX_THREADS_PER_BLOCK = 0, NUM_REGS = 4 };
    *value = attribute == MAX_THREADS_PER_BLOCK ? 1024 : attribute == NUM_REGS ? 32 : 0;
    return CUDA_SUCCESS;
}

CUresult cuFuncSetAttribute(void *function, int attribute, int value)
{
    (void)attribute, (void)value;
    return function ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

CUresult cuFuncSetCacheConfig(void *function, int config)
{
    (void)config;
    return function ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

CUresult cuFuncSetSharedMemConfig(void *function, int config) { return cuFuncSetCacheConfig(function, config); }

CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, void *function, int threads, size_t shared)
{
    (void)threads, (void)shared;
    *blocks = 2;
    return function ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

CUresult cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *blocks, void *function, int threads, size_t shared,
                                                              unsigned flags)
{
    (void)flags;
    return cuOccupancyMaxActiveBlocksPerMultiprocessor(blocks, function, threads, shared);
}

CUresult cuLaunchKernel(void *function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                        unsigned block_y, unsigned block_z, unsigned shared, void *stream, void **parameters,
                        void **extra)
{
    (void)grid_y, (void)grid_z, (void)block_y, (void)block_z, (void)shared, (void)stream, (void)parameters, (void)extra;
    CUresult result = function ? knob_launch_error() : CUDA_ERROR_INVALID_HANDLE;
    trace("cuLaunchKernel(%p, grid %u, block %u) -> %d", function, grid_x, block_x, result);
    return result;
}
