"""The portal's own API: sessions, and what members and operators see and change under them."""
