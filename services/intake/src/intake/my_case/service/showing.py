"""What was found, in the names that people use, in one language."""

from collections.abc import Collection, Iterable

from amanat.categories import OUTSIDE, Agency, Category
from intake.my_case import schemas
from intake.my_case.service.found import BY_LAW, Found, Over, Shared
from intake.my_case.texts import Language, call_it, explained
from intake.service.instruments import Instruments


class Names:
    """Names in one language, from the directory and the catalogue. `cell` is hers, where cells are named at all."""

    def __init__(self, instruments: Instruments, language: Language, cell: str | None = None) -> None:
        self._directory = instruments.directory
        self._cell = cell
        self._language = language
        self._lease_s = max(instruments.lease_of(agency) for agency in OUTSIDE)

    def office(self, agency: Agency, organisation: str) -> str:
        """The office's name; never an officer's."""
        if agency is Agency.INTAKE:
            # "The place that you came to", or another: the page names no cell.
            return call_it(self._language, "office", "intake" if organisation == self._cell else "another_cell")
        entry = self._directory.organisation(agency, organisation)
        return organisation if entry is None else str(getattr(entry.name, self._language))

    def category(self, category: Category) -> schemas.Named:
        return schemas.Named(id=category, name=call_it(self._language, "category", category))

    def categories(self, categories: Collection[Category]) -> tuple[schemas.Named, ...]:
        return tuple(self.category(each) for each in sorted(categories))

    def purpose(self, purpose: str) -> str:
        return call_it(self._language, "purpose", purpose)

    def my_case(self, found: Found, opened: schemas.OwnLooks) -> schemas.MyCase:
        """The whole page."""
        return schemas.MyCase(
            shared=self.offices(found.shared),
            looks=tuple(
                schemas.Seen(
                    name=self.office(each.agency, each.organisation),
                    parts=self.categories(each.categories),
                    purpose=self.purpose(each.purpose),
                    times=each.times,
                    first_at=each.first_at,
                    last_at=each.last_at,
                    by_a_cell=each.agency is Agency.INTAKE,
                )
                for each in reversed(found.looked)
            ),
            unaccounted=tuple(
                schemas.Unaccounted(
                    name=self.office(each.agency, each.organisation), parts=self.categories(each.categories), at=each.at
                )
                for each in found.leased
            ),
            ended=self.ended(found.over),
            opened=opened,
            explained=self.explained(),
        )

    def explained(self) -> tuple[str, ...]:
        """What taking back does and does not do."""
        return explained(self._language, self._lease_s)

    def offices(self, shared: Iterable[Shared]) -> tuple[schemas.Office, ...]:
        """What is shared, office by office."""
        by_office: dict[tuple[Agency, str, str], list[schemas.Part]] = {}
        for each in shared:
            by_office.setdefault((each.agency, each.organisation, each.purpose), []).append(
                schemas.Part(
                    category=self.category(each.category),
                    until=each.until,
                    withdrawable=each.by_consent,
                    also_by_law=bool(each.bases & BY_LAW),
                )
            )
        return tuple(
            schemas.Office(
                agency=agency,
                organisation=organisation,
                name=self.office(agency, organisation),
                purpose=self.purpose(purpose),
                parts=tuple(parts),
            )
            for (agency, organisation, purpose), parts in by_office.items()
        )

    def ended(self, over: Iterable[Over]) -> tuple[schemas.Ended, ...]:
        """What can no longer be read."""
        return tuple(
            schemas.Ended(
                agency=each.agency,
                organisation=each.organisation,
                name=self.office(each.agency, each.organisation),
                category=self.category(each.category),
                ended_at=each.ended_at,
                closed_no_later_than=each.closed_no_later_than,
            )
            for each in over
        )
