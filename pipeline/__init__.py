"""Turn arrays and tables into arrays and tables: no printing, no settings, no folders of a study."""
