"""The text of office, web, mail and e-book files, in sections under their headings."""
