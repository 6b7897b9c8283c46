"""A template's category: a code of its own organization, or none."""

import pytest

from apps.users.models import Category
from tests.support.factories import EMAIL_EN, OrganizationFactory
from tests.support.routes import refused, stored

URL = "/api/v1/templates/"


@pytest.fixture(autouse=True)
def _categories(organization):
    Category.objects.create(organization=organization, code="orders", name="Orders")
    Category.objects.create(organization=organization, code="news", name="News")
    Category.objects.create(organization=OrganizationFactory(), code="theirs", name="Theirs")


def write(api, **fields):
    return api.post(URL, {"code": "hello", "name": "Hello", "contents": [EMAIL_EN], **fields})


def test_a_category_is_given_changed_and_taken_away(api):
    assert write(api, category="orders").json()["data"]["category"] == "orders"
    for category in ("news", None):
        answer = api.patch(f"{URL}hello/", {"category": category})
        assert (answer.status_code, answer.json()["data"]["category"]) == (200, category)
        assert api.get(f"{URL}hello/").json()["data"]["category"] == category
        assert api.get(URL).json()["data"][0]["category"] == category
    assert api.post(f"{URL}hello/activate/", {"version": 1}).json()["data"]["category"] is None


def test_a_template_without_a_category_has_none(api):
    assert write(api).json()["data"]["category"] is None


@pytest.mark.parametrize(
    "category", ["absent", "theirs", "", "Orders", 5, True, [], {}, "x" * 51, "orders\n"]
)
def test_an_unknown_category_is_named(category, api):
    before = stored()
    answers = [write(api, category=category)]
    assert stored() == before
    write(api, category="orders")
    before = stored()
    answers.append(api.patch(f"{URL}hello/", {"category": category}))
    for answer in answers:
        (entry,) = refused(answer, 400, "validation_error")["errors"]
        assert entry["field"] == "category"
    assert stored() == before


def test_a_list_costs_the_same_few_queries_however_long(api, django_assert_max_num_queries):
    for number in range(5):
        write(api, code=f"hello-{number}", category="orders")
    with django_assert_max_num_queries(5):
        assert len(api.get(URL).json()["data"]) == 5
