"""Lets Schemathesis speak of things that exist: else nearly every path it makes up is answered with 404.

HEARTH_KNOWN is a JSON object: for the beginning of a path, the id to put into it.
"""

import json
import os

import schemathesis

KNOWN = json.loads(os.environ["HEARTH_KNOWN"])


@schemathesis.hook
def map_path_parameters(context, parameters):
    operation = context.operation
    # What is deleted would be missing for the rest of the run.
    if parameters and "id" in parameters and operation.method.lower() != "delete":
        fitting = [beginning for beginning in KNOWN if operation.full_path.startswith(beginning)]
        # Ids that were made up are kept now and then.
        if fitting and hash(str(parameters["id"])) % 4:
            parameters["id"] = KNOWN[max(fitting, key=len)]
        if "number" in parameters and isinstance(parameters["number"], int) and parameters["number"] >= 0:
            parameters["number"] %= 4
    return parameters
