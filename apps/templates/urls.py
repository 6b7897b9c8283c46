from django.urls import path, register_converter

from apps.templates import draft_views, part_views, preview_views, views
from apps.templates.models import CODE_PATTERN


class TemplateCode:
    """A template's code in a path; anything else is a 404 before a database sees it."""

    regex = CODE_PATTERN.removeprefix(r"\A").removesuffix(r"\Z")

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


class VersionNumber:
    regex = r"[1-9][0-9]{0,8}"

    def to_python(self, value: str) -> int:
        return int(value)

    def to_url(self, value: int) -> str:
        return str(value)


register_converter(TemplateCode, "template_code")
register_converter(VersionNumber, "version_number")

urlpatterns = [
    path("", views.TemplateListView.as_view(), name="templates"),
    path("substitute/", preview_views.SubstituteView.as_view(), name="substitute"),
    path("layouts/", part_views.LayoutListView.as_view(), name="layouts"),
    path("layouts/<template_code:name>/", part_views.LayoutDetailView.as_view(), name="layout"),
    path("layouts/<template_code:name>/uses/", part_views.LayoutUsesView.as_view(), name="layout-uses"),
    path("partials/", part_views.PartialListView.as_view(), name="partials"),
    path("partials/<template_code:name>/", part_views.PartialDetailView.as_view(), name="partial"),
    path("partials/<template_code:name>/uses/", part_views.PartialUsesView.as_view(), name="partial-uses"),
    path("<template_code:code>/", views.TemplateDetailView.as_view(), name="template"),
    path("<template_code:code>/versions/", views.VersionListView.as_view(), name="versions"),
    path("<template_code:code>/activate/", views.ActivateView.as_view(), name="activate"),
    path(
        "<template_code:code>/versions/<version_number:number>/",
        views.VersionDetailView.as_view(),
        name="version",
    ),
    path("<template_code:code>/diff/", views.DiffView.as_view(), name="diff"),
    path("<template_code:code>/draft/", draft_views.DraftView.as_view(), name="draft"),
    path("<template_code:code>/draft/publish/", draft_views.PublishView.as_view(), name="draft-publish"),
    path("<template_code:code>/preview/", preview_views.PreviewView.as_view(), name="preview"),
]
