"""Looks up an organization's layouts and partials while a version is assembled."""

from apps.templates.models import Layout, Partial
from apps.users.models import Organization


class Library:
    """Reads each part once and records which were used.

    `changed`: a part that is not saved yet, used instead of its stored row.
    """

    def __init__(self, organization: Organization, *, changed: Layout | Partial | None = None) -> None:
        self._organization = organization
        self._layouts: dict[str, Layout] = {}
        self._partials: dict[str, Partial] = {}
        if isinstance(changed, Layout):
            self._layouts[changed.name] = changed
        elif changed:
            self._partials[changed.name] = changed

    def layout(self, name: str) -> Layout:
        """Raises KeyError."""
        if name not in self._layouts:
            found = Layout.objects.filter(organization=self._organization, name=name).first()
            if found is None:
                raise KeyError(name)
            self._layouts[name] = found
        return self._layouts[name]

    def partial(self, name: str) -> Partial:
        """Raises KeyError."""
        if name not in self._partials:
            found = Partial.objects.filter(organization=self._organization, name=name).first()
            if found is None:
                raise KeyError(name)
            self._partials[name] = found
        return self._partials[name]

    @property
    def pinned(self) -> dict[str, dict[str, int]]:
        return {
            "layouts": {name: row.revision for name, row in sorted(self._layouts.items())},
            "partials": {name: row.revision for name, row in sorted(self._partials.items())},
        }
