/* Reads the container that nvcc packs kernels in, as far as needed to say what would fit a device.
 *
 * A wrapper (fatbinary.h: magic 0x466243b1) points to a fat binary (magic 0xba55ed50, 64-bit size at byte 8) of entries:
 * kind at byte 0 (1 PTX, 2 machine code), header size at 4, payload size at 8, architecture at 28.
 */
#include "driver.h"

#include <stdio.h>
#include <string.h>

enum { WRAPPER_MAGIC = 0x466243b1, ELF_MAGIC = 0x464c457f, KIND_PTX = 1, KIND_MACHINE_CODE = 2 };
static const uint32_t FAT_BINARY_MAGIC = 0xba55ed50;

static uint32_t word(const unsigned char *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static uint64_t long_word(const unsigned char *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

/* Machine code runs on its own architecture and on later minors of the same major. */
static int runs_on(int architecture, int compute_capability)
{
    return architecture / 10 == compute_capability / 10 && architecture <= compute_capability;
}

static int fits(int kind, int architecture, int compute_capability)
{
    if (kind == KIND_MACHINE_CODE)
        return runs_on(architecture, compute_capability) ? IMAGE_MACHINE_CODE : 0;
    if (kind == KIND_PTX)
        return architecture <= compute_capability ? IMAGE_PTX : 0;
    return 0;
}

int classify_image(const void *image, int compute_capability, char *description, size_t size)
{
    const unsigned char *at = image;
    *description = 0;
    if (word(at) == WRAPPER_MAGIC)
        at = (const unsigned char *)(uintptr_t)long_word(at + 8);
    if (word(at) == ELF_MAGIC) {
        int architecture = word(at + 48) & 0xff; /* e_flags of a cubin */
        snprintf(description, size, "cubin sm_%d", architecture);
        return runs_on(architecture, compute_capability) ? IMAGE_MACHINE_CODE : 0;
    }
    if (word(at) != FAT_BINARY_MAGIC) {
        int text = at[0] == '.' || at[0] == '/' || at[0] == '\n';
        snprintf(description, size, text ? "PTX text" : "unknown magic %08x", word(at));
        return text ? IMAGE_PTX : IMAGE_UNKNOWN;
    }
    const unsigned char *end = at + 16 + long_word(at + 8);
    int found = 0;
    size_t used = 0;
    for (at += 16; at + 64 <= end;) {
        int kind = at[0] | at[1] << 8, architecture = (int)word(at + 28);
        uint64_t header = word(at + 4), payload = long_word(at + 8);
        if (header < 32 || payload == 0)
            break;
        if (used < size)
            used += (size_t)snprintf(description + used, size - used, "%s%d ", kind == KIND_PTX ? "ptx_" : "sm_", architecture);
        found |= fits(kind, architecture, compute_capability);
        at += header + payload;
    }
    return found;
}
