/* A libcuda.so.1 for machines without a GPU: device memory is host memory, and a launch prints what it was given. Only as
   much as runtime/cuda/ asks for; tests/runtime/cuda/fake_driver_test.cpp builds it and runs itself upon it. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct { int id, padding; unsigned words[16]; } Attribute;
typedef struct { unsigned grid[3], block[3], shared; void* stream; Attribute* attributes; unsigned count; } Config;

static int kernels;
static char names[64][32];

int cuInit(unsigned flags) { return (int)flags; }
int cuDriverGetVersion(int* v) { return *v = 13000, 0; }
int cuGetErrorName(int r, const char** s) { return *s = r == 200 ? "CUDA_ERROR_INVALID_IMAGE" : "CUDA_ERROR_UNKNOWN", 0; }
int cuGetErrorString(int r, const char** s) { return *s = r == 200 ? "device kernel image is invalid" : "unknown error", 0; }
int cuDeviceGetCount(int* n) { return *n = 1, 0; }
int cuDeviceGet(int* d, int i) { return *d = i + 40, 0; }
int cuDeviceGetName(char* s, int n, int d) { return snprintf(s, (size_t)n, "Fake %d", d), 0; }
int cuDeviceGetUuid_v2(unsigned char* u, int d) { return memset(u, d, 16), 0; }
int cuDeviceTotalMem_v2(size_t* n, int d) { return (void)d, *n = (size_t)1 << 30, 0; }
int cuDeviceGetAttribute(int* v, int a, int d) {
  (void)d;
  *v = a == 16 ? 132 : a == 75 ? 9 : a == 76 ? 0 : a == 38 ? 50 << 20 : a == 97 ? 232448 : a == 120 ? 1 : 0;
  return 0;
}
int cuDevicePrimaryCtxRetain(void** c, int d) { return (void)d, *c = &kernels, 0; }
int cuCtxSetCurrent(void* c) { return c == &kernels ? 0 : 201; }
int cuCtxSynchronize(void) { return 0; }
int cuMemGetInfo_v2(size_t* f, size_t* t) { return *f = 1 << 20, *t = 1 << 30, 0; }
int cuMemAlloc_v2(uint64_t* p, size_t n) {
  if (n > (size_t)1 << 30) return 2;
  *p = (uint64_t)(uintptr_t)aligned_alloc(256, (n + 255) / 256 * 256);
  memset((void*)(uintptr_t)*p, 0xcc, n); /* what was there before is not zero */
  return 0;
}
int cuMemFree_v2(uint64_t p) { return free((void*)(uintptr_t)p), 0; }
int cuMemcpyHtoD_v2(uint64_t to, const void* from, size_t n) { return memcpy((void*)(uintptr_t)to, from, n), 0; }
int cuMemcpyDtoH_v2(void* to, uint64_t from, size_t n) { return memcpy(to, (void*)(uintptr_t)from, n), 0; }
int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t n, void* s) { return (void)s, memcpy((void*)(uintptr_t)to, (void*)(uintptr_t)from, n), 0; }
int cuMemsetD8_v2(uint64_t p, unsigned char v, size_t n) { return memset((void*)(uintptr_t)p, v, n), 0; }
int cuMemsetD8Async(uint64_t p, unsigned char v, size_t n, void* s) {
  (void)s;
  if (n < 1 << 20) printf("fake: clear %d bytes\n", (int)n);
  memset((void*)(uintptr_t)p, v, n < 4096 ? n : 4096); /* the L2 flush would take a while here */
  return 0;
}
int cuStreamCreate(void** s, unsigned f) { return (void)f, *s = malloc(1), 0; }
int cuStreamDestroy_v2(void* s) { return free(s), 0; }
int cuStreamSynchronize(void* s) { return (void)s, 0; }
int cuEventCreate(void** e, unsigned f) { return (void)f, *e = malloc(1), 0; }
int cuEventDestroy_v2(void* e) { return free(e), 0; }
int cuEventRecord(void* e, void* s) { return (void)e, (void)s, 0; }
int cuEventSynchronize(void* e) { return (void)e, 0; }
int cuEventElapsedTime(float* ms, void* a, void* b) { return *ms = 0.25f, a && b ? 0 : 1; }
int cuModuleLoadData(void** m, const void* image) {
  if (strncmp((const char*)image, "fake", 4) != 0) return 200;
  printf("fake: load %s\n", (const char*)image);
  *m = strdup((const char*)image);
  return 0;
}
int cuModuleUnload(void* m) { return free(m), 0; }
int cuModuleGetFunction(void** f, void* m, const char* name) {
  if (!strstr((const char*)m, name)) return 500;
  snprintf(names[kernels % 64], sizeof names[0], "%s", name);
  *f = names[kernels++ % 64];
  return 0;
}
int cuFuncGetAttribute(int* v, int a, void* f) { return (void)f, *v = a == 4 ? 168 : 0, 0; }
int cuFuncSetAttribute(void* f, int a, int v) { return printf("fake: %s attribute %d = %d\n", (char*)f, a, v), 0; }
int cuOccupancyMaxActiveBlocksPerMultiprocessor(int* n, void* f, int t, size_t s) { return (void)f, *n = 2048 / t - (int)(s > 0), 0; }
int cuTensorMapEncodeTiled(void* map, int type, unsigned rank, void* p, const uint64_t* dims, const uint64_t* strides, const unsigned* box,
                           const unsigned* steps, int interleave, int swizzle, int promotion, int fill) {
  (void)p;
  if ((uintptr_t)map % 64) return 1;
  snprintf((char*)map, 128, "map type %d dims %d %d stride %d box %u %u steps %u %u words %d %d %d %d", type, (int)dims[0], (int)dims[1],
           (int)strides[0], box[0], box[1], steps[0], steps[rank - 1], interleave, swizzle, promotion, fill);
  return 0;
}
/* Kernels of this driver take (float* y, int n, float a[, map]) and add a to each y[i]. */
int cuLaunchKernelEx(const Config* c, void* f, void** p, void** extra) {
  unsigned i;
  int k;
  float* y = *(float**)p[0];
  (void)extra;
  printf("fake: launch %s %u %u %u of %u shared %u", (char*)f, c->grid[0], c->grid[1], c->grid[2], c->block[0], c->shared);
  for (i = 0; i < c->count; ++i) printf(" [%d: %u %u %u]", c->attributes[i].id, c->attributes[i].words[0], c->attributes[i].words[1], c->attributes[i].words[2]);
  if (strstr((char*)f, "mapped")) printf(" %s", (char*)p[3]);
  printf("\n");
  for (k = 0; k < *(int32_t*)p[1]; ++k) y[k] += *(float*)p[2];
  return 0;
}
