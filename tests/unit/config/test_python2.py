"""Configurations of Python 2 are told what they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.config.files import problems

PYTHON_2 = [
    "print 'reading'\n",
    "exec code\n",
    "try:\n    pass\nexcept ValueError, why:\n    pass\n",
    "raise ValueError, 'no'\n",
    "mode = 0644\n",
    "size = 10L\n",
    "name = `3`\n",
    "if 1 <> 2: pass\n",
    "text = ur'x'\n",
    "def f(a, (b, c)): pass\n",
    "pick = lambda (a, b): a\n",
]


@pytest.mark.parametrize("text", PYTHON_2)
def test_its_syntax_is_recognised(tmp_path: Path, text: str) -> None:
    (problem,) = problems(tmp_path, text)
    assert problem.hint is not None
    assert problem.hint.startswith("this is Python 2; `python3.11 -m lib2to3 -w -n ")
    assert str(tmp_path / "master.cfg") in problem.hint


WRITTEN = {
    "name = unicode('x')\n": "unicode is Python 2, write str; ",
    "import ConfigParser\n": "ConfigParser is Python 2, write configparser; ",
    "from email.MIMEText import MIMEText\n": "email.MIMEText is Python 2, write email.mime.text; ",
    "d = {}\nd.has_key('x')\n": "has_key is Python 2, write key in the dict; ",
    "for x in {}.iteritems(): pass\n": "iteritems is Python 2, write items(); ",
    "if 1:\n\tx = 1\n        y = 2\n": "tabs and spaces are mixed",
}


@pytest.mark.parametrize(("text", "said"), WRITTEN.items())
def test_its_names_are_recognised(tmp_path: Path, text: str, said: str) -> None:
    (problem,) = problems(tmp_path, text)
    assert (problem.hint or "").startswith(said)


def test_its_module_is_named_where_the_mistake_is(tmp_path: Path) -> None:
    (tmp_path / "old_module.py").write_text("print 'x'\n")
    (problem,) = problems(tmp_path, "import old_module\n")
    assert problem.file == str(tmp_path / "old_module.py")
    assert f"-n {tmp_path / 'old_module.py'}`" in (problem.hint or "")


@pytest.mark.parametrize(
    "text", ["c = {\n", "x = (1 2)\n", "print('a'\n", "f(a, (b))) = 3\n", "import urllib9\n", "x = y_z\n"]
)
def test_other_mistakes_are_not_taken_for_it(tmp_path: Path, text: str) -> None:
    (problem,) = problems(tmp_path, text)
    assert "Python 2" not in (problem.hint or "")
