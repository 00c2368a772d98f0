from amanat.migrate import run_env
from police_link.models import metadata

run_env(metadata)
