"""All SQL of intake. Every read of case data takes an `Access`; every statement joins the asking tenant itself."""
