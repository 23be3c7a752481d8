#pragma once
#include "ir/base/errors.h"
#include "ir/loop/program.h"

/// The text of the loop IR, as print() writes it and --dump-ir leaves it in files.
///
///   program = "program" NAME "(" [ buffer { "," buffer } ] [ ";" NAME "=" INT ".." INT [ ":" INT ] { "," .. } ] ")" "->" "(" [ buffer { "," buffer } ] ")"
///             "{" { "buffer" buffer | channel | role | stages | turns | skew | cross | let } kernel { kernel } "}"
///   buffer  = NAME ":" DTYPE [ "[" exprs "]" ] [ "shared" | "register" | "local" ] [ "order" "[" ints "]" ] [ "pad" INT ]
///             [ "slots" INT "at" LOOP ] [ "of" CHANNEL ] [ "reuses" BUFFER ] [ "panel" INT ] [ "swizzle" INT ] [ "align" INT ]
///             [ "fragment" "[" DIM ":" COUNT x UNIT @ PLACE { "," .. } "]" ] [ storage ]
///   storage = "{" "in" ( LOOP | "kernel" INT ) "," INT "elements" [ "a" "thread" ] [ "," "one" "each" LOOP { LOOP } ] [ "," "offset" INT ]
///             { ";" [ "relative" ] "from" INT { COUNT x UNIT @ PLACE } } "}"
///   channel = "channel" cN "at" LOOP "slots" INT [ HOW ] [ "owner" GROUP INT ] [ "full" INT ] [ "empty" INT ] [ "offset" INT ] ":" { BUFFER }
///   role    = "role" rN "warpgroups" INT "registers" INT ":" { BLOCK }         stages = "stages" NAME [ "=" BLOCK ] { "," .. }
///   turns   = "take_turns" "at" LOOP ":" { BLOCK }                             skew = "skew" "at" LOOP ":" { BLOCK [ "stage" INT ] }
///   cross   = "cross_thread_reduce" BLOCK "at" LOOP                            let = "let" LOOP ":" expr "=" binding      # a retired loop
///   kernel  = "kernel" NAME [ "dependent" | "concurrent" ] "{" { statement } "}"              statement = [ [ rN ] [ "+" INT ] ":" ] ( for | block | other )      # role, stage
///   for     = "for" LOOP ":" expr [ GROUP ] [ KIND ] [ "raster" LOOP "group" INT ] [ "stages" INT ] [ "persistent" ] "{" { statement } "}"
///   block   = "block" NAME "(" [ iter { "," iter } ] ")" [ "where" exprs ] [ "if" exprs ] [ "initialised" ] [ "ahead" LOOP "by" INT ]
///             [ "by" VIA [ "swap" ] [ "alone" | "at" LOOP ] [ "atom" ( "alone" | LOOP ) ] [ "as" INSTRUCTION ] ] [ "axes" "(" loops ")" ]
///             "{" { BUFFER "[" exprs "]" [ REDUCER ] "=" expr } "}"
///   iter    = [ "reduce" | "scan" ] NAME ":" [ INT ".." ] expr "=" binding     binding = term { "+" term } [ ("+" | "-") INT ] | INT
///   term    = LOOP [ "/" INT ] [ "%" INT ] [ "*" INT ] | "(" LOOP [ "/" INT ] [ "%" INT ] ")" "*" INT
///   other   = "barrier" [ GROUP ] | "combine" REDUCER { BUFFER } "threads" INT "stride" INT "scratch" BUFFER
///           | EVENT cN moment | SYNC [ cN ] [ [ "bytes" ] INT ] [ GROUP ] moment
///   moment  = [ "lag" INT ] [ "but" "first" LOOP ]          # GROUP in `other`: one smaller than a block, which is meant without it
///
/// Expressions are those of `.te` text, reads of several words included (`C.sum[i, j]`); a literal's type may follow it, 1:f32. Loops may be
/// named before their line; `_` stands for a loop or block that is no more. `#` comments.
namespace tecc::loop {

/// print(parse(print(p))) is print(p). Every row is checked on its own; verify() says whether they make a program of some level.
/// E0102 to E0105 lexis and syntax, E0130s uses, E0150 to E0155.
Result<Program> parse(const Source& source);

/// Every row takes the name that print() gives it, and what the text does not mention is called `_`: whoever makes further rows from
/// these gives them the same names as one who has read the text.
void name_as_printed(Program& p);

/// The loop that an iteration is, where it is one loop and nothing else; row 0 otherwise. Text leaves out axes that are these.
LoopId usual_axis(const Iter& i);

}  // namespace tecc::loop
