#include <stdio.h>

#include "product.h"
#include "scale.h"

int main(void) {
  _Alignas(64) static float a[8] = {1, 2, 3, 4, 5, 6, 7, 8}, b[6] = {1, 0, 2, 0, 1, 3}, c[12];
  _Alignas(64) static float d[12];
  const int code = product_run(a, b, c);
  if (code != 0) {
    fprintf(stderr, "%s\n", product_error_text(code));
    return 1;
  }
  if (scale_run(c, d) != 0) return 1;
  for (int i = 0; i < 12; ++i) printf("%g%c", d[i], i % 3 == 2 ? '\n' : ' ');
  return 0;
}
