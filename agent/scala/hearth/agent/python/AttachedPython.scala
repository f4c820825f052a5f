package hearth.agent.python

import org.apache.spark.SparkContext
import org.apache.spark.hearth.SparkInternals

import hearth.agent.Workspace

/** A Python process and the Py4J server that serves it alone: callbacks and pinned threads are per server. */
private[python] final class AttachedPython(command: PythonCommand) {
  import PythonProcess._

  val process = new PythonProcess(command)
  private var gateway: Option[SparkInternals.Gateway] = None

  /** Lets PySpark into the JVM; does nothing the second time.
    *
    * @throws PythonFailure if it cannot
    */
  def attach(context: SparkContext): Unit = synchronized {
    if (gateway.isEmpty) {
      PythonSessions.share(context)
      expect("started")
      val made = new SparkInternals.Gateway(context.getConf)
      gateway = Some(made)
      send("attach")(_.put("port", made.port).put("secret", made.secret))
      expect("attached")
    }
  }

  /** Binds it to a session, whose SparkSession is known to [[PythonSessions]].
    *
    * @throws PythonFailure if it cannot
    */
  def open(workspace: Workspace): Unit = {
    attach(workspace.spark.sparkContext)
    PythonSessions.keepingDefault {
      send("open")(_.put("number", workspace.number))
      expect("ready")
    }
  }

  def close(): Unit = {
    process.close()
    synchronized(gateway.foreach(_.close()))
  }

  private def send(kind: String)(fill: com.fasterxml.jackson.databind.node.ObjectNode => Unit): Unit =
    try process.send(kind)(fill)
    catch { case _: java.io.IOException => throw new PythonFailure(s"Python did not start: ${process.obituary}") }

  private def expect(kind: String): Unit = process.answer(AttachedPython.patience) match {
    case Some(Reply(`kind`, _)) =>
    case Some(Reply("failed", body)) => throw new PythonFailure(body.path("reason").asText)
    case Some(Reply(other, _)) => throw new PythonFailure(s"Python answered $other instead of $kind")
    case Some(Gone) => throw new PythonFailure(s"Python did not start: ${process.obituary}")
    case None => throw new PythonFailure(s"Python did not say $kind within ${AttachedPython.patience} s")
  }
}

private[python] object AttachedPython {

  /** Seconds that a step of the start may take; it bounds a hang, on a machine however busy. */
  private val patience = 120L
}

/** Python could not be started, in words for the person who wanted it. */
final class PythonFailure(message: String) extends Exception(message)
