"""Files in, ranked hits out: walking, reading, embedding, storing and searching."""
