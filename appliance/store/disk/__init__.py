"""What a disk does to a database: it is full, it cannot be written, it loses or changes a part."""
