/* Calls that only have to succeed: nothing here waits, copies or runs, so there is nothing to do. */
#include "driver.h"

#define SUCCEEDS(NAME)                 \
    CUresult NAME(void)                \
    {                                  \
        trace(#NAME " (does nothing)"); \
        return CUDA_SUCCESS;           \
    }

#include "stubs.def"
