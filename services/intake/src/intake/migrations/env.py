from amanat.migrate import run_env
from intake.my_case.models import metadata

run_env(metadata)
