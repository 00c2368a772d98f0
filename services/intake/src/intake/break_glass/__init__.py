"""Breaking the glass, at the cell alone (DESIGN.md, "Identity and access"): a clinical emergency's look across cells,
reviewed within a day; and what goes outside on a court's order or a statutory duty, which two people decide.

Nothing here is believed of a request's body or headers but what it asks for: who asks, of which cell, unit and role,
stands in the verified token.
"""
