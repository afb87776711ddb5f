"""What a terminal's line looks like as HTML."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import buildbot.status.web.ansi as ansi
from buildbot.status.web.ansi import PLAIN, Style, classes, line_html, nearest_colour, sgr

LOG_CSS = Path(ansi.__file__).with_name("static") / "log.css"


def shown(text: str) -> str:
    """What a person reads."""
    html, _ = line_html([("o", text)])
    return re.sub("<[^>]*>", "", html).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def spans(text: str, style: Style = PLAIN) -> list[tuple[str, str]]:
    html, _ = line_html([("o", text)], style)
    return re.findall(r'<span class="([^"]*)">([^<]*)</span>', html)


class TestText:
    @pytest.mark.parametrize(
        ("written", "read"),
        [
            ("plain", "plain"),
            ("", ""),
            ("tab\tstays", "tab\tstays"),
            ("dos line\r", "dos line"),
            ("10%\r20%\r100%", "100%"),
            ("long one\rshort", "shortone"),
            ("long one\r\x1b[Kshort", "short"),
            ("abc\b\bX", "aXc"),
            ("abc\x1b[1KX", "   X"),
            ("abc\x1b[2KX", "   X"),
            ("abc\x1b[2DX", "aXc"),
            ("abc\x1b[1GX", "Xbc"),
            ("a\x1b[3Cb", "a   b"),
            ("\x1b]0;title\x07text", "text"),
            ("\x1b]8;;http://example.org\x1b\\link\x1b]8;;\x1b\\", "link"),
            ("\x1bPdevice control\x1b\\x", "x"),
            ("\x1b(Bx", "x"),
            ("\x1b[?25lx\x1b[?25h", "x"),
            ("\x1b[2Ax", "x"),
            ("\x1b[>4;2mx", "x"),
            ("bell\x07", "bell"),
            ("nul\x00", "nul␀"),
            ("\x7f", "␡"),
            ("cut\x1b[3", "cut"),
            ("cut\x1b", "cut"),
            ("cut\x1b]0;title without an end", "cut"),
            ("\x9b31mred", "red"),
            ("<script>alert('&')</script>", "<script>alert(&#39;&')</script>".replace("&#39;", "'")),
        ],
    )
    def test_reads_as_on_a_terminal(self, written: str, read: str) -> None:
        assert shown(written).replace("&#39;", "'") == read

    def test_markup_is_escaped_on_both_paths(self) -> None:
        for text in ("<b>&\"'", "\x1b[1m<b>&\"'"):
            html, _ = line_html([("o", text)])
            assert "&lt;b&gt;&amp;&#34;&#39;" in html
            assert "<b>" not in html

    def test_each_piece_bears_its_channel(self) -> None:
        html, _ = line_html([("stdout", "out"), ("stderr", "err")])
        assert html == '<span class="stdout">out</span><span class="stderr">err</span>'
        html, _ = line_html([("stdout", "out\x1b[0m"), ("stderr", "err")])
        assert html == '<span class="stdout">out</span><span class="stderr">err</span>'


class TestColours:
    @pytest.mark.parametrize(
        ("arguments", "pen"),
        [
            ("", PLAIN),
            ("0", PLAIN),
            ("31", Style(fore=1)),
            ("41", Style(back=1)),
            ("97", Style(fore=15)),
            ("100", Style(back=8)),
            ("1;4;7", Style(bold=True, underline=True, inverse=True)),
            ("2;3;9", Style(faint=True, italic=True, strike=True)),
            ("38;5;208", Style(fore=208)),
            ("48;5;17;1", Style(back=17, bold=True)),
            ("38:5:208", Style(fore=208)),
            ("38;2;255;0;0", Style(fore=196)),
            ("38:2::255:0:0", Style(fore=196)),
            ("38:2:255:0:0;1", Style(fore=196, bold=True)),
            ("58;5;3;1", Style(bold=True)),
            ("4:3", Style(underline=True)),
            ("4:0", PLAIN),
            ("38;5;999", PLAIN),
            ("38;5", PLAIN),
            ("38;7;1", Style(bold=True)),
            ("31;39", PLAIN),
            ("1;22;4;24;7;27;9;29;3;23", PLAIN),
            ("31;;1", Style(bold=True)),
            ("5;8;53;999", PLAIN),
            ("²", PLAIN),
        ],
    )
    def test_sgr(self, arguments: str, pen: Style) -> None:
        assert sgr(PLAIN, arguments) == pen

    @pytest.mark.parametrize(
        ("pen", "css"),
        [
            (PLAIN, ""),
            (Style(fore=1, back=2, bold=True), "f1 b2 bold"),
            (Style(inverse=True), "f-ground b-text"),
            (Style(fore=1, inverse=True), "f-ground b1"),
            (Style(fore=1, back=2, inverse=True), "f2 b1"),
        ],
    )
    def test_classes(self, pen: Style, css: str) -> None:
        assert classes(pen) == css

    @pytest.mark.parametrize(
        ("rgb", "colour"),
        [((0, 0, 0), 16), ((255, 255, 255), 231), ((255, 0, 0), 196), ((8, 8, 8), 232), ((130, 128, 127), 244)],
    )
    def test_a_true_colour_becomes_the_nearest(self, rgb: tuple[int, int, int], colour: int) -> None:
        assert nearest_colour(*rgb) == colour

    def test_the_pen_stays_for_the_next_line(self) -> None:
        _, pen = line_html([("o", "\x1b[31mred")])
        assert pen == Style(fore=1)
        assert spans("still red", pen) == [("o f1", "still red")]

    def test_overwritten_text_has_the_new_colour(self) -> None:
        assert spans("aaa\r\x1b[32mbb") == [("o f2", "bb"), ("o", "a")]

    def test_every_colour_has_its_rule(self) -> None:
        css = LOG_CSS.read_text()
        for kind in "fb":
            named = {int(number) for number in re.findall(rf"\.{kind}(\d+)\s*\{{", css)}
            assert named == set(range(256))
            assert f".{kind}-" in css


class TestBounds:
    def test_a_cursor_far_away_costs_little(self) -> None:
        html, _ = line_html([("o", "\x1b[999999999Gx\x1b[999999999Cx")])
        assert len(html) < 4000

    @pytest.mark.parametrize(
        "unit", ["\x1b[", "\x1b]", "\r\x1b[Kx", "\x1b[31mx", "\x1b[1K", "\x9b;", "\x1bP\x1b", "x\b"]
    )
    def test_time_grows_with_the_length_only(self, unit: str) -> None:
        """Four times the length costs about four times as much of the processor, and not sixteen times."""

        def cost(length: int) -> float:
            text = unit * (length // len(unit))
            costs = []
            for _ in range(5):
                started = time.process_time()
                line_html([("o", text)])
                costs.append(time.process_time() - started)
            return min(costs)

        assert cost(16384) < 10 * max(cost(4096), 0.001)

    @given(st.text(alphabet=st.sampled_from("a<&\x1b[]m0123;:\r\b\x07K\\P?\x9b\x9d G"), max_size=80))
    def test_nothing_breaks_out_of_its_span(self, text: str) -> None:
        html, _ = line_html([("o", text)])
        rest = re.sub(r'<span class="[a-z0-9 -]+">[^<>"\x00-\x08\x0b-\x1f\x7f-\x9f]*</span>', "", html)
        assert rest == ""
