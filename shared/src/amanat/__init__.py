"""Amanat: that which is entrusted. The platform library that every service stands on."""
