# shellcheck shell=bash

# free_ports COUNT: prints so many ports, each on its line, for what is started later.
free_ports() { python3 "$BATS_TEST_DIRNAME/../support/ports.py" "$1"; }
