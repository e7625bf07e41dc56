/* Device memory: addresses are handed out and never lead anywhere; copies and fills do nothing. */
#include "driver.h"

#include <string.h>

CUdeviceptr next_address(size_t bytes)
{
    static CUdeviceptr next = 0x700000000000; /* canonical, and far from anything the process maps */
    CUdeviceptr address = next;
    next += (bytes + 511) / 512 * 512;
    return address;
}

CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t bytes)
{
    CUresult result = bytes > knob_free_bytes() ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS;
    *address = result ? 0 : next_address(bytes);
    trace("cuMemAlloc(%zu) -> %d", bytes, result);
    return result;
}

CUresult cuMemGetInfo_v2(size_t *free, size_t *total)
{
    *free = knob_free_bytes();
    *total = (size_t)24 << 30;
    return CUDA_SUCCESS;
}

CUresult cuPointerGetAttribute(void *data, int attribute, CUdeviceptr address)
{
    trace("cuPointerGetAttribute(%d, %#lx)", attribute, (unsigned long)address);
    memset(data, 0, sizeof(void *));
    return CUDA_SUCCESS;
}
