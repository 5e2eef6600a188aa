"""The tables, one module per noun. Import them from `mira.store.schema`, which gathers them so that none is missing."""
