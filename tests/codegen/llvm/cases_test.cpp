#include "tests/support/cpu.h"

using namespace tecc;
using test::check_cpu;

namespace {
/// Small and odd: primes and ones.
const std::map<std::string, std::vector<std::string>> sizes = {
    {"affine_relu.te", {"M=5,N=7", "M=1,N=1"}},
    {"rowsum.te", {"M=3,N=17", "M=1,N=1"}},
    {"softmax.te", {"M=3,N=13", "M=2,N=1"}},
    {"layernorm.te", {"M=3,N=19"}},
    {"rmsnorm.te", {"M=3,N=11"}},
    {"transpose.te", {"M=5,N=3"}},
    {"cumsum.te", {"M=3,N=13", "M=1,N=1"}},
    {"gemm.te", {"M=5,N=7,K=11", "M=1,N=1,K=1"}},
    {"gemm_nn.te", {"M=5,N=7,K=11"}},
    {"gemm_tt.te", {"M=5,N=7,K=3"}},
    {"gemm_tf32.te", {"M=5,N=7,K=11"}},
    {"gemm_e4m3.te", {"M=5,N=7,K=11"}},
    {"gemm_bias_gelu.te", {"M=3,N=5,K=7"}},
    {"gemm_dequant.te", {"M=3,N=5,K=256"}},
    {"gemm_residual_sqrelu_t.te", {"M=3,N=5,K=7"}},
    {"gemm_rowmax.te", {"M=3,N=5,K=7"}},
    {"gemm_scales.te", {"M=3,N=5,K=7"}},
    {"bmm.te", {"B=2,M=3,N=5,K=7"}},
    {"conv2d_nchw.te", {"N=2,C=3,H=5,W=7,R=3,S=3,stride=1,pad=1,O=3", "N=1,C=2,H=7,W=5,R=3,S=1,stride=2,pad=2,O=3"}},
    {"conv2d_nhwc.te", {"N=2,C=3,H=5,W=7,R=3,S=3,stride=1,pad=1,O=3"}},
    {"depthwise_nchw.te", {"N=2,C=3,H=5,W=7,R=3,S=3,stride=1,pad=1"}},
    {"attention.te", {"B=1,H=2,S=5,D=3,L=7"}},
    {"attention_causal.te", {"B=1,H=2,S=5,D=3"}},
};
}  // namespace

TEST_CASE("cpu: every case, naive, in every float type", "[cpu]") {
  const auto cases = test::cases();
  for (const auto& [file, text] : cases) {
    REQUIRE(sizes.count(file));
    const bool generic = text.find("<T>") != std::string::npos;
    for (const std::string& dims : sizes.at(file))
      for (const std::string type : generic ? std::vector<std::string>{"T=f32", "T=f16", "T=bf16", "T=f64"} : std::vector<std::string>{""}) {
        check_cpu({text, dims, type}, 2);
      }
  }
}
