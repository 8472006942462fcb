"""What faces readers: a page and an MCP server."""
