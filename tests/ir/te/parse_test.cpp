#include <chrono>
#include <random>

#include "tests/support/te.h"

using namespace tecc;

namespace {

/// Parses, prints, binds with small dims, lifts and hashes: whatever the text is, none of it may crash.
void survive(const std::string& text) {
  const auto kernels = te::parse({intern("fuzz"), text});
  if (!kernels) {
    CHECK(!render(kernels.error(), {intern("fuzz"), text}).empty());
    return;
  }
  for (const te::Kernel& k : *kernels) {
    const std::string printed = te::print(k);
    const auto again = te::parse({intern("printed"), printed});
    INFO(text);
    INFO(printed);
    REQUIRE(again);
    CHECK(te::print(again->front()) == printed);
    te::Bindings b;
    for (const auto* list : {&k.dims, &k.integers})
      for (const VarId v : *list)
        b.dims[k[v].name] = v.n % 2 ? te::DimRange{5, 5, 1} : te::DimRange{4, k[v].kind == te::VarKind::dim ? 9 : 4, 1};
    for (const std::string& t : k.type_parameters) b.types[t] = DType::f32;
    if (const auto bound = te::bind(k, b)) CHECK(te::hash(te::lift(*bound)).size() == 64);
  }
}

}  // namespace

TEST_CASE("parse: every case prints to text that parses back to the same text") {
  for (const auto& [file, text] : test::cases()) {
    INFO(file);
    const auto kernels = test::require(te::parse({intern(file.c_str()), text}));
    REQUIRE(kernels.size() == 1);
    const std::string once = te::print(kernels[0]);
    CHECK(te::print(test::require(te::parse({intern("again"), once}))[0]) == once);
  }
}

TEST_CASE("parse: precedence and parentheses survive printing") {
  const char* bodies[] = {"a[i] - (a[i] - a[i])",         "(a[i] + 1) * 2 - -a[i] * -(a[i] + 1)",
                          "a[i] / (a[i] * a[i]) / a[i]",  "select(!(i < 2) || i == 3 && i != 4, 1, -2)",
                          "a[i - 1] else -a[i] * 2",      "a[i + 1] else a[i - 1] else 3 + 1",
                          "a[i + 1] else (a[i - 1] + 3)", "--a[i]",
                          "-9223372036854775808 + i",     "1e-05 + 0.1 + 123456789.0",
                          "(i < 3) == (i <= 4)",          "max(i, 3) % 4 / 2",
                          "sum[k: i, l: k + 1](a[i])"};
  for (const char* body : bodies) {
    const std::string text = std::string("kernel k(a: i64[N]) -> (y) {\n  y[i: N] = ") + body + "\n}\n";
    CHECK(te::print(test::kernel(text)) == text);
  }
}

TEST_CASE("parse: words and spaces") {
  const te::Kernel k = test::kernel(
      "kernel k(X:f32[M,2*M+pad],Z:f32[],q:i32;pad)->(mean)#c\n{let P=M+pad mean[i:M]\n=\n "
      "sum[k:P](X[i,k])*Z[]\n+f32(q) }");
  CHECK(te::print(k) ==
        "kernel k(X: f32[M, 2 * M + pad], Z: f32[], q: i32; pad) -> (mean) {\n"
        "  let P = M + pad\n"
        "  mean[i: M] = sum[k: P](X[i, k]) * Z[] + f32(q)\n"
        "}\n");
  CHECK(test::require(
            te::parse({intern("two"), "kernel a(X: f32[N]) -> (Y) { Y[i: N] = X[i] } kernel b() -> (Y) { Y[] = 1 }"}))
            .size() == 2);
  CHECK(test::kernel("kernel k(sum: f32[N]) -> (exp) { exp[i: N] = exp(sum[i]) + sum[k: N](sum[k]) }").stages.size() ==
        1);
}

TEST_CASE("parse: the kernels of docs/language.md") {
  const std::string page = test::read_file(TECC_SOURCE_DIR "/docs/language.md");
  int kernels = 0;
  for (std::size_t at = page.find("```\n"); at != std::string::npos;) {
    const std::size_t end = page.find("```\n", at + 4);
    const std::string block = page.substr(at + 4, end - at - 4);
    if (block.find("\nkernel ") != std::string::npos || block.rfind("kernel ", 0) == 0)
      if (block.find(" -> (") != std::string::npos)
        kernels += static_cast<int>(test::require(te::parse({intern("docs/language.md"), block})).size());
    at = end == std::string::npos ? end : page.find("```\n", end + 4);
  }
  CHECK(kernels == 4);
}

TEST_CASE("parse: mutated cases never crash or hang", "[fuzz]") {
  std::vector<std::string> texts;
  for (const auto& [file, text] : test::cases()) texts.push_back(text);
  const std::string letters = "()[]{}<>=+-*/%!&|,:;.#\n 0129aXk\xff";
  const std::string words[] = {"else ",   "let ", "kernel ", "sum[k: K](",
                               "select(", " i ",  "1e9999",  "9223372036854775807",
                               "f32(",    "T(",   "->",      "0"};
  const auto begin = std::chrono::steady_clock::now();
  for (unsigned seed = 0; seed < 20000; ++seed) {
    std::mt19937 rng(seed);
    const auto below = [&](std::size_t n) { return n ? static_cast<std::size_t>(rng()) % n : 0; };
    std::string text = texts[below(texts.size())];
    for (std::size_t n = 1 + below(4); n-- > 0;) {
      const std::size_t at = below(text.size());
      switch (below(6)) {
        case 0:
          text.erase(at, 1 + below(8));
          break;
        case 1:
          text.insert(at, 1, letters[below(letters.size())]);
          break;
        case 2:
          text.insert(at, words[below(std::size(words))]);
          break;
        case 3:
          text[at < text.size() ? at : 0] = letters[below(letters.size())];
          break;
        case 4:
          text.insert(at, text.substr(below(text.size()), 1 + below(30)));
          break;
        default:
          text.resize(at);
          break;
      }
      if (text.empty()) text = " ";
    }
    INFO("seed " << seed);
    survive(text);
  }
  INFO("20000 texts");
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(60));
}

TEST_CASE("parse: random words never crash or hang", "[fuzz]") {
  const std::string words[] = {"kernel ",  "k", "<T>", "(X: f32[N])", "-> (Y)", "{", "}",     "Y[i: N] = ", "X[i]",
                               "+",        "-", "(",   ")",           "[",      "]", "else ", "sum[k: N](", ",",
                               "let P = ", "N", "i",   "2",           "0.5",    "<", "&&",    ":",          ";"};
  for (unsigned seed = 0; seed < 20000; ++seed) {
    std::mt19937 rng(seed);
    std::string text = rng() % 2 ? "kernel k(X: f32[N]) -> (Y) { Y[i: N] = " : "";
    for (unsigned n = rng() % 60; n-- > 0;) text += words[rng() % std::size(words)];
    INFO("seed " << seed);
    survive(text);
  }
}
