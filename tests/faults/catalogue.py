"""All faults, by name."""

from tests.faults.fault import Fault
from tests.faults.late import LATE
from tests.faults.loops import LOOPS, SHARED
from tests.faults.passes import PASSES
from tests.faults.updates import UPDATES

FAULTS: dict[str, Fault] = UPDATES | PASSES | LOOPS | LATE | SHARED
