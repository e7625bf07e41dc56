/* A libcufft for a simulated driver whose device memory is the process's own: it computes by the definition.
 *
 *   SIMCUFFT_ERROR=N     making a plan gives the code N; -1: it never returns
 *   SIMCUFFT_WRONG=1     the second execution of a plan computes wrong numbers
 */
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

static int length, batch, executed;

static int knob(const char *name) { return getenv(name) ? atoi(getenv(name)) : 0; }

int cufftGetVersion(int *version) { *version = 11303; return 0; }
int cufftCreate(int *plan) { *plan = 1; executed = 0; return 0; }
int cufftDestroy(int plan) { (void)plan; return 0; }

int cufftMakePlan1d(int plan, int n, int type, int rows, size_t *workspace)
{
    (void)plan, (void)type;
    length = n, batch = rows, *workspace = 0;
    while (knob("SIMCUFFT_ERROR") == -1)
        sleep(1);
    return knob("SIMCUFFT_ERROR");
}

static double factor(void) { return ++executed == 2 && knob("SIMCUFFT_WRONG") ? 1.5 : 1.0; }

static void fill(double *cosine, double *sine)
{
    for (int t = 0; t < length; t++) {
        cosine[t] = cos(-2 * M_PI * t / length);
        sine[t] = sin(-2 * M_PI * t / length);
    }
}

#define DEFINE(NAME, NUMBER, BINS, REAL, IMAGINARY)                                \
    int NAME(int plan, const NUMBER *x, NUMBER *y, int direction)                   \
    {                                                                              \
        (void)plan, (void)direction;                                               \
        const double scale = factor();                                             \
        double *cosine = malloc(sizeof(double) * length), *sine = malloc(sizeof(double) * length); \
        fill(cosine, sine);                                                        \
        for (int row = 0; row < batch; row++)                                      \
            for (int k = 0; k < (BINS); k++) {                                      \
                double re = 0, im = 0;                                             \
                for (int t = 0, at = 0; t < length; t++, at = (at + k) % length) {  \
                    double a = (REAL), b = (IMAGINARY);                             \
                    re += a * cosine[at] - b * sine[at];                           \
                    im += a * sine[at] + b * cosine[at];                           \
                }                                                                  \
                y[2 * (row * (BINS) + k)] = (NUMBER)(scale * re);                   \
                y[2 * (row * (BINS) + k) + 1] = (NUMBER)(scale * im);               \
            }                                                                      \
        free(cosine);                                                              \
        free(sine);                                                                \
        return 0;                                                                  \
    }

DEFINE(cufftExecR2C, float, length / 2 + 1, x[row * length + t], 0)
DEFINE(cufftExecD2Z, double, length / 2 + 1, x[row * length + t], 0)
DEFINE(cufftExecC2C, float, length, x[2 * (row * length + t)], x[2 * (row * length + t) + 1])
