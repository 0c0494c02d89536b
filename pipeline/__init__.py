"""The science: arrays and tables in, arrays and tables out; nothing prints, reads a setting or knows a folder."""
