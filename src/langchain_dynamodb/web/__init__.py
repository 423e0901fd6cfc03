"""What any web framework needs: problem documents, ETags, the keys of tenants. No I/O, no framework."""
