"""Found by every Python that a killed run starts: its boundaries count too."""

from boundaries import install

install()
