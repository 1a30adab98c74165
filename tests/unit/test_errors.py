"""Errors: a drawn tree, texts that say what to do, survival of pickling, and no way to fill them wrongly."""

import pickle
from string import Formatter

import pytest
from card_usage import errors
from card_usage.errors import CardUsageError
from cases import every_case


def tree(kind: type[CardUsageError]) -> list[type[CardUsageError]]:
    return [kind, *(descendant for child in kind.__subclasses__() for descendant in tree(child))]


def filled(kind: type[CardUsageError]) -> CardUsageError:
    return kind(**{name: f"<{name}>" for _, name, _, _ in Formatter().parse(kind.message_template) if name})


KINDS = [kind for kind in tree(CardUsageError) if kind.__module__ == errors.__name__]


def test_every_error_survives_pickling():
    with every_case() as case:
        for kind in KINDS:
            with case(kind):
                error = filled(kind)
                again = pickle.loads(pickle.dumps(error))  # noqa: S301
                assert (type(again), str(again), again.details) == (kind, str(error), error.details)


def test_every_error_is_one_line_that_holds_all_it_was_given():
    with every_case() as case:
        for kind in KINDS:
            with case(kind):
                error = filled(kind)
                assert "\n" not in str(error)
                assert all(str(value) in str(error) for value in error.details.values())


def test_an_error_refuses_to_be_filled_with_too_little_or_too_much():
    with every_case() as case:
        for kind in KINDS:
            with case(kind):
                details = filled(kind).details
                with pytest.raises(TypeError, match=kind.__name__):
                    kind(**details, stray="x")
                with pytest.raises(TypeError, match=kind.__name__):
                    kind()


def test_the_tree_drawn_at_the_top_is_the_tree_that_is():
    with every_case() as case:
        for kind in KINDS:
            with case(kind):
                drawing = (errors.__doc__ or "").splitlines()
                depth = [base for base in kind.__mro__ if issubclass(base, CardUsageError)]
                (line,) = [
                    line for line in drawing if kind.__name__ in line.replace("-", " ").replace("`", " ").split()
                ]
                assert line.index(kind.__name__) == 4 * len(depth), line


def test_values_that_look_like_placeholders_are_printed_as_they_are():
    assert "'{code}'" in str(errors.UnknownCode(code="{code}", table="scene", hospital="h"))
