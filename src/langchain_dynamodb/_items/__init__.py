"""What is stored, as typed values: keys, session items, pages, items of langchain_community. No I/O."""
