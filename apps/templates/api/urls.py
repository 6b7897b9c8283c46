"""URLs of the template API."""

from django.urls import path, register_converter

from apps.templates.api.views import drafts, parts, previews, templates
from apps.templates.models import CODE_PATTERN


class TemplateCode:
    """A template's code in a path; any other text is a 404 without a database query."""

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
    path("", templates.TemplateListView.as_view(), name="templates"),
    path("substitute/", previews.SubstituteView.as_view(), name="substitute"),
    path("layouts/", parts.LayoutListView.as_view(), name="layouts"),
    path("layouts/<template_code:name>/", parts.LayoutDetailView.as_view(), name="layout"),
    path("layouts/<template_code:name>/uses/", parts.LayoutUsesView.as_view(), name="layout-uses"),
    path("partials/", parts.PartialListView.as_view(), name="partials"),
    path("partials/<template_code:name>/", parts.PartialDetailView.as_view(), name="partial"),
    path("partials/<template_code:name>/uses/", parts.PartialUsesView.as_view(), name="partial-uses"),
    path("<template_code:code>/", templates.TemplateDetailView.as_view(), name="template"),
    path("<template_code:code>/versions/", templates.VersionListView.as_view(), name="versions"),
    path("<template_code:code>/activate/", templates.ActivateView.as_view(), name="activate"),
    path(
        "<template_code:code>/versions/<version_number:number>/",
        templates.VersionDetailView.as_view(),
        name="version",
    ),
    path("<template_code:code>/diff/", templates.DiffView.as_view(), name="diff"),
    path("<template_code:code>/draft/", drafts.DraftView.as_view(), name="draft"),
    path("<template_code:code>/draft/publish/", drafts.PublishView.as_view(), name="draft-publish"),
    path("<template_code:code>/preview/", previews.PreviewView.as_view(), name="preview"),
]
