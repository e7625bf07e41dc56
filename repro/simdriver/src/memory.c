/* Device memory: addresses are handed out and never lead anywhere, and copies and fills do nothing, unless the knob for
 * host memory is set: then what a simulated library computes in it can be read back. */
#include "driver.h"

#include <stdlib.h>
#include <string.h>

CUdeviceptr next_address(size_t bytes)
{
    static CUdeviceptr next = 0x700000000000; /* canonical, and far from anything the process maps */
    CUdeviceptr address = next;
    next += (bytes + 511) / 512 * 512;
    return address;
}

/* Blocks of the process's own memory that were handed out; only between these and the host is anything copied. */
enum { MOST_BLOCKS = 4096 };
static struct { char *begin; size_t size; } blocks[MOST_BLOCKS];

static CUdeviceptr host_block(size_t bytes)
{
    for (int i = 0; i < MOST_BLOCKS; i++)
        if (!blocks[i].begin) {
            blocks[i].begin = malloc(bytes);
            blocks[i].size = bytes;
            return (CUdeviceptr)blocks[i].begin;
        }
    return 0;
}

static int is_block(CUdeviceptr address, size_t bytes)
{
    for (int i = 0; i < MOST_BLOCKS; i++)
        if (blocks[i].begin && (char *)address >= blocks[i].begin &&
            (char *)address + bytes <= blocks[i].begin + blocks[i].size)
            return 1;
    return 0;
}

CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t bytes)
{
    CUresult result = bytes > knob_free_bytes() ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS;
    *address = result ? 0 : knob_host_memory() ? host_block(bytes) : next_address(bytes);
    trace("cuMemAlloc(%zu) -> %d", bytes, result);
    return result;
}

CUresult cuMemFree_v2(CUdeviceptr address)
{
    for (int i = 0; i < MOST_BLOCKS; i++)
        if (blocks[i].begin && blocks[i].begin == (char *)address) {
            free(blocks[i].begin);
            blocks[i].begin = NULL;
        }
    return CUDA_SUCCESS;
}

CUresult cuMemcpyHtoD_v2(CUdeviceptr target, const void *source, size_t bytes)
{
    if (is_block(target, bytes))
        memcpy((void *)target, source, bytes);
    return CUDA_SUCCESS;
}

CUresult cuMemcpyDtoH_v2(void *target, CUdeviceptr source, size_t bytes)
{
    if (is_block(source, bytes))
        memcpy(target, (const void *)source, bytes);
    return CUDA_SUCCESS;
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
