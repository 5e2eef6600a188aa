"""The tables, one module per noun; `mira.store.schema` gathers them. Import them from there, so that none is missing."""
