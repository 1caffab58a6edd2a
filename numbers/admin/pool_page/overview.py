"""The pool at a glance: figures of each pool and country, and a bar for each number."""

from django.conf import settings
from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from numbers.admin.pool_page import figures
from numbers.admin.pool_page.filters import FilterForm
from numbers.health import format_window, measure
from numbers.models import NumberOrder, OrderState
from smsproxy.staff.rights import require

PER_PAGE = 50
MAX_OPEN_ORDERS = 10


def pool_view(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """Return the page. It takes a fixed number of queries, each over the numbers or over what cools down."""
    require(request, "numbers.view_virtualnumber")
    places = figures.places()
    form = FilterForm(request.GET, places)
    healths = measure()
    total = figures.total(places)
    ordered = {
        "failing": lambda: figures.failing_first(form.numbers(), healths, total["fullest"]),
        "fullest": lambda: figures.fullest_first(form.numbers(), total["fullest"]),
        "number": lambda: form.numbers().order_by("number"),
    }[form.sort_order]()
    page = _page_of(request)
    numbers = list(ordered[(page - 1) * PER_PAGE : page * PER_PAGE + 1])
    if not numbers and form.names_whole_number:  # It may be a person's.
        return HttpResponseRedirect(request.path + form.query(q=""))
    orders = NumberOrder.objects.of_staff().filter(state=OrderState.OPEN).select_related("pool")
    context = {
        "title": _("Pool"),
        "places": places,
        "total": total,
        "filters": form,
        "rows": figures.number_rows(numbers[:PER_PAGE], healths, total["fullest"]),
        "previous": form.query(page=page - 1) if page > 1 else "",
        "next": form.query(page=page + 1) if len(numbers) > PER_PAGE else "",
        "page": page,
        "orders": orders[:MAX_OPEN_ORDERS],
        "window": format_window() if settings.HEALTH_WINDOW_SECONDS else _("not measured"),
        "may_buy": request.user.has_perm("numbers.add_numberorder"),
        "may_import": request.user.has_perms(["numbers.add_virtualnumber", "numbers.change_virtualnumber"]),
        "bar_width": figures.WIDTH,
    }
    return TemplateResponse(request, "admin/pool_page/pool.html", {**site.each_context(request), **context})


def _page_of(request: HttpRequest) -> int:
    typed = request.GET.get("page", "")
    return max(int(typed), 1) if typed.isdecimal() and len(typed) < 6 else 1
