from amanat.migrate import run_env
from forensics.models import metadata

run_env(metadata)
