"""MMEB-V2 by its official protocol: 78 tasks as data, a few parsers, one runner."""
