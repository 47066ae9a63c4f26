"""What contenders written in Python do. Each runs in a process of its own, which imports its module only."""
