"""Python for one session: runs the statements that the agent sends over a pipe, in one process attached to the driver's JVM.

The agent (hearth.agent.python.PythonInterpreter) starts it and speaks with it in lines of JSON, commands on stdin and replies on
stdout, all ASCII so that a lone surrogate survives:

    attach   {port, secret}                             -> attached {} | failed {reason}
    open     {number}                                   -> ready {} | failed {reason}
    run      {id, code, max_rows, max_output[, notice]} -> output {id, stream, text} …, done {id, output, columns, truncated, ran_us}
    cancel   {id}
    complete {id, code, cursor}                         -> completion {id, candidates}
    close    {}

and says `started {pid, version}` by itself. `attach` needs no SparkContext yet, `open` does. Commands run in order, except `cancel`. The channel is private: descriptors 0, 1 and 2 of
the process are something else by the time user code runs.
"""
