"""The law as configuration: tables with a source, a version and a province."""
