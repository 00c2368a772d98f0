"""What every route of a reporting centre takes."""

from typing import Annotated

from fastapi import Depends
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.agency.web import code_of, transaction
from amanat.auth import require
from amanat.categories import Agency
from amanat.principal import Principal

asking = require("police_officer", "reporting_centre_system")

Officer = Annotated[Principal, Depends(asking)]
"""An officer of a reporting centre, or its system: both act for their own centre alone."""
Transaction = Annotated[AsyncSession, Depends(transaction(asking), scope="function")]
Code = Annotated[str, Depends(code_of(Agency.POLICE_LINK))]
