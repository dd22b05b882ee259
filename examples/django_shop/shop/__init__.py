"""A small shop: a catalogue, a cart in the session, orders in the database."""
