"""Admin pages that write a template's next version, with a preview, and that activate a version."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from apps.admin.authoring.draft import Draft
from apps.admin.lists.rows import OrganizationRows, operator_of
from apps.templates.authoring import versions
from apps.templates.liquid.analysis.variables import VariableUse, segments
from apps.templates.models import Template, TemplateVersion
from notifier.channels.registry import CHANNELS


class VersionPages(OrganizationRows):
    """Adds the pages `versions/add/` and `versions/<number>/activate/` to a template's own."""

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("<uuid:pk>/versions/add/", wrap(self.version_add), name="templates_template_version_add"),
            path(
                "<uuid:pk>/versions/<int:number>/activate/",
                wrap(self.version_activate),
                name="templates_template_version_activate",
            ),
            *super().get_urls(),
        ]

    def version_add(self, request: HttpRequest, pk: Any) -> HttpResponse:
        """Write a new version, starting from version `?start=<number>` or the one in use. Only the buttons `_save`
        and `_publish` store anything; the others, and the Enter key, preview. Publishing asks for confirmation."""
        template = self._changeable(request, pk)
        draft = Draft(
            template=template,
            start=_start(request, template),
            posted=request.POST if request.method == "POST" else None,
        )
        publishing = None
        valid = request.method == "POST" and draft.is_valid()
        if valid and "_activate" in request.POST:
            # Saved and rolled back, so that the confirmation shows exactly what would be published.
            with transaction.atomic():
                publishing = draft.save(author=operator_of(request), active=True)
                transaction.set_rollback(True)
            template.refresh_from_db()
        elif valid and {"_publish", "_save"} & request.POST.keys():
            active = "_publish" in request.POST
            version = draft.save(author=operator_of(request), active=active)
            if version is not None:
                self.log_change(request, template, f"Added version {version.number}.")
                done = "saved and in use" if active else "saved; it is not in use yet"
                self.message_user(request, f"Version {version.number} is {done}.", messages.SUCCESS)
                return HttpResponseRedirect(reverse("admin:templates_template_change", args=[template.pk]))
        draft.render()
        context = {
            **self.admin_site.each_context(request),
            "title": f"New version of {template}",
            "opts": self.opts,
            "template": template,
            "draft": draft,
            "publishing": publishing,
            "newly_required": newly_required(publishing, template.active_version),
            "groups": list(zip(CHANNELS.values(), draft.groups, strict=True)),
        }
        return TemplateResponse(request, "admin/templates/template/version_form.html", context)

    def version_activate(self, request: HttpRequest, pk: Any, number: int) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        template = self._changeable(request, pk)
        version = template.versions.filter(number=number).first()
        if version is None:
            raise Http404
        if "_publish" not in request.POST:
            context = {
                **self.admin_site.each_context(request),
                "title": f"Publish version {number} of {template}?",
                "opts": self.opts,
                "template": template,
                "version": version,
                "newly_required": newly_required(version, template.active_version),
            }
            return TemplateResponse(request, "admin/templates/template/version_activate.html", context)
        versions.activate(template=template, version=version)
        self.log_change(request, template, f"Activated version {number}.")
        self.message_user(request, f"Version {number} is in use from now on.", messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:templates_template_change", args=[template.pk]))

    def _changeable(self, request: HttpRequest, pk: Any) -> Template:
        template: Template | None = self.get_object(request, str(pk))
        if template is None:
            raise Http404
        if not self.has_change_permission(request, template):
            raise PermissionDenied
        return template


def newly_required(version: TemplateVersion | None, before: TemplateVersion | None) -> list[str]:
    """The variables that callers have to send for `version` and didn't for `before`; those that go with an object as
    in `VariableUse`, `order?.note`."""
    if version is None or before is None:
        return []
    known = before.use.needs
    newly = [
        (name, given) for name, given in version.use.needs.items() if given < known.get(name, segments(name))
    ]
    found = VariableUse.of(newly)
    return sorted(found.required | found.optional)


def _start(request: HttpRequest, template: Template) -> TemplateVersion | None:
    number = request.GET.get("start", "")
    version = (
        template.versions.filter(number=int(number)).first()
        if number.isdecimal() and len(number) < 10
        else None
    )
    return version or template.active_version or template.versions.first()
