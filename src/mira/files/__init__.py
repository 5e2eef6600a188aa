"""What clients leave with Mira: uploads, kept in an object store and served to their owner only."""
