/* A kernel that was built with this program (tecc_add_kernels in CMakeLists.txt), called from C99 through its header. */
#include <stdio.h>
#include <stdlib.h>

#include "affine_relu.h"

static void* blocks[4]; /* as calloc gave them */
static int count;
static float* aligned(int n) {
  blocks[count] = calloc((size_t)n + 64, 4);
  return (float*)(((uintptr_t)blocks[count++] + 255) & ~(uintptr_t)255);
}

int main(void) {
  enum { rows = 2, columns = 4 };
  float* x = aligned(rows * columns);
  float* scale = aligned(columns);
  float* shift = aligned(columns);
  float* y = aligned(rows * columns);
  int n;
  int code;
  for (n = 0; n < rows * columns; ++n) x[n] = (float)(n - 3);
  for (n = 0; n < columns; ++n) scale[n] = 2, shift[n] = (float)n;
  code = affine_relu_run(x, scale, shift, y);
  if (code != 0) {
    fprintf(stderr, "%s\n", affine_relu_error_text(code));
    return 1;
  }
  for (n = 0; n < rows * columns; ++n) printf("%g%c", y[n], n % columns == columns - 1 ? '\n' : ' ');
  while (count > 0) free(blocks[--count]);
  return 0;
}
