/* The knobs (driver.h explains each) and the trace. */
#include "driver.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int number(const char *name, int otherwise)
{
    const char *value = getenv(name);
    return value && *value ? atoi(value) : otherwise;
}

/* A CUresult, or no return at all. */
static CUresult behave(const char *name)
{
    const char *value = getenv(name);
    if (!value)
        return CUDA_SUCCESS;
    if (!strcmp(value, "crash"))
        raise(SIGSEGV);
    if (!strcmp(value, "exit"))
        _exit(0);
    if (!strcmp(value, "stubborn")) {
        signal(SIGINT, SIG_IGN);
        signal(SIGTERM, SIG_IGN);
    }
    while (!strcmp(value, "hang") || !strcmp(value, "stubborn"))
        sleep(1);
    return atoi(value);
}

int knob_driver_version(void) { return number("SIMCUDA_DRIVER_VERSION", 13000); }
int knob_compute_capability(void) { return number("SIMCUDA_COMPUTE_CAPABILITY", 86); }
int knob_host_memory(void) { return number("SIMCUDA_HOST_MEMORY", 0); }
size_t knob_free_bytes(void) { return (size_t)number("SIMCUDA_FREE_MB", 20000) << 20; }
int knob_devices(void) { return number("SIMCUDA_DEVICES", 1); }
const char *knob_device_name(void) { return getenv("SIMCUDA_DEVICE_NAME"); }
CUresult knob_init_error(void) { return behave("SIMCUDA_INIT_ERROR"); }
CUresult knob_context_error(void) { return behave("SIMCUDA_CONTEXT_ERROR"); }

CUresult knob_jit_error(void)
{
    int cached = number("SIMCUDA_JIT_CACHED", 0) && !getenv("CUDA_CACHE_DISABLE");
    return cached ? CUDA_SUCCESS : behave("SIMCUDA_JIT_ERROR");
}

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
