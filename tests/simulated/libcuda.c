/* A simulated CUDA driver: just the calls that the driver probe makes, with answers chosen by environment variables.
 *
 *   SIM_INIT=N       cuInit returns N; or "crash", "hang", "stubborn" (hangs and ignores SIGINT and SIGTERM), "exit"
 *   SIM_PTX=N        cuModuleLoadData returns N, or "crash"
 *   SIM_VERSION=N    the driver's CUDA version, 12040 by default
 *   SIM_DEVICES=N    number of GPUs, 1 by default
 *   SIM_NAME=TEXT    their name
 *   SIM_CONTEXT=N    cuDevicePrimaryCtxRetain returns N
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *text(const char *name, const char *otherwise) {
    const char *value = getenv(name);
    return value ? value : otherwise;
}

static int behave(const char *name) {
    const char *value = text(name, "0");
    if (!strcmp(value, "crash")) raise(SIGSEGV);
    if (!strcmp(value, "exit")) _exit(0);
    if (!strcmp(value, "stubborn")) { signal(SIGINT, SIG_IGN); signal(SIGTERM, SIG_IGN); }
    if (!strcmp(value, "hang") || !strcmp(value, "stubborn")) for (;;) sleep(1);
    return atoi(value);
}

int cuInit(unsigned flags) { return behave("SIM_INIT"); }
#ifndef WITHOUT_VERSION
int cuDriverGetVersion(int *version) { *version = atoi(text("SIM_VERSION", "12040")); return 0; }
#endif
int cuDeviceGetCount(int *count) { *count = atoi(text("SIM_DEVICES", "1")); return 0; }
int cuDeviceGet(int *device, int ordinal) { *device = ordinal; return 0; }
int cuDeviceGetName(char *name, int length, int device) {
    snprintf(name, length, "%s", text("SIM_NAME", "NVIDIA GeForce RTX 3090"));
    return 0;
}
int cuDeviceGetAttribute(int *value, int attribute, int device) {
    *value = attribute == 75 ? 8 : attribute == 76 ? 6 : 0;
    return 0;
}
int cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = (size_t)24 << 30; return 0; }
int cuDevicePrimaryCtxRetain(void **context, int device) { *context = (void *)1; return behave("SIM_CONTEXT"); }
int cuCtxSetCurrent(void *context) { return 0; }
int cuModuleLoadData(void **module, const void *image) {
    /* A cache that hides the missing compiler: only an honest caller switches it off. */
    if (getenv("SIM_CACHE") && !getenv("CUDA_CACHE_DISABLE")) return 0;
    if (strncmp(image, ".version", 8)) return 200;
    *module = (void *)2;
    return behave("SIM_PTX");
}
int cuModuleUnload(void *module) { return 0; }
