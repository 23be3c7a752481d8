#!/usr/bin/env bash
# Plants ten bugs, one at a time, in a copy of the sources, and asks the fuzzer to find each.
#
#   tests/fuzz/planted_bugs.sh FOLDER [SECONDS] [NAME..]     FOLDER gets the copy and its build; SECONDS a bug: 60
#
# Prints a table: the bug, how long the fuzzer took to find it, what it said. Fails if one is not found. Not part of CI.
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,7p' "$0"; exit 2; }
folder=$(mkdir -p "$1" && cd "$1" && pwd)
limit=${2:-60}
shift $(( $# > 1 ? 2 : 1 ))
only=("$@")
cd "$(dirname "$0")/../.."
mkdir -p "$folder/source"
# What differs is newer than what was built of it: a bug that an interrupted run left behind, say.
git ls-files -z | while IFS= read -r -d '' file; do cmp -s "$file" "$folder/source/$file" || install -D -m "$(stat -c %a "$file")" "$file" "$folder/source/$file"; done
cd "$folder/source"
export CCACHE_BASEDIR=$folder/source
[ -e build/release/build.ninja ] || cmake -S . -B build/release -G Ninja -DCMAKE_BUILD_TYPE=Release -DTECC_DEV=ON >/dev/null
ninja -C build/release tecc_fuzz | tail -1

# Name | file | a line's text | what it becomes. The text must stand in the file once.
bugs=$(cat <<'TABLE'
guard reaches one too far|ir/loop/affine.cpp|if (!stays_below(p, b, i)) out.push_back(make(Binary{BinOp::less, var(i.var), i.upper}, DType::boolean));|if (!stays_below(p, b, i)) out.push_back(make(Binary{BinOp::less_equal, var(i.var), i.upper}, DType::boolean));
stale region of two readers|schedule/primitive/common.cpp|const std::int64_t high = std::max(x.offset + a.span, y.offset + b.span);|const std::int64_t high = x.offset + a.span;
dropped barrier|compiler/pass/insert_barriers.cpp|if (conflict(state, stage, uses)) barrier(n, s, stage);|if (false && conflict(state, stage, uses)) barrier(n, s, stage);
wrong fill of a copy|schedule/primitive/cache_read.cpp|const Expr element = make(tecc::Read{tensor, copy.index, fill}, p[tensor].type);|const Expr element = make(tecc::Read{tensor, copy.index, fill ? loop::identity_of(Reducer::max, p[tensor].type) : fill}, p[tensor].type);
wrong identity of max|ir/loop/decompose.cpp|case Reducer::argmax: return extreme(type, true);|case Reducer::argmax: return is_float(type) ? literal(0, type) : extreme(type, true);
swapped operands|codegen/llvm/values.cpp|case BinOp::sub: out = b.CreateFSub(a, c); break;|case BinOp::sub: out = b.CreateFSub(c, a); break;
missed tail|schedule/primitive/split.cpp|n == 0 ? ceil_div(loop.extent, index_literal(product))|n == 0 ? ceil_div(loop.extent - index_literal(product > 1), index_literal(product))
two buffers in one place|compiler/pass/place_buffers.cpp|        shared += bytes;|        shared += bytes / 2;
fused loop takes its inner one whole|schedule/primitive/fuse.cpp|retire(p, b, {{{f, 1, extent_b, 1}}, 0}, f);|retire(p, b, {{{f, 1, extent_b > 2 ? extent_b - 1 : extent_b, 1}}, 0}, f);
a thread that counts too fast|compiler/pass/groups.cpp|return ThreadDigit{thread_weight(p, d.loop) * d.div, values, d.stride};|return ThreadDigit{thread_weight(p, d.loop), values, d.stride};
TABLE
)

# What two processes of the fuzzer say first, or nothing: FAILED case n: .., or the signal of code that left its memory. $folder/when: when.
complaint() {
  build/release/tecc_fuzz --seed 1 --seconds "$limit" --jobs 2 --failures 1 --shrink 0 --folder "$folder/failures" 2>&1 |
    { grep -m1 -E '^FAILED|^signal' && date +%s.%N >"$folder/when"; } || true
}

said=$(complaint)
[ -z "$said" ] || { echo "it fails without a bug: $said"; exit 1; }
found=0 missed=0
printf '%-40s %9s  %s\n' bug seconds 'first word of the fuzzer'
while IFS='|' read -r name file from to; do
  [ ${#only[@]} -eq 0 ] || [[ " ${only[*]} " == *" ${name%% *} "* ]] || continue
  cp "$file" "$folder/saved"
  FROM=$from TO=$to perl -0pi -e 'my $n = s/\Q$ENV{FROM}\E/$ENV{TO}/g; die "\"$ENV{FROM}\" stands there $n times, not once\n" unless $n == 1' "$file"
  if ! ninja -C build/release tecc_fuzz >"$folder/ninja.log" 2>&1; then
    grep -m3 error "$folder/ninja.log" || true
    said='' seconds='no build'
  else
    begin=$(date +%s.%N)
    echo "$begin" >"$folder/when"
    said=$(complaint)
    seconds=$(echo "$(cat "$folder/when") $begin" | awk '{printf "%.1f", $1 - $2}')
  fi
  if [ -n "$said" ]; then found=$((found + 1)); else missed=$((missed + 1)); seconds=-; said='not found'; fi
  printf '%-40s %9s  %.120s\n' "$name" "$seconds" "$said"
  cp "$folder/saved" "$file"
done <<<"$bugs"
echo "$found found, $missed not"
[ "$missed" = 0 ]
