"""The webhooks' SQL. Every statement joins its tenant."""
