"""The documentation site: generated pages, the mermaid script, and the hooks of mkdocs."""
