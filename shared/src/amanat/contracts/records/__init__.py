"""The documents that cross agencies, field by field: their names, their categories, and what of them may reach whom."""

from collections.abc import Mapping

from amanat.contracts.base import Record
from amanat.contracts.records.care import CareNote, CounsellingNote
from amanat.contracts.records.custody import CustodyHalf
from amanat.contracts.records.evidence import DigitalItem, Image
from amanat.contracts.records.examination import Examination
from amanat.contracts.records.incident import Incident
from amanat.contracts.records.laboratory import LaboratoryReport
from amanat.contracts.records.legal_aid import Assignment, Decline
from amanat.contracts.records.person import Person, SafeContact
from amanat.contracts.records.police import Acknowledgement, Fir, Refusal
from amanat.contracts.records.projection import categories_in, categories_of, project

RECORDS: Mapping[str, type[Record]] = {
    "person": Person,
    "safe_contact": SafeContact,
    "incident": Incident,
    "examination": Examination,
    "care_note": CareNote,
    "counselling_note": CounsellingNote,
    "digital_item": DigitalItem,
    "image": Image,
    "custody_half": CustodyHalf,
    "fir": Fir,
    "refusal": Refusal,
    "acknowledgement": Acknowledgement,
    "laboratory_report": LaboratoryReport,
    "assignment": Assignment,
    "decline": Decline,
}
"""Every record by the name it has in requests, databases and `DisclosedRecord.record`."""

__all__ = [
    "RECORDS",
    "Acknowledgement",
    "Assignment",
    "CareNote",
    "CounsellingNote",
    "CustodyHalf",
    "Decline",
    "DigitalItem",
    "Examination",
    "Fir",
    "Image",
    "Incident",
    "LaboratoryReport",
    "Person",
    "Record",
    "Refusal",
    "SafeContact",
    "categories_in",
    "categories_of",
    "project",
]
