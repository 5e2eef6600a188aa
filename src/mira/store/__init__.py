"""The store: SQL, one file per concern. Only this package knows that there is a database."""
