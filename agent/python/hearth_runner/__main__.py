"""Entry: `python3 FOLDER/hearth_runner`, with the control channel on stdin and stdout."""

import os
import sys

# The folder of this file is first on the path; the package stands beside it, and neither is left there for user code to import by accident.
sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from hearth_runner.runner import main  # noqa: E402

sys.path[0] = ""
main()
