// Every error of texts and bindings by its full text, with place and caret.
#include "ir/base/errors.h"

#include <set>

#include "tests/support/te.h"

using namespace tecc;

namespace {

/// Text before `@` and after it; the caret must point at the `@`, which is taken out.
struct Marked {
  std::string text, place, line, caret;
};
Marked marked(std::string text) {
  Marked m;
  const auto at = text.find('@');
  REQUIRE(at != std::string::npos);
  text.erase(at, 1);
  const auto begin = text.rfind('\n', at == 0 ? std::string::npos : at - 1);
  const std::size_t first = at == 0 || begin == std::string::npos ? 0 : begin + 1;
  m.line = text.substr(first, text.find('\n', first) - first);
  const auto lines = std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(first), '\n');
  m.place = "test.te:" + std::to_string(lines + 1) + ":" + std::to_string(at - first + 1);
  m.caret = std::string(at - first, ' ') + "^";
  m.text = text;
  return m;
}
std::string expected(const Marked& m, const std::string& message) {
  std::string out = m.place + ": error " + message;
  if (!m.line.empty()) out += "\n  " + m.line + "\n  " + m.caret;
  return out;
}
void check_text(const std::string& text, const std::string& message) {
  const Marked m = marked(text);
  CHECK(test::parse_error(m.text) == expected(m, message));
}
void check_bound(const std::string& text, const std::string& dims, const std::string& types,
                 const std::string& message) {
  const Marked m = marked(text);
  CHECK(test::bind_error(m.text, dims, types) == expected(m, message));
}
/// `Y[i: N] = <body>` in a kernel with the tensors X: f32[N], I: i32[N], B: bool[N], H: bf16[N], s: f32.
std::string in_stage(const std::string& body) {
  return "kernel k(X: f32[N], I: i32[N], B: bool[N], H: bf16[N], s: f32; n) -> (Y) {\n  Y[i: N] = " + body + "\n}";
}
void check_body(const std::string& body, const std::string& message) { check_text(in_stage(body), message); }
void check_typed(const std::string& body, const std::string& message) {
  check_bound(in_stage(body), "N=8,n=0", "", message);
}

}  // namespace

TEST_CASE("errors: lexis and syntax") {
  check_body("X[i] @$ 2",
             "E0101: the character '$' starts no word of the language; names and operators are plain ASCII");
  check_body("B[i] @& B[i]", "E0101: the character '&' starts no word of the language; write '&&'");
  check_body("X[i] + @\xc3\xa4",
             "E0101: the character '\\xc3' starts no word of the language; names and operators are plain ASCII");
  check_body("@0x10",
             "E0102: '0x10' is not a number; write digits with an optional point and exponent, as in 12, 0.5 or 1e-5");
  check_body("@1.2.3",
             "E0102: '1.2.3' is not a number; write digits with an optional point and exponent, as in 12, 0.5 or 1e-5");
  check_body("@9223372036854775808",
             "E0103: the number '9223372036854775808' is too large; an integer is at most 9223372036854775807");
  check_body("@1e999", "E0103: the number '1e999' is too large; a decimal number is at most about 1.8e308");
  check_body("X[i] + @}", "E0104: expected an expression but found '}'");
  check_body("X[i] @2", "E0104: expected an operator, the next stage or '}' but found '2'");
  check_body("(X[i]@}", "E0104: expected ')' but found '}'");
  check_text("kernel k(X: f32[N]) @{", "E0104: expected '->' but found '{'");
  check_text("kernel k(X: f32[N]) -> (Y) { Y[i: N] = X[i]@",
             "E0104: expected an operator, the next stage or '}' but found the end of the text");
  check_text("@stage", "E0104: expected 'kernel' but found 'stage'");
  check_body("select(0 < i @< 3, X[i], 0)", "E0105: comparisons do not chain; write 'a < b && b < c'");
  check_text("@", "E0106: there is no kernel in this text; write 'kernel name(X: f32[M]) -> (Y) { Y[i: M] = X[i] }'");
  check_text("@# nothing\n",
             "E0106: there is no kernel in this text; write 'kernel name(X: f32[M]) -> (Y) { Y[i: M] = X[i] }'");
}

TEST_CASE("errors: names") {
  check_text("kernel k(X: f32[N]) -> (Y) { Y[@else: N] = 1 }",
             "E0107: 'else' is reserved and cannot name an axis; choose another name");
  check_text("kernel k(@bool: f32[N]) -> (Y) { Y[i: N] = 1 }",
             "E0107: 'bool' is reserved and cannot name a parameter; choose another name");
  check_body("@score[i]", "E0110: unknown name 'score'");
  check_text("kernel k(scores: f32[N]) -> (Y) { Y[i: N] = @score[i] }",
             "E0110: unknown name 'score'; did you mean 'scores'?");
  check_text("kernel k(X: f32[N], @X: f32[N]) -> (Y) { Y[i: N] = 1 }",
             "E0111: the name 'X' is already a tensor; choose another name");
  check_text("kernel k(X: f32[N]) -> (Y) { Y[i: N] = sum[@i: N](X[i]) }",
             "E0111: the name 'i' is already an axis; choose another name");
  check_text("kernel k(X: f32[N]) -> (Y) { let @N = 3 Y[i: N] = X[i] }",
             "E0111: the name 'N' is already a dim; choose another name");
  check_text("kernel k(X: f32[N]) -> (Y) { Y[i: N] = X[i] @Y[i: N] = X[i] }",
             "E0111: the name 'Y' is already a stage; choose another name");
  check_text("kernel k(X: f32[N]) -> (Y) { Y[@Y: N] = X[Y] }",
             "E0111: the name 'Y' is already a stage; choose another name");
  check_text("kernel k<T>(X: f32[@T]) -> (Y) { Y[i: N] = 1 }",
             "E0111: the name 'T' is already a type parameter; choose another name");
  check_text("kernel k(X: f32[N]) -> (Y) { Y[i: N] = 1 } kernel @k(X: f32[N]) -> (Y) { Y[i: N] = 1 }",
             "E0111: the name 'k' is already a kernel; choose another name");
  check_text("kernel k(X: f32[N]) -> (Y) { Y[i: N] = @z[i] z[i: N] = X[i] }",
             "E0112: stage 'z' is used before its definition; move its definition above this line");
  check_body("@Y[i]", "E0112: stage 'Y' is used before its definition; move its definition above this line");
  check_text("kernel k(X: @half[N]) -> (Y) { Y[i: N] = 1 }",
             "E0113: unknown type 'half'; to leave it open, write 'kernel k<half>(...)'");
  check_text("kernel k(X: @tf32[N]) -> (Y) { Y[i: N] = 1 }",
             "E0113: unknown type 'tf32'; tf32 is a cast: declare f32 and write tf32(x)");
  check_body("@sqr(X[i])", "E0114: unknown function 'sqr'; did you mean 'sqrt'?");
  check_body("@total[k: N](X[k])",
             "E0114: unknown function 'total'; reducers are sum prod min max any all argmax argmin mean");
  check_text("kernel k(X: f32[N]) -> (Y, @X) { Y[i: N] = X[i] }",
             "E0115: output 'X' is not defined by a stage; add 'X[...] = ...' to the body");
  check_text("kernel k(X: f32[N]) -> (Y, @Y) { Y[i: N] = X[i] }", "E0116: output 'Y' is listed twice; list it once");
}

TEST_CASE("errors: uses") {
  check_body("@X[i, i]", "E0130: 'X' has 1 dimensions but is read with 2 indices; write X[_]");
  check_body("@s[]", "E0130: 's' has 0 dimensions but is read with 0 indices; write s");
  check_body("@max(X[i])", "E0131: 'max' takes 2 arguments but has 1");
  check_body("@f32(X[i], 2)", "E0131: 'f32' takes 1 arguments but has 2");
  check_body("@X + 1", "E0132: 'X' is a tensor and not a value here; to read it, write X[...]");
  check_body("@X(i)",
             "E0132: 'X' is a tensor, not a function, and not a value here; indices stand in brackets, X[...]");
  check_body("@sum(X[i])",
             "E0132: 'sum' is a reducer and not a value here; axes stand before its body, sum[k: K](...)");
  check_body("@exp", "E0132: 'exp' is a function and not a value here; to call it, write exp(...)");
  check_body("@f32 + 1", "E0132: 'f32' is a type and not a value here; to cast, write f32(x)");
  check_body(
      "@N[i]",
      "E0132: 'N' is a dim without elements and not a value here; only tensors and stages are read with brackets");
  check_text(
      "kernel k(X: f32[N], s: i32) -> (Y) { Y[i: @s] = X[i] }",
      "E0133: the scalar parameter 's' cannot stand in the extent of an axis; use dims, integers and lets there");
  check_text("kernel k(X: f32[N]) -> (Y) { let P = @X[0] Y[i: N] = X[i] }",
             "E0133: the read 'X[...]' cannot stand in a let; use dims, integers and lets there");
  check_body(
      "@argmax[a: N, b: N](X[a])",
      "E0134: 'argmax' takes one axis but has 2; reduce over one axis of the product and split its index with / and %");
}

TEST_CASE("errors: limits are reported quickly and cleanly") {
  const auto repeated = [](const std::string& s, int n) {
    std::string out;
    for (int i = 0; i < n; ++i) out += s;
    return out;
  };
  CHECK(test::parse_error(in_stage(repeated("(", 256) + "X[i]" + repeated(")", 256))) == "");
  for (const char* open : {"(", "-", "!", "exp(", "X[", "select(", "X[i] else ", "f32(", "1 + ("})
    CHECK(test::parse_error(in_stage(repeated(open, 100'000)))
              .find("error E0140: nested more than 256 levels deep; make the inner part a stage or a let") !=
          std::string::npos);
  CHECK(test::parse_error(in_stage("X[i]" + repeated(" + X[i]", 998))) == "");
  CHECK(test::parse_error(in_stage("X[i]" + repeated(" + X[i]", 100'000)))
            .find("error E0142: a chain of over 1000 operators; make part of it a stage") != std::string::npos);
  const std::string wide = "max(X[i], " + repeated("X[i] + ", 500) + "0)";
  std::string large = wide;
  for (int n = 0; n < 150; ++n) large += " + " + wide;
  CHECK(test::parse_error(in_stage(large))
            .find("error E0141: the expression has over 100000 nodes; make part of it a stage") != std::string::npos);
  CHECK(test::parse_error("kernel k<" + repeated("A, ", 0) +
                          [] {
                            std::string out = "T0";
                            for (int n = 1; n < 200; ++n) out += ", T" + std::to_string(n);
                            return out;
                          }() +
                          ">(X: T0[N]) -> (Y) { Y[i: N] = X[i] }")
            .find("error E0143: more than 128 type parameters in one kernel; split the kernel") != std::string::npos);
}

TEST_CASE("errors: bindings") {
  const auto dims_error = [](const std::string& text) { return message(te::parse_dims(text).error()); };
  CHECK(dims_error("M") == "'M' is not a list of dims; write for example M=4096,N=1..65536:8,stride=2");
  CHECK(dims_error("M=4,M=5") == "'M=5' is not a list of dims; write for example M=4096,N=1..65536:8,stride=2");
  CHECK(dims_error("M=1..x") == "'M=1..x' is not a list of dims; write for example M=4096,N=1..65536:8,stride=2");
  CHECK(dims_error("M=99999999999999999999") ==
        "'M=99999999999999999999' is not a list of dims; write for example M=4096,N=1..65536:8,stride=2");
  CHECK(message(te::parse_type_bindings("T=float").error()) ==
        "'T=float' is not a list of types; write for example T=bf16");
  const std::string k = "kernel @k<T>(X: T[N, K / 32], Z: T[K]; pad) -> (Y) { Y[i: N] = X[i, 0] }";
  check_bound("kernel k<T>(X: T[@N, K / 32], Z: T[K]; pad) -> (Y) { Y[i: N] = X[i, 0] }", "K=32,pad=0", "T=f32",
              "E0203: dim 'N' has no value; add N=... to --dims");
  check_bound("kernel k<T>(X: T[N, K / 32], Z: T[K]; @pad) -> (Y) { Y[i: N] = X[i, 0] }", "K=32,N=1", "T=f32",
              "E0203: integer parameter 'pad' has no value; add pad=... to --dims");
  check_bound(k, "K=32,pad=0,N=2,padd=3", "T=f32",
              "E0204: kernel 'k' has no dim or integer named 'padd'; did you mean 'pad'?");
  check_bound("kernel k<T>(X: T[@N, K / 32], Z: T[K]; pad) -> (Y) { Y[i: N] = X[i, 0] }", "K=32,pad=0,N=0", "T=f32",
              "E0205: dim 'N' is bound to 0; a dim is at least 1");
  check_bound("kernel k<T>(X: T[@N, K / 32], Z: T[K]; pad) -> (Y) { Y[i: N] = X[i, 0] }", "K=32,pad=0,N=9..15:8",
              "T=f32", "E0205: dim 'N' is bound to 9..15:8; it holds no multiple of 8");
  check_bound("kernel k<T>(X: T[N, K / 32], Z: T[K]; @pad) -> (Y) { Y[i: N] = X[i, 0] }", "K=32,pad=0..3,N=1", "T=f32",
              "E0206: integer parameter 'pad' is bound to the range 0..3; bind it to one value");
  check_bound(k, "K=32,pad=0,N=2", "", "E0207: type parameter 'T' is not bound; add T=... to --types");
  check_bound(k, "K=32,pad=0,N=2", "T=f32,U=f32", "E0208: kernel 'k' has no type parameter named 'U'");
}

TEST_CASE("errors: shapes") {
  check_bound("kernel k(X: f32[N]) -> (Y) { let P = N @* N Y[i: P] = 1 }", "N=4000000000", "",
              "E0210: 'N * N' overflows i64 (4000000000 * 4000000000); use smaller dims");
  check_bound("kernel k(X: f32[N]; s) -> (Y) { let P = N @/ s Y[i: P] = 1 }", "N=4,s=0", "",
              "E0211: division by zero in 'N / s'; the divisor must not be 0");
  check_bound("kernel k(X: f32[N]) -> (Y) { Y[i: N] = 7 @/ i }", "N=4", "",
              "E0211: division by zero in '7 / i': 'i' can be 0; write max(i, 1) or guard it with select");
  CHECK(test::bind_error("kernel k(X: f32[N]) -> (Y) { Y[i: N] = select(i > 0, 7 / i, 0) }", "N=4") == "");
  check_bound("kernel k(X: f32[N], Z: f32[N @/ 128]) -> (Y) { Y[i: N] = 1 }", "N=100", "",
              "E0212: extent 'N / 128' of 'Z' is 0; it must be at least 1");
  check_bound("kernel k(X: f32[N]) -> (Y) { Y[i: N @- 8] = 1 }", "N=4", "",
              "E0212: extent 'N - 8' of axis 'i' of 'Y' is -4; it must be at least 1");
  check_bound("kernel k(X: f32[N]) -> (Y) { Y[i: N @- 8] = 1 }", "N=4..16", "",
              "E0212: extent 'N - 8' of axis 'i' of 'Y' is -4 for some runtime dims; it must be at least 1");
  check_bound(
      "kernel k(X: f32[N]) -> (Y) { Y[i: N, j: i @+ 1] = 1 }", "N=4", "",
      "E0213: axis 'j' of output 'Y' has the extent 'i + 1', which follows another axis; outputs are rectangular");
  check_bound("kernel k(X: f32[N]) -> (Y) { t[i: N, j: i @* i] = 1 Y[] = t[0, 0] else 0 }", "N=4", "",
              "E0214: extent 'i * i' of axis 'j' is not affine in the earlier axes; use sums and products by constants "
              "of them");
  check_bound("kernel k(@X: f32[N, N, N]) -> (Y) { Y[i: N] = 1 }", "N=4000000", "",
              "E0215: 'X' has over 9223372036854775807 elements at the bound dims; use smaller dims");
}

TEST_CASE("errors: types") {
  check_typed("X[i] @* H[i]", "E0220: 'X[i] * H[i]' has operands of types f32 and bf16; write f32(H[i])");
  check_typed("I[i] @+ X[i]", "E0220: 'I[i] + X[i]' has operands of types i32 and f32; write f32(I[i])");
  check_typed("@select(B[i], X[i], H[i])",
              "E0220: 'select(B[i], X[i], H[i])' has operands of types f32 and bf16; write f32(H[i])");
  check_typed("X[i] @* i", "E0221: 'X[i] * i' combines the integer 'i' with 'X[i]' of type f32; write f32(i)");
  check_typed("i @* 0.5", "E0221: 'i * 0.5' combines the integer 'i' with the decimal 0.5; write f32(i)");
  check_typed("@exp(I[i])", "E0222: 'exp' needs a float but 'I[i]' is i32; write exp(f32(I[i]))");
  check_typed("@sqrt(N)", "E0222: 'sqrt' needs a float but 'N' is an integer; write sqrt(f32(N))");
  check_typed("@mean[k: N](I[k])", "E0222: 'mean' needs a float but 'I[k]' is i32; write f32(I[k])");
  check_typed(
      "select(@X[i], 1, 2)",
      "E0223: the condition of 'select' needs a truth value but 'X[i]' is f32; compare it, for example X[i] != 0");
  check_typed("any[k: N](@I[k])",
              "E0223: 'any' needs a truth value but 'I[k]' is i32; compare it, for example I[k] != 0");
  check_typed("B[i] && @i", "E0223: '&&' needs a truth value but 'i' is i64; compare it, for example i != 0");
  check_typed("B[i] @+ B[i]", "E0224: '+' needs numbers but 'B[i]' is bool; write i32(B[i])");
  check_typed("@sum[k: N](B[k])", "E0224: 'sum' needs numbers but 'B[k]' is bool; write i32(B[k])");
  check_typed("X[@X[i]]", "E0225: an index of 'X' needs an integer but 'X[i]' is f32; write i64(floor(X[i]))");
  check_typed("X[@0.5]", "E0225: an index of 'X' needs an integer but '0.5' is a decimal; write i64(floor(0.5))");
  check_bound("kernel k(X: f32[N]) -> (Y) { Y[i: N @* 0.5] = 1 }", "N=4", "",
              "E0221: 'N * 0.5' combines the integer 'N' with the decimal 0.5; write f32(N)");
  check_bound("kernel k(X: f32[N]) -> (Y) { Y[i: @2.5] = 1 }", "N=4", "",
              "E0225: the extent of axis 'i' needs an integer but '2.5' is a decimal; write an integer");
  check_typed("i8(I[i]) + @300",
              "E0226: the literal 300 does not fit in i8; cast the other operand to a wider type, i64(x)");
  check_typed("I[i] * @0.5",
              "E0226: the literal 0.5 does not fit in i32; cast the other operand to a float type, f32(x)");
  check_typed("X[i] @% 2", "E0227: '%' is not defined on f32; write a - floor(a / b) * b");
  check_typed("H[i] else @X[i]",
              "E0228: the else-value 'X[i]' of a read of 'H' is f32, the tensor is bf16; write bf16(X[i])");
  check_typed(
      "X[i] * (1 @/ 2)",
      "E0229: '1 / 2' divides integer literals, which gives the integer 0, where f32 is needed; write a decimal point");
}

TEST_CASE("errors: bounds") {
  check_typed("X[i @+ 1]",
              "E0240: 'X' reads dimension 0 of its shape [8] at 'i + 1', which runs from 1 to 8; allowed is 0 to 7; "
              "write X[...] else 0 if a value outside is meant");
  check_bound("kernel k(X: f32[M, N]) -> (Y) { Y[i: M, j: N] = X[i, j @- 1] }", "M=4,N=1..9", "",
              "E0240: 'X' reads dimension 1 of its shape [4, N] at 'j - 1', which runs from -1 to 7; allowed is 0 to N "
              "- 1 (N is 1..9); write X[...] else 0 if a value outside is meant");
  check_bound("kernel k(X: f32[N]) -> (Y) { t[i: N, j: i + 1] = X[j] Y[i: N] = t[0, @i] }", "N=4", "",
              "E0240: 't' reads dimension 1 of its shape [4, i + 1] at 'i', which runs from 0 to 3; allowed is 0 to 0; "
              "write t[...] else 0 if a value outside is meant");
  check_typed("X[I[i @+ 8]] else 0",
              "E0240: 'I' reads dimension 0 of its shape [8] at 'i + 8', which runs from 8 to 15; allowed is 0 to 7; "
              "write I[...] else 0 if a value outside is meant");
}

TEST_CASE("errors: every row of text and binding errors is tested above or by name") {
  // Numbers that appear in this file's expectations or in those of the DSL, of the loop IR's text, of C++ files and of alignments.
  std::string here = test::read_file(__FILE__);
  for (const char* other : {"/tests/compiler/dsl_test.cpp", "/tests/ir/loop/loop_text_test.cpp", "/tests/cli/compile_input_test.cpp", "/tests/codegen/alignment_test.cpp"}) here += test::read_file(std::string(TECC_SOURCE_DIR) + other);
  const std::set<std::string> elsewhere = {"E0201", "E0202", "E0230", "E0231",
                                           "E0232", "E0233", "E0234"};  // by message, without number
  for (int n = 100; n < 250; ++n) {
    const std::string number = "E0" + std::to_string(n);
    if (!explanation(number) || elsewhere.count(number)) continue;
    INFO(number);
    CHECK(here.find(number) != std::string::npos);
  }
}
