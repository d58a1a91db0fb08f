"""The process and what surrounds it: what libraries may do in it, its folders, its console, addresses.

Importing it keeps libraries quiet, and finds modules that were compiled. Every package of ours that uses a runtime or
draws imports it first, and so must whoever imports such a library beside them: it is too late after the library's own
import.
"""

from surroundings.compiled import prefer_compiled
from surroundings.libraries import quieten

quieten()
prefer_compiled()
