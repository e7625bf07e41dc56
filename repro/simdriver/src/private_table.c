/* The driver's unnamed functions: cuGetExportTable gives tables of them by UUID to NVIDIA's own libraries.
 *
 * They are undocumented. libcufft asks for two that it cannot do without, and calls one function that has to have an
 * effect; every other slot is traced and answers 0. One table serves both, as their slots in use do not collide. A table starts with its size in bytes.
 *
 * The CUDA runtime asks for more of them, and by one of them makes sure that the driver is NVIDIA's own. That is not
 * imitated, so what carries a whole CUDA runtime inside (cuFFT 10.x and 11.0, PyTorch itself) does not run on this.
 */
#include "driver.h"

#include <string.h>

/* One C function per slot, as the caller takes plain pointers: SLOT(17) defines slot_17. */
#define SLOTS(DO)                                                                                      \
    DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11) DO(12) DO(13) DO(14) DO(15)    \
    DO(16) DO(17) DO(18) DO(19) DO(20) DO(21) DO(22) DO(23) DO(24) DO(25) DO(26) DO(27) DO(28) DO(29)  \
    DO(30) DO(31) DO(32)

static long call(int slot, void *a, void *b, void *c, void *d);
#define SLOT(N) \
    static long slot_##N(void *a, void *b, void *c, void *d) { return call(N, a, b, c, d); }
SLOTS(SLOT)

#define ENTRY(N) (const void *)slot_##N,
static const void *const TABLE[33] = {(const void *)sizeof TABLE, SLOTS(ENTRY)};
static const unsigned char UUIDS[2][16] = {
    {0x21, 0x31, 0x8c, 0x60, 0x97, 0x14, 0x32, 0x48, 0x8c, 0xa6, 0x41, 0xff, 0x73, 0x24, 0xc8, 0xf2},
    {0x6e, 0x16, 0x3f, 0xbe, 0xb9, 0x58, 0x44, 0x4d, 0x83, 0x5c, 0xe1, 0x82, 0xaf, 0xf1, 0x99, 0x1e},
};

CUresult cuGetExportTable(const void **table, const unsigned char *uuid)
{
    int known = !memcmp(uuid, UUIDS[0], 16) || !memcmp(uuid, UUIDS[1], 16);
    trace("cuGetExportTable(%02x%02x%02x%02x...) -> %s", uuid[0], uuid[1], uuid[2], uuid[3], known ? "table" : "none");
    *table = known ? TABLE : NULL;
    return known ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}

static long call(int slot, void *a, void *b, void *c, void *d)
{
    trace("private slot %d (%p, %p, %p, %p)", slot, a, b, c, d);
    enum { VISIT_FUNCTIONS = 7 }; /* (context, module, visit, argument): call visit(argument, function) for each */
    if (slot != VISIT_FUNCTIONS)
        return CUDA_SUCCESS;
    ((void (*)(void *, void *))c)(d, b); /* one function a module, known by the module's own address */
    return 1;
}
