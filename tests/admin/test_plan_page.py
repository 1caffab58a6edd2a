"""The plan page in the admin shows the same plan as the command, with a plot."""

import re
from xml.etree import ElementTree

import pytest
from django.db import connection
from django.urls import reverse
from selenium.webdriver.common.by import By

from conversations.planning.deadline import Deadline, DeadlineExceeded
from conversations.planning.plan import make_plan
from numbers.models import Pool
from smsproxy.cockpit import plan_page
from tests.support.browser import chromium, soon
from tests.support.builders import ALICE, add_numbers
from tests.support.history import NOW, ago, talked
from tests.support.pages import fits

PLAN = "/admin/plan/"
LIST = "/admin/numbers/virtualnumber/"


@pytest.fixture
def history(db, time_machine):
    """Give Alice one more conversation every sixth day; the pool lasts for another month."""
    time_machine.move_to(NOW, tick=False)
    record()


def record():
    add_numbers(20)
    for days in range(1, 91, 6):
        talked(ALICE, ago(days))


def svgs(html):
    return [
        ElementTree.fromstring(found) for found in re.findall(r"<svg class=\"plan-plot\".*?</svg>", html, re.DOTALL)
    ]


@pytest.mark.parametrize("permission", ["view_virtualnumber", "change_virtualnumber"])
def test_staff_who_may_see_numbers_find_the_plan_from_the_first_page_and_the_list(staff, history, permission):
    client = staff(permission)

    for page in (reverse("admin:index"), LIST):
        content = client.get(page).content.decode()
        main = content[content.index('id="content"') :]
        assert f'href="{PLAN}"' in main
    html = client.get(PLAN).content.decode()
    assert "lasts until about 2026-12-23 at +5.00 a month." in html
    assert ALICE not in html
    assert "<script" not in html[html.index('id="content-main"') :].split("</main>")[0]


def test_staff_who_may_not_see_numbers_cannot_open_the_plan(staff, history):
    client = staff("view_realnumber")

    assert client.get(PLAN).status_code == 403
    assert PLAN not in client.get(reverse("admin:index")).content.decode()


def test_the_plan_requires_a_login(client, db):
    assert client.get(PLAN).status_code == 302


def test_the_plot_describes_itself_in_words_and_marks_the_day_the_pool_runs_out(admin_client, history):
    [svg] = svgs(admin_client.get(PLAN).content.decode())
    words = ["".join(each.itertext()) for each in svg.iter("text")]

    title, desc = svg.find("title"), svg.find("desc")
    assert svg.get("aria-labelledby").split() == [title.get("id"), desc.get("id")]
    assert "lasts until about 2026-12-23" in desc.text
    assert {"numbers", "today", "runs out 2026-12-23", "2026-08-29", "0", "20"} <= set(words)
    assert {"needed", "forecast"} == {each.get("class") for each in svg.iter("polyline")}


def test_the_plot_of_a_first_day_shows_one_point_and_today(admin_client, db, time_machine):
    time_machine.move_to(NOW, tick=False)
    add_numbers(20)
    talked(ALICE, ago(0.1))

    [svg] = svgs(admin_client.get(PLAN).content.decode())

    places = {"".join(each.itertext()): float(each.get("x")) for each in svg.iter("text")}
    assert places["today"] - places["numbers"] > 60
    [dot] = [each for each in svg.iter("circle") if each.get("class") == "needed"]
    assert svg.find("polyline").get("points") == f"{dot.get('cx')},{dot.get('cy')}"


def test_the_page_explains_which_cool_downs_are_not_allowed(admin_client, history):
    explanation = "in grey: not allowed, because a message may be in transit for as long"

    assert explanation in admin_client.get(PLAN).content.decode()


def test_a_country_without_a_history_has_no_plot(admin_client, db):
    add_numbers(1)
    html = admin_client.get(PLAN).content.decode()

    assert svgs(html) == []
    assert "GB: 1 number, and no conversations in 90 days." in html


def test_an_empty_pool_has_a_clear_message(admin_client, db):
    assert "there is nothing to plan from" in admin_client.get(PLAN).content.decode()


def test_the_form_accepts_the_options_of_the_command(admin_client, history):
    Pool.objects.create(name="berlin", cool_down=100000)

    html = admin_client.get(
        PLAN, {"country": "gb", "growth": "50", "cool_down": "172800", "days": "30"}
    ).content.decode()
    assert "growth +50 % a month" in html
    assert '<th scope="col">2 days</th>' in html
    assert "2026-10-24 to 2026-11-22" in html

    html = admin_client.get(PLAN, {"pool": "berlin"}).content.decode()
    assert "Pool berlin: " in html
    assert "cool-down 100,000 seconds" in html


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"pool": "paris"}, "That choice is not one of the available choices."),
        ({"pool": "\0"}, "Null characters are not allowed."),
        ({"country": "Britain"}, "Expected the two letters of a country, such as GB, found"),
        ({"country": "\0"}, "Null characters are not allowed."),
        ({"growth": "NaN"}, "Expected percent a month from -99 to 1000, such as 10 or 2.5, found"),
        ({"growth": "9" * 5000}, "Expected percent a month"),
        ({"cool_down": "-1"}, "Expected a whole number of seconds from 1 to"),
        ({"cool_down": "٣"}, "Expected a whole number of seconds from 1 to"),
        ({"days": "<b>"}, "found &#x27;&lt;b&gt;&#x27;."),
    ],
)
def test_an_invalid_value_is_reported_at_its_field(admin_client, history, query, expected):
    response = admin_client.get(PLAN, query)

    assert response.status_code == 200
    html = response.content.decode()
    assert list(response.context["form"].errors) == list(query)
    assert expected in html
    assert svgs(html) == []


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("dark", [False, True])
def test_the_plot_is_readable_and_the_page_fits_a_phone(browse, time_machine, dark):
    time_machine.move_to(NOW, tick=True)
    record()
    with chromium(width=390, height=844, dark=dark) as browser:
        browse(browser, PLAN)

        plot = browser.find_element(By.CSS_SELECTOR, "svg.plan-plot")
        assert plot.size["width"] > 250
        assert fits(browser)
        paper = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        for line in ("needed", "forecast", "there", "runs-out"):
            ink = plot.find_element(By.CSS_SELECTOR, f".{line}").value_of_css_property("stroke")
            assert contrast(ink, paper) >= 3, line
        for text in plot.find_elements(By.TAG_NAME, "text"):
            assert contrast(text.value_of_css_property("fill"), paper) >= 4
            size = float(text.value_of_css_property("font-size").removesuffix("px"))
            assert size * plot.size["width"] / 720 > 9
        browser.find_element(By.NAME, "growth").send_keys("fast")
        browser.find_element(By.CSS_SELECTOR, ".plan-form [type=submit]").click()
        [error] = soon(browser, ".errorlist")
        assert "Expected percent a month" in error.text


def contrast(one, other):
    """Return the contrast ratio of two CSS colours, as defined by WCAG 2."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour):
    def linear(part):
        return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4

    red, green, blue = (linear(int(part) / 255) for part in re.findall(r"\d+", colour)[:3])
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_a_plan_that_exceeds_the_time_limit_is_refused_with_advice(admin_client, history, monkeypatch):
    monkeypatch.setattr(plan_page, "TIME_LIMIT", 0.0)

    page = admin_client.get(PLAN)

    assert page.status_code == 200
    assert "fewer days or one country, or run manage.py plan_pool" in page.content.decode()
    assert svgs(page.content.decode()) == []
    monkeypatch.undo()
    assert len(svgs(admin_client.get(PLAN).content.decode())) == 1


@pytest.mark.postgres
def test_the_database_cancels_a_statement_at_the_deadline(db):
    with pytest.raises(DeadlineExceeded), Deadline(0.2).for_database(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(10)")

    with connection.cursor() as cursor:  # The next statement has no deadline.
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("0",)


@pytest.mark.postgres
def test_a_deadline_without_a_limit_optimises_for_reading_all_rows(db):
    with Deadline().for_database(), connection.cursor() as cursor:
        cursor.execute("SHOW cursor_tuple_fraction")
        assert cursor.fetchone() == ("1",)
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("0",)


def test_only_one_plan_is_calculated_at_a_time(admin_client, history, monkeypatch):
    seen = []

    def make_plan_concurrently(question, **options):
        seen.append(admin_client.get(PLAN).content.decode())
        return make_plan(question, **options)

    monkeypatch.setattr(plan_page, "make_plan", make_plan_concurrently)
    first = admin_client.get(PLAN).content.decode()

    assert len(svgs(first)) == 1
    assert len(seen) == 1
    assert "Another plan is being calculated." in seen[0]
    assert svgs(seen[0]) == []
