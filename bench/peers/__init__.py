"""The comparison with other operators: the same work, cluster, gate and machine. README.md has how."""
