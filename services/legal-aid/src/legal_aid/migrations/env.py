from amanat.migrate import run_env
from legal_aid.models import metadata

run_env(metadata)
