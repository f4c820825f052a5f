package hearth.agent.python

/** Exit values of processes, in words. */
private[python] object ExitValue {

  /** Java gives a process that a signal has ended the exit value of a shell: 128 and the signal's number. */
  private val signals = Map(4 -> "SIGILL", 6 -> "SIGABRT", 7 -> "SIGBUS", 8 -> "SIGFPE", 9 -> "SIGKILL", 11 -> "SIGSEGV", 15 -> "SIGTERM")

  def describe(value: Int): String = signals.get(value - 128) match {
    case Some("SIGKILL") => "was killed by signal 9 (SIGKILL), as the system does when memory runs out"
    case Some(name) => s"was ended by signal ${value - 128} ($name)"
    case None => s"exited with code $value"
  }
}
