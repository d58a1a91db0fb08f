"""What can run: the catalogue of families and variants, their artefacts on disk, and the backends that run them."""

import surroundings as surroundings  # before any library that it keeps quiet
