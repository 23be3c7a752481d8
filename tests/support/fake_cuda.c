/* A libcuda.so.1 for machines without a GPU: device memory is host memory, and a launch prints what it was given. Only as
   much as runtime/cuda/ asks for; tests/runtime/cuda/fake_driver_test.cpp builds it and runs itself upon it.

   With FAKE_CUDA_SMS="132,132,114" there are so many devices with so many SMs each, and real cubins load, too: their kernels set
   everything between the guard zones of a measurement to zero, which is then what the reference says as well, and take a time
   that follows from the cubin's bytes. FAKE_CUDA_LOST=FILE: device 1 is lost at its tenth launch, and stays so while FILE is there; device 0
   waits for that at its second launch, so that device 1 has its turn. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct { int id, padding; unsigned words[16]; } Attribute;
typedef struct { unsigned grid[3], block[3], shared; void* stream; Attribute* attributes; unsigned count; } Config;

typedef struct { char name[32]; unsigned hash; int real; } Kernel;

static int kernels, device, launches;
static Kernel known[64];
static float last_ms = 0.25f;
static struct { char* begin; size_t bytes; } memory[256];

static const char* sms(int d) { /* of device d, NULL where there is none */
  const char* list = getenv("FAKE_CUDA_SMS");
  for (list = list ? list : "132"; list && d > 0; --d) list = (list = strchr(list, ',')) ? list + 1 : NULL;
  return list;
}
static const char* lost(void) { return getenv("FAKE_CUDA_LOST"); }
static int there(const char* path) {
  FILE* f = path ? fopen(path, "r") : NULL;
  return f ? fclose(f), 1 : 0;
}
static int gone(void) { return device == 41 && there(lost()); }

int cuInit(unsigned flags) { return (int)flags; }
int cuGetExportTable(const void** table, const void* id) { return (void)id, *table = NULL, 500; } /* NVRTC asks; a driver may have none */
int cuDriverGetVersion(int* v) { return *v = 13000, 0; }
int cuGetErrorName(int r, const char** s) { return *s = r == 200 ? "CUDA_ERROR_INVALID_IMAGE" : "CUDA_ERROR_UNKNOWN", 0; }
int cuGetErrorString(int r, const char** s) { return *s = r == 200 ? "device kernel image is invalid" : "unknown error", 0; }
int cuDeviceGetCount(int* n) {
  for (*n = 0; sms(*n);) ++*n;
  return 0;
}
int cuDeviceGet(int* d, int i) { return *d = i + 40, 0; }
int cuDeviceGetName(char* s, int n, int d) { return (void)d, snprintf(s, (size_t)n, "Fake 40"), 0; }
int cuDeviceGetPCIBusId(char* s, int n, int d) { return snprintf(s, (size_t)n, "0000:%02x:00.0", d), 0; }
int cuDeviceGetUuid_v2(unsigned char* u, int d) { return memset(u, d, 16), 0; }
int cuDeviceTotalMem_v2(size_t* n, int d) { return (void)d, *n = (size_t)1 << 30, 0; }
int cuDeviceGetAttribute(int* v, int a, int d) {
  *v = a == 16 ? atoi(sms(d - 40)) : a == 75 ? 9 : a == 76 ? 0 : a == 38 ? 50 << 20 : a == 97 ? 232448 : a == 120 ? 1 : 0;
  return 0;
}
int cuDevicePrimaryCtxRetain(void** c, int d) { return device = d, *c = &kernels, gone() ? 46 : 0; }
int cuCtxSetCurrent(void* c) { return c == &kernels ? 0 : 201; }
int cuCtxSynchronize(void) { return 0; }
int cuMemGetInfo_v2(size_t* f, size_t* t) { return *f = 1 << 20, *t = 1 << 30, 0; }
int cuMemAlloc_v2(uint64_t* p, size_t n) {
  size_t i = 0;
  if (n > (size_t)1 << 30) return 2;
  *p = (uint64_t)(uintptr_t)aligned_alloc(256, (n + 255) / 256 * 256);
  memset((void*)(uintptr_t)*p, 0xcc, n < (64 << 20) ? n : (64 << 20)); /* what was there before is not zero */
  while (i < 255 && memory[i].begin) ++i;
  memory[i].begin = (char*)(uintptr_t)*p, memory[i].bytes = n;
  return 0;
}
int cuMemFree_v2(uint64_t p) {
  for (size_t i = 0; i < 256; ++i)
    if (memory[i].begin == (char*)(uintptr_t)p) memory[i].begin = NULL;
  return free((void*)(uintptr_t)p), 0;
}
int cuMemcpyHtoD_v2(uint64_t to, const void* from, size_t n) { return memcpy((void*)(uintptr_t)to, from, n), 0; }
int cuMemcpyDtoH_v2(void* to, uint64_t from, size_t n) { return memcpy(to, (void*)(uintptr_t)from, n), 0; }
int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t n, void* s) { return (void)s, memcpy((void*)(uintptr_t)to, (void*)(uintptr_t)from, n), 0; }
int cuMemsetD8_v2(uint64_t p, unsigned char v, size_t n) { return memset((void*)(uintptr_t)p, v, n), 0; }
int cuMemsetD8Async(uint64_t p, unsigned char v, size_t n, void* s) {
  (void)s;
  if (n < 1 << 20 && !getenv("FAKE_CUDA_SMS")) printf("fake: clear %d bytes\n", (int)n);
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
int cuEventElapsedTime(float* ms, void* a, void* b) { return *ms = last_ms, a && b ? 0 : 1; }
int cuModuleLoadData(void** m, const void* image) {
  if (getenv("FAKE_CUDA_SMS") && memcmp(image, "\177ELF", 4) == 0) { /* its hash, up to where the header says that the sections are listed */
    uint64_t n, end;
    unsigned hash = 2166136261u;
    memcpy(&end, (const char*)image + 0x28, 8);
    for (n = 0; n < end; ++n) hash = (hash ^ ((const unsigned char*)image)[n]) * 16777619u;
    *m = malloc(32);
    return snprintf(*m, 32, "real %u", hash), 0;
  }
  if (strncmp((const char*)image, "fake", 4) != 0) return 200;
  printf("fake: load %s\n", (const char*)image);
  *m = strdup((const char*)image);
  return 0;
}
int cuModuleUnload(void* m) { return free(m), 0; }
int cuModuleGetFunction(void** f, void* m, const char* name) {
  Kernel* k = &known[kernels % 64];
  k->real = sscanf((const char*)m, "real %u", &k->hash) == 1;
  if (!k->real && !strstr((const char*)m, name)) return 500;
  snprintf(k->name, sizeof k->name, "%s", name);
  *f = k;
  ++kernels;
  return 0;
}
int cuFuncGetAttribute(int* v, int a, void* f) { return (void)f, *v = a == 4 ? 168 : 0, 0; }
int cuFuncSetAttribute(void* f, int a, int v) {
  if (!((Kernel*)f)->real) printf("fake: %s attribute %d = %d\n", ((Kernel*)f)->name, a, v);
  return 0;
}
int cuOccupancyMaxActiveBlocksPerMultiprocessor(int* n, void* f, int t, size_t s) { return (void)f, *n = 2048 / t - (int)(s > 0), 0; }
int cuTensorMapEncodeTiled(void* map, int type, unsigned rank, void* p, const uint64_t* dims, const uint64_t* strides, const unsigned* box,
                           const unsigned* steps, int interleave, int swizzle, int promotion, int fill) {
  (void)p;
  if ((uintptr_t)map % 64) return 1;
  snprintf((char*)map, 128, "map type %d dims %d %d stride %d box %u %u steps %u %u words %d %d %d %d", type, (int)dims[0], (int)dims[1],
           (int)strides[0], box[0], box[1], steps[0], steps[rank - 1], interleave, swizzle, promotion, fill);
  return 0;
}
static int run_real(const Kernel* k) {
  FILE* f;
  size_t i;
  if (gone()) return 719;
  ++launches;
  while (lost() && device == 40 && launches == 2 && !there(lost())) usleep(1000);
  if (lost() && device == 41 && launches == 10) {
    if ((f = fopen(lost(), "w"))) fclose(f);
    return 719; /* launch failed */
  }
  for (i = 0; i < 256; ++i)
    if (memory[i].begin && memory[i].bytes > 128 << 10 && memory[i].bytes < 128 << 20) memset(memory[i].begin + (64 << 10), 0, memory[i].bytes - (128 << 10));
  last_ms = 0.1f + (float)(k->hash % 10000) * 1e-4f;
  return 0;
}
/* Kernels of this driver take (float* y, int n, float a[, map]) and add a to each y[i]. */
int cuLaunchKernelEx(const Config* c, void* f, void** p, void** extra) {
  unsigned i;
  int k;
  float* y = *(float**)p[0];
  (void)extra;
  if (((Kernel*)f)->real) return run_real(f);
  printf("fake: launch %s %u %u %u of %u shared %u", ((Kernel*)f)->name, c->grid[0], c->grid[1], c->grid[2], c->block[0], c->shared);
  for (i = 0; i < c->count; ++i) printf(" [%d: %u %u %u]", c->attributes[i].id, c->attributes[i].words[0], c->attributes[i].words[1], c->attributes[i].words[2]);
  if (strstr(((Kernel*)f)->name, "mapped")) printf(" %s", (char*)p[3]);
  printf("\n");
  for (k = 0; k < *(int32_t*)p[1]; ++k) y[k] += *(float*)p[2];
  return 0;
}
