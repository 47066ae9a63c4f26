"""The demo: sample works through the whole main job, on this machine."""
