// All kernels for one set of instructions. It is compiled once for each; the compiler's options say
// which, and CALLS names its table.
#include "vectors.h"
#include "kernels.h"
#include "translated.generated.h"
#include "products.h"
#include "gathered.h"
#include "norms.h"
#include "windows.h"
#include "attention.h"
#include "packs.h"

#define MEMORY ((uint8_t *)(uintptr_t)block[0])
#define UNSIGNED(i) ((uint32_t)(int64_t)block[i])
#define SIGNED(i) ((int32_t)(int64_t)block[i])
#define FLOAT(i) ((float)block[i])
#define DOUBLE(i) (block[i])

#include "calls.generated.h"
