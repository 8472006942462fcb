"""The MCP server: the retriever as tools for a model, on stdio or streamable HTTP."""
