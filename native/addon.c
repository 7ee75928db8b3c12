// The native kernels as a Node addon. It works on the memory of the WebAssembly kernels, with the
// same offsets as arguments.
//
// A call through N-API costs most for its arguments. So there are none: JavaScript writes them into
// a block of doubles, which the addon was given once, and calls a function that is the kernel. The
// first number of the block is the address of the memory.
#include <node_api.h>
#include <stdint.h>
#include <string.h>
#include <stdlib.h>
#include "processor.h"

#define SETS (sizeof sets / sizeof *sets)

static void *data_of(napi_env env, napi_value array) {
  void *data = NULL;
  napi_get_typedarray_info(env, array, NULL, NULL, &data, NULL, NULL);
  return data;
}

/** addressOf(bytes): where the memory of a Uint8Array lies. */
static napi_value address_of(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value bytes, result;
  napi_get_cb_info(env, info, &count, &bytes, NULL, NULL);
  napi_create_double(env, (double)(uintptr_t)data_of(env, bytes), &result);
  return result;
}

/** What a function that is a kernel knows: the kernel, and its thread's block. */
typedef struct {
  void (*call)(double *block);
  double *block;
} bound_call;

static napi_value run(napi_env env, napi_callback_info info) {
  void *data;
  napi_get_cb_info(env, info, NULL, NULL, NULL, &data);
  const bound_call *bound = data;
  bound->call(bound->block);
  return NULL;
}

static void release(napi_env env, void *data, void *hint) {
  (void)env, (void)hint;
  free(data);
}

/**
 * kernels(block, set): the kernels of one set of instructions as functions, by their names. The
 * block must live as long as they do.
 */
static napi_value kernels(napi_env env, napi_callback_info info) {
  size_t count = 2, length;
  char name[16] = "";
  napi_value arguments[2], result;
  napi_get_cb_info(env, info, &count, arguments, NULL, NULL);
  napi_get_value_string_utf8(env, arguments[1], name, sizeof name, &length);
  const kernel_call *calls = NULL;
  for (size_t i = 0; i < SETS; i++)
    if (strcmp(name, sets[i].name) == 0 && supports(name)) calls = sets[i].calls;
  if (calls == NULL) {
    napi_throw_error(env, NULL, "this processor has no such instructions");
    return NULL;
  }
  if (!computes_exactly()) {
    napi_throw_error(env, NULL, "this thread flushes subnormal numbers to zero, or does not round to nearest");
    return NULL;
  }
  size_t kernels = 0;
  while (calls[kernels].name != NULL) kernels++;
  bound_call *bound = calloc(kernels, sizeof *bound);
  napi_create_object(env, &result);
  for (size_t i = 0; i < kernels; i++) {
    napi_value function;
    bound[i] = (bound_call){calls[i].call, data_of(env, arguments[0])};
    napi_create_function(env, calls[i].name, NAPI_AUTO_LENGTH, run, &bound[i], &function);
    napi_set_named_property(env, result, calls[i].name, function);
  }
  napi_add_finalizer(env, result, bound, release, NULL, NULL);
  return result;
}

NAPI_MODULE_INIT() {
  napi_value face, names, function;
  napi_create_string_utf8(env, FACE, NAPI_AUTO_LENGTH, &face);
  napi_set_named_property(env, exports, "face", face);
  napi_create_array(env, &names);
  uint32_t count = 0;
  for (size_t i = 0; i < SETS; i++) {
    if (!supports(sets[i].name)) continue;
    napi_value name;
    napi_create_string_utf8(env, sets[i].name, NAPI_AUTO_LENGTH, &name);
    napi_set_element(env, names, count++, name);
  }
  napi_set_named_property(env, exports, "sets", names);
  napi_create_function(env, "addressOf", NAPI_AUTO_LENGTH, address_of, NULL, &function);
  napi_set_named_property(env, exports, "addressOf", function);
  napi_create_function(env, "kernels", NAPI_AUTO_LENGTH, kernels, NULL, &function);
  napi_set_named_property(env, exports, "kernels", function);
  return exports;
}
