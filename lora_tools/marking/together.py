"""The exercises whose check needs a class or a model of the student's in its own process, and which code may share it.

Code that shares a process with its check could change the check. So it is run only where each of its words is known:
those of the lesson's own cells, the names of tensors, layers and functions in PyTorch, and Python's plain built-ins.
Anything else goes to the teacher, by hand. That stops the tricks that are known; it is no proof, as two processes are.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn

from .cells import UNREADABLE, from_above, statements

TOGETHER = {"02.1", "03.2", "07.1", "07.2", "08.3", "12.2", "12.5", "12.8", "12.10", "12.11", "12.13"}
TOGETHER |= {"12.15", "12.16", "12.17", "12.18", "12.19", "12.20", "12.21", "13.3"}
PLAIN = {
    "torch",
    "math",
    "nn",
    "self",
    "ctx",
    "super",
    "autograd",
    "functional",
    "optim",
    "linalg",
    "Function",
    "apply",
}
PLAIN |= {"Tensor", "no_grad", "save_for_backward", "saved_tensors", "needs_input_grad", "RuntimeError", "ValueError"}
PLAIN |= {"abs", "all", "any", "bool", "dict", "enumerate", "float", "int", "isinstance", "iter", "len", "list", "map"}
PLAIN |= {"max", "min", "next", "print", "range", "reversed", "round", "set", "sorted", "staticmethod", "str", "sum"}
PLAIN |= {"tuple", "zip", "__init__", "training", "clip_grad_norm_", "manual_seed", "bos_token", "bos_token_id"}
_OF = (Tensor, nn, nn.Module, nn.functional, nn.init, torch.optim, torch._C._VariableFunctions, math, list, dict, str)
WORDS = PLAIN | {name for of in _OF for name in dir(of) if not name.startswith("_") and "hook" not in name}
BASES = {"nn.Module", "torch.nn.Module", "Module", "torch.autograd.Function", "autograd.Function", "Function"}
OWN = {"__init__", "forward", "backward", "setup_context", "extra_repr"}  # what a class of theirs may define anew
REFUSED = (ast.Match, ast.Global, ast.AsyncFunctionDef)


def doubt(job: Mapping[str, Any]) -> str:
    """Why the code of a job may not share a process with its check; "" where it may."""
    ours, theirs = list(from_above(job["ours"])), list(from_above(job["above"]))
    with suppress(*UNREADABLE):  # else it is not run at all
        theirs += statements(job["cell"])
    known = {ast.dump(one) for one in ours}
    own = [node for one in ours for node in ast.walk(one)]
    new = [node for one in theirs if ast.dump(one) not in known for node in ast.walk(one)]
    found = next(_unknown(new, own), "")
    return found and f"Its check shares a process with its code, which has {found}: read it, and judge it by hand."


def _unknown(nodes: list[Any], own: list[Any]) -> Iterator[str]:
    """What of a student's could change the check, or is not known to leave it alone; `own` is what the lesson has."""
    words = WORDS | {word for node in own for word in _words(node)}
    imports = {word for node in [*nodes, *own] if isinstance(node, ast.alias) for word in _words(node)}
    stored = {node.attr for node in nodes if _is_stored(node)}
    bound = {word for node in nodes if _binds(node) for word in _words(node)}
    given = {str(node.asname) for node in nodes if isinstance(node, ast.alias)}
    settable = {"grad", "requires_grad", *(node.attr for node in own if _is_stored(node))}
    for node in nodes:
        of_theirs = given if isinstance(node, (ast.alias, ast.ImportFrom)) else bound | given
        if isinstance(node, ast.Attribute):
            of_theirs = set() if _root(node) in imports else stored
        if unknown := [word for word in _words(node) if word not in words | of_theirs or _HIDDEN.match(word)]:
            yield f"the word {unknown[0]}"
        if isinstance(node, REFUSED) or (_binds(node) and _words(node) & imports):
            yield f"{ast.unparse(node)[:60]!r}"
        if isinstance(node, ast.ClassDef):
            if node.keywords or not {ast.unparse(base) for base in node.bases} <= BASES:
                yield f"a class {node.name} of another kind"
            names = {word for one in ast.walk(node) if _binds(one) for word in _words(one)}
            yield from (f"{node.name}.{name} anew" for name in names & _METHODS - OWN)
        if _is_stored(node):
            elsewhere = _root(node) not in ("self", "ctx") and node.attr not in settable
            if elsewhere or _root(node) in {"", *imports} or node.attr in _METHODS - {"forward"}:
                yield f"{ast.unparse(node)} = …"


# What begins so leads to what no lesson needs: a function's globals, the caller's variables, another module.
_HIDDEN = re.compile(r"_(?!_init__$|$)|(?:gi|cr|ag|tb|f|co)_")
_METHODS = {name for name in dir(nn.Module) if callable(getattr(nn.Module, name))}


def _words(node: Any) -> set[str]:
    """The names in one node."""
    if isinstance(node, ast.keyword):
        return set()
    if isinstance(node, ast.alias):
        return {*node.name.split("."), *filter(None, [node.asname])}
    if isinstance(node, ast.ImportFrom):
        return {*(node.module or "").split(".")}
    return {name for field in ("id", "attr", "arg", "name") if isinstance(name := getattr(node, field, None), str)}


def _binds(node: Any) -> bool:
    kinds = (ast.FunctionDef, ast.ClassDef, ast.arg, ast.ExceptHandler)
    return isinstance(node, kinds) or (isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load))


def _is_stored(node: Any) -> bool:
    return isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load)


def _root(node: Any) -> str:
    """The name that an attribute begins at; "" where it begins at something else."""
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""
