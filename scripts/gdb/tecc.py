"""gdb prints tecc's values as tecc writes them: `print e`, `print p`, `print id`.

    gdb -x scripts/gdb/tecc.py build/dev/tecc_tests          or `source scripts/gdb/tecc.py` in gdb

Nothing is called in the program that is looked at, so it works on core files, too. An expression knows no names: its variables are v3, its
tensors t1. `tecc-program p` prints the tree of a program with its names.
"""
import gdb
import gdb.printing

SIGNS = {"add": "+", "sub": "-", "mul": "*", "div": "/", "mod": "%", "less": "<", "less_equal": "<=", "equal": "==", "not_equal": "!=", "logical_and": "&&",
         "logical_or": "||"}


def word(value):
    """The enumerator alone: tecc::BinOp::add is add."""
    return str(value).rsplit("::", 1)[-1]


def shared(pointer):
    """What a std::shared_ptr points to; None for an empty one."""
    address = pointer["_M_ptr"]
    return address.dereference() if int(address) else None


def items(vector):
    """The elements of a std::vector."""
    first, last = vector["_M_impl"]["_M_start"], vector["_M_impl"]["_M_finish"]
    return [(first + n).dereference() for n in range(int(last - first))]


def alternative(variant):
    """The name of a std::variant's type and its value (libstdc++)."""
    index = int(variant["_M_index"])
    kind = variant.type.strip_typedefs().template_argument(index)
    union = variant["_M_u"]
    for _ in range(index):
        union = union["_M_rest"]
    place = union["_M_first"]["_M_storage"]
    return word(kind), place.address.cast(kind.pointer()).dereference()


def text(string):
    return string["_M_dataplus"]["_M_p"].string(length=int(string["_M_string_length"]))


def number(handle):
    return int(handle["n"])


def expression(e, names=None):
    """An Expr as `.te` text; `names` maps numbers of variables."""
    node = shared(e["node_"])
    if node is None:
        return "(empty)"
    kind, value = alternative(node["kind"])
    child = lambda name: expression(value[name], names)
    if kind == "Literal":
        return str(float(value["real"])) if bool(value["decimal"]) else str(int(value["integer"]))
    if kind == "Var":
        return (names or {}).get(number(value["id"]), "v%d" % number(value["id"]))
    if kind == "Unary":
        return "%s(%s)" % (word(value["op"]), child("a"))
    if kind == "Binary":
        op = word(value["op"])
        return "(%s %s %s)" % (child("a"), SIGNS[op], child("b")) if op in SIGNS else "%s(%s, %s)" % (op, child("a"), child("b"))
    if kind == "Select":
        return "select(%s, %s, %s)" % (child("condition"), child("then"), child("otherwise"))
    if kind == "Cast":
        return "cast%d(%s)" % (int(value["to"]["code"]), child("a"))
    if kind == "Read":
        index = ", ".join(expression(i, names) for i in items(value["index"]))
        rest = "" if shared(value["otherwise"]["node_"]) is None else " else " + child("otherwise")
        return "t%d[%s]%s" % (number(value["tensor"]), index, rest)
    axes = ", ".join("v%d: %s" % (number(a["var"]), expression(a["extent"], names)) for a in items(value["axes"]))
    return "%s[%s](%s)" % (word(value["op"]), axes, child("body"))


def rows(table):
    """The rows of a Table by number; removed ones are None."""
    return [shared(row) for row in items(table["rows_"])]


def tree(p):
    """The lines of a loop::Program: loops with their extents, blocks by name, other statements by kind."""
    statements = rows(p["stmts"])
    names = {n: text(v["name"]) for n, v in enumerate(rows(p["vars"])) if v is not None}
    lines = []

    def visit(at, depth):
        kind, node = alternative(statements[at]["node"])
        line = kind.lower()
        if kind == "Root":
            line = "kernel " + text(node["name"])
        elif kind == "Loop":
            group = word(node["group"])
            line = "for %s: %s%s" % (names.get(number(node["var"]), "?"), expression(node["extent"], names), "" if group == "none" else " " + group)
        elif kind == "Block":
            line = "block " + text(node["name"])
        lines.append("  " * depth + line)
        for c in items(statements[at]["children"]):
            visit(number(c), depth + 1)

    for k in items(p["kernels"]):
        visit(number(k), 0)
    return lines


class ExprPrinter:
    def __init__(self, value):
        self.value = value

    def to_string(self):
        return expression(self.value)


class IdPrinter:
    def __init__(self, value):
        self.value = value

    def to_string(self):
        tag = word(self.value.type.strip_typedefs().template_argument(0))
        return "%s %d" % (tag[:-3].lower() if tag.endswith("Tag") else tag, number(self.value))


class ProgramPrinter:
    def __init__(self, value):
        self.value = value

    def to_string(self):
        p = self.value
        return "program %s: %d kernels, %d statements, %d buffers" % (text(p["name"]), len(items(p["kernels"])), sum(r is not None for r in rows(p["stmts"])),
                                                                      sum(r is not None for r in rows(p["buffers"])))


class ProgramCommand(gdb.Command):
    """tecc-program EXPRESSION: the tree of a loop::Program."""

    def __init__(self):
        super().__init__("tecc-program", gdb.COMMAND_DATA, gdb.COMPLETE_EXPRESSION)

    def invoke(self, argument, from_tty):
        print("\n".join(tree(gdb.parse_and_eval(argument))))


printers = gdb.printing.RegexpCollectionPrettyPrinter("tecc")
printers.add_printer("Expr", "^tecc::Expr$", ExprPrinter)
printers.add_printer("Id", "^tecc::Id<.*>$", IdPrinter)
printers.add_printer("Program", "^tecc::loop::Program$", ProgramPrinter)
gdb.printing.register_pretty_printer(None, printers, replace=True)
ProgramCommand()
