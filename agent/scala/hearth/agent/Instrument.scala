package hearth.agent

import java.lang.instrument.Instrumentation

/** Once the Java agent; REPL classes get their checks from their own loader now, and a start with `-javaagent` does nothing. */
object Instrument {
  def premain(arguments: String, instrumentation: Instrumentation): Unit = ()
}
