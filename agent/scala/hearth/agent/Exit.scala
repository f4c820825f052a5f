package hearth.agent

import scala.collection.JavaConverters._

/** Finds out who is ending the JVM or the SparkContext, from what the threads are doing. */
object Exit {

  /** Whether the JVM is already going down. */
  def underWay: Boolean =
    try {
      val probe = new Thread
      Runtime.getRuntime.addShutdownHook(probe)
      Runtime.getRuntime.removeShutdownHook(probe)
      false
    } catch { case _: IllegalStateException => true }

  /** The state and the reason to give when the JVM goes down by itself. */
  def cause(sessionOf: Thread => Option[Int]): (String, String) =
    within("java.lang.Runtime", "exit", sessionOf) match {
      case Some(who) => ("failed", s"the driver was ended by $who calling System.exit")
      case None      => ("stopping", "the driver was told to end by a signal")
    }

  /** Whose thread is inside of a method, in words. */
  def within(owner: String, method: String, sessionOf: Thread => Option[Int]): Option[String] =
    Thread.getAllStackTraces.asScala.collectFirst {
      case (thread, frames) if frames.exists(f => f.getClassName == owner && f.getMethodName == method) =>
        sessionOf(thread) match {
          case Some(number) => s"the code of session number $number"
          case None         => s"the thread ${thread.getName}"
        }
    }
}
