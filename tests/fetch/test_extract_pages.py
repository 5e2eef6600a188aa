"""A page keeps its main content and its structure; what nobody sees and what runs is gone."""

import pytest

from mira.fetch.extract.caps import MAX_ATTRIBUTES, cut_down
from mira.fetch.extract.css import BadSelectorError
from mira.fetch.extract.html import convert_html
from mira.fetch.extract.shapes import Options

URL = "https://example.com/blog/post.html"
SENTENCE = "The river rises in the hills above the town and reaches the sea after two days of slow travel. "
NAVIGATION = (
    "<nav class='menu'><ul>" + "".join(f"<li><a href='/{n}'>Section {n}</a></li>" for n in range(9)) + "</ul></nav>"
)
FOOTER = "<footer class='footer'><p>Copyright. All rights reserved. <a href='/privacy'>Privacy</a></p></footer>"
RICH = f"""
<h1>Of rivers</h1><p>{SENTENCE * 3}</p><h2>Sources</h2><p>{SENTENCE * 2} See <a href="../maps/north.html?x=1">the map</a>
and <a href="#delta">the delta</a>.</p>
<ul><li>one source in the far north of it</li><li>another source<ul><li>which has its own small spring</li></ul></li></ul>
<table><tr><th>River</th><th>Length</th></tr><tr><td>Long river</td><td>900 km</td></tr><tr><td>Short river</td><td>40 km</td></tr></table>
<pre><code class="language-python">def flow(river):
    return river <span> </span>* 2
</code></pre><h3>The delta</h3><p>{SENTENCE * 3}</p>
"""


def page(main: str, head: str = "") -> str:
    return f"<html><head><title>Of rivers</title>{head}</head><body>{NAVIGATION}<main><article>{main}</article></main>{FOOTER}</body></html>"


def markdown(html: str, **options) -> str:
    return convert_html(html, URL, Options(**options)).content


def test_an_article_keeps_headings_lists_tables_links_and_code() -> None:
    text = markdown(page(RICH))
    assert "## Sources" in text
    assert "### The delta" in text
    assert "- one source in the far north of it" in text
    assert "which has its own small spring" in text
    assert "| Long river | 900 km |" in text
    assert "[the map](https://example.com/maps/north.html?x=1)" in text
    assert "[the delta](#delta)" in text
    assert "```python\ndef flow(river):\n    return river  * 2\n```" in text


def test_navigation_and_footer_are_left_out_unless_the_whole_page_is_wished() -> None:
    assert "Section 3" not in markdown(page(RICH))
    assert "All rights reserved" not in markdown(page(RICH))
    whole = markdown(page(RICH), main_content=False)
    assert "[Section 3](https://example.com/3)" in whole
    assert "All rights reserved" in whole


@pytest.mark.parametrize(
    "hidden",
    [
        "<p style='display:none'>SECRET words</p>",
        "<p style='color:red; DISPLAY : none'>SECRET words</p>",
        "<div hidden>SECRET words</div>",
        "<p style='visibility:hidden'>SECRET words</p>",
        "<p style='font-size:0'>SECRET words</p>",
        "<p style='font-size:0px;'>SECRET words</p>",
        "<div style='height:0;overflow:hidden'>SECRET words</div>",
        "<div style='position:absolute;left:-9999px'>SECRET words</div>",
        "<p style='text-indent:-9999px'>SECRET words</p>",
        "<!-- SECRET words -->",
        "<template>SECRET words</template>",
        "<script>SECRET words</script>",
        "<noscript>SECRET words</noscript>",
        "<textarea>SECRET words</textarea>",
    ],
)
@pytest.mark.parametrize("main_content", [True, False])
def test_text_that_nobody_sees_is_gone(hidden, main_content) -> None:
    text = markdown(page(RICH.replace("<h2>", hidden + "<h2>")), main_content=main_content)
    assert "SECRET" not in text
    assert "Sources" in text


def test_a_page_goes_on_after_its_end() -> None:
    early = page(RICH).replace("</nav>", "</nav></body></html>", 1)
    assert "### The delta" in markdown(early)


def test_zero_width_signs_are_gone() -> None:
    text = markdown(page(RICH.replace("Sources", "Sou\u200b\u2060r\U000e0041ces")))
    assert "## Sources" in text


def test_what_a_click_opens_is_seen() -> None:
    panel = (
        "<button aria-controls='more'>More</button><div id='more' style='display:none'><p>"
        + SENTENCE * 3
        + "PANEL.</p></div>"
    )
    assert "PANEL" in markdown(page(RICH + panel), main_content=False)


@pytest.mark.parametrize(
    "target",
    [
        "javascript:alert(1)",
        " JaVaScRiPt:alert(1)",
        "java\nscript:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "file:///etc/passwd",
    ],
)
@pytest.mark.parametrize("wish", ["markdown", "html"])
def test_links_that_run_or_hold_data_lose_their_target(target, wish) -> None:
    html = page(RICH.replace("../maps/north.html?x=1", target))
    text = convert_html(html, URL, Options(format=wish)).content
    assert "the map" in text
    assert "alert(1)" not in text
    assert "data:" not in text
    assert "file:" not in text
    assert "vbscript" not in text


def test_html_holds_no_handlers_styles_and_scripts() -> None:
    html = page(RICH.replace("<h2>", "<h2 onclick='alert(1)' style='color:red' class='x'><script>alert(2)</script>"))
    text = convert_html(html, URL, Options(format="html")).content
    assert "<h2>Sources</h2>" in text
    assert "alert" not in text
    assert "style" not in text


def test_markup_that_a_page_shows_as_text_stays_text() -> None:
    text = markdown(page(RICH.replace("Sources", "Use &lt;script&gt; and 2*3*4 and _x_ and &amp;lt;")))
    assert "<script" not in text
    assert "&lt;script> and 2\\*3\\*4 and \\_x\\_ and &amp;lt;" in text


def test_a_link_around_a_card_leaves_its_heading_a_heading() -> None:
    text = markdown(page(RICH + f"<a href='/card'><h3>A card of it</h3><p>{SENTENCE * 2}</p></a>"), main_content=False)
    assert "### [A card of it](https://example.com/card)" in text


def test_links_can_be_listed_or_dropped() -> None:
    listed = convert_html(page(RICH), URL, Options(links="list"))
    assert "](" not in listed.content
    assert next((link.text, link.url) for link in listed.links) == (
        "the map",
        "https://example.com/maps/north.html?x=1",
    )
    dropped = convert_html(page(RICH), URL, Options(links="text"))
    assert dropped.links == []
    assert "the map" in dropped.content
    assert "](" not in dropped.content


def test_pictures_are_dropped_told_or_linked() -> None:
    html = page(RICH.replace("<h2>", "<p>Here <img src='/a.png' alt='a drawing'> is more to see of it.</p><h2>"))
    assert "drawing" not in markdown(html, main_content=False)
    assert "Here a drawing is more" in markdown(html, main_content=False, images="alt")
    assert "![a drawing](https://example.com/a.png)" in markdown(html, main_content=False, images="inline")
    held = html.replace("/a.png", "data:image/png;base64,AAAA")
    assert "data:" not in markdown(held, main_content=False, images="inline")


def test_selectors_choose_and_exclude() -> None:
    assert markdown(page(RICH), include_selectors=["h2, footer > p"]).startswith("## Sources\n\nCopyright.")
    text = markdown(page(RICH), include_selectors=["article"], exclude_selectors=["table", "pre code[class^=language]"])
    assert "Long river" not in text
    assert "flow" not in text
    assert "## Sources" in text
    assert markdown(page(RICH), include_selectors=["#nothing"]) == ""


@pytest.mark.parametrize("selector", ["", "p:has(a)", "a[", "'", "x" * 600, "a]b", "p{}", "[a='b']']"])
def test_a_selector_that_cannot_be_read_is_refused(selector) -> None:
    with pytest.raises(BadSelectorError):
        markdown(page(RICH), include_selectors=[selector])


def test_metadata_come_from_meta_and_linked_data() -> None:
    head = """<link rel="canonical" href="/rivers"><meta name="description" content="All of them">
        <meta property="og:site_name" content="Atlas"><script type="application/ld+json">{"@graph":[{"@type":"NewsArticle",
        "author":[{"name":"A. Walker"},{"name":"B. Rower"}],"datePublished":"2026-03-04T05:06:07Z"}]}</script>"""
    found = convert_html(page(RICH, head).replace("<html>", "<html lang='en-GB'>"), URL, Options())
    assert found.title == "Of rivers"
    assert found.metadata.author == "A. Walker, B. Rower"
    assert found.metadata.published == "2026-03-04T05:06:07Z"
    assert found.metadata.canonical == "https://example.com/rivers"
    assert found.metadata.description == "All of them"
    assert found.metadata.site_name == "Atlas"
    assert found.metadata.language == "en-GB"


def test_a_thin_page_is_told_and_given_whole() -> None:
    found = convert_html(
        "<html><body><div id='root'>Hello there</div><script src='/app.js'></script></body></html>", URL, Options()
    )
    assert found.content == "Hello there\n"
    assert found.warnings == ["thin_content", "scripts_needed"]
    assert convert_html(page(RICH), URL, Options()).warnings == []


def test_a_page_without_text_tells_what_its_data_say() -> None:
    state = '{"props":{"page":{"body":"<p>' + SENTENCE.strip() + '</p>","id":"x"}}}'
    html = f"<html><body><div id='__next'></div><script id='__NEXT_DATA__' type='application/json'>{state}</script></body></html>"
    found = convert_html(html, URL, Options())
    assert SENTENCE.strip() in found.content
    assert "thin_content" in found.warnings


@pytest.mark.parametrize(
    "html", ["", " ", "\x00", "<", "<html>", "</p>", "plain text", "<frameset><frame src=x></frameset>"]
)
def test_what_is_hardly_a_page_gives_an_answer(html) -> None:
    found = convert_html(html, URL, Options())
    assert "thin_content" in found.warnings


def test_a_tag_of_too_many_attributes_loses_them() -> None:
    many = "<div " + " ".join(f"a{n}='>'" for n in range(MAX_ATTRIBUTES + 1)) + ">inside</div>"
    assert (
        cut_down(f"<p>before</p>{many}<p class='x'>after</p>") == "<p>before</p><div>inside</div><p class='x'>after</p>"
    )
    long = f"<a href='/x' title='{'y' * 70_000}'>text</a>"
    assert cut_down(long) == "<a>text</a>"
    fine = "<div " + " ".join(f"a{n}='>'" for n in range(MAX_ATTRIBUTES - 1)) + ">inside</div>"
    assert cut_down(fine) == fine


def test_scripts_are_cut_before_anything_is_read() -> None:
    kept = '<script type="application/ld+json">{"a": 1}</script>'
    assert cut_down(f"a<script>if (a<b) {{ '</div>' }}</script>b<style>c</style>{kept}<!-- d -->e") == f"ab{kept}e"
    assert cut_down("a<script>never closed") == "a"
