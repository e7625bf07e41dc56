/* The knobs (driver.h explains each) and the trace. */
#include "driver.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static int number(const char *name, int otherwise)
{
    const char *value = getenv(name);
    return value && *value ? atoi(value) : otherwise;
}

int knob_driver_version(void) { return number("SIMCUDA_DRIVER_VERSION", 13000); }
int knob_compute_capability(void) { return number("SIMCUDA_COMPUTE_CAPABILITY", 86); }
size_t knob_free_bytes(void) { return (size_t)number("SIMCUDA_FREE_MB", 20000) << 20; }
CUresult knob_jit_error(void) { return number("SIMCUDA_JIT_ERROR", CUDA_SUCCESS); }
CUresult knob_module_error(void) { return number("SIMCUDA_MODULE_ERROR", CUDA_SUCCESS); }
CUresult knob_launch_error(void) { return number("SIMCUDA_LAUNCH_ERROR", CUDA_SUCCESS); }

void trace(const char *format, ...)
{
    if (!number("SIMCUDA_TRACE", 0))
        return;
    va_list arguments;
    va_start(arguments, format);
    fputs("simcuda: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
}
