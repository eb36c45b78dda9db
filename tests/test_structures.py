"""C definitions are parsed one by one, and are then what parsing all of them at once makes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from dissect.cstruct import cstruct

from dumpscan.model.c_big_numbers import _DEFINITIONS as BIG_NUMBERS
from dumpscan.model.c_breakpad import breakpad_def
from dumpscan.model.c_context import context_def
from dumpscan.model.c_keyblob import keyblob_def
from dumpscan.model.c_minidump import minidump_def
from dumpscan.model.c_process import process_def
from dumpscan.model.libraries.c_openssh import _DEFINITIONS as OPENSSH
from dumpscan.model.structures import structures

MODELS = {
    "minidump": (minidump_def, breakpad_def, context_def),
    "process": (process_def,),
    "keyblob": (keyblob_def,),
    "big numbers": (BIG_NUMBERS,),
    "openssh": (OPENSSH,),
}


def described(made: Any) -> object:  # noqa: ANN401 - a structure, an enumeration or a number
    if hasattr(made, "__fields__"):
        return made.size, [(field.name, field.offset, described(field.type)) for field in made.__fields__]
    if hasattr(made, "__members__"):
        return {name: int(value) for name, value in made.__members__.items()}
    return made if isinstance(made, int) else str(made)


@pytest.mark.parametrize("model", MODELS)
def test_the_same_as_all_at_once(model: str) -> None:
    whole, known = cstruct(), cstruct()
    for definition in MODELS[model]:
        whole.load(definition)
    names = [name for name in (*whole.typedefs, *whole.consts) if name not in {*known.typedefs, *known.consts}]
    assert names
    for name in names:
        one = structures(*MODELS[model])
        assert described(getattr(one, name)) == described(getattr(whole, name)), name


def test_only_what_is_used_is_parsed() -> None:
    made = structures(minidump_def, breakpad_def, context_def)
    assert made._made.typedefs.keys() == cstruct().typedefs.keys()
    assert made.MINIDUMP_DIRECTORY.size == 12
    assert list(made._waiting) == [breakpad_def, context_def]
    with pytest.raises(AttributeError):
        _ = made.MINIDUMP_NONSENSE
    assert list(made._waiting) == [breakpad_def, context_def]


def test_what_a_text_uses_is_parsed_before_it() -> None:
    made = structures(minidump_def, breakpad_def, context_def)
    assert made.MINIDUMP_CRASHPAD_INFO.size > 0
    assert list(made._waiting) == [context_def]
    assert made.CONTEXT_AMD64.size == cstruct().load(context_def).CONTEXT_AMD64.size


def test_from_several_threads() -> None:
    made = structures(minidump_def)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: made.MINIDUMP_MISC_INFO_5, range(64)))
    assert len(set(map(id, found))) == 1
